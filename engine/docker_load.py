"""What an engine takes in from a tar, piece by piece, and lets go of what its builders keep."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from engine import names
from engine.base import Emit, ShouldStop, never
from engine.docker_calls import Calls
from engine.docker_errors import from_text, one_line
from engine.docker_map import Json, mapping
from engine.docker_text import text
from engine.docker_transport import Client, json_objects
from engine.types import Progress

MOST_SAID = 1000
_LOADED = re.compile(r"Loaded image(?: ID)?: (\S{1,300})")
_TAR = {"Content-Type": "application/x-tar"}


class Sent(io.RawIOBase):
    """A file on its way, which knows how far it is."""

    def __init__(self, inner: IO[bytes], size: int) -> None:
        self.inner, self.len, self.count = inner, size, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Like a file's."""
        data = self.inner.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def load(
    calls: Calls, data: IO[bytes], size: int, *, emit: Emit, should_stop: ShouldStop, deadline: float
) -> list[str]:
    """What the engine says that it has loaded: tags, and ids of what has none. Leaving cuts the connection."""
    sent, said = Sent(data, size), list[str]()

    def work(client: Client) -> Iterator[Json]:
        yield from json_objects(
            client.open_stream("POST", "/images/load", {"quiet": "1"}, headers=_TAR, data=sent)
        )

    with calls.stream(work, deadline=deadline, writes=True, should_stop=should_stop) as events:
        for event in events:
            if event is None:
                emit(Progress(min(sent.count, size), size, "bytes", "Handing it to the engine"))
                continue
            error = mapping(event.get("errorDetail")).get("message") or event.get("error")
            if error:
                raise from_text(text(error, 4096))
            line = one_line(text(event.get("stream"), 1024))
            if line and len(said) < MOST_SAID:
                emit(Progress(size, size, "bytes", line, (line,)))
                said += _LOADED.findall(line)
    return said


class DockerLoads:
    """The part of `engine.base.Engine` that takes images in, and build caches away."""

    _calls: Calls

    def prune_cache(self, native_id: str, *, deadline: float = 60) -> bool:
        """See `engine.base.Engine.prune_cache`. Engines take one id a call, as a pattern."""
        query = {"all": "1", "filters": json.dumps({"id": [f"^{names.cache_id(native_id)}$"]})}

        def work(client: Client) -> bytes:
            return b"".join(client.open_stream("POST", "/build/prune", query))

        said = mapping(json.loads(self._calls.run(work, deadline=deadline, writes=True) or b"{}"))
        return native_id in (said.get("CachesDeleted") or [])

    def load(
        self,
        data: IO[bytes],
        size: int,
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 3600,
    ) -> list[str]:
        """See `engine.base.Engine.load`."""
        return load(self._calls, data, size, emit=emit, should_stop=should_stop, deadline=deadline)
