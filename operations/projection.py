"""From an engine's facts to columns, for the `sync` of each app: what fits, what differs, which list is newer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import CharField, Model, Q
from django.utils import timezone

from engine import errors
from operations.models import Engine, Listing

T = TypeVar("T")

AT_ONCE = 4
"""Inspections in flight: more gain nothing on the engine's side."""
ROWS = 200
"""Rows written in one transaction: others write between two of them."""
_WRONG_CLOCK = timedelta(minutes=1)


@dataclass(slots=True)
class Report:
    """What a comparison with the engine found. ``seconds`` of wall clock."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    seconds: float = 0

    @property
    def quiet(self) -> bool:
        """Whether the rows were true already."""
        return not (self.added or self.changed or self.removed)


def newer(seen_at: datetime, seen: datetime) -> bool:
    """Whether a row was looked at after ``seen``. A time in the future is a clock that was put right since."""
    return seen < seen_at < timezone.now() + _WRONG_CLOCK


def listed(engine: Engine, kind: str, at: datetime) -> bool:
    """Takes note of a list asked for at that time, false where a newer one was written. Within the transaction
    that writes it: other writers of the same list wait for its end.
    """
    row, made = Listing.objects.get_or_create(engine=engine, kind=kind, defaults={"at": at})
    if made:
        return True
    older = Q(at__lt=at) | Q(at__gt=timezone.now() + _WRONG_CLOCK)
    return bool(Listing.objects.filter(older, pk=row.pk).update(at=at))


def fitted(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values cut to their columns' lengths: an engine may say anything, and some databases count."""
    return {name: _cut(model, name, value) for name, value in values.items()}


def differs(row: Model, values: Mapping[str, Any]) -> bool:
    """Whether writing these values would change the row."""
    return any(getattr(row, name) != value for name, value in values.items())


def inspected(ids: Collection[str], inspect: Callable[[str], T]) -> Iterator[tuple[str, T | None]]:
    """Each object as it is now, ``None`` for those that are gone; a few at once. Raises `errors.EngineError`."""

    def one(native_id: str) -> tuple[str, T | None]:
        try:
            return native_id, inspect(native_id)
        except errors.NotFound:
            return native_id, None

    if len(ids) < 3:
        yield from map(one, ids)
        return
    with ThreadPoolExecutor(AT_ONCE, "inspect") as pool:
        yield from pool.map(one, ids)


def chunks(items: Iterable[T], size: int = ROWS) -> Iterator[Sequence[T]]:
    """The items in lists of at most ``size``."""
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _cut(model: type[Model], name: str, value: Any) -> Any:
    field = model._meta.get_field(name)
    if isinstance(field, CharField) and isinstance(value, str) and field.max_length:
        return value[: field.max_length]
    return value
