"""Somebody has seen what is wrong with a container: it needs no attention until the next incident. No change of an
engine, so no operation; but a line in the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.access import Actor, require
from containers_app.models import Container
from containers_app.queries import status_of
from operations.services import Target, denials
from streams import bell


def seen(rows: Iterable[Container], *, actor: Actor) -> int:
    """Takes note for each of them, and returns of how many. Raises `accounts.access.Denied` or Http404."""
    rows = list(rows)
    for row in rows:
        with denials(
            "container.seen",
            actor=actor,
            target=Target("container", str(row.pk), row.name),
            team_id=row.team_id,
        ):
            require(actor, "container.seen", row)
    with transaction.atomic():
        now = timezone.now()
        for row in rows:
            Container.objects.filter(pk=row.pk).update(noted_at=now)
            row.noted_at = now
            audit.record(
                "container.seen", actor, target_type="container", target_id=row.pk, target_name=row.name,
                team_id=row.team_id, detail={"status": str(status_of(row))},
            )  # fmt: skip
        topics = [*(f"container:{row.pk}" for row in rows), "containers"]
        transaction.on_commit(lambda: bell.ring(*topics), robust=True)
    return len(rows)
