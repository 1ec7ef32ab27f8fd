"""Operations of one batch: a step begins when those before it have ended, whoever is woken first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.access import SYSTEM, Actor
from accounts.models import Team, User
from operations import claims, services
from operations.batches import Batch
from operations.models import Engine, Operation
from tests.rows import make_engine


@pytest.fixture
def engine(db: None) -> Engine:
    return make_engine()


def ask(engine: Engine, team: Team, batch: Batch, name: str) -> Operation:
    target = services.Target("container", "", name, f"name:{name}")
    return services.submit(
        "container.run", actor=SYSTEM, engine=engine, target=target, team=team, params={}, batch=batch
    )


@pytest.fixture
def three(engine: Engine, team: Team) -> list[Operation]:
    """One of the first step, two of the second."""
    batch = Batch()
    first = ask(engine, team, batch, "db")
    batch.step = 1
    return [first, ask(engine, team, batch, "web"), ask(engine, team, batch, "worker")]


def test_a_later_step_is_not_claimed_before_the_earlier_has_ended(three: list[Operation]) -> None:
    first, second, third = three
    assert claims.claim(second.pk) is None
    assert claims.claim(first.pk) is not None
    assert claims.claim(second.pk) is None, "the first still runs"
    Operation.objects.filter(pk=first.pk).update(state="unknown")
    assert claims.claim(second.pk) is None, "nobody knows yet what became of the first"
    Operation.objects.filter(pk=first.pk).update(state="failed")
    assert claims.claim(third.pk) is not None
    assert claims.claim(second.pk) is not None, "those of one step go at once"


def test_operations_of_other_batches_do_not_wait(engine: Engine, team: Team, three: list[Operation]) -> None:
    later = Batch(step=5)
    assert claims.claim(ask(engine, team, later, "other").pk) is not None


def test_the_sweeper_sends_only_what_is_due(three: list[Operation], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(services, "dispatch", sent.append)
    Operation.objects.update(dispatched_at=timezone.now() - timedelta(minutes=1))
    claims.sweep()
    assert sent == [three[0].pk]


def test_the_end_of_a_step_wakes_the_next(
    three: list[Operation],
    bob: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(services, "dispatch", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        services.cancel(three[0], actor=Actor(user=bob))
    assert set(sent) == {three[1].pk, three[2].pk}
