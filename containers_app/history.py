"""Figures of one engine's containers as they become rows: gathered in memory, written in batches.

Not more often than every minute, and whatever could not be written is written the next time. What is lost by a kill
is less than that minute; Redis has it for the first five minutes (`streams.stats.recent`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from uuid import UUID

from django.db.models import Q

from containers_app.blocks import NOTHING, RESOLUTIONS, Block, Series
from containers_app.models import StatsBlock
from streams.stats import Row

COARSE_EVERY = 5
"""Coarse blocks change little in a minute: they are written every so many times."""
_BATCH = 200


class History:
    """Of one engine. Everything but `load`, `write` and `prune` is fast, and theirs block on the database alone."""

    def __init__(self, engine_id: UUID, clock: Callable[[], float] = time.time) -> None:
        self._engine_id = engine_id
        self._clock = clock
        self._series: dict[str, Series] = {}
        self._ended: set[str] = set()
        self._flushes = 0

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Those to `load` before something is added."""
        return [id_ for id_ in ids if id_ not in self._series]

    def load(self, ids: Collection[str]) -> dict[str, dict[int, Block]]:
        """What is kept of these that is to go on, for `begin`. Blocking."""
        now = self._clock()
        newest = Q()
        for resolution in RESOLUTIONS:
            newest |= Q(step=resolution.step, start=resolution.start(now))
        found: dict[str, dict[int, Block]] = {id_: {} for id_ in ids}
        by_step = {resolution.step: resolution for resolution in RESOLUTIONS}
        rows = StatsBlock.objects.filter(newest, subject__in=ids)
        for subject, step, start, data in rows.values_list("subject", "step", "start", "data"):
            try:
                found[str(subject)][step] = Block.unpack(start, by_step[step], bytes(data))
            except ValueError:
                continue  # of another version: begun anew
        return found

    def begin(self, loaded: dict[str, dict[int, Block]]) -> None:
        """Goes on from there."""
        now = self._clock()
        for id_, blocks in loaded.items():
            if id_ not in self._series:
                self._series[id_] = Series()
                self._series[id_].known(blocks, now)

    def add(self, rows: Iterable[Row]) -> None:
        """Readings of containers that have begun."""
        for row in rows:
            self._ended.discard(row[0])
            self.add_values(row[0], row[9] / 1000, (row[1], row[2], *row[4:9]))

    def add_values(self, id_: str, at: float, values: Iterable[float | None]) -> None:
        """One reading: of `containers_app.blocks.FIELDS`, ``None`` where not known."""
        if series := self._series.get(id_):
            series.add(at, [NOTHING if value is None else value for value in values])

    def end(self, ids: Iterable[str], at: float) -> None:
        """These do not run any more. They are forgotten once they are written."""
        for id_ in ids:
            if series := self._series.get(id_):
                series.end(at)
                self._ended.add(id_)

    def take(self, *, everything: bool = False) -> dict[str, list[tuple[int, Block]]]:
        """What is to be written."""
        self._flushes += 1
        coarse = everything or self._flushes % COARSE_EVERY == 0
        found = {}
        for id_, series in self._series.items():
            if dirty := series.take_dirty(coarse=coarse or id_ in self._ended):
                found[id_] = dirty
        return found

    def write(self, taken: dict[str, list[tuple[int, Block]]]) -> int:
        """Writes it, and says how many rows that were. Blocking; raises what the database raises."""
        rows = [
            StatsBlock(
                engine_id=self._engine_id, subject=id_, step=step, start=block.start, data=block.pack()
            )
            for id_, blocks in taken.items()
            for step, block in blocks
        ]
        StatsBlock.objects.bulk_create(
            rows,
            batch_size=_BATCH,
            update_conflicts=True,
            unique_fields=["subject", "step", "start"],
            update_fields=["data"],
        )
        return len(rows)

    def written(self, taken: dict[str, list[tuple[int, Block]]]) -> None:
        """It is: those that have ended can be forgotten."""
        for id_ in self._ended & taken.keys():
            self._series.pop(id_, None)
        self._ended -= taken.keys()

    def put_back(self, taken: dict[str, list[tuple[int, Block]]]) -> None:
        """It is not: the next time."""
        for id_, blocks in taken.items():
            if series := self._series.get(id_):
                series.put_back(blocks)

    def prune(self) -> int:
        """Removes what is older than it is kept, and says how many rows that were. Blocking."""
        now, gone = self._clock(), 0
        for resolution in RESOLUTIONS:
            old = StatsBlock.objects.filter(
                engine_id=self._engine_id,
                step=resolution.step,
                start__lt=now - resolution.kept - resolution.length,
            )
            gone += old.delete()[0]
        return gone
