"""Build contexts from git: one commit of a repository, fetched by `git` into a folder of its own and packed as a tar.

Nothing of it is checked out, and nothing in it is run: no hooks, no filters, no submodules. It goes by http alone, to
the very address that was looked at (see `engine.outbound`), and follows nobody elsewhere.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext

from engine import outbound
from engine.docker_errors import one_line
from engine.docker_text import MASK
from engine.errors import Cancelled, DeadlineExceeded, EngineError, Invalid
from engine.specs import SpecError
from engine.words import kept

MOST_SECONDS = 600.0
MOST_MEMORY = 2 * 1024 * 1024
"""KiB of addresses that one `git` may use: a tree can be made that is far larger than what was fetched of it."""
MISSING = kept(
    "git is not installed where Slipway's workers run: install it there, or send the folder itself."
)
_OLDEST = (2, 37)
_REF = re.compile(r"[A-Za-z0-9_][\w./+@-]{0,199}")
_DIR = re.compile(r"[^\x00-\x1f:\\]{1,500}")


@dataclass(frozen=True, slots=True)
class Source:
    """Which folder of which commit: ``ref`` is a branch, a tag, a commit, or empty for the repository's own."""

    url: str
    ref: str = ""
    dir: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


def gate() -> outbound.Gate:
    """Where a worker may fetch from."""
    return outbound.Gate(
        settings.GIT_HOSTS, "SLIPWAY_GIT_HOSTS", "git server", "https://git.example/team/app.git", patience=10
    )


def told(found: Source, *, own_dockerfile: bool) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
    """``(what is shown, parameters, those of them that are sealed)``."""
    where = {"url": found.url, "ref": found.ref, "dir": found.dir}
    params = {"git": {**where, "username": found.username, "own_dockerfile": own_dockerfile}}
    if not found.password:
        return {"kind": "git", **where}, params, {}
    return {"kind": "git", **where}, {**params, "git_password": MASK}, {"git_password": found.password}


def source(wish: Mapping[str, Any]) -> Source:
    """From what was typed; ``url`` may end as docker's do, in ``#ref:folder``. Raises `SpecError` for the field."""
    url, _, tail = str(wish.get("url") or "").strip().partition("#")
    ref, _, folder = tail.partition(":")
    ref = str(wish.get("ref") or "").strip() or ref
    folder = (str(wish.get("dir") or "").strip() or folder).strip("/")
    wrong: dict[str, list[str]] = {}
    parts = urlsplit(url) if re.fullmatch(r"[!-~]{1,500}", url) else None
    if not parts or parts.scheme in ("ssh", "git", "file") or (not parts.scheme and "@" in url):
        wrong["git"] = [gettext("Repositories are fetched by https, not by ssh or from a path.")]
    elif problem := gate().problem(url):
        wrong["git"] = [problem]
    elif len(parts.path) < 2:
        wrong["git"] = [gettext("The address names no repository.")]
    if ref and (not _REF.fullmatch(ref) or ".." in ref or ref.endswith((".lock", "/", "."))):
        wrong["git_ref"] = [gettext("A branch, a tag or a whole commit is expected.")]
    if folder and (not _DIR.fullmatch(folder) or {"", ".", ".."} & set(folder.split("/"))):
        wrong["git_dir"] = [gettext("A folder of the repository is expected, such as services/api.")]
    username, password = str(wish.get("username") or ""), str(wish.get("password") or "")
    if not (username + password).isprintable() or ":" in username:
        wrong["git_password"] = [
            gettext("Account and password are one line each, and there is no colon in the account.")
        ]
    if wrong:
        raise SpecError(wrong)
    return Source(url, ref, folder, username, password)


@contextmanager
def fetched(wanted: Source, *, most: int, should_stop: Callable[[], bool]) -> Iterator[tuple[str, IO[bytes]]]:
    """``(commit, tar of the folder)``, gone when it is left. Raises `EngineError` with a sentence for people."""
    folder = Path(settings.HOME) / "contexts"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix="git-", dir=folder, ignore_cleanup_errors=True) as place:
        git = _Git(Path(place), wanted, most, should_stop)
        git.run("init", "-q", "--bare", "repository")
        # What a repository says about archives is for its releases.
        info = Path(place) / "repository/info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text("* -export-ignore -export-subst\n")
        git.run(
            "fetch", "-q", "--depth=1", "--no-tags", "--", wanted.url, wanted.ref or "HEAD", goes_out=True
        )
        commit = git.run("rev-parse", "FETCH_HEAD^{commit}").strip()
        git.run(
            "archive",
            "--format=tar",
            "-o",
            "../context.tar",
            f"{commit}:{wanted.dir}" if wanted.dir else commit,
        )
        with (Path(place) / "context.tar").open("rb") as tar:
            yield commit, tar


