"""One place a verb: its kind is the registry name, the permission, the audit verb, the metric and the docs row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.base import Engine as EngineBackend
from engine.types import Progress

if TYPE_CHECKING:
    from operations.models import Operation


class Context(Protocol):
    """What a verb has in its hands while it runs. Blocking; used from the worker's thread alone."""

    operation: Operation
    engine: EngineBackend
    params: Mapping[str, Any]
    """The operation's parameters with its sealed secrets put back. Read again from the database by the worker."""

    def emit(self, progress: Progress) -> None:
        """Progress, steps and log lines, to the rows and the open pages; batched, so call it freely."""

    def should_stop(self) -> bool:
        """True when somebody asked to cancel or the deadline has passed: stop and raise `engine.errors.Cancelled`."""

    def check_fence(self) -> None:
        """Raises when another worker has taken over: call it right before each change on the engine."""


Verb = Callable[[Context], Mapping[str, Any] | None]
"""Does the change and returns the operation's ``result``. Finds its own earlier attempt first where one may exist."""
Verify = Callable[[Context], bool | None]
"""After an answer was lost: true = it happened, false = it did not, ``None`` = cannot tell yet."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation. ``deadline`` in seconds; ``repeatable``: running it twice does no harm.

    ``label`` is what people read ("Stop"), ``doing`` while it runs ("Stopping"). ``after`` is called with the
    ended operation (whatever its state) to bring the rows up to date and ring the bells.
    """

    name: str
    label: str
    doing: str
    permission: str
    run: Verb
    deadline: float = 60
    repeatable: bool = False
    verify: Verify | None = None
    after: Callable[[Operation], None] | None = None


_kinds: dict[str, Kind] = {}


def operation(
    name: str,
    *,
    label: str,
    doing: str,
    permission: str | None = None,
    deadline: float = 60,
    repeatable: bool = False,
    verify: Verify | None = None,
    after: Callable[[Operation], None] | None = None,
) -> Callable[[Verb], Verb]:
    """Registers the decorated function as the verb of this kind."""

    def register(run: Verb) -> Verb:
        if name in _kinds:
            raise RuntimeError(f"operation kind {name!r} is registered twice")
        _kinds[name] = Kind(
            name, label, doing, permission or name, run, deadline, repeatable, verify, after
        )
        return run

    return register


def get(name: str) -> Kind:
    """The kind of that name; `LookupError` where there is none."""
    try:
        return _kinds[name]
    except KeyError:
        raise LookupError(f"no operation kind {name!r}") from None


def all_kinds() -> Mapping[str, Kind]:
    """Every registered kind by name."""
    return dict(_kinds)
