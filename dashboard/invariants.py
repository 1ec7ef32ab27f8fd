"""What must hold after anything at all: checked by ``manage.py check_invariants``, and by the tests of faults.

I1 intent, I2 end, I3 at most once, I4 no lie, I5 truth, I6 audit; each check yields the ids that break it. I3 and I4
need a journal of what the engine was asked: JSON lines with method, path, at, status, ended, body, whole.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django.db.models import Q
from django.utils import timezone

from accounts.models import AuditEntry
from containers_app.facts import container_facts
from containers_app.models import Container, Network, Volume
from engine import names
from engine.base import Engine as EngineBackend
from engine.errors import EngineError, NotFound
from images_app.models import Image, Tag
from operations import batches, runner
from operations.models import Engine, Operation, OperationEvent, TrashItem

GRACE = timedelta(minutes=1)
"""How long an operation may lie queued, or with a lapsed lease, before nobody can be thought to look after it."""
LOOKS, PAUSE = 4, 1.0
"""Rows and engine are compared so often before a difference counts: both change while they are read."""
COMPARED = ("name", "state", "image_native_id", "started_at", "ports")

ONCE: Mapping[str, str] = {
    "container.run": r"POST \S*/containers/create\b",
    "container.rename": r"POST \S*/containers/{native_id}/rename\b",
    "container.remove": r"DELETE \S*/containers/{native_id}\b",
    "container.purge": r"DELETE \S*/containers/{native_id}\b",
    "container.restart": r"POST \S*/containers/{native_id}/restart\b",
    "container.kill": r"POST \S*/containers/{native_id}/kill\b",
    "volume.create": r"POST \S*/volumes/create\b",
    "volume.remove": r"DELETE \S*/volumes/{native_id}(\?|$)",
    "network.create": r"POST \S*/networks/create\b",
    "network.remove": r"DELETE \S*/networks/{native_id}(\?|$)",
    "image.build": r"POST \S*/build\?\S*t={tag}(&|$)",
    "image.remove": r"DELETE \S*/images/{native_id}\b",
}
"""Kind → the request that has its effect, and may be carried out once. Creations name their operation in a label."""
TRASHED = {
    "container.remove": r"POST \S*/containers/{native_id}/rename\?\S*\bname=slipway-trash-{hex}\b",
    "image.remove": r"POST \S*/images/{native_id}/tag\?\S*\btag={hex}\b",
}
"""The same where it was put into the trash: what is asked about it later is another operation's."""
LABELLED = ("container.run", "volume.create", "network.create")


@dataclass
class Finding:
    """One invariant. ``broken`` holds what breaks it; it holds where there is nothing."""

    name: str
    promise: str
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that an engine has carried out. Times in seconds since 1970."""

    line: str
    at: float
    ended: float
    body: str


def read_journal(path: Path) -> list[Asked]:
    """The requests of a journal that had an effect: answered with 2xx, by the engine itself."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [
        Asked(f"{r['method']} {unquote(r['path'])}", r["at"], r.get("ended") or r["at"], r.get("body", ""))
        for r in rows
        if r["method"] != "GET" and 200 <= r["status"] < 300 and r.get("whole", True)
    ]


def check(
    *, journal: Sequence[Asked] | None = None, engines: bool = True, grace: timedelta = GRACE
) -> list[Finding]:
    """All of them; I3 and I4 where there is a journal, I5 where ``engines`` are to be asked."""
    checks: list[tuple[str, str, Callable[[], Iterable[str]]]] = [
        ("I1", "every accepted wish is one row, with its beginning and its audit line", intent),
        ("I2", "every operation has ended, or somebody looks after it", lambda: end(grace)),
        ("I6", "the audit trail tells each operation's beginning and end once, its story has no gap", trail),
    ]
    if journal is not None:
        checks.append(("I3", "no operation had its effect twice", lambda: at_most_once(journal)))
        checks.append(
            ("I4", "what is called failed or cancelled had no later effect", lambda: no_lie(journal))
        )
    if engines:
        checks.append(("I5", "the rows equal the engine", truth))
    return sorted(
        (Finding(name, promise, list(look())) for name, promise, look in checks), key=lambda f: f.name
    )


