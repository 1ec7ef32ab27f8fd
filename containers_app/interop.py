"""A container for other tools: as a ``docker run`` line, a compose file, or objects of Kubernetes. Text.

Values of secrets are in none of them: they name what has to be set, and say at the top what they leave out.
"""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from containers_app.bodies import COMPOSE_LABELS, Settings

KINDS = ("run", "compose", "kubernetes")
FILE_NAMES = {"run": "{}.sh", "compose": "{}.compose.yaml", "kubernetes": "{}.kubernetes.yaml"}
Body = Mapping[str, Any]


def text(settings: Settings, kind: str) -> str:
    """The container as one of `KINDS`, with a line break at its end."""
    from containers_app import interop_kubernetes

    make = {"run": run_line, "compose": compose, "kubernetes": interop_kubernetes.objects}
    return make[kind](settings)


def head(first: str, lost: Iterable[str]) -> str:
    """The comment on top: what has to be set first, and what is missing."""
    missing = "; ".join(lost)
    lines = [first] if first else []
    lines += textwrap.wrap(f"Not taken over: {missing}", 88) if missing else []
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)


def to_set(settings: Settings, where: str) -> str:
    """Which variables have to be set there first; empty for none."""
    return f"Set these {where} first: {', '.join(settings.hidden)}" if settings.hidden else ""


# docker run


def run_line(settings: Settings) -> str:
    """One command, a flag a line; further networks are connected by commands of their own, as old engines need it."""
    body = settings.body
    flags = [*_switches(body), *_flags(settings)]
    for extra in settings.extras:
        flags += [(extra.flag, value) for value in extra.values]
    entrypoint = list(body.get("entrypoint") or ())
    if entrypoint:
        flags.append(("--entrypoint", entrypoint[0]))
    words = [body["image"], *entrypoint[1:], *(body.get("command") or ())]
    others = list(body.get("networks") or ())[1:]
    lines = ["docker create" if others else "docker run --detach"]
    lines += [f"  {flag} {shlex.quote(value)}" if value is not None else f"  {flag}" for flag, value in flags]
    lines.append("  " + shlex.join(words))
    lost = [*settings.lost]
    if (body.get("healthcheck") or {}).get("test", [""])[0] == "CMD":
        lost.append("that its health check needs no shell")
    top = head(to_set(settings, "in your shell (export NAME=…)"), lost)
    after = [shlex.join(("docker", "network", "connect", one, body["name"])) for one in others]
    after += [f"docker start {body['name']}"] if others else []
    return top + "\n".join((" \\\n".join(lines), *after)) + "\n"


def _switches(body: Body) -> Iterator[tuple[str, str | None]]:
    names = {
        "init": "--init",
        "read_only": "--read-only",
        "auto_remove": "--rm",
        "privileged": "--privileged",
    }
    for key, flag in names.items():
        if body.get(key):
            yield flag, None
    if body.get("tty"):
        yield "--interactive", None
        yield "--tty", None


def _flags(settings: Settings) -> Iterator[tuple[str, str | None]]:
    body = settings.body
    names = {"name": "--name", "hostname": "--hostname", "user": "--user", "working_dir": "--workdir"}
    for key, flag in names.items():
        if body.get(key):
            yield flag, str(body[key])
    policy = restart(body)
    if policy != "no":
        yield "--restart", policy
    yield from _limits(body)
    for name, value in (body.get("environment") or {}).items():
        yield "--env", f"{name}={value}"
    for name in settings.hidden:
        yield "--env", name
    for mount in body.get("mounts") or ():
        yield _mount(mount)
    for name, value in labels(body).items():
        yield "--label", f"{name}={value}"
    for key in ("cap_add", "cap_drop"):
        for name in body.get(key) or ():
            yield f"--{key.replace('_', '-')}", name
    yield from _check(body.get("healthcheck") or {})


def _limits(body: Body) -> Iterator[tuple[str, str | None]]:
    limits = body.get("resources") or {}
    for key, flag in (("memory", "--memory"), ("cpus", "--cpus"), ("pids", "--pids-limit")):
        if limits.get(key):
            yield flag, f"{limits[key]:g}" if key == "cpus" else str(limits[key])
    for network in list(body.get("networks") or ())[:1]:
        yield "--network", network
    for port in body.get("ports") or ():
        yield "--publish", published(port)


def _mount(mount: Body) -> tuple[str, str]:
    """Folders of the host in the long form: the short one would make those that are missing."""
    source, target, mode = mount.get("source", ""), mount["target"], ":ro" if mount.get("read_only") else ""
    if mount["type"] == "tmpfs":
        return "--tmpfs", f"{target}{mode}"
    if mount["type"] == "bind":
        return "--mount", f"type=bind,source={source},target={target}{',readonly' if mode else ''}"
    return "--volume", f"{source}:{target}{mode}"


def _check(check: Body) -> Iterator[tuple[str, str | None]]:
    test = list(check.get("test") or ())
    if not test:
        return
    if test[0] == "NONE":
        yield "--no-healthcheck", None
        return
    yield "--health-cmd", test[1] if test[0] == "CMD-SHELL" else shlex.join(test[1:])
    for key in ("interval", "timeout", "start_period"):
        if check.get(key):
            yield f"--health-{key.replace('_', '-')}", duration(check[key])
    if check.get("retries"):
        yield "--health-retries", str(check["retries"])


# Shared


