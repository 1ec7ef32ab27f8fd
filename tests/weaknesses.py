"""For tests of refusals: whether anything came of a wish after all, and which weaknesses have a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import Team, User
from containers_app.models import ConsoleSession, Container
from images_app import registries
from images_app.models import Registry
from operations import reads
from operations.models import Engine, Operation
from tests import house, rows

ApiFor = Callable[..., APIClient]
ClientFor = Callable[..., Client]
CANARY = "canary-81d"
RUN = "/api/v1/containers/"
BIND = {"type": "bind", "source": "/srv", "target": "/x"}


@dataclass
class Outcome:
    """``asked``: the questions that were on their way to an engine, as the worker would have got them."""

    asked: list[Any] = field(default_factory=list)

    def is_nothing(self) -> bool:
        """Whether no operation was begun, no console opened, and no engine asked."""
        return not (self.asked or Operation.objects.exists() or ConsoleSession.objects.exists())


@pytest.fixture
def outcome(db: None, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """What came of it. Nobody answers a question to an engine here."""
    found = Outcome()

    def send(*question: Any, **_: Any) -> None:
        found.asked.append(question)
        raise OSError("Nobody is there.")

    monkeypatch.setattr(reads, "current_app", SimpleNamespace(send_task=send))
    return found


@pytest.fixture
def engine(outcome: Outcome) -> Engine:
    """Nobody asks it."""
    return rows.make_engine()


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    """Team blue's."""
    return rows.make_container(
        engine, team, "web", inspect={}, image_ref="nginx", pids_limit=5, memory_limit=2**20
    )


@pytest.fixture
def kept(tara: User, team: Team) -> Registry:
    """A registry of team blue with a password."""
    wish = {"name": "Ours", "host": "registry.example", "username": "porter", "password": CANARY}
    return registries.add(wish, actor=person(tara, source="ui"), owner=team)


WAYS: dict[str, Callable[[Container, dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "run": lambda web, wish: (RUN, {"image": "nginx", **wish}),
    "recreate": lambda web, wish: (f"{RUN}{web.pk}/recreate/", {"changes": wish}),
    "duplicate": lambda web, wish: (f"{RUN}{web.pk}/duplicate/", {"changes": wish}),
}


def refused(api: APIClient, web: Container, way: str, wish: dict[str, Any]) -> str:
    """The rule that stands against a wish on one of the ways to a new container."""
    path, body = WAYS[way](web, wish)
    answer = api.post(path, body, format="json")
    assert answer.status_code == 403, (way, answer.content)
    return str(answer.json()["rule"])


def forgotten(numbers: Iterable[str], file: str) -> list[str]:
    """Those among the numbers of weaknesses (``CVE-2018-12678``) that no test of this file has in its name."""
    path = Path(file).relative_to(house.ROOT)
    tests = " ".join(name for name, _ in house.functions(path) if name.startswith("test_"))
    return [number for number in numbers if f"_{number.lower().replace('-', '_')}_" not in tests]
