"""Searching the log history, newest lines first. The database alone is asked; bounded in time and in what is found."""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from containers_app.log_blocks import Line, literals, may_hold, places, text_of, unpack
from containers_app.models import KeptLog, LogBlock, LogGap
from containers_app.patterns import Unsearchable, compiled

LONGEST = 500
"""Characters of what is looked for."""

SECONDS = 2.0
MOST = 500
SHOWN = 4000
"""Characters of a line on a page."""

OVERLAP = 1000
"""Lines by which the blocks of one log may be out of order."""

_AT_ONCE = 50
_END = 2**63 - 1
_CURSOR = re.compile(r"([0-9]{1,19})-([0-9]{1,19})-([0-9]{1,10})", re.ASCII)
_CONTROL = re.compile(
    r"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)

Key = tuple[int, int, int]
"""Time, block and place in it: the order of all lines there are."""


class BadPattern(ValueError):
    """What was asked for cannot be; says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; times in nanoseconds, 0 for no bound, ``since_ns`` included and ``until_ns`` not.

    Without a text every line is found. ``before`` is where an earlier search has stopped.
    """

    text: str = ""
    regex: bool = False
    case: bool = False
    since_ns: int = 0
    until_ns: int = 0
    before: str = ""
    most: int = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that was found; ``log`` with its team and engine. ``text`` is whole."""

    log: KeptLog
    ts_ns: int
    stream: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """Hits from new to old. ``more`` is where to go on, empty where everything was looked at.

    ``reached_ns`` is how far back that was.
    """

    hits: list[Hit]
    more: str
    reached_ns: int


def search(logs: QuerySet[KeptLog], wish: Wish, *, seconds: float = SECONDS) -> Found:
    """Looks through these logs. Raises `BadPattern`.

    Ends with the time, but not before it has come further back than where it began.
    """
    matches, wanted = _matcher(wish)
    whole = _whole(wish)
    known = {log.pk: log for log in logs}
    start, ends = _start(wish), time.monotonic() + seconds
    heap: list[tuple[Key, Line, UUID]] = []
    hits: list[tuple[Key, Line, UUID]] = []
    for block in _blocks(known, wish, start):
        _settle(heap, hits, block.last_ns, wish.most)
        if len(hits) >= wish.most:
            return _found(hits, known, _text(hits[-1][0]))
        if time.monotonic() > ends and block.last_ns < start[0]:
            return _found(hits, known, _text((block.last_ns, _END, 0)))
        if not may_hold(bytes(block.words), wanted):
            continue
        for place, line in enumerate(_lines(block.pk, whole)):
            key = (line.ts_ns, block.pk, place)
            if key < start and line.ts_ns >= wish.since_ns and matches(line.text):
                heapq.heappush(heap, (_minus(key), line, block.log_id))
    _settle(heap, hits, -1, wish.most)
    return _found(hits, known, _text(hits[-1][0]) if heap else "")


def _minus(key: Key) -> Key:
    return -key[0], -key[1], -key[2]


def _settle(heap: list[Any], hits: list[Any], last_ns: int, most: int) -> None:
    """Moves what is newer than all blocks still to come."""
    while heap and len(hits) < most and -heap[0][0][0] > last_ns:
        key, line, log_id = heapq.heappop(heap)
        hits.append((_minus(key), line, log_id))


def _found(hits: list[Any], known: dict[UUID, KeptLog], more: str) -> Found:
    shown = [Hit(known[log_id], line.ts_ns, line.stream, _read(line)) for _, line, log_id in hits]
    return Found(shown, more, int(more.partition("-")[0]) if more else 0)


def _read(line: Line) -> str:
    return line.text.decode("utf-8", "replace")


def _text(key: Key) -> str:
    return "-".join(map(str, key))


def _start(wish: Wish) -> Key:
    until = wish.until_ns or _END
    if not wish.before:
        return until, 0, 0
    found = _CURSOR.fullmatch(wish.before)
    if not found or max(int(found[1]), int(found[2])) > _END:
        raise BadPattern(_("This is no place in a search."))
    return min((int(found[1]), int(found[2]), int(found[3])), (until, 0, 0))


def _blocks(logs: Iterable[UUID], wish: Wish, start: Key) -> Iterator[LogBlock]:
    """Blocks with their filters, newest first. Their data is left for `_lines`."""
    rows = LogBlock.objects.filter(log__in=list(logs), first_ns__lte=start[0], last_ns__gte=wish.since_ns)
    rows = rows.order_by("-last_ns", "-pk").defer("data")
    at: tuple[int, int] | None = None
    while True:
        some = list((rows if at is None else _behind(rows, at))[:_AT_ONCE])
        yield from some
        if len(some) < _AT_ONCE:
            return
        at = some[-1].last_ns, some[-1].pk


def _behind(rows: QuerySet[LogBlock], at: tuple[int, int]) -> QuerySet[LogBlock]:
    return rows.filter(last_ns__lte=at[0]).exclude(last_ns=at[0], pk__gte=at[1])


def _lines(pk: int, whole: Callable[[bytes], bool] | None = None) -> list[Line]:
    """Those of a block; none where ``whole`` says no of all its text."""
    data = bytes(LogBlock.objects.filter(pk=pk).values_list("data", flat=True).first() or b"")
    try:
        return unpack(data) if whole is None or whole(text_of(data)) else []
    except ValueError:
        return []


def _whole(wish: Wish) -> Callable[[bytes], bool] | None:
    """Whether a pattern matches anywhere in many lines: one look at a block costs a tenth of one at each line.

    Not for patterns that say where a text begins or ends, or that have flags of their own.
    """
    if not wish.regex or any(
        mark in wish.text.replace("(?:", "") for mark in ("\\A", "\\z", "\\Z", "\\Q", "(?")
    ):
        return None
    pattern = _compiled(replace(wish, text=f"(?m:{wish.text})"))
    return lambda text: pattern.search(text) is not None


def _matcher(wish: Wish) -> tuple[Callable[[bytes], bool], frozenset[int]]:
    """Whether a line is meant, and the bits that a block with one has."""
    if len(wish.text) > LONGEST:
        raise BadPattern(_("At most %(longest)s characters can be looked for.") % {"longest": LONGEST})
    if not wish.text:
        return lambda text: True, frozenset()
    if not wish.regex:
        wanted = places([wish.text])
        if wish.case:
            exact = wish.text.encode("utf-8", "replace")
            return lambda text: exact in text, wanted
        low = wish.text.casefold()
        return lambda text: low in text.decode("utf-8", "replace").casefold(), wanted
    pattern = _compiled(wish)
    return lambda text: pattern.search(text) is not None, places(literals(wish.text))


def _compiled(wish: Wish) -> Any:
    try:
        return compiled(wish.text, cased=wish.case)
    except Unsearchable as error:
        raise BadPattern(_("This is no regular expression: %(error)s.") % {"error": error}) from None


@dataclass(frozen=True, slots=True)
class Around:
    """Lines of one log in the order of time, with the gaps among them; ``older`` and ``newer``: there is more."""

    rows: list[Hit | LogGap]
    older: bool
    newer: bool


def around(log: KeptLog, at_ns: int, *, before: int = 100, after: int = 100) -> Around:
    """The lines before that time, and those from it on."""
    old, older = _side(log, at_ns, before, back=True)
    new, newer = _side(log, at_ns, after, back=False)
    lines = [*old, *new]
    if not lines:
        return Around(list(log.gaps.all()[:50]), older=False, newer=False)
    rows: list[Any] = [Hit(log, line.ts_ns, line.stream, _read(line)) for line in lines]
    near = log.gaps.filter(from_ns__lte=lines[-1].ts_ns, to_ns__gte=lines[0].ts_ns)[:500]
    rows += near
    # A gap begins with the last line before it.
    rows.sort(key=lambda row: (row.from_ns, 1) if isinstance(row, LogGap) else (row.ts_ns, 0))
    return Around(rows, older, newer)


def _side(log: KeptLog, at_ns: int, most: int, *, back: bool) -> tuple[list[Line], bool]:
    """The nearest lines on one side in the order of time, and whether there are more."""
    rows = LogBlock.objects.filter(log=log)
    blocks = (
        rows.filter(first_ns__lt=at_ns).order_by("-last_ns", "-pk")
        if back
        else rows.filter(last_ns__gte=at_ns).order_by("first_ns", "pk")
    )
    found: list[Line] = []
    for pk in blocks.values_list("pk", flat=True):
        found += [line for line in _lines(pk) if (line.ts_ns < at_ns) is back]
        if len(found) > most + OVERLAP:
            break
    found.sort(key=lambda line: line.ts_ns)
    return (found[-most:] if back else found[:most]), len(found) > most


Piece = tuple[str, bool]


def marker(wish: Wish) -> Callable[[str], list[Piece]]:
    """Cuts a line that was found into pieces: text, and whether it is what was looked for. Without colours of a
    terminal and other control characters."""
    low = wish.text if wish.case else wish.text.casefold()
    pattern = _compiled(wish) if wish.regex and wish.text else None

    def spans(text: str) -> Iterator[tuple[int, int]]:
        if pattern is not None:
            yield from (found.span() for found in pattern.finditer(text))
            return
        told = text if wish.case else text.casefold()
        if len(told) == len(text):
            at = told.find(low)
            while at >= 0:
                yield at, at + len(low)
                at = told.find(low, at + len(low))

    def cut(text: str) -> list[Piece]:
        text, pieces, at = plain(text), [], 0
        for begin, end in spans(text) if low else ():
            if end > begin >= at:
                pieces += [(text[at:begin], False), (text[begin:end], True)]
                at = end
        return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]

    return cut


def plain(text: str) -> str:
    """A line as it is shown: not longer than a page can bear, and without what a terminal would obey."""
    text = _CONTROL.sub("", text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
