"""Asking for a change without asking for it: within `previewing` nothing is accepted. See `operations.plans`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operations.models import Operation


class Previewed(Exception):
    """The change would be accepted here; ``operation`` is the row that would be written."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(str(operation))
        self.operation = operation


_previews: ContextVar[bool] = ContextVar("previews", default=False)


@contextmanager
def previewing() -> Iterator[None]:
    """Within, `services.submit` accepts nothing: it raises `Previewed` where it would."""
    token = _previews.set(True)
    try:
        yield
    finally:
        _previews.reset(token)


def is_preview() -> bool:
    """Whether nothing may be changed now."""
    return _previews.get()
