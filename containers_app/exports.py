"""Tars of volumes on their way to people: from our own disk, and written down each time."""

from __future__ import annotations

from django.http import Http404
from django.utils.translation import gettext_lazy as _

from accounts.access import Actor
from containers_app import volume_copies
from containers_app.models import Volume
from operations.models import Operation
from operations.spooled import sent
from operations.web import Download

GONE = _("There is no export of it: they are kept for a day. Ask for a new one.")


def newest(volume: Volume, *, actor: Actor) -> Download:
    """The newest export of this volume that is still there; Http404 where none is."""
    done = Operation.objects.filter(kind="volume.export", state="succeeded", target_id=str(volume.pk))
    for operation in done.order_by("-finished_at")[:20]:
        if volume_copies.export_of(operation).exists():
            return of(operation, actor=actor)
    raise Http404(str(GONE))


def of(operation: Operation, *, actor: Actor) -> Download:
    """The tar that this operation made."""
    return sent(
        operation,
        volume_copies.export_of(operation),
        f"{operation.target_name}.tar",
        actor=actor,
        gone=str(GONE),
    )
