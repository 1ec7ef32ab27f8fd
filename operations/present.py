"""Operations as people read them: a shape, a sentence, how far, how long, and what to do about a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor, can
from operations import registry, undoable
from operations.models import Engine, Operation, OperationEvent
from operations.retold import retold

GLYPHS = {
    "queued": "queued",
    "running": "busy",
    "unknown": "busy",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}
# Error code → what a person can do now. A code that is not here has a message that says it already.
REMEDIES = {
    "engine_unreachable": _lazy("Nothing was changed. Look whether the engine runs, then retry."),
    "engine_timeout": _lazy("The engine took too long. Look at what is there now before you retry."),
    "name_in_use": _lazy("Choose another name, or remove what has this one."),
    "port_in_use": _lazy("Choose another port on the engine, or let it choose one."),
    "in_use": _lazy("Remove what uses it first."),
    "volume_missing": _lazy(
        "Take the volume back from the trash or import it, or start it anew and ask for an empty one."
    ),
    "image_not_found": _lazy(
        "Look at the spelling of the name and the tag. A private image needs a sign-in at its registry."
    ),
    "registry_auth": _lazy("The registry wants a sign-in, or another one than it was given."),
    "registry_unreachable": _lazy("Look whether the engine has a way to the registry, then retry."),
    "build_failed": _lazy(
        "The end of the log is the output of the step that failed. Edit the Dockerfile and build again."
    ),
    "gate_failed": _lazy("The end of the log is what the new one said. Nothing else was changed."),
    "disk_full": _lazy("Make room where Slipway keeps its state, then retry."),
    "not_found": _lazy("It is gone from the engine, so there is nothing left to do."),
    "conflict": _lazy("Its state does not allow this now. Look at it, then retry."),
    "policy_denied": _lazy(
        "A guard rail forbids it. A site administrator can tell which exceptions there are."
    ),
    "denied": _lazy("The rights of the person who asked have changed since."),
    "lost": _lazy("The worker was lost on the way. Look at what is there now before you retry."),
}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_STORY = {
    "queued": _lazy("Accepted"),
    "running": _lazy("Started"),
    "unknown": _lazy("No answer, looking at the engine"),
    "succeeded": _lazy("Done"),
    "failed": _lazy("Failed"),
    "cancelled": _lazy("Cancelled"),
}
_STEP = re.compile(r"Step (\d{1,4})/\d{1,4} : ")
_LINKS = {
    "container": "containers:detail",
    "image": "images:detail",
    "volume": "volumes:detail",
    "network": "networks:detail",
    "build": "builds:detail",
    "registry": "registries:detail",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """How far: ``pct`` 0 to 100, ``None`` where nobody can know; ``label`` stands beside the bar."""

    pct: int | None
    label: str


@dataclass(frozen=True, slots=True)
class LayerBar:
    """One layer of a pull, as a small multiple. ``here``: the engine had it, or has it by now."""

    id: str
    pct: int
    current: int
    total: int
    here: bool
    words: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: ``step`` it belongs to (0: none), ``at`` seconds since the start, ``first`` of its step; ``own``:
    not output, but what Slipway did.
    """

    seq: int
    step: int
    at: str
    text: str
    stderr: bool
    first: bool
    own: bool = False


@dataclass(slots=True)
class Line:
    """One operation on a page. ``waits`` says why it is queued, ``remedy`` what to do about its failure.

    ``seq`` is the number of its newest event, where that was read along (`queries.last_event`).
    """

    operation: Operation
    label: str
    glyph: str
    note: str
    bar: Bar | None
    took: str
    target_url: str
    waits: str = ""
    remedy: str = ""
    cancellable: bool = False
    retryable: bool = False
    undoable: bool = False
    layers: list[LayerBar] = field(default_factory=list)
    seq: int = 0

    @property
    def phase(self) -> str:
        """Its state as it is counted: ``running``, ``queued``, ``failed`` or ``done``."""
        state = self.operation.state
        return {"unknown": "running", "succeeded": "done", "cancelled": "done"}.get(state, state)

    @property
    def url(self) -> str:
        """The page that tells most about it: a build has one of its own."""
        if self.operation.target_type == "build" and self.target_url:
            return self.target_url
        return reverse("operations:detail", args=[self.operation.pk])

    @property
    def active(self) -> bool:
        """Whether it is still on its way."""
        return not self.operation.ended


