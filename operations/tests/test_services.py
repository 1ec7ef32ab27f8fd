"""What accepting a change promises."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.http import Http404
from django.utils import timezone

from accounts.access import Actor, Denied, person
from accounts.models import AuditEntry, Team, User
from operations import secrets, services
from operations.models import Engine, Operation
from operations.services import Refused

Ask = Callable[..., Operation]
MakeKind = Callable[..., str]


@pytest.mark.django_db(transaction=True)
def test_nothing_runs_before_the_commit(kind: MakeKind, ask: Ask, sent: list[str]) -> None:
    name = kind()
    with transaction.atomic():
        operation = ask(name)
        assert sent == []
    assert sent == [str(operation.pk)]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_never_runs(kind: MakeKind, ask: Ask, sent: list[str]) -> None:
    name = kind()
    with transaction.atomic():
        ask(name)
        transaction.set_rollback(True)
    assert sent == []
    assert not Operation.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_does_not_matter(
    kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **options: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(services.current_app, "send_task", away)
    assert ask(kind()).state == "queued"


def test_an_accepted_change_is_a_row_an_event_and_an_audit_line(
    kind: MakeKind, ask: Ask, bob: User, team: Team
) -> None:
    name = kind()
    operation = ask(name, params={"timeout": 3})
    assert (operation.state, operation.actor, operation.team) == ("queued", bob, team)
    assert [(e.seq, e.kind, e.data) for e in operation.events.all()] == [(1, "state", {"state": "queued"})]
    line = AuditEntry.objects.get()
    assert (line.verb, line.outcome, line.actor_name, line.operation_id) == (
        name,
        "accepted",
        "bob",
        operation.pk,
    )
    assert line.detail == {"timeout": 3}


def test_the_same_change_again_joins_the_first(kind: MakeKind, ask: Ask) -> None:
    name = kind()
    assert ask(name, params={"a": 1}) == ask(name, params={"a": 1})
    assert Operation.objects.count() == 1


def test_another_change_of_the_same_thing_has_to_wait_and_is_told_for_whom(kind: MakeKind, ask: Ask) -> None:
    first = ask(kind(label="Stop"))
    with pytest.raises(Refused, match="bob asked to stop web") as refused:
        ask(kind())
    assert (refused.value.code, refused.value.status) == ("conflict", 409)
    assert refused.value.details == {"operation": str(first.pk)}


def test_the_same_change_with_other_parameters_is_another_change(kind: MakeKind, ask: Ask) -> None:
    name = kind()
    ask(name, params={"name": "a"})
    with pytest.raises(Refused):
        ask(name, params={"name": "b"})


def test_an_idempotency_key_gives_the_same_operation_even_when_it_has_ended(kind: MakeKind, ask: Ask) -> None:
    name = kind()
    first = ask(name, idempotency_key="k")
    Operation.objects.update(state="succeeded")
    assert ask(name, idempotency_key="k") == first


def test_an_idempotency_key_with_another_body_is_refused(kind: MakeKind, ask: Ask) -> None:
    name = kind()
    ask(name, idempotency_key="k", params={"a": 1})
    with pytest.raises(Refused) as refused:
        ask(name, idempotency_key="k", params={"a": 2})
    assert (refused.value.code, refused.value.status) == ("idempotency_mismatch", 422)


def test_an_idempotency_key_is_its_callers_own(kind: MakeKind, ask: Ask, tara: User) -> None:
    name = kind()
    first = ask(name, idempotency_key="k", lock="")
    assert ask(name, idempotency_key="k", lock="", actor=person(tara, source="ui")) != first


def test_an_idempotency_key_is_forgotten_after_a_day(kind: MakeKind, ask: Ask) -> None:
    name = kind()
    first = ask(name, idempotency_key="k", lock="")
    Operation.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert ask(name, idempotency_key="k", lock="") != first


@pytest.mark.django_db(transaction=True)
def test_many_at_once_with_one_key_make_one_operation(kind: MakeKind, ask: Ask, sent: list[str]) -> None:
    name = kind()

    def one(_: int) -> Operation:
        try:
            return ask(name, idempotency_key="k")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(one, range(16)))
    assert len(found) == 1
    assert Operation.objects.count() == 1
    assert sent == [str(found.pop().pk)]


def test_viewer_may_not_change_anything_and_it_is_written_down(kind: MakeKind, ask: Ask, vic: User) -> None:
    with pytest.raises(Denied):
        ask(kind(), actor=person(vic, source="ui"))
    line = AuditEntry.objects.get()
    assert (line.outcome, line.actor_name) == ("denied", "vic")
    assert not Operation.objects.exists()


def test_for_a_stranger_the_thing_does_not_exist(kind: MakeKind, ask: Ask, charlie: User) -> None:
    with pytest.raises(Http404):
        ask(kind(), actor=person(charlie, source="ui"))
    assert AuditEntry.objects.get().outcome == "denied"


def test_a_token_without_the_scope_may_not(kind: MakeKind, ask: Ask, bob: User) -> None:
    with pytest.raises(Denied, match="scope"):
        ask(kind(), actor=Actor(user=bob, source="api", scopes=frozenset({"read"})))


def test_secrets_are_in_no_column_in_clear(kind: MakeKind, ask: Ask) -> None:
    operation = ask(
        kind(), params={"secrets": {"TOKEN": "********"}}, secrets={"secrets": {"TOKEN": "canary"}}
    )
    rows = [*Operation.objects.values(), *AuditEntry.objects.values(), *operation.events.values()]
    assert "canary" not in repr(rows)
    assert secrets.unseal(operation.pk, operation.sealed) == {"secrets": {"TOKEN": "canary"}}


def test_sealed_secrets_open_for_their_own_operation_alone() -> None:
    sealed = secrets.seal("one", {"a": "b"})
    with pytest.raises(secrets.Unreadable):
        secrets.unseal("two", sealed)
    with pytest.raises(secrets.Unreadable):
        secrets.unseal("one", sealed[:-4] + "AAAA")


def test_cancelling_what_is_queued_ends_it_at_once(kind: MakeKind, ask: Ask, bob: User) -> None:
    operation = services.cancel(ask(kind(), secrets={"a": 1}), actor=person(bob, source="ui"))
    assert (operation.state, operation.sealed, operation.error_code) == ("cancelled", "", "cancelled")
    assert list(AuditEntry.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "accepted",
        "accepted",
        "cancelled",
    ]
    assert [e.seq for e in operation.events.all()] == [1, 2]


def test_cancelling_what_runs_asks_it_to_stop(kind: MakeKind, ask: Ask, bob: User) -> None:
    operation = ask(kind())
    Operation.objects.update(state="running")
    operation = services.cancel(operation, actor=person(bob, source="ui"))
    assert operation.state == "running"
    assert operation.cancel_requested_at is not None


def test_what_has_ended_cannot_be_cancelled(kind: MakeKind, ask: Ask, bob: User) -> None:
    operation = ask(kind())
    Operation.objects.update(state="succeeded")
    with pytest.raises(Refused):
        services.cancel(operation, actor=person(bob, source="ui"))


def test_viewer_may_not_cancel(kind: MakeKind, ask: Ask, vic: User) -> None:
    with pytest.raises(Denied):
        services.cancel(ask(kind()), actor=person(vic, source="ui"))


def test_retry_asks_for_the_same_again_in_the_name_of_who_retries(
    kind: MakeKind, ask: Ask, tara: User
) -> None:
    first = ask(kind(), params={"timeout": 3})
    Operation.objects.update(state="failed")
    first.refresh_from_db()
    again = services.retry(first, actor=person(tara, source="ui"))
    assert again != first
    assert (again.kind, again.params, again.actor, again.lock_key) == (
        first.kind,
        {"timeout": 3},
        tara,
        "thing:1",
    )


@pytest.mark.parametrize("state", ["queued", "running", "unknown", "succeeded"])
def test_only_what_failed_or_was_cancelled_is_retried(
    kind: MakeKind, ask: Ask, bob: User, state: str
) -> None:
    operation = ask(kind())
    Operation.objects.update(state=state)
    operation.refresh_from_db()
    with pytest.raises(Refused):
        services.retry(operation, actor=person(bob, source="ui"))


def test_retry_is_refused_where_secrets_were_not_kept(kind: MakeKind, ask: Ask, bob: User) -> None:
    operation = ask(kind(), secrets={"environment": {"A": "b"}})
    services.cancel(operation, actor=person(bob, source="ui"))
    with pytest.raises(Refused, match="secret"):
        services.retry(operation, actor=person(bob, source="ui"))


@pytest.mark.django_db(transaction=True)
def test_waiting_ends_soon_after_the_end(kind: MakeKind, ask: Ask) -> None:
    operation = ask(kind())

    def end() -> float:
        time.sleep(0.3)
        Operation.objects.update(state="succeeded")
        connection.close()
        return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end)
        assert services.wait(operation, seconds=10).state == "succeeded"
        assert time.monotonic() - ended.result() < 0.5


def test_waiting_ends_when_the_time_is_up(kind: MakeKind, ask: Ask) -> None:
    assert services.wait(ask(kind()), seconds=0.1).state == "queued"


def test_a_long_lock_key_still_fits(engine: Engine) -> None:
    key = services.lock("engine", engine.pk, "tag", "x" * 300)
    assert len(key) <= 255
    assert key != services.lock("engine", engine.pk, "tag", "x" * 301)
