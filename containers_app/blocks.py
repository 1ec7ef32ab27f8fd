"""Pure: figures over time as packed blocks, and how fine ones become coarse ones.

A block holds ``slots`` slots of ``step`` seconds, from a multiple of its length on: for each slot the average and the
most of each of `FIELDS`, as 32-bit floats, column after column, deflated. Seen: 5 bytes a slot of an idle container,
42 of one whose every figure changes all the time. A slot of which nothing is known holds no numbers. `BREAK` in the
slot behind a reading says that the container had ended, so that not even a short gap is drawn over.
"""

from __future__ import annotations

import math
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FIELDS = ("cpu", "memory", "net_rx", "net_tx", "blk_read", "blk_write", "pids")
WIDTH = len(FIELDS)
BREAK = math.inf
NOTHING = math.nan
VERSION = b"\x01"

HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Resolution:
    """How finely figures are kept: a slot of ``step`` seconds, ``slots`` a block, kept for ``kept`` seconds."""

    step: int
    slots: int
    kept: int

    @property
    def length(self) -> int:
        """Seconds of a block."""
        return self.step * self.slots

    def start(self, at: float) -> int:
        """When the block begins that holds that second."""
        return int(at) // self.length * self.length


RESOLUTIONS = (
    Resolution(15, 60, 2 * HOUR),
    Resolution(60, 60, 26 * HOUR),
    Resolution(900, 96, 8 * DAY),
    Resolution(3600, 168, 31 * DAY),
)
"""Each made of the one before."""

Values = Sequence[float]
"""One number for each of `FIELDS`; `NOTHING` where one is not known."""


@dataclass(slots=True)
class Slot:
    """What was seen in a slot: averages, and the most of each. ``at``: the second in which it begins."""

    at: float
    average: Values
    most: Values


