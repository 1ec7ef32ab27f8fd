"""REST of cleaning up: first the plan, then exactly what it lists."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, body
from containers_app import operations, prune_plans
from containers_app.models import PrunePlan
from containers_app.unused import KINDS
from operations import services
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import PlanAnswer, Previews
from operations.api.rows import OperationRow
from operations.api.schema import CHANGE
from operations.previews import is_preview

FIRST = (
    'Ask with ?dry_run=1 first, and look at what it lists. Then POST {"plan": "its id"} removes exactly that.'
)


class PruneWish(Body):
    """Either ``kinds`` with ``?dry_run=1`` (``engine``: where there are several), or the ``plan`` that this made."""

    engine = serializers.UUIDField(required=False)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(list(KINDS)), required=False, allow_empty=False
    )
    plan = serializers.UUIDField(required=False)


class PruneItem(serializers.Serializer):
    """One thing that goes: the kind that was asked for, our id (of a step in the build cache the engine's), and the
    bytes that go with it, null where unknown.
    """

    kind = serializers.CharField()
    id = serializers.CharField()
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)


class PruneAnswer(PlanAnswer):
    """A frozen plan: ``items`` is all that will go, in that order. Its maker may use it once until ``expires_at``."""

    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()
    items = PruneItem(many=True)


def answer(plan: PrunePlan) -> dict[str, Any]:
    """A frozen plan as REST shows it."""
    items = [prune_plans.public(item) for item in plan.items]
    words = prune_plans.told(plan).to_dict()
    return {**words, "id": str(plan.pk), "expires_at": plan.expires_at, "items": items}


class Prune(Previews):
    """Removes what nobody uses. ``?dry_run=1`` with ``kinds`` makes a plan; ``plan`` carries it out."""

    permission = prune_plans.KIND

    @extend_schema(
        request=PruneWish,
        responses={
            202: OperationRow,
            200: PolymorphicProxySerializer("OperationOrPrunePlan", [OperationRow, PruneAnswer], None),
        },
        parameters=CHANGE,
    )
    def post(self, request: Request) -> Response:
        wish = body(request, PruneWish)
        prune_plans.allowed(self.actor)
        if "plan" in wish:
            return self._use(request, wish)
        if not is_preview():
            raise ValidationError({"plan": [FIRST]})
        if "kinds" not in wish:
            raise ValidationError({"kinds": [_("This field is required.")]})
        engine = services.chosen_engine(engine_of(wish))
        found = prune_plans.look(engine, actor=self.actor)
        return Response(
            answer(prune_plans.freeze(found, prune_plans.kinds_of(wish["kinds"]), actor=self.actor))
        )

    def _use(self, request: Request, wish: dict[str, Any]) -> Response:
        if len(wish) > 1:
            raise ValidationError({"plan": [_("A plan goes alone: it knows its engine and its kinds.")]})
        if is_preview():
            return Response(answer(prune_plans.own(wish["plan"], actor=self.actor)))
        key = idempotency_key(request)
        return accepted(
            request, operations.request_prune(wish["plan"], actor=self.actor, idempotency_key=key)
        )