def intent() -> Iterator[str]:
    """I1: row, first event and audit line were written together, and one idempotency key is one row."""
    accepted = Counter(
        AuditEntry.objects.filter(outcome="accepted", operation_id__isnull=False)
        .exclude(verb="operation.cancel")
        .values_list("operation_id", flat=True)
    )
    begun = set(OperationEvent.objects.filter(seq=1).values_list("operation_id", flat=True))
    rows = set(Operation.objects.values_list("pk", flat=True))
    yield from (f"{pk}: accepted {accepted[pk]} times" for pk in rows if accepted[pk] != 1)
    yield from (f"{pk}: without a beginning" for pk in rows - begun)
    yield from (f"{pk}: accepted, and there is no row" for pk in accepted.keys() - rows)


def end(grace: timedelta) -> Iterator[str]:
    """I2: nothing lies where nobody looks. Without grace, everything has ended."""
    old = timezone.now() - grace
    left = Operation.objects.active()
    if grace:
        queued = Q(state="queued", created_at__lt=old) & batches.due()
        left = left.filter(queued | Q(state__in=("running", "unknown"), lease_until__lt=old))
    yield from (f"{row.pk}: {row.kind} is {row.state}" for row in left)


def trail() -> Iterator[str]:
    """I6: one line for the end of each that has ended, and its events count from 1 without a gap."""
    lines = Counter(
        AuditEntry.objects.filter(outcome__in=Operation.ENDED, operation_id__isnull=False).values_list(
            "operation_id", "verb", "outcome"
        )
    )
    ends = Counter(key[0] for key in lines.elements())
    numbers: dict[Any, list[int]] = {}
    last: dict[Any, str] = {}
    for pk, seq, kind, data in OperationEvent.objects.order_by("operation", "seq").values_list(
        "operation_id", "seq", "kind", "data"
    ):
        numbers.setdefault(pk, []).append(seq)
        if kind == "state":
            last[pk] = data["state"]
    for row in Operation.objects.only("pk", "kind", "state"):
        told = lines[row.pk, row.kind, row.state]
        if (told, ends[row.pk]) != ((1, 1) if row.ended else (0, 0)):
            yield f"{row.pk}: {row.state}, and its end is told {ends[row.pk]} times"
        if numbers.get(row.pk, []) != list(range(1, len(numbers.get(row.pk, [])) + 1)):
            yield f"{row.pk}: a gap in its events"
        if row.ended and last.get(row.pk) != row.state:
            yield f"{row.pk}: {row.state}, and its events say {last.get(row.pk)}"


def effects(row: Operation, journal: Sequence[Asked]) -> list[Asked]:
    """What of the journal is this operation's effect, by its kind; empty for kinds that leave no single one."""
    wanted = ONCE.get(row.kind)
    if wanted is None:
        return []
    if row.kind in TRASHED and TrashItem.objects.filter(operation=row).exists():
        wanted = TRASHED[row.kind]
    tags = row.params.get("tags") or [""]
    line = re.compile(
        wanted.format(
            native_id=re.escape(str(row.params.get("native_id", ""))),
            tag=re.escape(str(tags[0])),
            hex=row.pk.hex[:12],
        )
    )
    found = [asked for asked in journal if line.search(asked.line)]
    if row.kind in LABELLED:
        return [asked for asked in found if str(row.pk) in asked.body]
    began = (row.started_at or row.created_at).timestamp()
    return [asked for asked in found if asked.at >= began and not _others(row, asked)]


