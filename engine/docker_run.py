"""A ``docker run`` line as the run body of the REST contract, and what of it could not be mapped. Pure.

Nothing is guessed: what a body cannot say is named with its value, word for word, and so is what only the shell that
the line was written for could know (variables, the current folder). Whether the body is valid is `engine.parsing`'s
business.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import Invalid

LONGEST = 65536
_BEFORE = frozenset({"sudo", "docker", "podman", "nerdctl", "container"})
_JOINED = re.compile(r"[ \t]*(?:\\|\^|`)\r?\n")
"""Lines that go on in the next one, as shells of all kinds write it."""
_SHORT = {
    "p": "publish", "e": "env", "v": "volume", "m": "memory", "h": "hostname", "u": "user", "w": "workdir",
    "l": "label", "c": "cpu-shares", "a": "attach",
    "d": "detach", "i": "interactive", "t": "tty", "P": "publish-all", "q": "quiet",
}  # fmt: skip
_SWITCHES = frozenset(
    {
        "detach", "interactive", "tty", "init", "rm", "privileged", "read-only", "no-healthcheck", "publish-all",
        "oom-kill-disable", "sig-proxy", "disable-content-trust", "quiet", "help", "use-api-socket",
    }
)  # fmt: skip
_SILENT = frozenset({"detach", "quiet", "sig-proxy"})
"""How the command itself behaves: no setting of a container."""
_FLAGS = {
    "tty": "tty", "init": "init", "rm": "auto_remove", "privileged": "privileged", "read-only": "read_only",
}  # fmt: skip
_TEXTS = {
    "name": "name", "hostname": "hostname", "user": "user", "workdir": "working_dir", "pull": "pull",
}  # fmt: skip
_HEALTH = {"health-interval": "interval", "health-timeout": "timeout", "health-start-period": "start_period"}
_USUAL_CHECK = {"interval": 30, "timeout": 30, "retries": 3, "start_period": 0}
"""What engines take where a line does not say."""
_USUAL_LOG = {"log-driver": ("json-file",), "log-opt": ("max-size=10m", "max-file=3")}
"""What every container that is run here has anyway; see `engine.docker_create`."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):)?(?:(?P<host>\d*(?:-\d+)?):)?(?P<inside>\d+(?:-\d+)?)(?:/(?P<protocol>\w+))?",
    re.ASCII,
)
_MOST_PORTS = 128


class _Unmapped(Exception):
    """This value says what a run body cannot; the message is why, where that is not plain."""


def parse(command: str) -> tuple[dict[str, Any], list[str]]:
    """``(run body, flags that were not mapped)``. Raises `Invalid` for what is no ``docker run`` line."""
    if len(command) > LONGEST:
        raise Invalid("A command line of at most 64 KiB is expected.")
    words, *more = _commands(command)
    line = _Line(start=_verb(words))
    while words and words[0].startswith("-") and words[0] != "-":
        flag = words.pop(0)
        if flag == "--":
            break
        line.flag(flag, words)
    if not words:
        raise Invalid("The line names no image.")
    for other in more:
        line.follow(other)
    return line.body(words), line.unmapped


