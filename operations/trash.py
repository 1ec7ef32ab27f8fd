"""What removals put aside, to be taken back for a while: a removed container stopped under another name, the data of a
volume in a file, an image under a name that nobody uses.

The app that puts a thing aside says in ``facts`` what its return needs and registers ``<kind>.restore`` and
``<kind>.purge``. A thing in the trash keeps its row, hidden from every list, so that all of its history is there again
with it. Whatever happens to it outside Slipway is believed: what is started, renamed or tagged there is out of the
trash, and what is removed there is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.access import SYSTEM, Actor
from engine.errors import NotFound
from operations import registry, services
from operations.models import Operation, TrashItem
from operations.registry import Context
from operations.retold import inside
from operations.services import Refused, Target
from streams import bell

FOLDER = "trash"
NAMES = TrashItem.NAMES
AGAIN = timedelta(hours=1)
"""A purge that failed, since somebody uses it again for example, is asked for again after this."""
State = TrashItem.State


def hours() -> float:
    """How long what is removed can be taken back; 0: not at all."""
    return float(settings.UNDO_HOURS)


def most_bytes() -> int:
    """The largest volume whose data is kept."""
    return int(settings.UNDO_MB) * 1024 * 1024


# How things in the trash are called on the engine


def container_name(operation_id: UUID) -> str:
    """What the container that this operation puts aside is called meanwhile."""
    return f"{NAMES}-{operation_id.hex[:12]}"


def tag_name(operation_id: UUID) -> str:
    """The name that holds the image that this operation puts aside."""
    return f"{NAMES}:{operation_id.hex[:12]}"


def is_container_name(name: str) -> bool:
    """Whether a container of this name is in the trash."""
    return name.startswith(f"{NAMES}-")


def is_tag_name(tag: str) -> bool:
    """Whether this tag is the trash's own."""
    return tag.startswith(f"{NAMES}:")


# Putting aside, by the verbs of removals


def begin(
    ctx: Context, *, native_id: str, name: str, facts: dict[str, Any], target_id: str = ""
) -> TrashItem:
    """The item of this removal, made once: what a repeated attempt has seen later counts for nothing.

    ``target_id``: of what is put aside, where that is not what the operation is about.
    """
    operation = ctx.operation
    item, _ = TrashItem.objects.get_or_create(
        operation=operation,
        defaults={
            "engine": operation.engine, "team": operation.team, "kind": operation.target_type,
            "target_id": target_id or operation.target_id, "name": name[:255], "native_id": native_id[:255],
            "facts": facts,
            "expires_at": timezone.now() + timedelta(hours=hours()),
        },
    )  # fmt: skip
    return item


def keep(item: TrashItem, *, path: str = "", size: int | None = None) -> None:
    """From now on it can be taken back."""
    TrashItem.objects.filter(pk=item.pk, state__in=(State.GOING, State.KEPT)).update(
        state=State.KEPT, path=path, size=size, expires_at=timezone.now() + timedelta(hours=hours())
    )
    _ring(item)


def of(operation: Operation) -> TrashItem | None:
    """What this operation has put aside, or has begun to."""
    return TrashItem.objects.filter(operation=operation).first()


def note(item: TrashItem, **facts: Any) -> None:
    """Keeps more of what its return needs."""
    item.facts = {**item.facts, **facts}
    TrashItem.objects.filter(pk=item.pk).update(facts=item.facts)


def give_up(item: TrashItem) -> None:
    """The removal has failed: nothing is in the trash."""
    TrashItem.objects.filter(pk=item.pk, state=State.GOING).delete()


def file_of(name: str) -> Path:
    """Where a file of the trash lies; its folder is made."""
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / Path(name).name


# Taking back and purging, by their verbs


def taken(ctx: Context) -> TrashItem:
    """The item that this operation takes back or purges. Raises `NotFound` where it is not in the trash any more.

    Once an attempt has begun (and remembered that), whoever looks at the engine may have seen it leave the trash.
    """
    item = TrashItem.objects.filter(pk=ctx.params["trash"]).first()
    if item is None or (item.state != State.KEPT and not ctx.remembered):
        raise NotFound(_("It is not in the trash any more."))
    return item


def end(item: TrashItem, state: str) -> None:
    """It has left the trash. What was kept in a file for it goes."""
    TrashItem.objects.filter(pk=item.pk).update(state=state, ended_at=timezone.now(), path="")
    if item.path:
        file_of(item.path).unlink(missing_ok=True)
    _ring(item)


def lost(kind: str, target_ids: Iterable[UUID]) -> None:
    """These were removed outside Slipway: nothing brings them back."""
    _ended_outside(kind, target_ids, State.LOST)


def left(kind: str, target_ids: Iterable[UUID]) -> None:
    """These were taken out of the trash outside Slipway."""
    _ended_outside(kind, target_ids, State.RESTORED)


def _ended_outside(kind: str, target_ids: Iterable[UUID], state: str) -> None:
    found = TrashItem.objects.filter(
        kind=kind, target_id__in=[str(pk) for pk in target_ids], state=State.KEPT
    )
    if found.update(state=state, ended_at=timezone.now()):
        transaction.on_commit(lambda: bell.ring("trash"), robust=True)


# Asking


def undo(operation: Operation, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for what this operation removed or replaced to be taken back."""
    item = TrashItem.objects.select_related("engine", "team").filter(operation=operation).first()
    if item is None:
        raise Refused("not_undoable", _("This operation cannot be undone."), operation=str(operation.pk))
    return restore(item, actor=actor, idempotency_key=idempotency_key)


def restore(item: TrashItem, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for it to be taken back."""
    return _ask(f"{item.kind}.restore", item, actor, idempotency_key)


def purge(item: TrashItem, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for it to be removed for good."""
    return _ask(f"{item.kind}.purge", item, actor, idempotency_key)


def _ask(kind: str, item: TrashItem, actor: Actor, idempotency_key: str) -> Operation:
    def there() -> None:
        if not TrashItem.objects.filter(pk=item.pk, state=State.KEPT).exists():
            word = inside(str(TrashItem.State(item.state).label))
            raise Refused("not_undoable", _("It is not in the trash any more: %(word)s.") % {"word": word})

    return services.submit(
        kind, actor=actor, engine=item.engine, team=item.team,
        target=Target(item.kind, item.target_id, item.name, services.lock(item.kind, item.target_id)),
        params={"trash": str(item.pk), "native_id": item.native_id}, idempotency_key=idempotency_key, check=there,
    )  # fmt: skip


def sweep() -> int:
    """Asks for what has had its time to be purged. Called by each worker; to ask twice joins the first."""
    now = timezone.now()
    due = list(
        TrashItem.objects.filter(state=State.KEPT, expires_at__lte=now).select_related("engine", "team")[:100]
    )
    tried = set(
        Operation.objects.filter(
            kind__in=[f"{item.kind}.purge" for item in due], created_at__gt=now - AGAIN,
            target_id__in=[item.target_id for item in due],
        ).values_list("target_id", flat=True)
    )  # fmt: skip
    asked = 0
    for item in due:
        if item.target_id not in tried and f"{item.kind}.purge" in registry.all_kinds():
            try:
                purge(item, actor=SYSTEM)
                asked += 1
            except Refused:
                continue  # somebody takes it back at this moment
    return asked


def _ring(item: TrashItem) -> None:
    topics = (f"{item.kind}:{item.target_id}", f"{item.kind}s", "trash", f"operation:{item.operation_id}")
    transaction.on_commit(lambda: bell.ring(*topics), robust=True)
