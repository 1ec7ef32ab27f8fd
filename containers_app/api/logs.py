"""REST of a container's output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.api.base import Problem, View, flag, number
from containers_app.api.views import visible_containers
from operations import reads
from operations.api.answers import lines
from operations.api.schema import LINES

SECONDS = 20.0
TAIL, MOST = 1000, 10_000
STREAMS = {"all": (1, 2), "stdout": (1,), "stderr": (2,)}
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PARAMETERS = [
    OpenApiParameter(
        "tail", OpenApiTypes.INT, description=f"The last so many lines, {TAIL} where not given."
    ),
    OpenApiParameter(
        "since", OpenApiTypes.STR, description="RFC 3339, seconds since 1970, or ago: `10m`, `2h`."
    ),
    OpenApiParameter("until", OpenApiTypes.STR, description="As `since`."),
    OpenApiParameter("stream", OpenApiTypes.STR, enum=sorted(STREAMS)),
    OpenApiParameter(
        "timestamps", OpenApiTypes.BOOL, description="Begins lines of plain text with their time."
    ),
    OpenApiParameter(
        "q", OpenApiTypes.STR, description="Only lines that hold this text, in upper or lower case."
    ),
]


class ContainerLogs(View):
    """What a container has written, oldest first: text, or NDJSON ``{seq, ts, stream, line}`` where Accept asks.

    ``Slipway-Truncated: 1`` where there was more than fits: the newest lines are kept.
    """

    permission = "container.logs"
    takes = frozenset({"tail", "since", "until", "stream", "timestamps", "q", "regex", "follow"})

    @extend_schema(parameters=_PARAMETERS, responses=LINES)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = self.object(visible_containers(request), pk, "container.logs")
        if flag(request, "follow") or "regex" in request.query_params:
            raise Problem(
                400, "not_supported", "This version neither follows logs over REST nor searches by pattern."
            )
        stream = request.query_params.get("stream") or "all"
        if stream not in STREAMS:
            raise ValidationError({"stream": [f"One of {', '.join(sorted(STREAMS))} is expected."]})
        params = {
            "tail": number(request, "tail", TAIL, least=1, most=MOST),
            "since_ns": moment(request, "since"),
            "until_ns": moment(request, "until"),
        }
        found = reads.read("container.logs", row, actor=self.actor, params=params, deadline=SECONDS)
        rows = _chosen(found["lines"], STREAMS[stream], request.query_params.get("q", "").lower())
        if flag(request, "timestamps"):
            rows = ({**line, "line": f"{line['ts']} {line['line']}"} for line in rows)
        answer = lines(request, rows)
        if found.get("cut"):
            answer["Slipway-Truncated"] = "1"
        return answer


def moment(request: Request, name: str) -> int:
    """``?since=`` as nanoseconds since 1970, 0 where it is not there. Raises `ValidationError`."""
    text = request.query_params.get(name, "")
    if not text:
        return 0
    if ago := _AGO.fullmatch(text):
        then = timezone.now() - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        return int(then.timestamp()) * 10**9
    if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text, re.ASCII):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    try:
        # A plus sign in an address means a blank: 2026-01-01T00:00:00+01:00 arrives without it.
        then_ = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        then_ = None
    if then_ is None:
        raise ValidationError(
            {name: ["A time such as 2026-01-31T12:00:00Z, or ago such as 10m, is expected."]}
        )
    return int((then_ if then_.tzinfo else then_.replace(tzinfo=UTC)).timestamp() * 10**6) * 1000


def _chosen(found: list[list[Any]], streams: tuple[int, ...], text: str) -> Iterator[dict[str, Any]]:
    """``[stream, ts_ns, text]`` as rows; ``seq`` counts all lines that were read, so that a gap shows a filter."""
    for seq, (stream, ts_ns, line) in enumerate(found, 1):
        if stream in streams and text in line.lower():
            yield {
                "seq": seq,
                "ts": stamp(int(ts_ns)),
                "stream": "stderr" if stream == 2 else "stdout",
                "line": line,
            }


def stamp(ts_ns: int) -> str:
    """RFC 3339 with nanoseconds, which a `datetime` cannot hold."""
    seconds, fraction = divmod(ts_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
