"""A container's output as it comes, for programs: the same ring that the log page reads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from channels.db import database_sync_to_async
from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.request import Request

from accounts.access import address_of, can
from containers_app.api.lines import Line, stamp
from containers_app.models import Container
from operations.api.answers import ndjson, wants_ndjson
from operations.sockets import RECHECK, actor_by
from streams import hub
from streams.feed import Step

Encode = Callable[[dict[str, Any]], str]
Wanted = Callable[[Line], bool]


@dataclass(frozen=True, slots=True)
class Caller:
    """By what somebody opened the door, to be tried again while they stay."""

    credential: tuple[str, str]
    ip: str | None

    @classmethod
    def of(cls, request: HttpRequest) -> Caller:
        header = request.headers.get("Authorization")
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        return cls(("bearer", header) if header else ("session", cookie), address_of(request))

    def may_still(self, row: Container) -> bool:
        """Whether they would be let in now. Blocking."""
        actor = actor_by(self.credential, self.ip)
        owner = Container.objects.filter(pk=row.pk).only("team_id").first()
        return actor is not None and owner is not None and can(actor, "container.logs", owner)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which lines. With a time, those from then on; else the last ``tail`` and what comes."""

    tail: int
    since_ns: int
    wanted: Wanted
    stamped: bool


def followed(request: Request, row: Container, wish: Wish) -> StreamingHttpResponse:
    """An answer that ends with the container, or when the caller goes or may no longer."""
    json = wants_ndjson(request)
    rows = _rows(row, Caller.of(request._request), wish)
    return StreamingHttpResponse(
        _encoded(rows, ndjson if json else _text),
        content_type="application/x-ndjson" if json else "text/plain; charset=utf-8",
        headers={"X-Accel-Buffering": "no"},
    )


async def _encoded(rows: AsyncGenerator[list[dict[str, Any]]], encode: Encode) -> AsyncIterator[bytes]:
    """One chunk a batch: what came together goes together."""
    async with contextlib.aclosing(rows):
        async for batch in rows:
            yield "".join(map(encode, batch)).encode()


async def _rows(row: Container, caller: Caller, wish: Wish) -> AsyncGenerator[list[dict[str, Any]]]:
    follower = await hub.get().follow(f"logs:{row.pk}", None, None if wish.since_ns else wish.tail)
    surplus, looked = follower.surplus, time.monotonic()
    try:
        while True:
            step: Step | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECHECK):
                    step = await follower.next()
            if time.monotonic() - looked >= RECHECK:
                if not await database_sync_to_async(caller.may_still)(row):
                    return
                looked = time.monotonic()
            if step is None:
                continue
            if step.state is not None:
                if _is_over(step.state):
                    return
                continue
            if step.missed or step.anew:
                yield [
                    {"gap": None if step.anew else step.missed, "cause": "restart" if step.anew else "load"}
                ]
            if note := step.entries[0].note:
                surplus = max(0, surplus - 1)
                yield [_hole(orjson.loads(note))]
                continue
            raw = orjson.loads("[" + ",".join(entry.frame for entry in step.entries) + "]")
            lines = [
                line
                for line in map(_line, raw[surplus:])
                if line.ts_ns >= wish.since_ns and wish.wanted(line)
            ]
            surplus = 0
            if lines:
                yield [line.row(stamped=wish.stamped) for line in lines]
    finally:
        await hub.get().unfollow(follower)


def _hole(note: dict[str, Any]) -> dict[str, Any]:
    times = {end: stamp(int(note[end])) for end in ("from", "to")}
    return {"gap": note["lines"], "cause": note["cause"], **times}


def _line(raw: list[Any]) -> Line:
    return Line(raw[0], raw[3], int(raw[2]), raw[4])


def _is_over(state: str) -> bool:
    """Whether nothing comes any more. ``AWAY`` and the rest pass by themselves."""
    return bool(state) and orjson.loads(state).get("state") == "ended"


def _text(row: dict[str, Any]) -> str:
    if "gap" in row:
        lost = "some" if row["gap"] is None else f"{row['gap']:,}"
        return f"[{lost} lines skipped: {row['cause']}]\n"
    return f"{row['line']}\n"
