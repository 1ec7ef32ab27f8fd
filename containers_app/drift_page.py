"""Drift in words, for a container's page and REST: what differs, since when, by whom, and how to put it right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app import drift, limits
from containers_app.models import Container, EngineEvent
from containers_app.run_typed import megabytes
from images_app import links, references
from images_app.models import Image, TagMove
from operations.models import Operation

NEAR = timedelta(minutes=10)
"""An event so long before the difference was noticed may be its cause."""
_NAMES = {
    "name": _lazy("name"),
    "restart_policy.name": _lazy("restart policy"),
    "restart_policy.max_retries": _lazy("restarts at most"),
    "resources.memory": _lazy("memory limit"),
    "resources.cpus": _lazy("CPU limit"),
    "resources.pids": _lazy("processes"),
    "image": _lazy("image"),
    "command": _lazy("command"),
    "entrypoint": _lazy("entrypoint"),
    "hostname": _lazy("host name"),
    "user": _lazy("user"),
    "working_dir": _lazy("working directory"),
    "tty": _lazy("terminal"),
    "init": _lazy("init"),
    "read_only": _lazy("read-only files"),
    "privileged": _lazy("privileged"),
    "auto_remove": _lazy("removed when it ends"),
    "cap_add": _lazy("capabilities added"),
    "cap_drop": _lazy("capabilities dropped"),
    "healthcheck": _lazy("health check"),
}
_PARTS = {
    "networks": _lazy("network %(name)s"),
    "environment": _lazy("variable %(name)s"),
    "labels": _lazy("label %(name)s"),
    "ports": _lazy("port %(name)s"),
    "mounts": _lazy("mount %(name)s"),
}
_CAUSES = {
    "rename": {"name"},
    "update": {"restart_policy", "resources"},
    "create": {*_NAMES, *_PARTS} - {"name", "networks"},
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting: as it was asked for, and as it is."""

    name: str
    asked: str
    now: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A tag that points at another image than this container's; ``image`` where the reader may see that one."""

    tag: str
    has: str
    points: str
    image: Image | None
    at: datetime | None
    by: str


@dataclass(slots=True)
class Drift:
    """What there is to say; falsy where there is nothing. ``by``: who changed the settings, "somebody outside" too."""

    image: Moved | None = None
    settings: list[Difference] = field(default_factory=list)
    since: datetime | None = None
    by: str = ""
    event: str = ""
    asked_by: Operation | None = None
    remote: str = ""
    """The digest of a newer image at the registry of its tag."""
    notes: links.Link | None = None
    """Where its image tells of its changes."""
    put_back: str = ""
    """Where its limits can be set as they were asked for; empty where those do not differ."""

    def __bool__(self) -> bool:
        return bool(self.image or self.remote or self.settings)


def of(container: Container, actor: Actor) -> Drift:
    """At most four queries, and none where nothing has drifted."""
    found = Drift(_moved(container, actor)) if container.drift_image else Drift()
    found.remote = container.drift_remote
    found.notes = links.of(container.labels) if found.remote else None
    if not container.drift:
        return found
    found.settings = [_difference(one) for one in container.drift]
    found.since, found.by, found.event = _cause(container)
    found.put_back = _put_back(container) if can(actor, "container.update", container) else ""
    asked = str(container.asked.get("by") or "")
    rows = visible_to(actor, Operation.objects.filter(pk=asked)) if asked else Operation.objects.none()
    found.asked_by = rows.select_related("actor").first()
    return found


def in_brief(container: Container) -> str:
    """``memory limit, restart policy``: what differs, for a title."""
    return ", ".join(dict.fromkeys(_name(str(one.get("path", ""))) for one in container.drift))


def _moved(container: Container, actor: Actor) -> Moved:
    tag = references.tag_of(container.image_ref)
    moves = TagMove.objects.filter(engine_id=container.engine_id, to_native_id=container.drift_image)
    move = moves.filter(name__in=(tag, container.image_ref)).select_related("operation").first()
    images = Image.objects.filter(engine_id=container.engine_id, native_id=container.drift_image)
    by = move.operation.actor_name if move and move.operation else _("somebody outside") if move else ""
    return Moved(
        container.image_ref, _short(container.image_native_id), _short(container.drift_image),
        visible_to(actor, images).first(), move.at if move else None, by,
    )  # fmt: skip


def _cause(container: Container) -> tuple[datetime | None, str, str]:
    """The change from outside that was heard last, if that can have been it; else when it was noticed."""
    noticed = container.drift_at
    paths = {str(one.get("path", "")).partition(".")[0] for one in container.drift}
    actions = [action for action, parts in _CAUSES.items() if paths & parts]
    events = EngineEvent.objects.filter(container=container.pk, action__in=actions)
    if noticed:
        events = events.filter(heard_at__gte=noticed - NEAR)
    event = events.select_related("operation").order_by("-time_ns").first()
    if event is None:
        return noticed, "", ""
    who = event.operation.actor_name if event.operation else _("somebody outside")
    return event.at, who, event.action


def _difference(one: Mapping[str, Any]) -> Difference:
    path = str(one.get("path", ""))
    return Difference(capfirst(_name(path)), _words(path, one.get("old")), _words(path, one.get("new")))


def _name(path: str) -> str:
    part, _dot, name = path.partition(".")
    return str(_PARTS[part] % {"name": name} if part in _PARTS else _NAMES.get(path, path))


def _words(path: str, value: Any) -> str:
    if path.startswith("networks."):
        return _("connected") if value else _("not connected")
    if path == "resources.memory":
        return limits.size(int(value or 0))
    if path == "resources.cpus":
        return limits.cores(float(value or 0))
    if path == "resources.pids":
        return str(value) if value else _("no limit")
    if path == "restart_policy.name":
        return limits.policy(str(value or "no"))
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value) if value not in (None, "", 0) else _("none")


def _put_back(container: Container) -> str:
    """The form of limits, filled with what was asked for and telling what is set now."""
    asked, now = container.asked, drift.settings_of(container)
    pairs: dict[str, Any] = {}
    for key in ("memory", "cpus", "pids"):
        old, new = asked.get("resources", {}).get(key), now["resources"][key]
        write = megabytes if key == "memory" else (lambda value: f"{value:.6g}" if value else "")
        pairs |= {f"initial-{key}": write(new), key: write(new if old is None else old)}
    for field_, key in (("restart", "name"), ("retries", "max_retries")):
        old, new = asked.get("restart_policy", {}).get(key), now["restart_policy"][key]
        pairs |= {f"initial-{field_}": new or "", field_: (new if old is None else old) or ""}
    changed = [
        key
        for key in ("memory", "cpus", "pids", "restart", "retries")
        if pairs[key] != pairs[f"initial-{key}"]
    ]
    return f"{reverse('containers:update', args=[container.pk])}?{urlencode(pairs)}" if changed else ""


def _short(native_id: str) -> str:
    return native_id.removeprefix("sha256:")[:12]
