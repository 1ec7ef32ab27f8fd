"""Questions to an engine: signed, asked again for rights, bounded in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import signing
from django.db import connection
from django.http import Http404

from accounts.access import Actor, Denied, person
from accounts.models import Membership, Team, User
from engine import errors
from operations import reads, registry, runner, tasks
from operations.models import Engine, Operation
from streams.connection import client


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Questions as they reach the worker, which answers at once in this process."""
    questions: list[str] = []

    def send(name: str, args: tuple[str], **options: Any) -> None:
        assert (name, options["retry"]) == (reads.TASK, False)
        questions.append(args[0])
        tasks.answer_read(args[0])

    monkeypatch.setattr(reads.current_app, "send_task", send)
    monkeypatch.setattr(runner, "backend", lambda engine: SimpleNamespace(endpoint=engine.endpoint))
    return questions


@pytest.fixture
def thing(engine: Engine, team: Team) -> Operation:
    """Anything with an engine and a team will do."""
    return Operation.objects.create(kind="x", engine=engine, team=team)


@pytest.fixture
def reader(thing: Operation) -> Iterator[Callable[..., None]]:
    """``reader(look)`` registers it as "test.read"."""
    registry.target("test", lambda: Operation.objects.select_related("engine"))

    def register(look: reads.Look) -> None:
        reads.reader("test.read", target="test", permission="container.logs")(look)

    yield register
    reads._readers.pop("test.read", None)
    registry._targets.pop("test")


def read(thing: Operation, user: User, **options: Any) -> dict[str, Any]:
    return reads.read("test.read", thing, actor=person(user, source="ui"), **{"deadline": 2, **options})


def test_an_answer_comes_back(
    reader: Callable[..., None], asked: list[str], thing: Operation, vic: User
) -> None:
    reader(lambda engine, row, params: {"at": engine.endpoint, "row": str(row.pk), "tail": params["tail"]})
    found = read(thing, vic, params={"tail": 5})
    assert found == {"at": "unix:///nowhere.sock", "row": str(thing.pk), "tail": 5}


def test_what_the_engine_says_comes_back_as_its_error(
    reader: Callable[..., None], asked: list[str], thing: Operation, vic: User
) -> None:
    def refuse(engine: Any, row: Any, params: Any) -> Any:
        raise errors.PortInUse("Taken.", port=80)

    reader(refuse)
    with pytest.raises(errors.PortInUse) as error:
        read(thing, vic)
    assert (error.value.message, error.value.details) == ("Taken.", {"port": 80})


def test_our_own_mistake_comes_back_without_its_details(
    reader: Callable[..., None], asked: list[str], thing: Operation, vic: User
) -> None:
    reader(lambda engine, row, params: {}["/secret/path"])  # type: ignore[index]
    with pytest.raises(errors.EngineError) as error:
        read(thing, vic)
    assert "secret" not in error.value.message


def test_a_stranger_is_not_answered(
    reader: Callable[..., None], asked: list[str], thing: Operation, charlie: User
) -> None:
    reader(lambda engine, row, params: {})
    with pytest.raises(Http404):
        read(thing, charlie)
    assert asked == []


def test_rights_are_asked_again_in_the_worker(
    reader: Callable[..., None],
    asked: list[str],
    thing: Operation,
    vic: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader(lambda engine, row, params: {"leak": 1})
    send = reads.current_app.send_task

    def later(*args: Any, **options: Any) -> None:
        Membership.objects.all().delete()
        send(*args, **options)

    monkeypatch.setattr(reads.current_app, "send_task", later)
    with pytest.raises(errors.NotFound):
        read(thing, vic)


def test_a_token_without_the_scope_is_not_answered(
    reader: Callable[..., None], asked: list[str], thing: Operation, vic: User
) -> None:
    reader(lambda engine, row, params: {})
    with pytest.raises(Denied):
        reads.read("test.read", thing, actor=Actor(user=vic, source="api", scopes=frozenset()))


@pytest.mark.parametrize("forgery", ["nonsense", "unsigned", "other"])
def test_a_forged_question_is_not_answered(
    reader: Callable[..., None], asked: list[str], thing: Operation, alice: User, forgery: str
) -> None:
    looked: list[int] = []
    reader(lambda engine, row, params: {"n": looked.append(1)})
    question = {"kind": "test.read", "id": str(thing.pk), "user": str(alice.pk), "token": "", "source": "ui"}
    question |= {"params": {}, "reply": "slipway:read:x", "until": time.time() + 9}  # type: ignore[dict-item]
    forged = {
        "nonsense": "x:y:z",
        "unsigned": json.dumps(question),
        "other": signing.dumps(question, salt="another use of the same key"),
    }[forgery]
    tasks.answer_read(forged)
    assert looked == []
    assert client().llen("slipway:read:x") == 0


def test_no_answer_in_time_is_said(
    reader: Callable[..., None], thing: Operation, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader(lambda engine, row, params: {})
    monkeypatch.setattr(reads.current_app, "send_task", lambda *args, **options: None)
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        read(thing, vic, deadline=0.3)
    assert time.monotonic() - began < 2


def test_a_queue_that_is_away_is_said(
    reader: Callable[..., None], thing: Operation, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **options: object) -> None:
        raise ConnectionError("no broker")

    reader(lambda engine, row, params: {})
    monkeypatch.setattr(reads.current_app, "send_task", away)
    with pytest.raises(errors.Unreachable):
        read(thing, vic)


def test_a_question_whose_asker_has_gone_is_not_looked_up(
    reader: Callable[..., None], thing: Operation, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    reader(lambda engine, row, params: {"n": looked.append(1)})
    late: list[str] = []
    monkeypatch.setattr(reads.current_app, "send_task", lambda name, args, **options: late.extend(args))
    with pytest.raises(errors.DeadlineExceeded):
        read(thing, vic, deadline=0.1)
    time.sleep(0.1)
    tasks.answer_read(late[0])
    assert looked == []


def test_an_answer_without_measure_is_not_sent(
    reader: Callable[..., None],
    asked: list[str],
    thing: Operation,
    vic: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads, "MOST", 1000)
    reader(lambda engine, row, params: {"x": "y" * 2000})
    with pytest.raises(errors.EngineError, match="too large"):
        read(thing, vic)


@pytest.mark.django_db(transaction=True)
def test_an_answer_from_another_thread_is_waited_for(
    reader: Callable[..., None], thing: Operation, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(question: str) -> None:
        time.sleep(0.7)  # longer than the shared connection waits
        try:
            tasks.answer_read(question)
        finally:
            connection.close()

    monkeypatch.setattr(runner, "backend", lambda endpoint: object())
    monkeypatch.setattr(
        reads.current_app,
        "send_task",
        lambda name, args, **options: threading.Thread(target=work, args=args).start(),
    )
    reader(lambda engine, row, params: {"ok": True})
    assert read(thing, vic, deadline=5) == {"ok": True}


def test_an_engine_that_is_known_to_be_away_is_not_waited_for(
    thing: Operation, vic: User, asked: list[str], reader: Callable[..., None]
) -> None:
    reader(lambda engine, row, params: {"never": True})
    Engine.objects.update(status="unreachable", status_detail="It hung up.")
    with pytest.raises(errors.Unreachable, match="It hung up"):
        read(thing, vic)