def in_words(key: str, value: Any) -> str:
    """One field of a run body in a few words, for plans."""
    if value in (None, "", [], {}):
        return (
            "none" if key in ("ports", "mounts", "networks", "cap_add", "cap_drop") else "that of the image"
        )
    if key == "ports":
        return ", ".join(published(port) for port in value)
    if key == "mounts":
        return ", ".join(f"{one.get('source') or one['type']} at {one['target']}" for one in value)
    if key == "restart_policy":
        return restart({"restart_policy": value})
    if key == "resources":
        size = {**value, **({"memory": f"{value['memory'] / 1024**2:g} MB"} if value.get("memory") else {})}
        return ", ".join(f"{name} {amount or 'without a limit'}" for name, amount in size.items())
    if key == "healthcheck":
        test = list(value.get("test") or ())
        return "none" if test == ["NONE"] else " ".join(test[1:])
    if isinstance(value, bool):
        return "on" if value else "off"
    return shlex.join(value) if isinstance(value, list | tuple) else str(value)


def restart(body: Body) -> str:
    """``no``, ``always``, ``on-failure:3``…"""
    policy = body.get("restart_policy") or {}
    most = policy.get("max_retries")
    return f"{policy.get('name') or 'no'}{f':{most}' if most else ''}"


def published(port: Body) -> str:
    """``127.0.0.1:8080:80/udp``."""
    address = str(port.get("host_ip") or "")
    address = f"[{address}]" if ":" in address else address
    host = str(port.get("host") or "")
    before = f"{address}:{host}:" if address else f"{host}:" if host else ""
    protocol = port.get("protocol") or "tcp"
    return f"{before}{port['container']}{'' if protocol == 'tcp' else f'/{protocol}'}"


def labels(body: Body) -> dict[str, str]:
    """Without those by which compose knows its own: another container is not that service's."""
    return {k: v for k, v in (body.get("labels") or {}).items() if not k.startswith(COMPOSE_LABELS)}


def duration(seconds: float) -> str:
    """``30s``, ``1500ms``."""
    return f"{int(seconds)}s" if seconds == int(seconds) else f"{round(seconds * 1000)}ms"


def dumped(*documents: Mapping[str, Any]) -> str:
    """YAML, its keys in the order given."""
    made = yaml.safe_dump_all(
        [json.loads(json.dumps(one)) for one in documents],
        sort_keys=False, allow_unicode=True, width=10**6, default_flow_style=False,
    )  # fmt: skip
    return str(made)


# Compose


def compose(settings: Settings) -> str:
    """A compose file of one service. Its networks have to be there, its volumes are made where they are missing."""
    body, name = settings.body, settings.body["name"]
    service: dict[str, Any] = {"image": body["image"], "container_name": name, **_compose_plain(body)}
    service |= _compose_lists(settings)
    networks = list(body.get("networks") or ())
    named = [one for one in networks if one not in ("host", "none") and ":" not in one]
    # Compose makes a container with the network of the highest priority, and connects the others.
    ranked = {one: {"priority": len(named) - at} for at, one in enumerate(named)} if len(named) > 1 else named
    service |= {"networks": ranked} if named else {"network_mode": networks[0] if networks else "bridge"}
    lost = [*settings.lost]
    for extra in settings.extras:
        if extra.key:
            service[extra.key] = extra.value
    if body.get("auto_remove"):
        lost.append("that it is removed when it ends")
    document: dict[str, Any] = {"services": {name: _escaped(service)}}
    if "networks" in service:
        document["networks"] = {one: {"external": True} for one in named}
    volumes = dict.fromkeys(m["source"] for m in body.get("mounts") or () if m["type"] == "volume")
    if volumes:
        document["volumes"] = {one: {"name": one} for one in volumes}
    return head(to_set(settings, "in your shell or in .env"), lost) + dumped(document)


def _compose_plain(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("command", "entrypoint", "hostname", "user", "working_dir", "init", "read_only", "privileged", "tty",
                "cap_add", "cap_drop"):  # fmt: skip
        if body.get(key):
            found[key] = body[key]
    if body.get("tty"):
        found["stdin_open"] = True
    if (policy := restart(body)) != "no":
        found["restart"] = policy
    limits = body.get("resources") or {}
    for key, theirs in (("memory", "mem_limit"), ("cpus", "cpus"), ("pids", "pids_limit")):
        if limits.get(key):
            found[theirs] = limits[key]
    return found


def _compose_lists(settings: Settings) -> dict[str, Any]:
    body = settings.body
    found: dict[str, Any] = {}
    if variables := {**(body.get("environment") or {}), **dict.fromkeys(settings.hidden)}:
        found["environment"] = variables
    if ports := [published(port) for port in body.get("ports") or ()]:
        found["ports"] = ports
    mounts = [
        {key: mount[key] for key in ("type", "source", "target", "read_only") if mount.get(key)}
        for mount in body.get("mounts") or ()
    ]
    if mounts:
        found["volumes"] = mounts
    if own := labels(body):
        found["labels"] = own
    check = body.get("healthcheck") or {}
    if check.get("test") == ["NONE"]:
        found["healthcheck"] = {"disable": True}
    elif check:
        times = {
            key: duration(check[key]) for key in ("interval", "timeout", "start_period") if check.get(key)
        }
        found["healthcheck"] = {"test": check["test"], **times, "retries": check.get("retries") or 3}
    return found


def _escaped(value: Any) -> Any:
    """Compose puts variables of the shell in place of ``$NAME``; ``$$`` is a dollar."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list | tuple) else value
