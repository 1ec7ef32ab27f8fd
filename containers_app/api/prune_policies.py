"""REST of cleaning up by itself: policies, what each would do now, and its runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Body, Boolean, Integer, Listing, Row, Text, View, body
from accounts.api.versions import Versioned
from containers_app import prune_plans, prune_policies
from containers_app.api.prune import PruneAnswer, answer
from containers_app.filters import PrunePolicyFilter
from containers_app.models import PrunePolicy
from containers_app.unused import KINDS
from operations import services
from operations.api.answers import accepted, engine_of, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class PrunePolicyRow(Row):
    """``only_over`` in bytes; ``hour`` is UTC. ``problem``: why it was switched off by itself; ``looked``: what the
    last look came to where nothing was to go. It acts for ``made_by``, who saved it last.
    """

    address = "prune/policies"
    made_by = serializers.CharField(source="made_by.username", read_only=True, allow_null=True, default=None)

    class Meta:
        model = PrunePolicy
        fields: tuple[str, ...] = (
            "id", "engine", "name", "kinds", "older_days", "keep_tags", "keep", "only_over", "every", "hour", "enabled",
            "problem", "next_at", "looked_at", "looked", "made_by", "created_at", "url",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class PruneRunRow(serializers.Serializer):
    """One run. ``freed`` and ``removed`` are null until it has succeeded; ``skipped``: what stayed, and why."""

    operation = serializers.UUIDField(source="operation.pk")
    state = serializers.CharField(source="operation.state")
    created_at = serializers.DateTimeField(source="operation.created_at")
    frees = serializers.IntegerField()
    freed = serializers.IntegerField(allow_null=True)
    removed = serializers.IntegerField(allow_null=True)
    skipped = serializers.ListField(child=serializers.DictField())


class PrunePolicyAnswer(PrunePolicyRow):
    """One, with its last runs, the newest first."""

    runs = serializers.SerializerMethodField()

    class Meta(PrunePolicyRow.Meta):
        fields = (*PrunePolicyRow.Meta.fields, "runs")
        read_only_fields = fields

    @extend_schema_field(PruneRunRow(many=True))
    def get_runs(self, row: PrunePolicy) -> list[dict[str, Any]]:
        return list(PruneRunRow(prune_policies.runs(row), many=True).data)


class PrunePolicyWish(Body):
    """What is left out stays; ``older_days``, ``keep_tags`` and ``only_over`` (bytes) null are no such rule.

    ``keep``: names as ``web-*``, or ``label=key`` and ``label=key=value``.
    """

    name = Text(required=False, max_length=60)
    kinds = serializers.ListField(child=serializers.ChoiceField(list(KINDS)), required=False)
    older_days = Integer(required=False, allow_null=True)
    keep_tags = Integer(required=False, allow_null=True)
    keep = serializers.ListField(child=Text(max_length=255), required=False)
    only_over = Integer(required=False, allow_null=True)
    every = serializers.ChoiceField(PrunePolicy.Every.choices, required=False)
    hour = Integer(required=False)
    enabled = Boolean(required=False)


class NewPrunePolicy(PrunePolicyWish):
    """``engine``: where there are several."""

    engine = serializers.UUIDField(required=False)


class PolicyList(Listing):
    """What is cleaned up by itself; site administrators alone. ``POST`` makes one."""

    permission = {"GET": prune_policies.PERMISSION, "POST": prune_policies.PERMISSION}
    serializer_class = PrunePolicyRow
    filterset_class = PrunePolicyFilter
    ordering_fields = {"created_at": "created_at", "name": "name", "next_at": "next_at"}
    ordering = ("name",)

    def get_queryset(self) -> QuerySet[PrunePolicy]:
        return prune_policies.visible(self.actor)

    @extend_schema(request=NewPrunePolicy, responses={201: PrunePolicyRow})
    def post(self, request: Request) -> Response:
        wish = body(request, NewPrunePolicy)
        prune_policies.allowed(self.actor, wish.get("name", ""))
        engine = services.chosen_engine(engine_of(wish))
        wish.pop("engine", None)
        row = prune_policies.save(prune_policies.wished(wish, engine), actor=self.actor)
        return Response(PrunePolicyRow(row, context={"request": request}).data, 201)


class PolicyDetail(Versioned, View):
    """One policy. Who changes it is from then on the one it acts for; ``DELETE`` ends it, its runs stay."""

    permission = dict.fromkeys(("GET", "PATCH", "DELETE"), prune_policies.PERMISSION)
    http_method_names = ["get", "patch", "delete", "head"]

    @extend_schema(responses=PrunePolicyAnswer)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(prune_policies.visible(self.actor), pk)
        return Response(PrunePolicyAnswer(row, context={"request": request}).data)

    @extend_schema(request=PrunePolicyWish, responses=PrunePolicyRow)
    def patch(self, request: Request, pk: UUID) -> Response:
        row = self.object(prune_policies.visible(self.actor), pk)
        row = prune_policies.wished(body(request, PrunePolicyWish), row.engine, row=row)
        return Response(
            PrunePolicyRow(prune_policies.save(row, actor=self.actor), context={"request": request}).data
        )

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        prune_policies.drop(self.object(prune_policies.visible(self.actor), pk), actor=self.actor)
        return Response(status=204)


class PrunePolicyPlan(PruneAnswer):
    """``waits``: why nothing goes now although there may be something, empty where its time has come."""

    waits = serializers.CharField()


class PolicyPlan(View):
    """What it would do now, frozen: ``POST …/run/`` with the plan's ``id`` removes exactly that."""

    permission = prune_policies.PERMISSION

    @extend_schema(responses=PrunePolicyPlan)
    def get(self, request: Request, pk: UUID) -> Response:
        row = self.object(prune_policies.visible(self.actor), pk)
        plan, found = prune_policies.look(row, actor=self.actor)
        return Response({**answer(plan), "waits": prune_plans.waits(row, found)})


class PruneRunWish(Body):
    """``plan``: of ``GET …/plan/``; without, one is made now and used at once."""

    plan = serializers.UUIDField(required=False)


class PolicyRun(Previews):
    """Carries it out now, whatever its schedule says, in the name of who asks."""

    permission = prune_policies.PERMISSION

    @extend_schema(request=PruneRunWish, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        row = self.object(prune_policies.visible(self.actor), pk)
        plan = body(request, PruneRunWish).get("plan")
        key = idempotency_key(request)
        return accepted(request, prune_policies.run(row, actor=self.actor, plan=plan, idempotency_key=key))