def _commands(command: str) -> list[list[str]]:
    """The words of each command: those of a line that does not go on in the next one."""
    lexer = shlex.shlex(_JOINED.sub(" ", command), posix=True, punctuation_chars="\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    found: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word and not word.strip("\n"):
                found.append([])
            else:
                found[-1].append(word)
    except ValueError:
        raise Invalid("A quotation mark is open: close it.") from None
    said = [words[1:] if words[:1] == ["$"] else words for words in found]
    return [words for words in said if words and not words[0].startswith("#")] or [[]]


def _verb(words: list[str]) -> bool:
    """Takes ``docker run`` away; whether the container is to be started."""
    while words and words[0] in _BEFORE:
        words.pop(0)
    if not words or words[0] not in ("run", "create"):
        raise Invalid('A line that begins with "docker run" is expected.')
    return words.pop(0) == "run"


class _Line:
    """The line so far."""

    def __init__(self, *, start: bool) -> None:
        self.found: dict[str, Any] = {} if start else {"start": False}
        self.unmapped: list[str] = []
        self.check: dict[str, Any] = {}
        self.swap = ""
        self.open = ""

    def flag(self, word: str, words: list[str]) -> None:
        """Reads one flag, and its value from ``words``."""
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            self._one(name, word, value if equals else None, words)
            return
        letters = word[1:]
        while letters:  # -it, and -p8080:80: a letter that takes a value ends the group
            name, letters = _SHORT.get(letters[0], letters[0]), letters[1:]
            if name in _SWITCHES:
                self._one(name, f"--{name}", None, words)
            else:
                self._one(
                    name, word if len(name) == 1 else f"--{name}", letters.removeprefix("=") or None, words
                )
                return

    def _one(self, name: str, word: str, value: str | None, words: list[str]) -> None:
        if name in _SWITCHES:
            self._switch(name, word, on=value not in ("false", "0", "False"))
            return
        shown = word
        # Of a flag that nobody knows, the last word is rather the image than its value.
        takes = name in _READERS or name in _VALUED or (len(name) > 1 < len(words) and words[0][0:1] != "-")
        if value is None and words and takes:
            value = words.pop(0)
            shown = f"{word} {value}"
        reader = _READERS.get(name)
        if reader is None or value is None:
            self._leave(shown)
            return
        try:
            reader(self, name, value)
        except _Unmapped as why:
            self._leave(f"{shown} ({why})" if str(why) else shown)

    def _leave(self, words: str) -> None:
        if words not in self.unmapped:
            self.unmapped.append(words)

    def _switch(self, name: str, word: str, *, on: bool) -> None:
        if name == "no-healthcheck":
            if on:
                self.found["healthcheck"] = {"test": ["NONE"]}
        elif name == "interactive":
            self.open = "--interactive" if on else ""
        elif name in _FLAGS:
            self.found[_FLAGS[name]] = on
        elif name not in _SILENT and on:
            self._leave(word)

    # Values

    def text(self, name: str, value: str) -> None:
        self.found[_TEXTS[name]] = value

    def entrypoint(self, name: str, value: str) -> None:
        self.found["entrypoint"] = [value]

    def variable(self, name: str, value: str) -> None:
        key, equals, text = value.partition("=")
        self.found.setdefault("environment", {})[key] = text
        if not equals:
            raise _Unmapped("its value is your shell’s: type it")

    def label(self, name: str, value: str) -> None:
        key, _, text = value.partition("=")
        self.found.setdefault("labels", {})[key] = text

    def capability(self, name: str, value: str) -> None:
        self.found.setdefault(name.replace("-", "_"), []).append(value)

    def limit(self, name: str, value: str) -> None:
        limits = self.found.setdefault("resources", {})
        if name == "memory":
            limits["memory"] = _bytes(value)
        elif name == "pids-limit":
            limits["pids"] = max(0, int(_number(value)))
        else:
            limits["cpus"] = _number(value)

    def memory_swap(self, name: str, value: str) -> None:
        self.swap = value

    def restart(self, name: str, value: str) -> None:
        policy, _, most = value.partition(":")
        self.found["restart_policy"] = {
            "name": policy,
            **({"max_retries": int(_number(most))} if most else {}),
        }

    def network(self, name: str, value: str) -> None:
        parts = value.split(",")
        network = next((part[5:] for part in parts if part.startswith("name=")), parts[0])
        if ":" in network or "=" in network:
            raise _Unmapped
        networks = self.found.setdefault("networks", [])
        if network not in ("default", "bridge") and network not in networks:
            networks.append(network)
        if rest := [part for part in parts if part not in (network, f"name={network}")]:
            raise _Unmapped(f"without {', '.join(rest)}")

    def port(self, name: str, value: str) -> None:
        self.found.setdefault("ports", []).extend(_long_port(value) if "=" in value else _ports(value))

    def volume(self, name: str, value: str) -> None:
        parts = value.split(":")
        if len(parts) == 1:
            raise _Unmapped("a volume without a name")
        source, target, options = parts[0], parts[1], parts[2].split(",") if len(parts) > 2 else []
        _require_plain_source(source)
        kind = "bind" if source.startswith("/") else "volume"
        self._mount(kind, source, target, read_only="ro" in options)
        if rest := [option for option in options if option not in ("ro", "rw")]:
            raise _Unmapped(f"without {','.join(rest)}")

    def mount(self, name: str, value: str) -> None:
        pairs = dict(part.partition("=")[::2] for part in value.split(","))
        source = pairs.pop("source", pairs.pop("src", ""))
        target = next((pairs.pop(key) for key in ("target", "dst", "destination") if key in pairs), "")
        kind = pairs.pop("type", "volume")
        read_only = [pairs.pop(key) for key in ("readonly", "ro") if key in pairs]
        if kind not in ("volume", "bind", "tmpfs") or (kind == "volume" and not source):
            raise _Unmapped
        if kind != "tmpfs":
            _require_plain_source(source)
        self._mount(kind, source, target, read_only=any(said in ("", "true", "1") for said in read_only))
        if pairs:
            raise _Unmapped(f"without {', '.join(pairs)}")

    def tmpfs(self, name: str, value: str) -> None:
        target, _, options = value.partition(":")
        rest = [option for option in options.split(",") if option and option not in ("ro", "rw")]
        self._mount("tmpfs", "", target, read_only="ro" in options.split(","))
        if rest:
            raise _Unmapped(f"without {','.join(rest)}")

    def _mount(self, kind: str, source: str, target: str, *, read_only: bool) -> None:
        made = {"type": kind, "target": target, "read_only": read_only}
        self.found.setdefault("mounts", []).append(
            {**made, **({} if kind == "tmpfs" else {"source": source})}
        )

    def health(self, name: str, value: str) -> None:
        if name == "health-cmd":
            self.check["test"] = ["CMD-SHELL", value]
        elif name == "health-retries":
            self.check["retries"] = int(_number(value))
        else:
            self.check[_HEALTH[name]] = _seconds(value)

    def log(self, name: str, value: str) -> None:
        if value not in _USUAL_LOG[name]:
            raise _Unmapped

    # The whole

    def follow(self, words: list[str]) -> None:
        """A command after the first: another network, or its start; whatever else it is, it is not mapped."""
        plain = [word for word in words if word not in _BEFORE]
        if plain[:2] == ["network", "connect"] and len(plain) == 4:
            self.network("network", plain[2])
        elif plain[:1] == ["start"] and len(plain) == 2:
            self.found.pop("start", None)
        else:
            self._leave(shlex.join(words))

    def body(self, words: list[str]) -> dict[str, Any]:
        body: dict[str, Any] = {"image": words[0], **self.found}
        if len(words) > 1:
            body["command"] = words[1:]
        if self.check:
            if "test" in self.check:
                body["healthcheck"] = {**_USUAL_CHECK, **self.check}
            else:
                self._leave("--health-… without --health-cmd")
        if self.open and not body.get("tty"):
            self._leave(self.open)
        self._check_swap(body)
        return body

    def _check_swap(self, body: Mapping[str, Any]) -> None:
        """A container that is run here gets no swap beside its memory; the line may say just that."""
        if not self.swap:
            return
        try:
            same = _bytes(self.swap) == body.get("resources", {}).get("memory")
        except _Unmapped:
            same = False
        if not same:
            self._leave(f"--memory-swap {self.swap}")


def _bytes(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if not found:
        raise _Unmapped("no size")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _number(value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        raise _Unmapped("no number") from None
    if not -1e15 < found < 1e15:
        raise _Unmapped("no number")
    return int(found) if found == int(found) else found


def _seconds(value: str) -> float:
    parts = _DURATION.findall(value)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != value:
        raise _Unmapped("no duration")
    found = round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 9)
    return int(found) if found == int(found) else found


def _require_plain_source(source: str) -> None:
    if source.startswith((".", "~")) or "$" in source:
        raise _Unmapped("only your shell knows this path")


def _ports(value: str) -> list[dict[str, Any]]:
    found = _PORT.fullmatch(value)
    if not found:
        raise _Unmapped
    inside, outside = _range(found["inside"]), _range(found["host"] or "")
    if outside and len(outside) != len(inside):
        raise _Unmapped("one of a range")
    shared: dict[str, Any] = {"protocol": found["protocol"]} if found["protocol"] else {}
    if found["ip"]:
        shared["host_ip"] = found["ip"].strip("[]")
    return [
        {"container": port, **shared, **({"host": outside[at]} if outside else {})}
        for at, port in enumerate(inside)
    ]


def _long_port(value: str) -> list[dict[str, Any]]:
    pairs = dict(part.partition("=")[::2] for part in value.split(","))
    inside, outside = pairs.pop("target", ""), pairs.pop("published", "")
    pairs.pop("mode", "")
    protocol = pairs.pop("protocol", "")
    if pairs or not inside:
        raise _Unmapped
    return _ports(f"{f'{outside}:' if outside else ''}{inside}{f'/{protocol}' if protocol else ''}")


def _range(value: str) -> list[int]:
    if not value:
        return []
    first, _, last = value.partition("-")
    low, high = int(first or 0), int(last or first or 0)
    if not low <= high < low + _MOST_PORTS:
        raise _Unmapped("too many ports")
    return list(range(low, high + 1))


_READERS: Mapping[str, Callable[[_Line, str, str], None]] = {
    **dict.fromkeys(_TEXTS, _Line.text),
    "entrypoint": _Line.entrypoint,
    "env": _Line.variable,
    "label": _Line.label,
    **dict.fromkeys(("cap-add", "cap-drop"), _Line.capability),
    **dict.fromkeys(("memory", "cpus", "pids-limit"), _Line.limit),
    "memory-swap": _Line.memory_swap,
    "restart": _Line.restart,
    **dict.fromkeys(("network", "net"), _Line.network),
    "publish": _Line.port,
    "volume": _Line.volume,
    "mount": _Line.mount,
    "tmpfs": _Line.tmpfs,
    **dict.fromkeys(("health-cmd", "health-retries", *_HEALTH), _Line.health),
    **dict.fromkeys(_USUAL_LOG, _Line.log),
}
_VALUED_NAMES = """
    add-host annotation attach blkio-weight blkio-weight-device cgroup-parent cgroupns cidfile cpu-count cpu-percent
    cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpuset-cpus cpuset-mems detach-keys device
    device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops dns dns-option dns-opt
    dns-search domainname env-file expose gpus group-add health-start-interval io-maxbandwidth io-maxiops ip ip6 ipc
    isolation kernel-memory label-file link link-local-ip mac-address memory-reservation memory-swappiness
    network-alias net-alias oom-score-adj pid platform runtime security-opt shm-size stop-signal stop-timeout
    storage-opt sysctl ulimit userns uts volume-driver volumes-from
"""
_VALUED = frozenset(_VALUED_NAMES.split())
"""Flags that a run body knows nothing of, and that take a value."""
