"""Containers, volumes and networks to read: always from `visible_to`, in few queries; and a container in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app import exits
from containers_app.models import Container, Network, Volume
from operations.retold import retold

LIVE = ("running", "paused", "restarting")
BY_STOP = (0, 137, 143)
"""Exit codes of a container that somebody stopped, or that was done."""
STATE_FIELDS = (
    "state", "health", "exit_code", "oom_killed", "error", "failing_streak", "restart_count", "started_at",
    "finished_at", "created_at", "ended", "trouble", "trouble_at", "trouble_until", "noted_at", "heal_over",
)  # fmt: skip
"""What `status_of` reads."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
_WORST = (
    "unhealthy", "failed", "dead", "restarting", "starting", "paused", "created", "exited", "running", "healthy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Status:
    """A container's state for people: shape, text and note, ``Up 3 h`` and ``healthy``.

    ``tone`` is empty, ``warn`` or ``bad``, and colours the half named by ``loud``: ``text`` or ``note``.
    ``since`` is the moment that the age in the text or the note counts from.
    """

    glyph: str
    text: str
    note: str = ""
    tone: str = ""
    loud: str = "text"
    since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.text} · {self.note}" if self.note else self.text


def status_of(container: Container, now: datetime | None = None) -> Status:
    """What `docker ps` says of it, then what a person wants to know next."""
    now = now or timezone.now()
    state = container.state
    if state == "running":
        return _running(container, now)
    if state == "restarting":
        note = (
            retold(container.trouble) if _in_trouble(container, now) else _restarts(container.restart_count)
        )
        if container.exit_code and "exit" not in note:
            code = _("exit %(code)s") % {"code": container.exit_code}
            note = ", ".join(filter(None, [code, note]))
        return Status("restarting", _("Restarting"), note, "warn")
    if state == "exited":
        return _exited(container, now)
    if state == "created":
        if container.error:
            return Status("failed", _("Not started"), container.error, "bad", since=container.created_at)
        note = (
            _("not started, %(ago)s") % {"ago": _ago(container.created_at, now)}
            if container.created_at
            else _("not started")
        )
        return Status("created", _("Created"), note, since=container.created_at)
    if state == "dead":
        return Status("dead", _("Dead"), container.error or _("could not be removed"), "bad")
    return Status(
        "paused" if state == "paused" else "busy", str(dict(Container.State.choices).get(state, state))
    )


def _running(container: Container, now: datetime) -> Status:
    text = _("Up %(span)s") % {"span": span(now - container.started_at)} if container.started_at else _("Up")
    since = container.started_at
    if container.health == "unhealthy":
        note = _unhealthy(container.failing_streak)
        if container.heal_over:
            note = retold(container.trouble) or note
        return Status("unhealthy", text, note, "bad", "note", since)
    if _in_trouble(container, now):
        glyph = "running" if container.trouble.startswith("out of memory") else "restarting"
        return Status(glyph, text, retold(container.trouble), "warn", "note", since)
    if container.health == "starting":
        return Status("starting", text, _("health check starting"), "", "note", since)
    if container.health == "healthy":
        return Status("healthy", text, _("healthy"), since=since)
    return Status("running", text, since=since)


def _exited(container: Container, now: datetime) -> Status:
    code = container.exit_code
    text = _("Exited") if code is None else _("Exited %(code)s") % {"code": code}
    ago = _ago(container.finished_at, now)
    since = container.finished_at
    if container.trouble.startswith("crash loop") and _in_trouble(container, now):
        return Status("failed", text, retold(container.trouble), "bad", since=since)
    if container.ended in ("asked", "outside"):
        outside = container.ended == "outside"
        return Status("exited", text, _from_outside(ago) if outside else _stopped(ago), since=since)
    if container.oom_killed and code:
        return Status("failed", text, ", ".join(filter(None, [_("out of memory"), ago])), "bad", since=since)
    if container.error:
        return Status("failed", text, ", ".join(filter(None, [container.error, ago])), "bad", since=since)
    if container.ended != "fault" and (code in BY_STOP or code is None):
        note = _stopped(ago) if code else _("finished %(ago)s") % {"ago": ago}
        return Status("exited", text, note if ago else "", since=since)
    return Status("failed", text, ", ".join(filter(None, [exits.briefly(code), ago])), "bad", since=since)


