"""All consoles of one engine, in the gateway that has its lease; and those that an earlier gateway has left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from uuid import UUID

import orjson
import redis.asyncio
from channels.db import database_sync_to_async
from django.conf import settings

from containers_app import consoles, recording
from containers_app.console_session import Session, end_processes, ring_name
from containers_app.models import ConsoleSession
from engine.base import EngineStreams
from streams.connection import LOST
from streams.ring import Overtaken, Writer

log = logging.getLogger(__name__)

SWEEP_EVERY = 15.0
_NAME = "console:"


class Consoles:
    """`tick` with what is wanted; `watch` while the engine answers."""

    def __init__(self, engine_id: UUID, streams: EngineStreams, connection: redis.asyncio.Redis) -> None:
        self._engine_id = engine_id
        self._streams = streams
        self._redis = connection
        self._open: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._refused: set[str] = set()

    async def tick(self, wanted: Iterable[str]) -> None:
        """Opens the sessions among what is wanted: each once, whoever else hears of it."""
        named = {name.removeprefix(_NAME) for name in wanted if name.startswith(_NAME)}
        self._refused &= named
        for id_ in named - self._open.keys() - self._refused:
            # Whatever happens: one look is enough. Ended ones are wanted for as long as somebody reads their end.
            self._refused.add(id_)
            try:
                found = await database_sync_to_async(consoles.claim)(UUID(id_), self._engine_id)
            except ValueError:
                continue
            except Exception:
                # A database that is away, a key that was changed: `watch` ends what nobody could open.
                log.exception("console %s could not be opened", id_)
                continue
            if found:
                session = Session(self._streams, self._redis, *found)
                self._open[id_] = session, asyncio.create_task(self._run(id_, session))

    async def _run(self, id_: str, session: Session) -> None:
        try:
            await session.run()
        except Exception:
            log.exception("console %s broke", id_)
        finally:
            self._open.pop(id_, None)

    async def watch(self) -> None:
        """Ends what nobody holds, now and every few seconds; takes old recordings away."""
        while True:
            try:
                mine = list(self._open)
                for row in await database_sync_to_async(consoles.orphans)(self._engine_id, mine):
                    await self._end(row)
                await asyncio.to_thread(recording.forget_old, settings.CONSOLE_KEEP_DAYS)
            except Exception:
                # What cannot be written now is no reason to leave the engine.
                log.exception("could not look after consoles that nobody holds")
            await asyncio.sleep(SWEEP_EVERY)

    async def _end(self, row: ConsoleSession) -> None:
        asked = row.state == ConsoleSession.State.ASKED
        left = (
            0 if asked or row.kind == ConsoleSession.Kind.ATTACH else await end_processes(self._streams, row)
        )
        if row.state == ConsoleSession.State.ENDED:
            if left is not None:
                await ConsoleSession.objects.filter(pk=row.pk).aupdate(left=left)
            return
        reason = "Nobody has opened it." if asked else "Slipway's gateway was started again."
        await database_sync_to_async(consoles.finish)(row.pk, outcome="failed", reason=reason, left=left)
        # Whoever still looks at it hears nothing from the one that has gone.
        writer, state = Writer(self._redis, ring_name(row.pk)), {"state": "ended", "detail": reason}
        with contextlib.suppress(Overtaken, *LOST):
            await writer.open()
            await writer.say(orjson.dumps(state).decode())

    async def close(self) -> None:
        """Ends all of them."""
        found = list(self._open.values())
        for session, _ in found:
            session.end("Slipway was stopped.")
        await asyncio.gather(*(task for _, task in found), return_exceptions=True)
