"""Sockets of containers: /ws/logs/ follows what they write, /ws/stats/ what they use.

Logs: ``?container=<id>`` (up to 20), ``tail`` (lines of the past, default 1000), ``since`` (a time or a length such as
``15m``: lines from then on), ``after`` (``<id>:<epoch>:<seq>``, or ``<epoch>:<seq>`` for one container: what comes
behind that line). The server sends, each with its ``container``::

    {"type": "past", "lines": [[0, container, "ts_ns", stream, text], …]}
    {"type": "lines", "epoch": e, "seq": last, "lines": [[seq, container, "ts_ns", stream, text], …]}
    {"type": "gap", "seq": n, "lines": k | null, "cause": "load" | "restart"}
    {"type": "gap", "seq": n, "lines": k | null, "cause": "rotation" | "behind", "from": "ts_ns", "to": "ts_ns"}
    {"type": "state", "state": "following" | "ended" | "unreachable", "detail": "…"}

``stream`` is 1 (stdout) or 2 (stderr). More than 10,000 lines of the past, or such as are older than what is kept
for everybody, come first and without a number, as fast as they are taken and for this viewer alone. Numbers of one
epoch count lines without holes, so that what was skipped on the way (``load``) is announced with its exact size. What
the engine itself left out, because the log was rotated or because it was too fast, lies between two times (``null``:
perhaps some lines), and has a number of its own; where only reading the log again has shown it, it comes after lines
that are younger. After ``restart`` numbers begin again under another epoch and lines may come that were there before:
the time of a line, in its stream, tells them apart. Lines longer than 16,384 characters are cut here; REST has them
whole.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from channels.db import database_sync_to_async
from django.utils.dateparse import parse_datetime

from accounts import audit
from accounts.access import Actor, rank, why_not
from containers_app.models import Container
from containers_app.replay import MOST_LINES as MOST_PAST
from containers_app.replay import Past
from operations.sockets import Malformed, Socket
from streams import hub, stats
from streams.connection import LOST
from streams.credit import Credit
from streams.feed import AWAY, Step
from streams.pipe import Broken, receive
from streams.ring import MOST_LINES, Cursor, Entry

MOST_CONTAINERS = 20
USUAL_TAIL = 1000
RATE = 1_000_000
"""Characters a second that one viewer gets for long: what comes faster is skipped, and said to be."""
BURST = 4_000_000
_LENGTH = re.compile(r"([1-9][0-9]{0,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def refusal(actor: Actor, id_: str, permission: str) -> tuple[str, str] | None:
    """``None`` where the actor may look into this container, else code and sentence. Blocking."""
    row = Container.objects.filter(pk=id_).only("pk", "team_id", "name").first()
    if row is None:
        return "not_found", "No such container."
    reason = why_not(actor, permission, row)
    if reason is None:
        return None
    audit.record(
        permission, actor, outcome="denied", target_type="container", target_id=id_, target_name=row.name,
        team_id=row.team_id,
    )  # fmt: skip
    return ("forbidden", reason) if rank(actor, row.team_id) else ("not_found", "No such container.")


def refusals(actor: Actor, ids: list[str], permission: str) -> dict[str, tuple[str, str] | None]:
    """`refusal` for each, in one hop to a thread."""
    return {id_: refusal(actor, id_, permission) for id_ in ids}


class ContainerSocket(Socket):
    """A socket about some containers: foreign ones are refused one by one, rights are looked at again all the time."""

    known: ClassVar[set[str]] = {"container"}

    async def opened(self) -> None:
        self._containers: dict[str, asyncio.Task[None]] = {}
        try:
            query = parse_qs(
                self.scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=100
            )
            if not query.keys() <= self.known:
                raise Malformed(f"The address takes {', '.join(sorted(self.known))}.")
            ids = _containers(query.get("container", []))
            self.asked(query, ids)
        except (Malformed, ValueError) as error:
            await self.error(
                "invalid", str(error) if isinstance(error, Malformed) else "This address is malformed."
            )
            await self.end(4400)
            return
        answers = await database_sync_to_async(refusals)(self.actor, ids, self.permission)
        for id_, refused in answers.items():
            if refused:
                await self.error(*refused, container=id_)
        allowed = [id_ for id_ in ids if answers[id_] is None]
        if not allowed:
            hidden = any(refused and refused[0] == "not_found" for refused in answers.values())
            await self.end(4404 if hidden else 4403)
            return
        for id_ in allowed:
            self._containers[id_] = self.go(self.watch(id_))

    def asked(self, query: dict[str, list[str]], ids: list[str]) -> None:
        """Takes the rest of the address. Raises `Malformed`."""

    async def watch(self, id_: str) -> None:
        """Sends what there is to send about this container, for ever."""
        raise NotImplementedError

    async def rechecked(self) -> None:
        answers = await database_sync_to_async(refusals)(self.actor, list(self._containers), self.permission)
        lost = {id_: refused for id_, refused in answers.items() if refused}
        for id_ in lost:
            self._containers.pop(id_).cancel()
        gone = False
        for id_, refused in lost.items():
            gone = refused[0] == "not_found"
            await self.refuse(*refused, container=id_)
        if not self._containers:
            await self.end(4410 if gone else 4408)


class LogsConsumer(ContainerSocket):
    """One a log view."""

    permission = "container.logs"
    known: ClassVar[set[str]] = {"container", "tail", "since", "after"}

    def asked(self, query: dict[str, list[str]], ids: list[str]) -> None:
        self._tail = _tail(_one(query, "tail"))
        self._since = _since(_one(query, "since"))
        self._after = _after(query.get("after", []), ids)
        self._deep = bool(self._since) or self._tail > MOST_LINES
        self._credit = Credit(RATE, BURST)

    async def watch(self, id_: str) -> None:
        after = self._after.get(id_)
        # With a time, lines before it are cut off here; without one, all but the last are.
        follower = await hub.get().follow(f"logs:{id_}", after, None if self._deep else self._tail)
        try:
            cut: Callable[[list[Any]], bool] | None = None
            surplus, deep = follower.surplus, self._deep and not after
            if after:
                cut = lambda line: bool(line[0] > after.seq)  # noqa: E731
            elif self._since:
                cut = lambda line: int(line[2]) >= self._since  # noqa: E731
            while True:
                step = await follower.next()
                if step.state is not None:
                    await self._state(id_, step.state)
                    continue
                if step.anew or step.missed:
                    cut = cut if self._since else None
                    await self._gap(id_, step)
                if note := step.entries[0].note:
                    surplus = max(0, surplus - 1)
                    await self._hole(id_, step.entries[0].last, note)
                    continue
                if deep:
                    deep = False
                    await self._past(id_, step.entries[0])
                body = ",".join(entry.frame for entry in step.entries)
                if cut or surplus:
                    body, cut = _without(body, surplus, cut)
                    surplus = 0
                await self._lines(id_, step.entries[-1], body)
        finally:
            await hub.get().unfollow(follower)

    async def _lines(self, id_: str, last: Entry, body: str) -> None:
        if not body:
            return
        frame = (
            f'{{"type":"lines","container":"{id_}","epoch":{last.epoch},"seq":{last.last},"lines":[{body}]}}'
        )
        await self.put(frame)
        await self._credit.spend(len(frame))

    async def _past(self, id_: str, entry: Entry) -> None:
        """What is older than the ring, read for this viewer alone."""
        first = orjson.loads(f"[{entry.frame}]")[0]
        if self._since and int(first[2]) <= self._since:
            return
        past = str(Past.of(id_, tail=self._tail, since_ns=self._since, first=first))
        wanting = asyncio.create_task(hub.get().want_on(past))
        try:
            async with aclosing(receive(past)) as pieces:
                async for piece in pieces:
                    await self.put(f'{{"type":"past","container":"{id_}","lines":[{piece.decode()}]}}')
        except (Broken, *LOST):
            await self.say(
                {"type": "gap", "seq": entry.first - 1, "container": id_, "lines": None, "cause": "load"}
            )
        finally:
            wanting.cancel()

    async def _gap(self, id_: str, step: Step) -> None:
        first = step.entries[0].first
        gap = {"lines": None, "cause": "restart"} if step.anew else {"lines": step.missed, "cause": "load"}
        await self.say({"type": "gap", "seq": first - 1, "container": id_, **gap})

    async def _hole(self, id_: str, seq: int, note: str) -> None:
        await self.say({"type": "gap", "seq": seq, "container": id_, **orjson.loads(note)})

    async def _state(self, id_: str, state: str) -> None:
        if state == AWAY:
            said = {
                "state": "unreachable",
                "detail": "Slipway's own Redis does not answer; it goes on by itself.",
            }
        elif state:
            said = orjson.loads(state)
        else:
            return
        await self.say({"type": "state", "container": id_, **said})


class StatsConsumer(ContainerSocket):
    """Every reading of some containers, each a frame with the fields of `streams.stats` by name.

    ``{"type": "ended", "container": id, "time_ms": t}`` where one does not run any more; it may be started again.
    """

    permission = "container.read"
    FIELDS = (
        "container", "cpu", "memory", "memory_limit", "net_rx", "net_tx", "blk_read", "blk_write", "pids", "time_ms",
    )  # fmt: skip

    async def watch(self, id_: str) -> None:
        listener = hub.StatsListener([id_])
        await hub.get().watch_stats(listener)
        try:
            listener.put(await stats.alatest([id_]))
            while True:
                for row in await listener.next():
                    self._seq = getattr(self, "_seq", 0) + 1
                    named = dict(zip(self.FIELDS, row, strict=True))
                    if stats.is_end(row):
                        named = {"container": id_, "time_ms": row[-1]}
                    await self.say(
                        {"type": "ended" if stats.is_end(row) else "stats", "seq": self._seq, **named}
                    )
        finally:
            hub.get().unwatch_stats(listener)


def _without(
    body: str, surplus: int, keep: Callable[[list[Any]], bool] | None
) -> tuple[str, Callable[[list[Any]], bool] | None]:
    """The lines from the first that is kept on, and whether the next ones must still be looked at."""
    lines = orjson.loads(f"[{body}]")[surplus:]
    if keep:
        begin = next((i for i, line in enumerate(lines) if keep(line)), len(lines))
        lines = lines[begin:]
    return orjson.dumps(lines)[1:-1].decode(), None if lines else keep


def _one(query: dict[str, list[str]], name: str) -> str:
    values = query.get(name, [])
    if len(values) > 1:
        raise Malformed(f"{name} is given once.")
    return values[0] if values else ""


def _containers(values: list[str]) -> list[str]:
    if not 1 <= len(values) <= MOST_CONTAINERS:
        raise Malformed(f"From 1 to {MOST_CONTAINERS} containers are watched on one socket.")
    try:
        return list(dict.fromkeys(str(UUID(value)) for value in values))
    except ValueError:
        raise Malformed("container is the id of a container.") from None


def _tail(value: str) -> int:
    if not value:
        return USUAL_TAIL
    if not value.isascii() or not value.isdigit() or len(value) > 6 or int(value) > MOST_PAST:
        raise Malformed(f"tail is a number of lines from 0 to {MOST_PAST}.")
    return int(value)


def _since(value: str) -> int:
    """Nanoseconds since 1970, 0 for no such limit."""
    if not value:
        return 0
    if length := _LENGTH.fullmatch(value):
        ago = timedelta(**{_UNITS[length[2]]: int(length[1])})
        # By seconds: 999999d is before the year 1. What was written before 1970 was written by no container.
        return max(10**9, int((datetime.now(UTC).timestamp() - ago.total_seconds()) * 1e9))
    if value.isascii() and value.isdigit() and len(value) <= 19:
        # Seconds have ten digits until the year 2286, nanoseconds nineteen.
        return int(value) * (10**9 if len(value) <= 11 else 1)
    try:
        found = parse_datetime(value)
    except ValueError:
        found = None
    if found is None:
        raise Malformed("since is a time (2026-11-24T12:00:00Z) or a length (30s, 15m, 2h, 1d).")
    return max(10**9, int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e9))


def _after(values: list[str], ids: list[str]) -> dict[str, Cursor]:
    found = {}
    for value in values:
        id_, _, cursor = value.partition(":") if value.count(":") == 2 else (ids[0], "", value)
        if id_ not in ids or (value.count(":") == 1 and len(ids) > 1):
            raise Malformed("after is written <container>:<epoch>:<seq>.")
        try:
            found[id_] = Cursor.parse(cursor)
        except ValueError as error:
            raise Malformed(str(error)) from None
    return found