def _stopped(ago: str) -> str:
    return _("stopped %(ago)s") % {"ago": ago} if ago else _("stopped")


def _from_outside(ago: str) -> str:
    return _("stopped from outside %(ago)s") % {"ago": ago} if ago else _("stopped from outside")


def needs_attention() -> Q:
    """Containers that a person should look at, and nobody has since: failing checks, restarting, dead, ended by a
    fault, or back again after one that is not long ago.

    What was asked for is no fault, whatever the code. Where nobody knows who asked, ended by `stop` (143, or 137
    without the kernel's killer) is none.
    """
    code = Q(exit_code__isnull=False) & ~Q(exit_code__in=BY_STOP)
    code |= Q(oom_killed=True, exit_code__gt=0) | ~Q(error="")
    fault = Q(state="exited") & (Q(ended="fault") | (Q(ended="") & code))
    never = Q(state="created") & ~Q(error="")
    now = Q(health="unhealthy", state="running") | Q(state__in=("restarting", "dead")) | fault | never
    seen = Q(noted_at__isnull=False) & (Q(trouble_at__isnull=True) | Q(trouble_at__lte=F("noted_at")))
    return (now | Q(trouble_until__gt=Now())) & ~seen


def attention_of(container: Container, now: datetime | None = None) -> bool:
    """The same of one container, without asking the database."""
    now, state, code = now or timezone.now(), container.state, container.exit_code
    noted, since = container.noted_at, container.trouble_at
    if noted and (since is None or since <= noted):
        return False
    if container.trouble_until and container.trouble_until > now:
        return True
    if state == "exited":
        bad = (container.oom_killed and (code or 0) > 0) or (code is not None and code not in BY_STOP)
        return container.ended == "fault" or (not container.ended and (bad or bool(container.error)))
    if state == "created":
        return bool(container.error)
    return state in ("restarting", "dead") or (state == "running" and container.health == "unhealthy")


def _in_trouble(container: Container, now: datetime) -> bool:
    """Whether its last fault is not long ago, and nobody has seen it since."""
    if container.trouble_until is None or container.trouble_until <= now or not container.trouble:
        return False
    return not (container.noted_at and container.trouble_at and container.trouble_at <= container.noted_at)


VIEWS: dict[str, Q] = {
    "all": Q(),
    "attention": needs_attention(),
    "running": Q(state__in=LIVE),
    "stopped": Q(state__in=("exited", "created", "dead", "removing")),
}
"""The pills above the list."""


def containers(actor: Actor) -> QuerySet[Container]:
    """What this actor may know of, with what a row shows of others; without what only one page needs."""
    rows = visible_to(actor, Container.objects.all()).select_related("team", "engine", "image")
    return rows.defer("inspect", "health_log", "environment", "image__config", "image__labels")


def volumes(actor: Actor) -> QuerySet[Any]:
    """What this actor may know of, with how many containers mount it (``used``), and of those run (``live``)."""
    rows = visible_to(actor, Volume.objects.all()).select_related("team", "engine")
    in_use = Q(mounts__container__trashed_at=None)
    live = Q(mounts__container__state__in=("running", "paused", "restarting"))
    return rows.annotate(
        used=Count("mounts__container", filter=in_use, distinct=True),
        live=Count("mounts__container", filter=live, distinct=True),
    )


def volume_rights(actor: Actor, volume: Volume) -> dict[str, bool]:
    """What this actor may do to it, as its head shows it."""
    words = {"removable": "remove", "may_clone": "clone", "may_export": "export", "may_files": "files"}
    rights = {name: can(actor, f"volume.{verb}", volume) for name, verb in words.items()}
    return rights | {"may_backups": can(actor, "backup.read", volume)}


def networks(actor: Actor) -> QuerySet[Network]:
    """What this actor may know of."""
    return visible_to(actor, Network.objects.all()).select_related("team", "engine")


def view_counts(actor: Actor) -> dict[str, int]:
    """How many containers each view has, in one query."""
    counts = {name: Count("pk", filter=wanted) if wanted else Count("pk") for name, wanted in VIEWS.items()}
    return visible_to(actor, Container.objects.all()).aggregate(**counts)


