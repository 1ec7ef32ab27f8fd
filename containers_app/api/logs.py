"""REST of a container's output."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts.api.base import View, flag, number
from containers_app.api.follow import Caller, Wish, followed
from containers_app.api.lines import Line, stamp
from containers_app.api.views import visible_containers
from containers_app.models import Container
from containers_app.patterns import Search, Unsearchable
from operations import longreads, reads
from operations.api.answers import lines, ndjson, wants_ndjson
from operations.api.schema import LINES
from operations.refused import SEARCH, spend

SECONDS = 20.0
LONG = 75.0
"""Seconds after which a search or a download that says nothing counts as lost."""
TAIL, MOST = 1000, 10_000
MOST_FOUND = 2000
MOST_CONTEXT = 2000
LOOK = 4.0
"""Seconds between two looks whether who searches still may."""
STREAMS = {"all": (1, 2), "stdout": (1,), "stderr": (2,)}
_SECONDS = re.compile(r"([^.]*)(?:\.([0-9]{1,9}))?(.*)", re.ASCII | re.DOTALL)
_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _parameter(
    name: str, description: str = "", kind: Any = OpenApiTypes.STR, **more: Any
) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=description, **more)


_MATCH = [
    _parameter("since", "RFC 3339, seconds since 1970, or ago: `10m`, `2h`."),
    _parameter("until", "As `since`."),
    _parameter("stream", enum=sorted(STREAMS)),
    _parameter(
        "q", "Only lines that hold this text, in upper or lower case. All that the engine holds is searched."
    ),
    _parameter("regex", "`q` is a pattern of RE2.", OpenApiTypes.BOOL),
    _parameter("cased", "Upper and lower case are told apart.", OpenApiTypes.BOOL),
    _parameter("whole", "`q` stands between other words, not in one.", OpenApiTypes.BOOL),
]
_PARAMETERS = [
    _parameter(
        "tail",
        f"The last so many lines, {TAIL} where not given; of those that match.",
        OpenApiTypes.INT,
    ),
    *_MATCH,
    _parameter(
        "at",
        "A time: the lines around it, `context` before and as many from it on. Stands alone.",
    ),
    _parameter("context", f"Lines on each side of `at`, 1 to {MOST_CONTEXT}.", OpenApiTypes.INT),
    _parameter("timestamps", "Begins lines of plain text with their time.", OpenApiTypes.BOOL),
    _parameter("all", "Everything that the engine holds, not only the last lines.", OpenApiTypes.BOOL),
    _parameter("follow", "Goes on until the container ends.", OpenApiTypes.BOOL),
]
_MATCHES = frozenset({"since", "until", "stream", "q", "regex", "cased", "whole"})


class ContainerLogs(View):
    """What a container has written, oldest first: text, or NDJSON ``{seq, ts, stream, line}`` where Accept asks.

    ``Slipway-Truncated: 1`` where there was more than fits: the newest lines are kept. With ``q`` all that the engine
    holds is searched, within a minute: ``Slipway-Searched`` counts the lines, ``Slipway-Stopped`` (``time``, ``size``)
    says that newer ones were not looked at. ``all=1`` gives everything as it is read. ``follow=1`` goes on until the
    container ends; lines that were lost on the way are announced (``{gap, cause}``).
    """

    permission = "container.logs"
    takes = _MATCHES | {"tail", "timestamps", "follow", "at", "context", "all"}

    @extend_schema(parameters=_PARAMETERS, responses=LINES)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = self.object(visible_containers(request), pk, "container.logs")
        tail = number(request, "tail", TAIL, least=1, most=MOST)
        asked, stamped = _asked(request), flag(request, "timestamps")
        if flag(request, "follow"):
            if asked.until:
                raise ValidationError({"until": [_("This does not go with follow.")]})
            return followed(request, row, Wish(tail, asked.since, asked.wanted(), stamped))
        if flag(request, "all"):
            return self._all(request, row, asked, stamped)
        if asked.search.q:
            return self._found(request, row, asked, tail, stamped)
        params = {"tail": tail, "since_ns": asked.since, "until_ns": asked.until, **_around(request)}
        found = reads.read("container.logs", row, actor=self.actor, params=params, deadline=SECONDS)
        answer = lines(request, _rows(found["lines"], asked.wanted(), stamped))
        if found.get("cut"):
            answer["Slipway-Truncated"] = "1"
        return answer

    def _found(
        self, request: Request, row: Container, asked: Asked, tail: int, stamped: bool
    ) -> HttpResponseBase:
        spend(SEARCH, self.actor)
        params = {**asked.params(), "most": tail}
        raw: list[list[Any]] = []
        end: dict[str, Any] = {}
        for piece in longreads.begin("container.search", row, actor=self.actor, params=params, deadline=LONG):
            raw += piece.get("lines", ())
            end = piece
        answer = lines(request, _rows(raw, lambda line: True, stamped))
        answer["Slipway-Searched"] = str(end.get("searched", 0))
        if end.get("matches", 0) > len(raw):
            answer["Slipway-Truncated"] = "1"
        if end.get("stopped"):
            answer["Slipway-Stopped"] = end["stopped"]
        return answer

    def _all(self, request: Request, row: Container, asked: Asked, stamped: bool) -> HttpResponseBase:
        flow = longreads.begin("container.log", row, actor=self.actor, params=asked.params(), deadline=LONG)
        json = wants_ndjson(request)

        async def body() -> AsyncIterator[bytes]:
            seq = 0
            async for piece in watched(flow, row, Caller.of(request._request)):
                rows = list(_rows(piece.get("lines", ()), lambda line: True, stamped, after=seq))
                seq += len(rows)
                if piece.get("stopped"):
                    rows.append({"line": f"[not read to the end: {piece['stopped']}]"})
                yield "".join(ndjson(one) if json else f"{one['line']}\n" for one in rows).encode()

        return _streamed(body(), "application/x-ndjson" if json else "text/plain; charset=utf-8")


class ContainerLogSearch(View):
    """Searches all that the engine holds of a container's output, and tells how far it is: NDJSON.

    First come ``{searched, matches}`` twice a second; then the newest lines that match, oldest of them first, each
    ``{seq, ts, stream, line}``; the last object is ``{searched, matches, kept, stopped, last}``: ``stopped`` is empty,
    or ``time`` (a minute) or ``size`` (2 GiB), and lines after ``last`` were not looked at.
    """

    permission = "container.logs"
    takes = _MATCHES | {"most"}

    @extend_schema(
        parameters=[
            *_MATCH,
            _parameter("most", f"Lines that are given, {MOST_FOUND} at most.", OpenApiTypes.INT),
        ],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = self.object(visible_containers(request), pk, "container.logs")
        asked = _asked(request)
        if not asked.search.q:
            raise ValidationError({"q": [_("What is searched for?")]})
        spend(SEARCH, self.actor)
        params = {**asked.params(), "most": number(request, "most", MOST_FOUND, least=1, most=MOST_FOUND)}
        flow = longreads.begin("container.search", row, actor=self.actor, params=params, deadline=LONG)

        async def body() -> AsyncIterator[bytes]:
            seq = 0
            async for piece in watched(flow, row, Caller.of(request._request)):
                if "lines" in piece:
                    rows = list(_rows(piece["lines"], lambda line: True, stamped=False, after=seq))
                    seq += len(rows)
                    yield "".join(map(ndjson, rows)).encode()
                    continue
                if "last_ns" in piece:
                    last = piece.pop("last_ns")
                    piece["last"] = stamp(int(last)) if last else ""
                yield ndjson(piece).encode()

        return _streamed(body(), "application/x-ndjson")


def _streamed(body: AsyncIterator[bytes], kind: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(body, content_type=kind, headers={"X-Accel-Buffering": "no"})


async def watched(flow: longreads.Flow, row: Container, caller: Caller) -> AsyncGenerator[dict[str, Any]]:
    """The pieces, as long as the caller may have them."""
    looked = time.monotonic()
    async with contextlib.aclosing(flow.pieces()) as pieces:
        async for piece in pieces:
            if time.monotonic() - looked > LOOK:
                if not await database_sync_to_async(caller.may_still)(row):
                    return
                looked = time.monotonic()
            yield piece


def _rows(
    raw: Iterable[list[Any]], wanted: Callable[[Line], bool], stamped: bool, *, after: int = 0
) -> Iterator[dict[str, Any]]:
    """Numbers count all lines that were read, so that a gap shows a filter."""
    for seq, (stream, ts_ns, text) in enumerate(raw, after + 1):
        line = Line(seq, stream, int(ts_ns), text)
        if wanted(line):
            yield line.row(stamped=stamped)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines."""

    search: Search
    streams: tuple[int, ...]
    since: int
    until: int

    def params(self) -> dict[str, Any]:
        """For the readers in the worker."""
        return {
            **self.search.to_dict(),
            "streams": self.streams,
            "since_ns": self.since,
            "until_ns": self.until,
        }

    def wanted(self) -> Callable[[Line], bool]:
        """The same question to one line here."""
        matches = self.search.matcher()
        return lambda line: line.stream in self.streams and matches(line.text)


