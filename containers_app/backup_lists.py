"""All backups that somebody may read, whatever has become of their volumes; and which volumes' last one failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.access import Actor, can
from accounts.querysets import visible_teams, visible_to
from containers_app.models import Volume, VolumeBackup
from operations.models import Operation
from operations.queries import operations

MOST_FAILED = 20


def backups(actor: Actor) -> QuerySet[VolumeBackup]:
    """Newest first, without their indexes."""
    rows = VolumeBackup.objects.select_related("team", "engine", "store", "operation").defer("index")
    return _theirs(actor, visible_to(actor, rows)).order_by("-created_at", "-pk")


def failed(actor: Actor) -> list[Operation]:
    """Of each volume that is still there, its newest backup, if that has failed: the newest first."""
    made = operations(actor).filter(kind="volume.backup")
    same = Operation.objects.filter(kind="volume.backup", target_id=OuterRef("target_id"))
    newest = Subquery(same.order_by("-created_at").values("pk")[:1])
    rows = _theirs(actor, made.filter(state="failed", pk=newest)).order_by("-created_at")
    found = list(rows[:MOST_FAILED])
    there = {str(pk) for pk in Volume.objects.filter(pk__in=_ids(found)).values_list("pk", flat=True)}
    return [operation for operation in found if operation.target_id in there]


def with_volumes(
    found: Sequence[VolumeBackup], actor: Actor
) -> list[tuple[VolumeBackup, Volume | None, bool]]:
    """Each with its volume, where the reader may know of that, and whether there is none of its name any more."""
    rows = Volume.objects.filter(native_id__in={backup.volume_name for backup in found})
    there = {(volume.engine_id, volume.native_id): volume for volume in rows}
    pairs = [(backup, there.get((backup.engine_id, backup.volume_name))) for backup in found]
    return [
        (backup, volume if volume and can(actor, "backup.read", volume) else None, volume is None)
        for backup, volume in pairs
    ]


def _theirs(actor: Actor, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Who sees a team's things does not read its backups yet."""
    if actor.is_site_admin and actor.token_team_id is None:
        return rows
    return rows.filter(team__in=[team.pk for team in visible_teams(actor) if can(actor, "backup.read", team)])


def _ids(found: Sequence[Operation]) -> list[str]:
    return [operation.target_id for operation in found if len(operation.target_id) == 36]
