"""The answer to a change that was accepted, the same for every verb, and the lines of logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import actor_of
from accounts.streaming import TextStream
from operations import plans, services
from operations.api.rows import OperationRow
from operations.models import Engine, Operation
from operations.previews import is_preview

LONGEST_WAIT = 300
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})", re.ASCII | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


def accepted(request: Request, operation: Operation) -> Response:
    """202 with the operation and its address; after ``Prefer: wait=n`` and its end, 200.

    Where a plan was asked for and the same change is on its way already, the plan that says so.
    """
    if is_preview():
        plan = plans.planned(operation, actor_of(request))
        plan.joins = str(operation.pk)
        return Response(plan.to_dict())
    asked = _WAIT.search(request.headers.get("Prefer", ""))
    headers = {"Location": f"/api/v1/operations/{operation.pk}/"}
    if asked:
        seconds = min(int(asked[1]), LONGEST_WAIT)
        headers["Preference-Applied"] = f"wait={seconds}"
        if not operation.ended:
            operation = services.wait(operation, seconds=seconds)
    data = OperationRow(operation, context={"request": request}).data
    return Response(data, 200 if asked and operation.ended else 202, headers=headers)


def idempotency_key(request: Request) -> str:
    """The caller's own name for this very request, empty where it has none."""
    key = request.headers.get("Idempotency-Key", "")
    if key and not _KEY.fullmatch(key):
        raise ValidationError({"Idempotency-Key": [_("1 to 200 printable ASCII characters are expected.")]})
    return key


def engine_of(body: Mapping[str, Any]) -> Engine | None:
    """The engine that a body names by its id; ``None`` where it names none."""
    value = body.get("engine")
    if value is None:
        return None
    known = isinstance(value, UUID) or _is_uuid(value)
    found = Engine.objects.filter(pk=value).first() if known else None
    if found is None:
        raise ValidationError({"engine": [_("No such engine.")]})
    return found


def lines(
    request: Request, rows: Iterable[Mapping[str, Any]], *, last: int | str | None = None
) -> TextStream:
    """Rows of ``{seq, …, line}`` as NDJSON where ``Accept`` asks for JSON lines, else as plain text."""
    headers = {"X-Accel-Buffering": "no"}
    if last is not None:
        headers["Slipway-Last-Seq"] = str(last)
    if wants_ndjson(request):
        return TextStream(map(ndjson, rows), content_type="application/x-ndjson", headers=headers)
    return TextStream(_text(rows), content_type="text/plain; charset=utf-8", headers=headers)


def wants_ndjson(request: Request) -> bool:
    """Whether the caller would rather have objects than text."""
    return "json" in request.headers.get("Accept", "").lower()


def ndjson(row: Mapping[str, Any]) -> str:
    """One object, one line."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _text(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['line']}\n"


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value.lower()) is not None