def line(
    operation: Operation,
    actor: Actor,
    *,
    layers: Iterable[LayerBar] = (),
    ahead: int = 0,
    after: str = "",
    now: datetime | None = None,
) -> Line:
    """One operation in words, for this reader.

    ``ahead`` counts those queued before it on the same engine; ``after`` is the title of the next before it.
    """
    now = now or timezone.now()
    state = operation.state
    may = (not operation.ended or state in ("failed", "cancelled")) and can(
        actor, "operation.cancel", operation
    )
    return Line(
        operation=operation,
        label=label(operation.kind),
        glyph=GLYPHS[state],
        note=_note(operation),
        bar=bar(operation.progress) if state in ("running", "unknown") else None,
        took=took(operation, now),
        target_url=target_url(operation),
        waits=_waits(operation, ahead, after) if state == "queued" else "",
        remedy=str(REMEDIES.get(operation.error_code, "")) if state == "failed" else "",
        cancellable=may and not operation.ended and operation.cancel_requested_at is None,
        retryable=may and operation.ended,
        undoable=undoable.by(actor, operation),
        layers=list(layers),
        seq=getattr(operation, "last_seq", None) or 0,
    )


def title(operation: Operation) -> str:
    """What was asked for: "Stop web"."""
    if not operation.target_name:
        return label(operation.kind)
    return _("%(label)s %(name)s") % {"label": label(operation.kind), "name": operation.target_name}


def facts(operation: Operation) -> list[tuple[str, str]]:
    """Small facts beside the log, in the order people ask for them."""
    found = [
        (_("Kind"), operation.kind),
        (_("Engine"), operation.engine.name),
        (_("Team"), operation.team.name if operation.team else _("none, site administrators")),
        (
            _("Asked by"),
            _("%(who)s by %(way)s")
            % {"who": operation.actor_name or "engine", "way": operation.get_source_display()},
        ),
    ]
    if operation.attempt:
        found.append((_("Attempt"), str(operation.attempt)))
    if operation.error_code:
        found.append((_("Error code"), operation.error_code))
    return found


def label(kind: str) -> str:
    """What people call this kind: "Stop"."""
    try:
        return translation.gettext(registry.get(kind).label)
    except LookupError:
        return kind.rpartition(".")[2].replace("_", " ").capitalize()


def bar(progress: Mapping[str, Any]) -> Bar:
    """The progress object as a bar; a total that is not known gives no percentage, never a made-up one."""
    current, total = progress.get("current"), progress.get("total")
    if not total or current is None:
        return Bar(None, "")
    pct = max(0, min(100, int(100 * current / total)))
    counted = progress.get("unit") in ("steps", "layers")
    return Bar(pct, _("%(part)s of %(all)s") % {"part": current, "all": total} if counted else f"{pct} %")


def took(operation: Operation, now: datetime) -> str:
    """How long it ran or has been running, ``0:48``; empty where it never started."""
    if operation.started_at is None:
        return ""
    span = (operation.finished_at or now) - operation.started_at
    short = operation.ended and span.total_seconds() < 1
    return f"{max(0.1, span.total_seconds()):.1f} s" if short else clock(span)


def clock(span: Any) -> str:
    """A timedelta as ``0:48`` or ``1:02:03``."""
    seconds = max(0, int(span.total_seconds()))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def target_url(operation: Operation) -> str:
    """The page of what it changes; empty where there is none, or none any more."""
    gone = operation.kind.endswith((".remove", ".purge")) and operation.state == "succeeded"
    # What was made anew is another one than the one that it was asked for.
    target = str((operation.result or {}).get(operation.target_type) or operation.target_id)
    return "" if gone else page_of(operation.target_type, target)


def page_of(type_: str, id_: str) -> str:
    """The page of a row of ours; empty where its type has none, or that is no id."""
    view = _LINKS.get(type_)
    if not view or not _is_uuid(id_):
        return ""
    try:
        return reverse(view, args=[id_])
    except NoReverseMatch:
        return ""


