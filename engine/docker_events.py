"""Events of a Docker engine: filtered at the engine, cut to what may be kept, and never waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from engine import names
from engine.docker_http import Answer, parsed
from engine.docker_map import Json, mapping
from engine.docker_text import number, text
from engine.errors import EngineError, EventsLost, Unreachable
from engine.types import Event

MOST_WAITING = 4096
"""Events that wait for their reader. An engine keeps 256 to send again, and slows down for who reads slowly."""

LONGEST_EVENT = 4 * 1024 * 1024
"""Labels come along with each event, and can be large."""

TYPES = ("container", "image", "volume", "network", "daemon")
ACTIONS = (
    "commit",
    "connect",
    "create",
    "delete",
    "destroy",
    "die",
    "disconnect",
    "health_status",
    "import",
    "kill",
    "load",
    "oom",
    "pause",
    "prune",
    "pull",
    "reload",
    "remove",
    "rename",
    "restart",
    "start",
    "stop",
    "tag",
    "unpause",
    "untag",
    "update",
)
"""Left out at the engine: exec, top, attach and archive, nearly all of them health probes and none a change."""


def query(*, since: int) -> dict[str, str]:
    """``since`` in seconds of the engine's clock."""
    return {"since": str(since), "filters": json.dumps({"type": list(TYPES), "event": list(ACTIONS)})}


HEALTH = ("healthy", "unhealthy", "starting")
_SIGNALS = {
    f"SIG{name}": number for name, number in (("HUP", 1), ("INT", 2), ("QUIT", 3), ("KILL", 9), ("TERM", 15))
}


def event(data: Json) -> Event | None:
    """One of ours, or ``None`` for what is of no interest. The attributes hold every label: three are kept."""
    actor = mapping(data.get("Actor"))
    said = mapping(actor.get("Attributes"))
    kind = text(data.get("Type"), 32)
    # exec actions hold a whole command line behind the colon, passwords included
    action, _, rest = text(data.get("Action"), 4096).partition(":")
    action, word = action.strip(), rest.strip()
    native_id = text(actor.get("ID"), 512)
    if kind == "volume" and not native_id:  # Podman
        native_id = text(said.get("name"), 256)
    if kind not in TYPES or action not in ACTIONS:
        return None
    if kind == "container" and native_id and not names.is_container_id(native_id):
        return None
    time_ns = number(data.get("timeNano")) or number(data.get("time")) * 10**9
    return Event(
        kind,
        action,
        native_id,
        time_ns,
        name=text(said.get("name"), 256),
        health=word if action == "health_status" and word in HEALTH else "",
        exit_code=_small(said.get("exitCode", said.get("containerExitCode"))) if action == "die" else None,
        signal=_small(said.get("signal")) if action == "kill" else None,
    )


def _small(said: object) -> int | None:
    """A number of an attribute, which is text; ``None`` for anything that is no exit code and no signal."""
    word = text(said, 16)
    if word in _SIGNALS:
        return _SIGNALS[word]
    return int(word) if word.isascii() and word.isdigit() and int(word) < 2**31 else None


class EventReader:
    """Reads without pause into a bounded queue; when that is full, the rest is lost and that is said."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._queue: asyncio.Queue[Event | EngineError] = asyncio.Queue(MOST_WAITING + 1)

    async def run(self) -> None:
        """Ends by putting the reason into the queue."""
        try:
            await self._read()
            reason: EngineError = Unreachable("The engine ended its stream of events.")
        except EngineError as error:
            reason = error
        except ValueError:
            reason = Unreachable("The engine's stream of events makes no sense.")
        await self._queue.put(reason)

    async def _read(self) -> None:
        rest = b""
        async for piece in self._answer.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_EVENT:
                raise ValueError("an event is too long")
            for line in lines:
                found = event(mapping(parsed(line))) if line.strip() else None
                if found and self._queue.qsize() >= MOST_WAITING:
                    raise EventsLost("Events came faster than they were taken.")
                if found:
                    self._queue.put_nowait(found)

    async def events(self) -> AsyncIterator[Event]:
        while True:
            found = await self._queue.get()
            if isinstance(found, EngineError):
                raise found
            yield found
