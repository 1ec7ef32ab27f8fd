"""A container that somebody removed and made anew from outside, against what was asked for under its name.

All that an engine never changes of a container that exists: image, command, variables, ports, mounts and so on. What
the run said itself is compared, and what gives a container more than it had: privileges, capabilities, mounts and
ports that nobody asked for. Values of secrets are hidden on both sides: of those only whether they are set.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from containers_app import bodies
from containers_app.models import Container
from engine import names
from engine.docker_text import MASK
from images_app import references
from operations.models import Engine, Operation

KEY = "fixed"
"""Where it stands in ``asked``."""
ENDS = ("container.remove", "container.purge", "container.rename", "container.recreate", "engine.prune")
"""After one of those its name stands for what was asked for no longer."""
HIDDEN = "hidden"
SWITCHES = ("tty", "init", "read_only", "privileged", "auto_remove")
_TEXTS = ("hostname", "user", "working_dir")
Json = Mapping[str, Any]


def of_run(body: Json) -> dict[str, Any]:
    """A run body as its container shows it: fields that are named like those of the body."""
    found: dict[str, Any] = {"image": names_of_image(str(body.get("image") or ""))}
    for key in ("command", "entrypoint"):
        if body.get(key) is not None:
            found[key] = shlex.join(part for part in body[key] if part)
    values = {**(body.get("environment") or {}), **dict.fromkeys(body.get("secrets") or {}, MASK)}
    found["environment"] = {name: _shown(value) for name, value in values.items()}
    found["labels"] = dict(body.get("labels") or {})
    found["ports"] = _ports(body.get("ports") or ())
    found["mounts"] = {str(one["target"]): _mount(one) for one in body.get("mounts") or ()}
    found |= {key: str(body[key]) for key in _TEXTS if body.get(key)}
    found |= {key: bool(body.get(key)) for key in SWITCHES}
    found |= {key: _capabilities(body.get(key) or ()) for key in ("cap_add", "cap_drop")}
    if body.get("healthcheck"):
        found["healthcheck"] = _check(body["healthcheck"])
    return found


def of(row: Container, asked: Json) -> dict[str, Any]:
    """What the container is, of all that ``asked`` (from `of_run`) speaks of, in the same words."""
    host = _object(row.inspect.get("HostConfig"))
    image = str(asked.get("image", ""))
    by_id = image == row.image_native_id or image == names_of_image(row.image_ref)
    found: dict[str, Any] = {
        "image": image if by_id else names_of_image(row.image_ref),
        "command": shlex.join(row.command), "entrypoint": shlex.join(part for part in row.entrypoint if part),
        "environment": _of(asked, "environment", _compared(asked.get("environment", {}), row.environment)),
        "labels": _of(asked, "labels", row.labels),
        "ports": _ports(list(bodies.ports(host))),
        "mounts": {
            mount.target: _mount({"type": mount.type, "source": mount.source, "read_only": mount.read_only})
            for mount in row.mounts.all()
            if mount.target in asked.get("mounts", {}) or not names.is_anonymous_volume(mount.source)
        },
        "hostname": row.hostname, "user": row.user, "working_dir": row.working_dir, "tty": row.tty,
        "init": host.get("Init") is True, "read_only": host.get("ReadonlyRootfs") is True,
        "privileged": row.privileged, "auto_remove": row.auto_remove,
        "cap_add": _capabilities(host.get("CapAdd") or ()), "cap_drop": _capabilities(host.get("CapDrop") or ()),
        "healthcheck": _check(row.healthcheck),
    }  # fmt: skip
    return {key: value for key, value in found.items() if key in asked}


def requests(engine: Engine, rows: QuerySet[Container]) -> dict[Any, Operation]:
    """By the ids of those of these rows that somebody else has made: the run that Slipway carried out under their
    name before, as far as it still stands and no other team's is.

    One query where there is none.
    """
    called = {row.name: row for row in rows.only("name", "labels", "team_id")}
    theirs = {name: row for name, row in called.items() if names.OPERATION_LABEL not in row.labels}
    runs = Operation.objects.filter(
        engine=engine, kind="container.run", state="succeeded", target_name__in=theirs
    )
    found: dict[Any, Operation] = {}
    for run in runs.order_by("finished_at"):
        row = theirs[run.target_name]
        later = Operation.objects.filter(target_id=run.target_id, kind__in=ENDS, state="succeeded")
        if row.team_id in (None, run.team_id) and not later.exists():
            found[row.pk] = run
    return found


def names_of_image(reference: str) -> str:
    """``nginx`` and ``docker.io/library/nginx:latest`` are one."""
    return references.tag_of(reference) or reference


def _of(asked: Json, key: str, now: Json) -> dict[str, Any]:
    """Of variables and labels those that were asked for: the image brings others."""
    return {name: now[name] for name in asked.get(key, {}) if name in now}


def _compared(asked: Json, now: Json) -> dict[str, str]:
    """What was asked for as a secret is none to whoever made it anew: its value is not shown then either."""
    return {name: HIDDEN if asked.get(name) == HIDDEN else _shown(value) for name, value in now.items()}


def _shown(value: object) -> str:
    return HIDDEN if value is None or MASK in str(value) else str(value)


def _ports(ports: Sequence[Json]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in sorted(ports, key=lambda port: str(port.get("host") or "")):
        key = f"{one['container']}/{one.get('protocol') or 'tcp'}"
        address = str(one.get("host_ip") or "")
        at = f"{address}:{one['host']}" if address and one.get("host") else str(one.get("host") or "any")
        found[key] = f"{found[key]}, {at}" if key in found else at
    return found


def _mount(one: Json) -> str:
    source = str(one.get("source") or "")
    source = "" if names.is_anonymous_volume(source) else source
    return " ".join(filter(None, (str(one["type"]), source, "(read only)" if one.get("read_only") else "")))


def _capabilities(found: Sequence[Any]) -> str:
    return ", ".join(sorted({str(name).upper().removeprefix("CAP_") for name in found}))


def _check(check: Json) -> str:
    test = [str(part) for part in check.get("test") or ()]
    if not test or test == ["NONE"]:
        return "none"
    every, long, after = (
        f"{float(check.get(key) or 0):g}" for key in ("interval", "timeout", "start_period")
    )
    return f"{shlex.join(test)}, every {every} s, for {long} s, {check.get('retries')} times, after {after} s"


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}
