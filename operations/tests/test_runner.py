"""What carrying an operation out promises."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import tokens
from accounts.access import Actor, person
from accounts.models import AuditEntry, Membership, User
from engine import errors
from engine.types import Progress
from operations import claims, context, leases, services, tasks, verifying
from operations.models import Engine, Operation
from operations.registry import Context

Ask = Callable[..., Operation]
MakeKind = Callable[..., str]

pytestmark = pytest.mark.usefixtures("no_engine", "sent")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "LOOKS", (0.0, 0.0))
    monkeypatch.setattr(leases, "LOOK", 0.05)


def after_run(operation: Operation) -> Operation:
    tasks.run_operation(str(operation.pk))
    operation.refresh_from_db()
    return operation


def lapse(operation: Operation, state: str = "running") -> None:
    """As a worker leaves it that is killed in the middle."""
    Operation.objects.filter(pk=operation.pk).update(
        state=state,
        fence=1,
        attempt=1,
        lease_owner="dead",
        lease_until=timezone.now() - timedelta(seconds=1),
    )


def test_what_succeeds_says_so_once_with_its_result(kind: MakeKind, ask: Ask) -> None:
    operation = after_run(ask(kind(lambda ctx: {"done": ctx.params["what"]}), params={"what": "it"}))
    assert (operation.state, operation.result, operation.attempt) == ("succeeded", {"done": "it"}, 1)
    assert operation.finished_at
    assert [e.data["state"] for e in operation.events.all()] == ["queued", "running", "succeeded"]
    assert list(AuditEntry.objects.order_by("pk").values_list("outcome", flat=True)) == [
        "accepted",
        "succeeded",
    ]


def test_what_the_engine_refuses_fails_with_its_code_and_words(kind: MakeKind, ask: Ask) -> None:
    def refuse(ctx: Context) -> None:
        raise errors.NameInUse("There is a web already.")

    operation = after_run(ask(kind(refuse)))
    assert (operation.state, operation.error_code) == ("failed", "name_in_use")
    assert operation.error_message == "There is a web already."


def test_our_own_mistake_fails_without_its_details(kind: MakeKind, ask: Ask) -> None:
    def break_(ctx: Context) -> None:
        raise ValueError("/secret/path")

    operation = after_run(ask(kind(break_)))
    assert (operation.state, operation.error_code) == ("failed", "internal")
    assert "secret" not in operation.error_message


def test_an_unknown_or_forged_id_does_nothing(kind: MakeKind, ask: Ask) -> None:
    ask(kind())
    tasks.run_operation("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    tasks.run_operation("../../etc/passwd")
    assert Operation.objects.get().state == "queued"


def test_a_message_that_comes_twice_runs_once(kind: MakeKind, ask: Ask) -> None:
    ran: list[int] = []
    operation = ask(kind(lambda ctx: ran.append(1)))
    after_run(operation)
    after_run(operation)
    assert ran == [1]


@pytest.mark.django_db(transaction=True)
def test_one_of_many_workers_gets_it(kind: MakeKind, ask: Ask) -> None:
    ran: list[int] = []
    operation = ask(kind(lambda ctx: ran.append(1)))

    def work(_: int) -> None:
        try:
            tasks.run_operation(str(operation.pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    operation.refresh_from_db()
    assert ran == [1]
    assert (operation.state, operation.fence) == ("succeeded", 1)


def test_rights_that_ended_meanwhile_cancel_it_before_anything_happens(kind: MakeKind, ask: Ask) -> None:
    """S-12, S-23."""
    ran: list[int] = []
    operation = ask(kind(lambda ctx: ran.append(1)))
    Membership.objects.all().delete()
    after_run(operation)
    assert (operation.state, operation.error_code, ran) == ("cancelled", "denied", [])
    assert "Rights ended" in operation.error_message


@pytest.mark.parametrize("loss", ["revoked", "narrowed", "disabled", "deleted"])
def test_a_token_or_account_that_ended_meanwhile_cancels_it(
    kind: MakeKind, ask: Ask, bob: User, loss: str
) -> None:
    token, _ = tokens.make(bob, "script", ["operate"])
    actor = Actor(user=bob, source="api", scopes=frozenset({"operate"}), token_key=token.key)
    operation = ask(kind(), actor=actor)
    if loss == "revoked":
        tokens.revoke(token)
    elif loss == "narrowed":
        type(token).objects.update(scopes=["read"])
    elif loss == "disabled":
        User.objects.update(is_active=False)
    else:
        bob.delete()
    assert after_run(operation).state == "cancelled"


def test_secrets_reach_the_verb_and_are_gone_after_it(kind: MakeKind, ask: Ask) -> None:
    seen: list[Any] = []
    name = kind(lambda ctx: seen.append(ctx.params["environment"]))
    operation = after_run(
        ask(
            name, params={"environment": {"PASSWORD": "********"}}, secrets={"environment": {"PASSWORD": "x"}}
        )
    )
    assert seen == [{"PASSWORD": "x"}]
    assert operation.sealed == ""
    assert operation.params["environment"] == {"PASSWORD": "********"}


def lost_answer(ctx: Context) -> None:
    ctx.check_fence()
    raise errors.DeadlineExceeded("No answer.")


def test_a_lost_answer_is_looked_up_on_the_engine(kind: MakeKind, ask: Ask) -> None:
    operation = after_run(ask(kind(lost_answer, verify=lambda ctx: {"found": 1})))
    assert (operation.state, operation.result, operation.error_code) == ("succeeded", {"found": 1}, "")
    assert [e.data["state"] for e in operation.events.all()] == ["queued", "running", "unknown", "succeeded"]


def test_what_the_engine_does_not_show_has_failed_by_time_out(kind: MakeKind, ask: Ask) -> None:
    operation = after_run(ask(kind(lost_answer, verify=lambda ctx: False)))
    assert (operation.state, operation.error_code) == ("failed", "engine_timeout")


def test_what_cannot_be_seen_yet_stays_unknown_and_is_looked_at_again(kind: MakeKind, ask: Ask) -> None:
    answers: list[Any] = [None, None, errors.Unreachable("gone"), True]

    def verify(ctx: Context) -> bool | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    operation = after_run(ask(kind(lost_answer, verify=verify)))
    assert operation.state == "unknown"
    assert after_run(operation).state == "unknown", "its lease has not lapsed yet"
    Operation.objects.update(lease_until=timezone.now())
    assert after_run(operation).state == "unknown", "the engine was away"
    Operation.objects.update(lease_until=timezone.now())
    assert after_run(operation).state == "succeeded"


@pytest.mark.parametrize("error", [errors.Unreachable, errors.DeadlineExceeded])
def test_an_engine_that_is_away_or_hangs_means_failed_with_nothing_done(
    kind: MakeKind, ask: Ask, error: type[errors.EngineError]
) -> None:
    def away(ctx: Context) -> None:
        raise error("Nobody there.")

    operation = after_run(ask(kind(away, verify=away)))
    assert (operation.state, operation.error_code) == ("failed", error.code)


def test_an_engine_that_goes_away_behind_a_change_leaves_it_unknown(kind: MakeKind, ask: Ask) -> None:
    def half(ctx: Context) -> None:
        ctx.check_fence()
        raise errors.Unreachable("Gone.")

    def verify(ctx: Context) -> None:
        raise errors.Unreachable("Gone.")

    assert after_run(ask(kind(half, verify=verify))).state == "unknown"


def test_our_own_mistake_after_a_change_is_looked_up(kind: MakeKind, ask: Ask) -> None:
    def half(ctx: Context) -> None:
        ctx.check_fence()
        raise ValueError

    assert after_run(ask(kind(half, verify=lambda ctx: True))).state == "succeeded"


def test_what_takes_too_long_is_looked_up_and_not_called_cancelled(kind: MakeKind, ask: Ask) -> None:
    def slow(ctx: Context) -> None:
        ctx.check_fence()
        while not ctx.should_stop():
            time.sleep(0.01)
        raise errors.Cancelled("Stopped.")

    operation = after_run(ask(kind(slow, deadline=0.1, verify=lambda ctx: False)))
    assert (operation.state, operation.error_code) == ("failed", "engine_timeout")


def test_a_look_that_breaks_ends_it_all_the_same(
    kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(ctx: Context) -> bool:
        raise FileNotFoundError("no such file")

    monkeypatch.setattr(verifying, "LOOKS", (0.0,))
    monkeypatch.setattr(verifying, "GIVE_UP", timedelta(0))
    operation = ask(kind(verify=breaks))
    lapse(operation)
    after_run(operation)
    assert (operation.state, operation.error_code) == ("failed", "lost")


def test_a_lapsed_lease_of_a_repeatable_kind_runs_again_with_a_higher_fence(kind: MakeKind, ask: Ask) -> None:
    operation = ask(kind(repeatable=True))
    lapse(operation)
    after_run(operation)
    assert (operation.state, operation.fence, operation.attempt) == ("succeeded", 2, 2)


def test_a_lapsed_lease_of_another_kind_is_verified_and_not_run_again(kind: MakeKind, ask: Ask) -> None:
    ran: list[int] = []
    operation = ask(kind(lambda ctx: ran.append(1), verify=lambda ctx: False))
    lapse(operation)
    after_run(operation)
    assert (operation.state, operation.error_code, operation.attempt, ran) == ("failed", "lost", 1, [])


def test_what_takes_each_worker_with_it_is_not_tried_for_ever(kind: MakeKind, ask: Ask) -> None:
    ran: list[int] = []
    operation = ask(kind(lambda ctx: ran.append(1), repeatable=True, verify=lambda ctx: False))
    lapse(operation)
    Operation.objects.update(attempt=claims.MOST_ATTEMPTS)
    after_run(operation)
    assert (operation.state, operation.error_code, ran) == ("failed", "lost", [])


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("why", ["refused", "denied", "cancelled"])
def test_a_second_attempt_that_may_not_looks_at_what_the_first_has_done(
    kind: MakeKind, ask: Ask, why: str, found: bool
) -> None:
    def refuse(ctx: Context) -> None:
        raise errors.Conflict("Not now.")

    operation = ask(kind(refuse, repeatable=True, verify=lambda ctx: found))
    lapse(operation)
    if why == "denied":
        Membership.objects.all().delete()
    elif why == "cancelled":
        Operation.objects.update(cancel_requested_at=timezone.now())
    after_run(operation)
    otherwise = "failed" if why == "refused" else "cancelled"
    assert operation.state == ("succeeded" if found else otherwise)


def test_a_second_attempt_that_finds_no_engine_does_not_say_that_nothing_was_done(
    kind: MakeKind, ask: Ask
) -> None:
    def away(ctx: Context) -> None:
        raise errors.Unreachable("Nobody there.")

    operation = ask(kind(away, repeatable=True, verify=away))
    lapse(operation)
    assert after_run(operation).state == "unknown"


def test_a_worker_has_all_of_its_lease_before_it_when_it_changes_something(kind: MakeKind, ask: Ask) -> None:
    left: list[float] = []

    def late(ctx: Context) -> None:
        Operation.objects.update(lease_until=timezone.now() + timedelta(seconds=1))
        ctx.check_fence()
        until = Operation.objects.get().lease_until
        assert until is not None
        left.append((until - timezone.now()).total_seconds())

    after_run(ask(kind(late)))
    assert left[0] > leases.LEASE - 5


def test_a_worker_that_was_asleep_writes_nothing_any_more(kind: MakeKind, ask: Ask) -> None:
    def sleepy(ctx: Context) -> None:
        # Somebody else takes over and finishes meanwhile.
        Operation.objects.filter(pk=ctx.operation.pk).update(
            fence=7, state="succeeded", result={"by": "other"}
        )
        with pytest.raises(context.LeaseLost):
            ctx.check_fence()
        ctx.emit(Progress(current=1, total=2, log=("from the grave",)))

    operation = after_run(ask(kind(sleepy)))
    assert operation.result == {"by": "other"}
    assert not operation.events.filter(kind="log").exists()
    assert not AuditEntry.objects.exclude(outcome="accepted").exists()


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_operation_stops_within_a_second(kind: MakeKind, ask: Ask, bob: User) -> None:
    begun = threading.Event()

    def patient(ctx: Context) -> None:
        begun.set()
        for _ in range(500):
            if ctx.should_stop():
                raise errors.Cancelled("Stopped.")
            time.sleep(0.02)

    operation = ask(kind(patient))

    def work() -> None:
        try:
            tasks.run_operation(str(operation.pk))
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(5)
    services.cancel(operation, actor=person(bob, source="ui"))
    worker.join(2)
    assert not worker.is_alive()
    operation.refresh_from_db()
    assert (operation.state, operation.error_code) == ("cancelled", "cancelled")


@pytest.mark.django_db(transaction=True)
def test_a_lease_is_renewed_for_as_long_as_it_runs(
    kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW", 0.1)
    until: list[Any] = []

    def slow(ctx: Context) -> None:
        for _ in range(2):
            until.append(Operation.objects.get().lease_until)
            time.sleep(0.4)

    after_run(ask(kind(slow)))
    assert until[1] > until[0]


def test_cancelled_but_done_is_not_called_cancelled(kind: MakeKind, ask: Ask) -> None:
    def too_late(ctx: Context) -> None:
        ctx.check_fence()
        raise errors.Cancelled("Stopped.")

    assert after_run(ask(kind(too_late, verify=lambda ctx: True))).state == "succeeded"


def test_cancelled_where_the_engine_cannot_be_asked_any_more_is_unknown(kind: MakeKind, ask: Ask) -> None:
    def cut(ctx: Context) -> None:
        ctx.check_fence()
        raise errors.Cancelled("Stopped.")

    def away(ctx: Context) -> None:
        raise errors.Unreachable("Nobody there.")

    assert after_run(ask(kind(cut, verify=away))).state == "unknown"


def test_a_change_that_may_take_its_time_on_the_engine_is_not_given_up_before(
    kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "GIVE_UP", timedelta(0))
    name = kind(lost_answer, verify=lambda ctx: None)
    assert after_run(ask(name, params={"timeout": 300})).state == "unknown"
    assert after_run(ask(name, lock="other", params={"timeout": 0})).state == "failed"


def test_events_have_numbers_without_a_gap_and_the_last_progress_stays(kind: MakeKind, ask: Ask) -> None:
    def chatty(ctx: Context) -> None:
        for n in range(1, 301):
            ctx.emit(Progress(current=n, total=300, unit="steps", log=(f"line {n}\x00",)))

    operation = after_run(ask(kind(chatty)))
    events = list(operation.events.all())
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.data["text"] for e in events if e.kind == "log"] == [f"line {n}�" for n in range(1, 301)]
    assert operation.progress == {"current": 300, "total": 300, "unit": "steps"}


def test_a_step_is_an_event_of_its_own(kind: MakeKind, ask: Ask) -> None:
    name = kind(
        lambda ctx: ctx.emit(Progress(1, 2, "layers", extra={"layer": "abc", "status": "Downloading"}))
    )
    operation = after_run(ask(name))
    assert operation.events.get(kind="step").data == {
        "current": 1,
        "total": 2,
        "unit": "layers",
        "message": "",
        "layer": "abc",
        "status": "Downloading",
    }


def test_an_endless_log_is_cut_and_says_so(kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MOST_LINES", 100)
    operation = after_run(ask(kind(lambda ctx: ctx.emit(Progress(log=("x" * 9000,) * 500)))))
    lines = [e.data["text"] for e in operation.events.filter(kind="log")]
    assert len(lines) == 101
    assert len(lines[0]) == context.LONGEST
    assert lines[-1] == context.CUT


def test_rows_are_brought_up_to_date_before_the_end_is_said(kind: MakeKind, ask: Ask) -> None:
    seen: list[str] = []
    after_run(ask(kind(after=lambda ctx: seen.append(Operation.objects.get().state))))
    assert seen == ["running"]


def test_rows_that_cannot_be_brought_up_to_date_do_not_change_the_end(kind: MakeKind, ask: Ask) -> None:
    def broken(ctx: Context) -> None:
        raise errors.Unreachable("Gone.")

    assert after_run(ask(kind(after=broken))).state == "succeeded"


def test_what_it_made_becomes_its_target(kind: MakeKind, ask: Ask) -> None:
    operation = after_run(ask(kind(lambda ctx: {"container": "an-id"})))
    assert operation.target_id == "an-id"


def test_the_sweeper_sends_again_what_was_lost_and_nothing_else(
    kind: MakeKind, ask: Ask, sent: list[str], engine: Engine
) -> None:
    name = kind()
    old = timezone.now() - timedelta(minutes=1)
    made = {
        case: ask(name, lock=case) for case in ("new", "lost", "never", "lapsed", "unknown", "alive", "ended")
    }

    def put(case: str, **fields: Any) -> None:
        Operation.objects.filter(pk=made[case].pk).update(**fields)

    put("new", dispatched_at=timezone.now())
    put("lost", dispatched_at=old)
    put("never", dispatched_at=None, created_at=old)
    put("lapsed", state="running", lease_until=old)
    put("unknown", state="unknown", lease_until=None)
    put("alive", state="running", lease_until=timezone.now() + timedelta(seconds=9))
    put("ended", state="failed", lease_until=None)
    sent.clear()
    assert claims.sweep() == 4
    assert set(sent) == {str(made[case].pk) for case in ("lost", "never", "lapsed", "unknown")}


@pytest.mark.parametrize(
    ("case", "is_sent"),
    [
        ("dead", True),
        ("just now", False),
        ("alive", False),
        ("stopped", False),
        ("elsewhere", False),
        ("odd", False),
    ],
)
def test_the_lease_of_a_process_that_is_known_to_be_dead_lapses_early(
    kind: MakeKind, ask: Ask, sent: list[str], case: str, is_sent: bool
) -> None:
    child = subprocess.Popen(["sleep", "60"])
    if case == "stopped":
        child.send_signal(signal.SIGSTOP)
    elif case != "alive":
        child.kill()
        child.wait()
    place = "another boot" if case == "elsewhere" else leases.where()
    operation = ask(kind())
    renewed = 0 if case == "just now" else leases.QUIET + 1
    Operation.objects.filter(pk=operation.pk).update(
        state="running",
        fence=1,
        lease_owner="odd" if case == "odd" else f"here:{child.pid}:1:{place}",
        lease_until=timezone.now() + timedelta(seconds=leases.LEASE - renewed),
    )
    sent.clear()
    try:
        assert claims.sweep() == (1 if is_sent else 0)
    finally:
        child.kill()
        child.wait()
    operation.refresh_from_db()
    assert operation.fence == 1, "nobody has taken it yet"
    assert sent == ([str(operation.pk)] if is_sent else [])


def test_this_process_says_where_it_is_and_is_not_dead() -> None:
    assert leases.where()
    assert not leases.is_dead(leases.owner())


def test_what_a_dead_worker_left_does_not_wait_behind_what_is_queued(
    kind: MakeKind, ask: Ask, sent: list[str]
) -> None:
    left, busy, queued = ask(kind(), lock="left"), ask(kind(), lock="busy"), ask(kind(), lock="queued")
    lapse(left)
    lapse(busy)
    Operation.objects.filter(pk=queued.pk).update(dispatched_at=timezone.now() - timedelta(minutes=1))
    sent.clear()
    taken: list[Any] = []

    def otherwise(operation_id: Any) -> bool:
        taken.append(operation_id)
        return operation_id == left.pk

    assert claims.sweep(otherwise) == 3
    assert taken == [left.pk, busy.pk]
    assert sent == [str(busy.pk), str(queued.pk)]


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_worker_finds_its_work_itself(
    kind: MakeKind, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **options: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(services.current_app, "send_task", away)
    monkeypatch.setattr(claims, "PICKUP", timedelta())
    operation = ask(kind())
    assert claims.sweep(otherwise=tasks._without_broker) == 1
    assert services.wait(operation, seconds=5).state == "succeeded"


def test_a_kind_that_this_server_does_not_know_fails(kind: MakeKind, ask: Ask) -> None:
    operation = ask(kind())
    Operation.objects.update(kind="from.the.future")
    assert after_run(operation).error_code == "internal"