def _sweep(folder: Path) -> None:
    """What a worker that died has left."""
    for left in folder.glob("git-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 2 * MOST_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


class _Git:
    """Runs `git` with none of this machine's own settings, and an eye on time, size and whether it is still wanted."""

    def __init__(self, place: Path, wanted: Source, most: int, should_stop: Callable[[], bool]) -> None:
        self.place, self.wanted, self.most, self.should_stop = place, wanted, most, should_stop
        self.ends = time.monotonic() + MOST_SECONDS
        found = shutil.which("git")
        if not found:
            raise Invalid(MISSING)
        self.program = found
        told = re.search(r"(\d+)\.(\d+)", self.run("--version"))
        if not told or (int(told[1]), int(told[2])) < _OLDEST:
            raise Invalid("git 2.37 or newer is needed where Slipway's workers run.")

    def run(self, *words: str, goes_out: bool = False) -> str:
        """Its output; raises `EngineError`."""
        place = self.place / "repository"
        command = ["/bin/sh", "-c", f'ulimit -v {MOST_MEMORY}; exec "$@"', "sh", self.program]
        command += [word for pair in self._settings(goes_out) for word in ("-c", pair)]
        out, err = self.place / "out", self.place / "err"
        with out.open("wb") as to, err.open("wb") as told:
            process = subprocess.Popen(
                [*command, *words], cwd=place if place.exists() else self.place, env=self._environment(goes_out),
                stdin=subprocess.DEVNULL, stdout=to, stderr=told, start_new_session=True,
            )  # fmt: skip
            try:
                self._watch(process)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            with err.open("rb") as file:
                raise self._why(file.read(16_384).decode("utf-8", "replace"))
        return out.read_text("utf-8", "replace")

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
            if self.should_stop():
                raise Cancelled("Cancelled while the repository was fetched.")
            if time.monotonic() > self.ends:
                raise DeadlineExceeded(f"The repository was not fetched within {MOST_SECONDS:g} seconds.")
            if _size(self.place) > 2 * self.most:
                raise Invalid(f"The repository holds more than {self.most // 1024 // 1024} MB.")
            if process.returncode is not None:
                return

    def _settings(self, goes_out: bool) -> Sequence[str]:
        found = [
            "protocol.allow=never", "http.followRedirects=false", "credential.helper=", "core.hooksPath=/dev/null",
            "core.fsmonitor=false", "core.packedGitWindowSize=32m", "core.packedGitLimit=256m", "pack.threads=1",
            "http.lowSpeedLimit=100", "http.lowSpeedTime=60", "fetch.unpackLimit=1", "fetch.recurseSubmodules=false",
            "gc.auto=0", "maintenance.auto=false", "tar.umask=0022", "advice.defaultBranchName=false", "http.proxy=",
        ]  # fmt: skip
        if goes_out:
            parts = urlsplit(self.wanted.url)
            try:
                host, port, address = gate().looked_up(self.wanted.url)
            except outbound.Refused as error:
                raise Invalid(str(error)) from None
            address = f"[{address}]" if ":" in address else address
            found += [f"protocol.{parts.scheme}.allow=always", f"http.curloptResolve={host}:{port}:{address}"]
        return found

    def _environment(self, goes_out: bool) -> dict[str, str]:
        found = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.place), "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true", "GIT_ATTR_NOSYSTEM": "1",
        }  # fmt: skip
        if authority := os.environ.get("SSL_CERT_FILE"):
            found["GIT_SSL_CAINFO"] = authority
        if goes_out and (self.wanted.username or self.wanted.password):
            # Not among the arguments, which everybody on the machine can read.
            account = f"{self.wanted.username or 'git'}:{self.wanted.password}".encode()
            found |= {
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {base64.b64encode(account).decode()}",
            }  # fmt: skip
        return found

    def _why(self, said: str) -> EngineError:
        for pattern, sentence in _WHY:
            if re.search(pattern, said, re.IGNORECASE):
                return Invalid(sentence.format(ref=self.wanted.ref or "HEAD", dir=self.wanted.dir))
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
        return Invalid(f"git could not fetch it: {one_line(last, 300)}")


_WHY = (
    (r"could not read (Username|Password)|Authentication failed|error: 40[13]|HTTP Basic",
     kept("The repository asks for an account, or does not take this one.")),
    (r"couldn't find remote ref|not our ref|unadvertised object|no matching remote head|Invalid refspec",
     kept("The repository has no branch, tag or whole commit “{ref}”.")),
    (r"error: 30\d|redirect",
     kept("The repository has moved, and nobody is followed elsewhere: use the address it is at now.")),
    (r"error: 404|repository .* not found", kept("There is no repository at this address, or it asks for an account.")),
    (r"not a valid object name|not a tree object", kept("The repository has no folder “{dir}” there.")),
    (r"certificate|SSL|TLS",
     kept("The git server cannot be trusted: its certificate is not one that this machine trusts.")),
    (r"Could not resolve|Failed to connect|Couldn't connect|timed out|too slow|Empty reply|Connection re",
     kept("The git server does not answer.")),
    (r"out of memory|malloc|mmap failed|Cannot allocate",
     kept("The repository needs more memory to be read than there is for it.")),
)  # fmt: skip


def _size(place: Path) -> int:
    size = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                size += Path(folder, name).lstat().st_size
    return size
