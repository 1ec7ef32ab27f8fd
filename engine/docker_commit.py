"""What a container is, as an image or as a tar: commit and export. Volumes are in neither; engines leave them out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from engine import names
from engine.base import ShouldStop
from engine.docker_calls import Calls
from engine.docker_map import mapping
from engine.docker_transport import Client
from engine.errors import EngineError, TooLarge
from engine.names import ImageReference

_PLAIN = {"Accept-Encoding": "identity"}


def commit(calls: Calls, native_id: str, target: ImageReference, message: str, deadline: float) -> str:
    """The new image's id. A container that runs is paused meanwhile, so that its files are of one moment."""

    def work(client: Client) -> Any:
        return client.commit(native_id, target.name, target.tag, message=message or None)

    made = mapping(calls.run(work, deadline=deadline, writes=True)).get("Id")
    if not names.is_image_id(made):
        raise EngineError("The engine has made an image and does not say which.")
    return str(made)


def export(
    calls: Calls, native_id: str, out: IO[bytes], *, most: int, should_stop: ShouldStop, deadline: float
) -> int:
    """Writes its whole file system as a tar, and returns the bytes of that. `TooLarge` beyond ``most``."""
    written = 0

    def work(client: Client) -> Iterator[bytes]:
        yield from client.open_stream("GET", f"/containers/{native_id}/export", {}, headers=_PLAIN)

    with calls.stream(work, deadline=deadline, should_stop=should_stop) as pieces:
        for piece in pieces:
            written += len(piece or b"")
            if written > most:
                raise TooLarge("Its file system holds more than what may be exported.", most=most)
            out.write(piece or b"")
    return written