def _others(row: Operation, asked: Asked) -> bool:
    """Whether a later operation of the same kind and target had begun already when this was asked.

    Of two that were asked for at once, the one that was noted first may have been accepted last.
    """
    same = {"target_id": row.target_id} if row.target_id else {"target_name": row.target_name}
    others = Operation.objects.filter(kind=row.kind, started_at__lte=_moment(asked.at), **same).exclude(
        pk=row.pk
    )
    return others.filter(started_at__gt=row.started_at or row.created_at).exists()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def at_most_once(journal: Sequence[Asked]) -> Iterator[str]:
    """I3."""
    for row in Operation.objects.filter(kind__in=ONCE):
        found = effects(row, journal)
        if len(found) > 1:
            yield f"{row.pk}: {row.kind} {len(found)} times"


def no_lie(journal: Sequence[Asked]) -> Iterator[str]:
    """I4: an effect that came after the end, or a container whose making is said to have failed."""
    for row in Operation.objects.filter(kind__in=ONCE, state__in=Operation.ENDED).exclude(finished_at=None):
        assert row.finished_at is not None  # noqa: S101 - for the type checker
        ended = row.finished_at.timestamp()
        late = [asked for asked in effects(row, journal) if asked.at > ended]
        if late:
            yield f"{row.pk}: {row.state}, and then {late[0].line}"
    made = dict(Container.everything.values_list("native_id", "labels"))
    unmade = Operation.objects.filter(kind="container.run", state__in=("failed", "cancelled"))
    names_of = {str(pk): state for pk, state in unmade.values_list("pk", "state")}
    for native_id, labels in made.items():
        if state := names_of.get(labels.get(names.OPERATION_LABEL, "")):
            yield f"{labels[names.OPERATION_LABEL]}: {state}, and there is its container {native_id}"


def truth() -> Iterator[str]:
    """I5: for each engine that answers. A difference that goes away by itself is none."""
    for engine in Engine.objects.all():
        found: list[str] = []
        for look in range(LOOKS):
            if look:
                time.sleep(PAUSE)
            try:
                found = [*differences(engine, runner.backend(engine))]
            except EngineError as error:
                found = [f"{engine}: {error.message}"]
            if not found:
                break
        yield from found


def differences(engine: Engine, backend: EngineBackend) -> Iterator[str]:
    """Where the rows of one engine differ from it now."""
    rows = {row.native_id: row for row in Container.everything.filter(engine=engine)}
    listed = {summary.native_id for summary in backend.containers()}
    yield from (f"container {key} {rows[key].name} is gone" for key in rows.keys() - listed)
    yield from (f"container {key} has no row" for key in listed - rows.keys())
    for key in listed & rows.keys():
        try:
            facts = container_facts(backend.container(key))
        except NotFound:
            continue
        for name in COMPARED:
            if getattr(rows[key], name) != facts[name]:
                yield f"container {key} {rows[key].name}: {name} is {facts[name]}, not {getattr(rows[key], name)}"
    images = backend.images()
    yield from _other("image", {i.native_id for i in images}, Image.everything.filter(engine=engine))
    yield from _other("volume", {v.name for v in backend.volumes()}, Volume.objects.filter(engine=engine))
    networks = {n.native_id for n in backend.networks()}
    yield from _other("network", networks, Network.objects.filter(engine=engine))
    tags = {(tag, image.native_id) for image in images for tag in image.tags}
    known = set(Tag.everything.filter(engine=engine).values_list("name", "image__native_id"))
    yield from (f"tag {name} of {key} is {'known' if (name, key) in known else 'unknown'} here alone"
                for name, key in tags ^ known)  # fmt: skip


def _other(kind: str, there: set[str], rows: Any) -> Iterator[str]:
    known = set(rows.values_list("native_id", flat=True))
    yield from (f"{kind} {key} is gone" for key in known - there)
    yield from (f"{kind} {key} has no row" for key in there - known)


__all__ = ["Asked", "Finding", "check", "differences", "effects", "read_journal"]
