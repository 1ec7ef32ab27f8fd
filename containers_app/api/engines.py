"""REST of what an engine's things take on its disk."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View
from containers_app import prune_plans
from containers_app.unused import unused
from operations.api.views import visible_engines


class Taken(serializers.Serializer):
    """So many things, their bytes, and how many of these nobody uses now: what *Clean up* would give back."""

    count = serializers.IntegerField()
    size = serializers.IntegerField()
    reclaimable = serializers.IntegerField()


class EngineUsage(serializers.Serializer):
    """``images``: all layers, each once. ``containers``: what each has written outside of its mounts.

    ``volumes``: those that the engine can count. ``build_cache``: what no image holds. Logs are no
    part of it.
    """

    images = Taken()
    containers = Taken()
    volumes = Taken()
    build_cache = Taken()
    total = serializers.IntegerField()
    reclaimable = serializers.IntegerField()


class EngineDiskUsage(View):
    """What takes how much of an engine's disk. Counted by the engine now, which may take seconds."""

    permission = "engine.prune"

    @extend_schema(responses=EngineUsage)
    def get(self, request: Request, pk: UUID) -> Response:
        engine = self.object(visible_engines(self.actor), pk)
        found = prune_plans.usage(engine, actor=self.actor)
        parts = unused(engine, found).parts(found)
        told: dict[str, Any] = {
            part.kind: {"count": part.count, "size": part.size, "reclaimable": part.unused} for part in parts
        }
        return Response({**told, "total": found.total, "reclaimable": sum(part.unused for part in parts)})