@dataclass(slots=True)
class Stack:
    """Containers of one compose project on one engine; ``name`` is empty for those of none."""

    name: str
    rows: list[Container] = field(default_factory=list)
    engine_id: Any = None
    engine: str = ""
    """The engine's name, where somebody has to be told."""

    @property
    def url(self) -> str:
        """Its page."""
        return reverse("stacks:detail", args=[self.engine_id, self.name])

    @property
    def up(self) -> int:
        """How many of them run."""
        return sum(row.state in LIVE for row in self.rows)

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.rows)

    @property
    def trouble(self) -> str:
        """What a person should know of: ``1 unhealthy, 2 restarting``."""
        return self._words(_TROUBLE)

    @property
    def tone(self) -> str:
        """How loud that is."""
        glyphs = {status_of(row).glyph for row in self.rows} & set(_TROUBLE)
        return "warn" if glyphs == {"restarting"} else "bad"

    @property
    def glyph(self) -> str:
        """The worst state in it."""
        return min((status_of(row).glyph for row in self.rows), key=_rank, default="exited")

    @property
    def summary(self) -> str:
        """``5 up, 1 unhealthy``."""
        return self._words(dict.fromkeys(_WORDS.values()))

    def _words(self, wanted: Iterable[str]) -> str:
        words = Counter(_WORDS.get(status_of(row).glyph, "up") for row in self.rows)
        return ", ".join(str(_COUNTED[word]) % {"n": words[word]} for word in wanted if word in words)


_WORDS = {
    "healthy": "up", "running": "up", "starting": "starting", "unhealthy": "unhealthy", "restarting": "restarting",
    "paused": "paused", "failed": "failed", "dead": "dead", "created": "created", "exited": "finished", "busy": "busy",
}  # fmt: skip


_COUNTED = {
    "up": _lazy("%(n)s up"),
    "starting": _lazy("%(n)s starting"),
    "unhealthy": _lazy("%(n)s unhealthy"),
    "restarting": _lazy("%(n)s restarting"),
    "paused": _lazy("%(n)s paused"),
    "failed": _lazy("%(n)s failed"),
    "dead": _lazy("%(n)s dead"),
    "created": _lazy("%(n)s created"),
    "finished": _lazy("%(n)s finished"),
    "busy": _lazy("%(n)s busy"),
}
_TROUBLE = ("unhealthy", "failed", "dead", "restarting")


def stacks(rows: Iterable[Container]) -> list[Stack]:
    """The rows by stack, in their order; those of no stack last."""
    found: dict[tuple[str, Any], Stack] = {}
    for row in rows:
        key = row.stack, row.engine_id
        found.setdefault(key, Stack(row.stack, engine_id=row.engine_id)).rows.append(row)
    return sorted(found.values(), key=lambda stack: (not stack.name, stack.name))


def stack_glyphs(actor: Actor, most: int | None = None) -> list[Stack]:
    """The first stacks this actor may know of with their worst states, for the sidebar. One query."""
    rows = visible_to(actor, Container.objects.exclude(stack="")).order_by("stack")
    rows = rows.filter(stack__in=rows.values("stack").distinct()[:most])
    # Bare rows: every page has them, and a thousand objects take a third of its time.
    return stacks(rows.values_list("stack", "engine_id", *STATE_FIELDS, named=True))


def span(length: timedelta) -> str:
    """``24 s``, ``9 min``, ``3 h``, ``41 d``."""
    seconds = max(0, int(length.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _ago(when: datetime | None, now: datetime) -> str:
    return _("%(span)s ago") % {"span": span(now - when)} if when else ""


def _restarts(number: int) -> str:
    return ngettext("%(n)s restart", "%(n)s restarts", number) % {"n": number} if number else ""


def _unhealthy(failed: int) -> str:
    words = ngettext("unhealthy, %(n)s check failed", "unhealthy, %(n)s checks failed", failed) % {
        "n": failed
    }
    return words if failed else _("unhealthy")


def _rank(glyph: str) -> Any:
    return _WORST.index(glyph) if glyph in _WORST else len(_WORST)
