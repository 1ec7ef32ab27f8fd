"""REST of what scanners found in images."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Listing, Nothing, TeamSlug, View, body, flag, number
from engine.scan_reports import MOST_BYTES, SEVERITIES
from images_app import scans
from images_app.api.layers import cursor, link
from images_app.api.views import visible_images
from images_app.models import Image, Scan
from images_app.scan_verb import request_scan
from operations.api.answers import accepted, idempotency_key
from operations.api.previews import Previews
from operations.api.schema import ACCEPTED, CHANGE


class ScanRow(serializers.ModelSerializer):
    """What a scanner found, by severity. ``team`` brought it, for its own images; null: it counts for all teams."""

    team = TeamSlug()
    counts = serializers.DictField(child=serializers.IntegerField())
    fixable = serializers.DictField(child=serializers.IntegerField())

    class Meta:
        model = Scan
        fields: tuple[str, ...] = (
            "id", "digest", "team", "scanner", "version", "database_at", "scanned_at", "received_at", "counts",
            "fixable", "report", "actor_name", "by_worker",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields


class FoundRow(serializers.Serializer):
    """A weakness in a package; ``fixed`` is the version that mends it, or empty, ``link`` an https address or empty."""

    id = serializers.CharField()
    package = serializers.CharField()
    version = serializers.CharField()
    fixed = serializers.CharField()
    severity = serializers.ChoiceField(SEVERITIES)
    title = serializers.CharField()
    link = serializers.CharField()


class FoundAnswer(serializers.Serializer):
    """A page of them."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = FoundRow(many=True)


class Since(serializers.Serializer):
    """What is new and what is gone since the scan before."""

    scan = serializers.UUIDField()
    new = FoundRow(many=True)
    gone = FoundRow(many=True)


class ScanFullRow(ScanRow):
    """With what has changed ``since`` the scan before, at most 100 each way; null for the first."""

    since = serializers.SerializerMethodField()

    class Meta(ScanRow.Meta):
        fields: tuple[str, ...] = (*ScanRow.Meta.fields, "since")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(Since(allow_null=True))
    def get_since(self, row: Scan) -> dict[str, Any] | None:
        change = scans.change(row, self.context["rows"])
        if change is None:
            return None
        new, gone = (FoundRow(some[:100], many=True).data for some in (change.new, change.gone))
        return {"scan": str(change.before.pk), "new": new, "gone": gone}


class ImageScans(Listing):
    """Scans of an image, the newest first. ``POST`` brings a report of Trivy, of Grype or in CycloneDX: the body is
    the report as it is. The same one twice is one scan (200)."""

    permission = {"GET": "image.read", "POST": "image.report"}
    serializer_class = ScanRow
    queryset = Scan.objects.none()
    ordering_fields = {"scanned_at": "scanned_at"}
    ordering = ("-scanned_at",)

    def get_queryset(self) -> QuerySet[Scan]:
        return scans.of_image(self._image()).defer("data")

    def _image(self) -> Image:
        found: Image = self.object(visible_images(self.actor), self.kwargs["pk"])
        return found

    @extend_schema(request={"application/json": OpenApiTypes.OBJECT}, responses={200: ScanRow, 201: ScanRow})
    def post(self, request: Request, pk: UUID) -> Response:
        image = self._image()
        # Read as it comes: the report is judged as a whole, and is larger than other bodies.
        data = request._request.read(MOST_BYTES + 1)
        scan, new = scans.bring(image, data, actor=self.actor)
        return Response(ScanRow(scan).data, 201 if new else 200)


class ImageScan(Previews):
    """Has the worker scan the image, where `SLIPWAY_SCANNER` names a scanner: an operation; 409 where none is named."""

    permission = "image.scan"

    @extend_schema(request=Nothing, responses=ACCEPTED, parameters=CHANGE)
    def post(self, request: Request, pk: UUID) -> Response:
        image = self.object(visible_images(self.actor), pk)
        body(request, Nothing)
        operation = request_scan(image, actor=self.actor, idempotency_key=idempotency_key(request))
        return accepted(request, operation)


class ScanDetail(View):
    """One scan, and what has changed since the one before."""

    permission = "image.read"

    @extend_schema(responses=ScanFullRow)
    def get(self, request: Request, pk: UUID, scan: UUID) -> Response:
        rows = scans.of_image(self.object(visible_images(self.actor), pk))
        return Response(ScanFullRow(self.object(rows, scan), context={"rows": rows}).data)


class ScanFindings(View):
    """What a scan lists, the worst first. ``?severity=``, ``?q=`` words in ids, packages and titles, ``?fixable=1``."""

    permission = "image.read"
    takes = frozenset({"severity", "q", "fixable", "limit", "cursor"})

    @extend_schema(
        parameters=[
            OpenApiParameter("severity", OpenApiTypes.STR, enum=[*SEVERITIES]),
            OpenApiParameter("q", OpenApiTypes.STR),
            OpenApiParameter("fixable", OpenApiTypes.STR, description="1: a version mends it; 0: none does."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="50 where not given, at most 200."),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="From `next` of another page."),
        ],
        responses=FoundAnswer,
    )
    def get(self, request: Request, pk: UUID, scan: UUID) -> Response:
        row = self.object(scans.of_image(self.object(visible_images(self.actor), pk)), scan)
        severity = request.query_params.get("severity", "")
        if severity and severity not in SEVERITIES:
            said = _("One of %(names)s is expected.") % {"names": ", ".join(SEVERITIES)}
            raise ValidationError({"severity": [said]})
        limit, at = number(request, "limit", 50, least=1, most=200), cursor(request)[1]
        fixable = flag(request, "fixable") if request.query_params.get("fixable") else None
        some = scans.matching(
            scans.findings(row), severity=severity, q=request.query_params.get("q", ""), fixable=fixable
        )
        after = (0, at + limit) if len(some) > at + limit else None
        found = FoundRow(some[at : at + limit], many=True).data
        return Response({"next": link(request, after), "previous": None, "results": found})
