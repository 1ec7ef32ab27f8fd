"""Counts what was under way while which fault struck, how it ended, and how soon another worker took it over."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any
from uuid import UUID

from django.db import connection

from operations.models import Operation
from tests.faults.points import LATER, POINTS

MATRIX, STORM, DUEL = "faults-matrix", "faults-storm", "faults-duel"
"""Properties of a test, by which its numbers come to the end of the whole run."""
WORKER, WEB, REDIS, ENGINE = "worker killed", "web killed", "Redis emptied", "engine restarted"
LOST, CUT, HUNG = "answer lost", "connections cut", "engine hung"
FAULTS = (WORKER, WEB, REDIS, ENGINE, LOST, CUT, HUNG)


@dataclass(frozen=True)
class Strike:
    """One fault, from when to when. ``ids``: the operations it hit, where that is known better than by the time."""

    fault: str
    began: datetime
    ended: datetime
    ids: frozenset[UUID] | None = None

    def hit(self, row: Operation) -> bool:
        """Whether it was under way meanwhile; what waits in the queue is, as far as Redis goes."""
        if self.ids is not None:
            return row.pk in self.ids
        since = row.created_at if self.fault == REDIS else row.started_at
        return bool(since and row.finished_at) and since <= self.ended and row.finished_at >= self.began  # type: ignore[operator]


class Recoveries(threading.Thread):
    """Looks when what a killed worker held is claimed by another one."""

    def __init__(self) -> None:
        super().__init__(name="recoveries")
        self.seconds: list[float] = []
        self._waiting: dict[tuple[UUID, int], float] = {}
        self._over = threading.Event()

    def watch(self, held: Iterable[tuple[UUID, int]], since: float) -> None:
        """These, each with its fence, were held by one that was killed then."""
        self._waiting |= dict.fromkeys(held, since)

    def stop(self) -> None:
        self._over.set()
        self.join(30)

    def run(self) -> None:
        try:
            while not self._over.wait(0.1):
                self._look()
        finally:
            connection.close()

    def _look(self) -> None:
        waiting = dict(self._waiting)
        fences = dict(Operation.objects.filter(pk__in={pk for pk, _ in waiting}).values_list("pk", "fence"))
        for (pk, fence), since in waiting.items():
            if fences[pk] > fence:
                self.seconds.append(round(time.monotonic() - since, 1))
                del self._waiting[pk, fence]


def storm(
    seed: int,
    rows: Sequence[Operation],
    strikes: Sequence[Strike],
    recovered: Sequence[float],
    unanswered: Sequence[int],
) -> dict[str, Any]:
    """The numbers of one storm, plain enough to be sent from one process to another."""
    ends = [[row.kind, row.state if row.state == "succeeded" else row.error_code] for row in rows]
    hits = [
        [row.kind, fault, row.state]
        for row in rows
        for fault in FAULTS
        if any(strike.fault == fault and strike.hit(row) for strike in strikes)
    ]
    waited = [(row.started_at - row.created_at).total_seconds() for row in rows if row.started_at]
    return {
        "seed": seed, "ends": ends, "hits": hits, "strikes": [strike.fault for strike in strikes],
        "recovered": sorted(recovered), "waited": max(waited, default=0.0), "unanswered": list(unanswered),
        "seconds": max(r.finished_at for r in rows if r.finished_at).timestamp() - rows[0].created_at.timestamp(),
    }  # fmt: skip


def tables(said: Iterable[tuple[str, Any]]) -> list[tuple[str, list[str]]]:
    """Title and lines, in Markdown, of all that the tests have said."""
    said = list(said)
    found = []
    cells = [cell for name, value in said if name == MATRIX for cell in value]
    if cells:
        found.append(("workers killed at a point: how it ended, and its effects", _matrix(cells)))
    duels = [value for name, value in said if name == DUEL]
    if duels:
        head = ("wishes", "rounds", "carried out for one", "for the other", "refused with 409", "took")
        found.append(("two people at once on one container", _table(head, duels)))
    for name, value in said:
        if name == STORM:
            found.append((f"the storm with seed {value['seed']}", _storm(value)))
    return found


def _table(head: Collection[str], rows: Iterable[Collection[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _matrix(cells: Sequence[Sequence[str]]) -> list[str]:
    points = [point for point in (*POINTS, *LATER) if point in {cell[1] for cell in cells}]
    by = {(kind, point): how for kind, point, how in cells}
    kinds = dict.fromkeys(kind for kind, _, _ in cells)
    return _table(
        ["kind", *points],
        ([f"`{kind}`", *(by.get((kind, point), "–") for point in points)] for kind in kinds),
    )


def _cell(states: Sequence[str]) -> str:
    odd = ", ".join(f"{states.count(state)} {state}" for state in sorted({*states} - {"succeeded"}))
    return (f"{len(states)} ({odd})" if odd else str(len(states))) if states else "–"


def _storm(numbers: dict[str, Any]) -> list[str]:
    ends, hits, strikes = numbers["ends"], numbers["hits"], numbers["strikes"]
    kinds = sorted({kind for kind, _ in ends})

    def row(name: str, chosen: Collection[str]) -> list[str]:
        by_fault = [[state for kind, fault, state in hits if kind in chosen and fault == f] for f in FAULTS]
        return [name, _cell([end for kind, end in ends if kind in chosen]), *map(_cell, by_fault)]

    struck = ["times", "", *(str(strikes.count(fault)) for fault in FAULTS)]
    rows = [struck, *(row(f"`{kind}`", [kind]) for kind in kinds), row("all", kinds)]
    recovered = numbers["recovered"]
    again = (
        f"median {median(recovered):.1f} s, longest {recovered[-1]:.1f} s" if recovered else "none was held"
    )
    said = (
        f"{len(ends)} operations of {len(kinds)} kinds in {numbers['seconds']:.0f} s. {len(recovered)} were held by a"
        f" worker that was killed, and claimed again by another: {again}."
        f" The longest in the queue: {numbers['waited']:.1f} s. Web processes were killed with"
        f" {numbers['unanswered'][0]} requests under way, {numbers['unanswered'][1]} of which had been accepted: asked"
        " again with the same key, each of them was one operation."
    )
    return [*_table(["kind", "operations", *FAULTS], rows), "", said]