def _asked(request: Request) -> Asked:
    stream = request.query_params.get("stream") or "all"
    if stream not in STREAMS:
        raise ValidationError(
            {"stream": [_("One of %(names)s is expected.") % {"names": ", ".join(sorted(STREAMS))}]}
        )
    search = Search(
        request.query_params.get("q", ""),
        flag(request, "regex"),
        flag(request, "cased"),
        flag(request, "whole"),
    )
    if not search.q and (search.regex or search.cased or search.whole):
        raise ValidationError({"q": [_("What is searched for?")]})
    try:
        search.matcher()
    except Unsearchable as error:
        raise ValidationError({"q": [str(error)]}) from None
    return Asked(search, STREAMS[stream], moment(request, "since"), moment(request, "until"))


def _around(request: Request) -> dict[str, int]:
    at = moment(request, "at")
    if at and any(name in request.query_params for name in ("since", "until", "tail")):
        raise ValidationError({"at": [_("This goes with context alone.")]})
    return {"at_ns": at, "context": number(request, "context", 100, least=1, most=MOST_CONTEXT)} if at else {}


def moment(request: Request, name: str) -> int:
    """``?since=`` as nanoseconds since 1970, 0 where it is not there. Raises `ValidationError`."""
    text = request.query_params.get(name, "")
    if not text:
        return 0
    if ago := _AGO.fullmatch(text):
        # By seconds: 999999d is before the year 1. What was written before 1970 was written by no container.
        return max(1, int(time.time()) - int(ago[1]) * _UNITS[ago[2]]) * 10**9
    if re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,9})?", text, re.ASCII):
        seconds, _dot, fraction = text.partition(".")
        return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    # A plus sign in an address means a blank: 2026-01-01T00:00:00+01:00 arrives without it.
    whole, fraction, zone = _SECONDS.match(text).groups()  # type: ignore[union-attr]
    try:
        then_ = parse_datetime(whole + (zone or "").replace(" ", "+") if "T" in text else text)
    except ValueError:
        then_ = None
    if then_ is None:
        raise ValidationError(
            {name: [_("A time such as 2026-01-31T12:00:00Z, or ago such as 10m, is expected.")]}
        )
    since = int((then_ if then_.tzinfo else then_.replace(tzinfo=UTC)).timestamp())
    return max(1, since) * 10**9 + int((fraction or "").ljust(9, "0"))
