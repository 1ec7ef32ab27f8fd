"""Kinds of operations that exist for one test only: they touch no engine, so that what is tested is the runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.access import Actor, person
from accounts.models import Team, User
from operations import registry, runner, services
from operations.models import Engine, Operation


@pytest.fixture
def engine(db: None) -> Engine:
    """A row alone: nobody answers at its address."""
    return Engine.objects.create(name="nowhere", endpoint="unix:///nowhere.sock")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner gets an engine that nothing is asked of."""
    monkeypatch.setattr(runner, "backend", lambda endpoint: object())


@pytest.fixture
def kind() -> Iterator[Callable[..., str]]:
    """``kind(run, **options)`` registers a kind for this test; its name."""
    made: list[str] = []

    def make(run: registry.Verb = lambda ctx: None, **options: Any) -> str:
        name = f"test.kind{len(made)}"
        registry.operation(
            name,
            **{
                "label": "Try",
                "doing": "Trying",
                "done": "Tried",
                "permission": "container.stop",
                **options,
            },
        )(run)
        made.append(name)
        return name

    yield make
    for name in made:
        del registry._kinds[name]


@pytest.fixture
def ask(engine: Engine, team: Team, bob: User) -> Callable[..., Operation]:
    """``ask(kind, **options)``: Bob of team blue asks for it."""

    def submit(kind: str, *, actor: Actor | None = None, lock: str = "thing:1", **options: Any) -> Operation:
        return services.submit(
            kind,
            actor=actor or person(bob, source="ui"),
            engine=engine,
            target=services.Target("container", "", "web", lock),
            team=team,
            **options,
        )

    return submit


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids that workers were woken with."""
    ids: list[str] = []

    def send(name: str, args: tuple[str, ...], **options: Any) -> None:
        assert (name, options["retry"]) == (services.TASK, False)
        ids.append(*args)

    monkeypatch.setattr(services.current_app, "send_task", send)
    return ids
