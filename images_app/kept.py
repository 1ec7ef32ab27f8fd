"""Uploaded contexts that stay after their build, so that it can be built again: the last of each tag, within a size."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from images_app import spool
from images_app.models import Build
from operations.models import Operation

MOST = 500


def settle(ending: Build | None = None) -> None:
    """Forgets the contexts that are not to stay: those of builds that have ended, and of the one that is ending now.

    What was only typed needs no context: its Dockerfile is in the row.
    """
    over = Q(operation__state__in=Operation.ENDED) | Q(pk=ending.pk if ending else None)
    rows = Build.objects.filter(over).exclude(context_path="").select_related("operation")
    room, seen = settings.BUILD_CONTEXTS_MB * 1024 * 1024, set[tuple[object, ...]]()
    for build in rows.order_by("-created_at").defer("dockerfile", "steps")[:MOST]:
        whose = (build.engine_id, build.team_id, build.tags[0] if build.tags else "")
        uploaded = build.operation is not None and build.operation.params.get("uploaded")
        if uploaded and whose not in seen and build.context_size <= room:
            room -= build.context_size
        else:
            spool.forget(build.context_path)
            Build.objects.filter(pk=build.pk).update(context_path="")
        seen |= {whose} if uploaded else set()


def why_not_again(build: Build) -> str:
    """Why it cannot be built again as it was; empty where it can."""
    operation = build.operation
    if operation is None:
        return _("Nobody knows how it was asked for.")
    if operation.params.get("uploaded") and not build.context_path:
        return _("Its uploaded files were not kept: send the context again.")
    if operation.params.get("_withheld") or operation.params.get("secrets"):
        return _("Its secret values were not kept: ask for it anew with them.")
    return ""
