"""``?dry_run=1``: the plan of a change in place of the change, by the very way of the change itself."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from rest_framework import serializers
from rest_framework.response import Response

from accounts.access import actor_of
from accounts.api.base import NO, SAFE, View
from engine.errors import PolicyDenied, SelfProtected
from operations import plans
from operations.previews import Previewed, is_preview, previewing
from operations.services import Refused


class PlanItem(serializers.Serializer):  # type: ignore[type-arg]
    """One line of a plan; ``size`` in bytes, null where nobody counted."""

    what = serializers.CharField()
    detail = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)


class PlanAnswer(serializers.Serializer):  # type: ignore[type-arg]
    """What a change would do. ``would_run`` is false where it would be ``refused`` now.

    ``undo_hours``: how long it could be taken back, 0 where it could not (``no_undo`` says why). ``joins``: the
    operation that is at the same already.
    """

    kind = serializers.CharField()
    summary = serializers.CharField()
    would_run = serializers.BooleanField()
    made = PlanItem(many=True)
    changed = PlanItem(many=True)
    stopped = PlanItem(many=True)
    lost = PlanItem(many=True)
    affected = PlanItem(many=True)
    kept = PlanItem(many=True)
    unknown = serializers.ListField(child=serializers.CharField())
    frees = serializers.IntegerField()
    undo_hours = serializers.FloatField()
    no_undo = serializers.CharField()
    refused = serializers.DictField(allow_null=True)
    joins = serializers.UUIDField(allow_null=True)


class Previews(View):
    """A view whose changes can be asked for with ``?dry_run=1``: every one of them goes through `services.submit`."""

    previews = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in SAFE or request.GET.get("dry_run", "").lower() in NO:
            return super().dispatch(request, *args, **kwargs)
        with previewing():
            return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Response:
        if is_preview() and isinstance(exc, Previewed | Refused | PolicyDenied | SelfProtected):
            return Response(plans.told(exc, actor_of(self.request)).to_dict())
        return super().handle_exception(exc)