def plain(text: str) -> str:
    """A line of output without colour codes and control characters, as the end of its last overwriting."""
    text = _ESCAPES.sub("", text).rstrip("\r\n")
    return _CONTROLS.sub("", text.rpartition("\r")[2])


def layer_bar(data: Mapping[str, Any]) -> LayerBar:
    """A step event of a pull or a push (``layer``, ``status``, ``current`` and ``total`` bytes) as a bar."""
    current, total = int(data.get("current") or 0), int(data.get("total") or 0)
    words = str(data.get("status") or "")
    done = words.startswith(
        ("Already exists", "Pull complete", "Pushed", "Layer already exists", "Mounted from ")
    )
    fetched = done or words in ("Download complete", "Verifying Checksum", "Extracting")
    pct = 100 if fetched else min(100, int(100 * current / total)) if total else 0
    return LayerBar(str(data.get("layer", ""))[:12], pct, current, total, done, words)


def log_lines(events: Iterable[OperationEvent], started_at: datetime | None) -> list[LogLine]:
    """Output and changes of state as lines. Lines name their step; older ones leave it to those before."""
    step, seen, found = 0, {0}, []
    for event in events:
        if event.kind == "step":
            step = step_number(event.data) or step
        text = line_text(event)
        if not text:
            continue
        if event.kind == "log" and isinstance(of := event.data.get("step"), int):
            step = of
        elif begins := _STEP.match(text):
            step = int(begins[1])
        at = f"{max(0.0, (event.at - started_at).total_seconds()):.1f}" if started_at else ""
        own = event.kind != "log"
        stderr = event.data.get("stream") == 2
        first = not own and step not in seen
        found.append(LogLine(event.seq, 0 if own else step, at, text, stderr, first, own))
        seen |= set() if own else {step}
    return found


def line_text(event: OperationEvent) -> str:
    """What the log shows of an event: output, and what Slipway itself did; empty for the rest."""
    data = event.data
    if event.kind == "log":
        return plain(str(data.get("text", ""))) or " "
    if event.kind != "state":
        return ""
    if who := data.get("cancel"):
        return _("%(who)s asked to cancel") % {"who": who}
    state = str(data.get("state", ""))
    attempt = data.get("attempt", 1)
    words = str(_STORY.get(state, state))
    if state == "running" and attempt > 1:
        words = _("Started, attempt %(n)s") % {"n": attempt}
    message = retold(str(data.get("message") or ""))
    return f"{words}: {message}" if message else words


def step_number(data: Mapping[str, Any]) -> int:
    """Which step a step event is about, 1-based; 0 where it is about something else."""
    number = data.get("step", data.get("n", 0))
    return number if isinstance(number, int) else 0


def _note(operation: Operation) -> str:
    message = str(operation.progress.get("message") or "")
    if operation.state == "failed":
        return retold(operation.error_message) or _("Failed")
    if operation.state == "cancelled":
        return retold(operation.error_message) or _("Cancelled")
    if operation.state == "unknown":
        return _("No answer came: looking at the engine for what happened")
    if operation.state == "running" and operation.cancel_requested_at:
        return _("Stopping as asked")
    if operation.state == "succeeded":
        unit, total = operation.progress.get("unit"), operation.progress.get("total")
        if not isinstance(total, int) or not total:
            return ""
        if unit == "steps":
            return ngettext("%(n)s step", "%(n)s steps", total) % {"n": total}
        return ngettext("%(n)s layer", "%(n)s layers", total) % {"n": total} if unit == "layers" else ""
    return retold(message)


def _waits(operation: Operation, ahead: int, after: str) -> str:
    engine = operation.engine
    if engine.status == Engine.Status.UNREACHABLE:
        return _("%(name)s does not answer. It starts when the engine is back.") % {"name": engine.name}
    if after:
        if ahead > 1:
            return _("After %(after)s and %(n)s more") % {"after": after, "n": ahead - 1}
        return _("After %(after)s") % {"after": after}
    if ahead:
        return _("After %(ahead)s before it") % {"ahead": ahead}
    return _("Next in line")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
