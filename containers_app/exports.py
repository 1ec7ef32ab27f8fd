"""Tars of volumes on their way to people: from our own disk, and written down each time."""

from __future__ import annotations

from pathlib import Path

from django.http import Http404

from accounts import audit
from accounts.access import Actor
from containers_app import volume_copies
from containers_app.models import Volume
from operations.models import Operation
from operations.web import Download

GONE = "There is no export of it: they are kept for a day. Ask for a new one."


def newest(volume: Volume, *, actor: Actor) -> Download:
    """The newest export of this volume that is still there; Http404 where none is."""
    done = Operation.objects.filter(kind="volume.export", state="succeeded", target_id=str(volume.pk))
    for operation in done.order_by("-finished_at")[:20]:
        if volume_copies.export_of(operation).exists():
            return of(operation, actor=actor)
    raise Http404(GONE)


def of(operation: Operation, *, actor: Actor) -> Download:
    """The tar that this operation made."""
    return sent(
        operation, volume_copies.export_of(operation), f"{operation.target_name}.tar", actor=actor, gone=GONE
    )


def sent(operation: Operation, path: Path, name: str, *, actor: Actor, gone: str) -> Download:
    """What an operation has spooled, from our own disk and written down; Http404 with ``gone`` where it is not there.

    Never shown in a page: its names and contents come from a container. Rights are asked for before.
    """
    if not path.exists():
        raise Http404(gone)
    audit.record(
        f"{operation.target_type}.download", actor, target_type=operation.target_type,
        target_id=operation.target_id, target_name=operation.target_name, team_id=operation.team_id,
        operation_id=operation.pk,
    )  # fmt: skip
    return Download(path.open("rb"), as_attachment=True, filename=name, content_type="application/x-tar")
