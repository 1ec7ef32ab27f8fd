"""REST of what an engine's things take on its disk."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import View
from containers_app import prune_plans
from operations.api.views import visible_engines


class Taken(serializers.Serializer):
    """So many things, and their bytes."""

    count = serializers.IntegerField()
    size = serializers.IntegerField()


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


class EngineDiskUsage(View):
    """What takes how much of an engine's disk. Counted by the engine now, which may take seconds."""

    permission = "engine.prune"

    @extend_schema(responses=EngineUsage)
    def get(self, request: Request, pk: UUID) -> Response:
        found = prune_plans.usage(self.object(visible_engines(self.actor), pk), actor=self.actor)
        parts = {
            "images": {"count": len(found.images), "size": found.layers},
            "containers": {"count": len(found.containers), "size": sum(found.containers.values())},
            "volumes": {"count": len(found.volumes), "size": sum(found.volumes.values())},
            "build_cache": {"count": len(found.cache), "size": found.cached},
        }
        return Response({**parts, "total": found.total})
