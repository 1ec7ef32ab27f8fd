"""What the OpenAPI document says of every change."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer

from operations.api.previews import PlanAnswer
from operations.api.rows import OperationRow

ACCEPTED = {
    202: OperationRow,
    200: PolymorphicProxySerializer("OperationOrPlan", [OperationRow, PlanAnswer], None),
}
KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body within 24 h: the same operation.",
)
PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=30`: seconds to wait for the end, then 200.",
)
DRY_RUN = OpenApiParameter(
    "dry_run",
    OpenApiTypes.BOOL,
    description="`1`: 200 and what it would do (`PlanAnswer`); nothing is done.",
)
CHANGE = [KEY, PREFER, DRY_RUN]
LINES = {(200, "text/plain"): OpenApiTypes.STR, (200, "application/x-ndjson"): OpenApiTypes.STR}
AFTER = OpenApiParameter("after", OpenApiTypes.INT, description="Only lines with a higher number.")


def option(name: str, description: str = "") -> OpenApiParameter:
    """``?name=1`` on a change."""
    return OpenApiParameter(name, OpenApiTypes.BOOL, description=description)


FOREVER = option("forever", "Removes for good: not into the trash.")
