"""REST of a container's output."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, timedelta
from uuid import UUID

from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.api.base import Problem, View, flag, number
from containers_app.api.follow import Wish, followed
from containers_app.api.lines import Line
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

    ``Slipway-Truncated: 1`` where there was more than fits: the newest lines are kept. ``follow=1`` goes on until
    the container ends; lines that were lost on the way are announced (``{gap, cause}``).
    """

    permission = "container.logs"
    takes = frozenset({"tail", "since", "until", "stream", "timestamps", "q", "regex", "follow"})

    @extend_schema(parameters=_PARAMETERS, responses=LINES)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = self.object(visible_containers(request), pk, "container.logs")
        if "regex" in request.query_params:
            raise Problem(400, "not_supported", "This version does not search by pattern.")
        tail = number(request, "tail", TAIL, least=1, most=MOST)
        since, until = moment(request, "since"), moment(request, "until")
        wanted, stamped = _wanted(request), flag(request, "timestamps")
        if flag(request, "follow"):
            if until:
                raise ValidationError({"until": ["This does not go with follow."]})
            return followed(request, row, Wish(tail, since, wanted, stamped))
        params = {"tail": tail, "since_ns": since, "until_ns": until}
        found = reads.read("container.logs", row, actor=self.actor, params=params, deadline=SECONDS)
        rows = (Line(seq, raw[0], int(raw[1]), raw[2]) for seq, raw in enumerate(found["lines"], 1))
        answer = lines(request, (line.row(stamped=stamped) for line in rows if wanted(line)))
        if found.get("cut"):
            answer["Slipway-Truncated"] = "1"
        return answer


def _wanted(request: Request) -> Callable[[Line], bool]:
    """``?stream=`` and ``?q=``. Numbers count all lines that were read, so that a gap shows a filter."""
    stream = request.query_params.get("stream") or "all"
    if stream not in STREAMS:
        raise ValidationError({"stream": [f"One of {', '.join(sorted(STREAMS))} is expected."]})
    numbers, text = STREAMS[stream], request.query_params.get("q", "").lower()
    return lambda line: line.stream in numbers and text in line.text.lower()


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