class Block:
    """Slots in a row. ``start`` in seconds since 1970."""

    __slots__ = ("columns", "start", "step")

    def __init__(self, start: int, resolution: Resolution, columns: list[array[float]] | None = None) -> None:
        self.start, self.step = start, resolution.step
        self.columns = columns or [array("f", [NOTHING]) * resolution.slots for _ in range(2 * WIDTH)]

    def put(self, slot: Slot) -> None:
        """Writes a slot that lies in this block."""
        index = int(slot.at - self.start) // self.step
        for column, value in zip(self.columns, (*slot.average, *slot.most), strict=True):
            column[index] = value

    def put_break(self, at: int) -> None:
        """Says that what was before this slot had ended; no more where something is known of the slot."""
        index = (at - self.start) // self.step
        column = self.columns[0]
        if 0 <= index < len(column) and all(math.isnan(c[index]) for c in self.columns[:WIDTH]):
            column[index] = BREAK

    def __iter__(self) -> Iterator[Slot]:
        """Slots of which something is known, breaks among them."""
        for index, row in enumerate(zip(*self.columns, strict=True)):
            if any(not math.isnan(value) for value in row[:WIDTH]):
                yield Slot(self.start + index * self.step, row[:WIDTH], row[WIDTH:])

    def pack(self) -> bytes:
        """As it is kept."""
        return VERSION + zlib.compress(b"".join(_little(column).tobytes() for column in self.columns))

    @classmethod
    def unpack(cls, start: int, resolution: Resolution, data: bytes) -> Block:
        """Raises `ValueError` for what is no block of this resolution."""
        if not data.startswith(VERSION):
            raise ValueError("a block of another version")
        size = 4 * resolution.slots
        try:
            deflater = zlib.decompressobj()
            raw = deflater.decompress(data[1:], 2 * WIDTH * size + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(raw) != 2 * WIDTH * size:
            raise ValueError("a block of another length")
        columns = []
        for at in range(0, len(raw), size):
            column = array("f")
            column.frombytes(raw[at : at + size])
            columns.append(_little(column))
        return cls(start, resolution, columns)


def _little(column: array[float]) -> array[float]:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column


@dataclass(slots=True)
class Gathering:
    """A slot that is not over yet. Everything added counts by its weight, whatever it was an average of."""

    at: float
    sums: list[float] = field(default_factory=lambda: [0.0] * WIDTH)
    weights: list[float] = field(default_factory=lambda: [0.0] * WIDTH)
    most: list[float] = field(default_factory=lambda: [-math.inf] * WIDTH)

    def add(self, average: Values, most: Values, weight: float = 1) -> None:
        """More of the slot."""
        for index, (value, high) in enumerate(zip(average, most, strict=True)):
            if math.isfinite(value):
                self.sums[index] += value * weight
                self.weights[index] += weight
                self.most[index] = max(self.most[index], high)

    def slot(self) -> Slot | None:
        """What it comes to so far; ``None`` where nothing was added."""
        if not any(self.weights):
            return None
        pairs = zip(self.sums, self.weights, strict=True)
        average = [total / weight if weight else NOTHING for total, weight in pairs]
        most = [value if math.isfinite(value) else NOTHING for value in self.most]
        return Slot(self.at, average, most)


class Series:
    """All resolutions of one container, or of an engine's total, as they come to be. Times only grow."""

    def __init__(self) -> None:
        self._open: list[Gathering | None] = [None] * len(RESOLUTIONS)
        self._blocks: list[Block | None] = [None] * len(RESOLUTIONS)
        self._dirty: dict[tuple[int, int], Block] = {}

    def add(self, at: float, values: Values) -> None:
        """A reading at that second."""
        finest = self._open[0]
        slot = int(at) // RESOLUTIONS[0].step * RESOLUTIONS[0].step
        if finest is not None and finest.at != slot:
            self._over(finest)
            finest = None
        if finest is None:
            finest = self._open[0] = Gathering(slot)
        finest.add(values, values)

    def end(self, at: float) -> None:
        """What was read until now has ended."""
        if finest := self._open[0]:
            self._over(finest)
            self._open[0] = None
        for level, resolution in enumerate(RESOLUTIONS):
            if block := self._settled(level):
                block.put_break((int(at) // resolution.step + 1) * resolution.step)

    def known(self, blocks: Mapping[int, Block], now: float) -> None:
        """Goes on from the newest blocks that were kept: a resolution's step → block. For a fresh series alone."""
        for level, resolution in enumerate(RESOLUTIONS):
            block = blocks.get(resolution.step)
            if block is not None and block.start == resolution.start(now):
                self._blocks[level] = block
        for slot in self._blocks[0] or ():
            if slot.at == int(now) // RESOLUTIONS[0].step * RESOLUTIONS[0].step:
                open_again = self._open[0] = Gathering(slot.at)
                open_again.add(slot.average, slot.most)
        for level in range(1, len(RESOLUTIONS)):
            # The slot that was not over, out of finer ones.
            finer, step = RESOLUTIONS[level - 1].step, RESOLUTIONS[level].step
            begun = int(now) // step * step
            for slot in self._blocks[level - 1] or ():
                if slot.at >= begun:
                    self._gather(level, slot, finer / RESOLUTIONS[0].step)

    def take_dirty(self, *, coarse: bool = True) -> list[tuple[int, Block]]:
        """``(step, block)`` of what has changed since the last time, slots that are not over included.

        Without ``coarse``, of the two finest resolutions, and those blocks of the others that are full.
        """
        for level in range(len(RESOLUTIONS) if coarse else 2):
            self._settled(level)
        found = [(RESOLUTIONS[level].step, block) for (level, _), block in self._dirty.items()]
        self._dirty.clear()
        return found

    def put_back(self, blocks: Iterable[tuple[int, Block]]) -> None:
        """These could not be written: they are dirty still. At most two of each resolution."""
        levels = {resolution.step: level for level, resolution in enumerate(RESOLUTIONS)}
        for step, block in blocks:
            self._dirty.setdefault((levels[step], block.start), block)
        for level in levels.values():
            for gone in sorted(start for at, start in self._dirty if at == level)[:-2]:
                del self._dirty[level, gone]

    def _over(self, finest: Gathering) -> None:
        """The finest slot is over, and counts in all the others."""
        slot = finest.slot()
        self._settled(0)
        if slot is not None:
            for level in range(1, len(RESOLUTIONS)):
                self._gather(level, slot)

    def _gather(self, level: int, slot: Slot, weight: float = 1) -> None:
        step = RESOLUTIONS[level].step
        at = slot.at // step * step
        gathering = self._open[level]
        if gathering is not None and gathering.at != at:
            self._settled(level)
            gathering = None
        if gathering is None:
            gathering = self._open[level] = Gathering(at)
        gathering.add(slot.average, slot.most, weight)

    def _settled(self, level: int) -> Block | None:
        """The newest block, with what is known of the slot that is not over."""
        gathering, resolution = self._open[level], RESOLUTIONS[level]
        slot = gathering.slot() if gathering else None
        block = self._blocks[level]
        if slot is None:
            return block
        start = resolution.start(slot.at)
        if block is None or block.start != start:
            block = self._blocks[level] = Block(start, resolution)
        block.put(slot)
        self._dirty[level, start] = block
        return block


def rolled_up(slots: Iterable[Slot], step: int) -> list[Slot]:
    """The same slots, in order, as fewer of ``step`` seconds."""
    found: list[Slot] = []
    gathering: Gathering | None = None
    for slot in slots:
        at = slot.at // step * step
        if gathering is not None and gathering.at != at:
            found += filter(None, [gathering.slot()])
            gathering = None
        if slot.average[0] == BREAK:
            found += filter(None, [gathering.slot() if gathering else None])
            gathering = None
            found.append(slot)
            continue
        gathering = gathering or Gathering(at)
        gathering.add(slot.average, slot.most)
    return found + list(filter(None, [gathering.slot() if gathering else None]))
