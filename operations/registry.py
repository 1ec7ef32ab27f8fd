"""One place a verb: its kind is the registry name, permission, audit verb, metric and docs row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from engine.base import Engine as EngineBackend
from engine.errors import Cancelled
from engine.types import Progress

if TYPE_CHECKING:
    from accounts.access import Actor
    from operations.models import Operation
    from operations.plans import Plan


class Context(Protocol):
    """What a verb has in its hands while it runs. Blocking; used from the worker's thread alone."""

    operation: Operation
    engine: EngineBackend
    params: Mapping[str, Any]
    """The operation's parameters, read again from the database, with its sealed secrets put back."""

    def emit(self, progress: Progress) -> None:
        """Progress, steps and log lines, to the rows and the open pages; batched, so call it freely.

        A progress with ``extra`` becomes a step event that holds ``extra`` and the counts.
        """

    def should_stop(self) -> bool:
        """True when somebody asked to cancel or the time is up: stop and raise `engine.errors.Cancelled`."""

    @property
    def remembered(self) -> Mapping[str, Any]:
        """What the first attempt has seen on the engine before it changed anything; empty where none got there."""

    def remember(self, **facts: Any) -> None:
        """Keeps such facts, for `Verify` to compare with; written before it returns. The first attempt's stay."""

    def check_fence(self) -> None:
        """Raises when another worker has taken over: call it right before each change on the engine."""


Verb = Callable[[Context], Mapping[str, Any] | None]
"""Does the change and returns the ``result``. Finds its own earlier attempt first where one may exist.

What it raises as `Cancelled` is how the operation ends: it says what the cancellation has left, see `leaving`.
"""
Verify = Callable[[Context], Mapping[str, Any] | bool | None]
"""After an answer was lost. True or a ``result``: it happened; false: it did not; ``None``: cannot tell yet.

One that answers false makes sure that it does not happen later either.
"""
After = Callable[[Context], None]
"""Brings the rows up to date before the operation says how it ended, so that whoever reads that end reads
true rows.

Called in the worker whatever the end; the engine may be away.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation. ``deadline`` in seconds; ``repeatable``: running it twice does no harm.

    ``label`` is what people read ("Stop"), ``doing`` while it runs ("Stopping"), ``done`` when it has ended well
    ("Stopped"); the last two have the target's name after them. ``again`` submits the same change anew where the
    parameters alone do not suffice (a build needs its files); it may raise
    `services.Refused`. ``plan`` says what it would do, from rows and at most one short look at the engine; see
    `operations.plans`. ``half`` puts right what an earlier attempt left half done, where it was cancelled or rights
    ended before another one began; a ``result`` means that it has happened all the same, and `Cancelled` says what is
    there now. ``expensive``: one may ask for few of them a minute (``SLIPWAY_EXPENSIVE_RATE``).
    """

    name: str
    label: str
    doing: str
    done: str
    permission: str
    run: Verb
    deadline: float = 60
    repeatable: bool = False
    verify: Verify | None = None
    after: After | None = None
    again: Callable[[Operation, Actor], Operation] | None = None
    plan: Callable[[Operation, Actor], Plan] | None = None
    half: Verify | None = None
    expensive: bool = False


@contextmanager
def leaving(words: str) -> Iterator[None]:
    """Where the engine's call within is cancelled: ``words`` say what is there then, as a sentence."""
    try:
        yield
    except Cancelled as error:
        raise Cancelled(f"Cancelled. {words}") from error


_kinds: dict[str, Kind] = {}
_targets: dict[str, Callable[[], Any]] = {}
_protectors: dict[str, Callable[[str, str, Actor], None]] = {}


def operation(
    name: str,
    *,
    label: str,
    doing: str,
    done: str,
    permission: str | None = None,
    deadline: float = 60,
    repeatable: bool = False,
    verify: Verify | None = None,
    after: After | None = None,
    again: Callable[[Operation, Actor], Operation] | None = None,
    plan: Callable[[Operation, Actor], Plan] | None = None,
    half: Verify | None = None,
    expensive: bool = False,
) -> Callable[[Verb], Verb]:
    """Registers the decorated function as the verb of this kind."""

    def register(run: Verb) -> Verb:
        if name in _kinds:
            raise RuntimeError(f"operation kind {name!r} is registered twice")
        _kinds[name] = Kind(
            name,
            label,
            doing,
            done,
            permission or name,
            run,
            deadline,
            repeatable,
            verify,
            after,
            again,
            plan,
            half,
            expensive,
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


_chores: list[tuple[float, Callable[[], object]]] = []


def every(seconds: float) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Registers something that each worker does so often. Several do it at once: who does a thing claims it first."""

    def register(chore: Callable[[], object]) -> Callable[[], object]:
        _chores.append((seconds, chore))
        return chore

    return register


def chores() -> list[tuple[float, Callable[[], object]]]:
    """Every registered one, with its seconds."""
    return list(_chores)


def target(type_: str, rows: Callable[[], Any]) -> None:
    """Says among which rows targets of this type are, so that rights are asked of the owner of today."""
    _targets[type_] = rows


def protect(type_: str, check: Callable[[str, str, Actor], None]) -> None:
    """Registers what is asked, with the kind and the target's id, before anything happens to targets of this type."""
    _protectors[type_] = check


def may_touch(kind: str, type_: str, id_: str, actor: Actor) -> None:
    """Raises `engine.errors.SelfProtected` where nothing of this kind may happen to it."""
    if id_ and type_ in _protectors:
        _protectors[type_](kind, id_, actor)


def find_target(type_: str, id_: str) -> Any:
    """The row that an operation or a read is about; ``None`` where it is gone or the type has no rows."""
    rows = _targets.get(type_)
    return rows().filter(pk=id_).first() if rows and id_ else None


def find_targets(type_: str, ids: Iterable[str]) -> dict[str, Any]:
    """The same for many of one type, by id and in one query; those that are gone are left out."""
    rows = _targets.get(type_)
    return {str(pk): row for pk, row in rows().in_bulk(list(ids)).items()} if rows else {}
