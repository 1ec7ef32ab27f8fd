"""Log lines between two times, as one call that ends. Following is `engine.docker_streams`' business."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.docker_calls import Calls
from engine.docker_map import mapping
from engine.docker_transport import Client
from engine.errors import Invalid
from engine.logs import LogParser, since_text
from engine.types import LogLine

LARGEST_READ = 16 * 1024 * 1024
"""Bytes of lines with their times; what comes after is left out."""

MOST_LINES = 500_000


def parameters(tail: int | None, since_ns: int = 0, until_ns: int = 0) -> dict[str, str]:
    """The query of ``/logs``. ``tail`` always goes along: ``since`` alone reads a log from its very beginning.

    Engines count the tail first and look at the times then: they never give more than the last ``tail`` lines.
    """
    if (tail is not None and not 0 <= tail <= MOST_LINES) or since_ns < 0 or until_ns < 0:
        raise Invalid(f"The number of lines is from 0 to {MOST_LINES}, and times are not negative.")
    query = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": "all" if tail is None else str(tail)}
    if since_ns:
        query["since"] = since_text(since_ns)
    if until_ns:
        query["until"] = since_text(until_ns)
    return query


def read(
    calls: Calls, native_id: str, *, tail: int | None, since_ns: int, until_ns: int, deadline: float
) -> Iterator[LogLine]:
    """The lines, oldest first. Errors come when the first line is asked for."""
    query = parameters(tail, since_ns, until_ns)

    def work(client: Client) -> Iterator[list[LogLine]]:
        config = mapping(mapping(client.inspect_container(native_id)).get("Config"))
        parser = LogParser(tty=config.get("Tty") is True)
        size = 0
        for piece in client.open_stream("GET", f"/containers/{native_id}/logs", query):
            yield parser.feed(piece)
            size += len(piece)
            if tail is not None and size > LARGEST_READ:
                return
        yield parser.finish()

    return _lines(calls, work, deadline)


def _lines(
    calls: Calls, work: Callable[[Client], Iterator[list[LogLine]]], deadline: float
) -> Iterator[LogLine]:
    with calls.stream(work, deadline=deadline) as batches:
        for batch in batches:
            yield from batch or ()
