"""How the end of a run is kept: merged, bounded, with what has changed since it went well. Without an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.access import person
from accounts.models import Team, User
from containers_app import cards, chronicle, exits, forensics, incident_rows, incidents, queries
from containers_app.blocks import RESOLUTIONS, Block, Slot
from containers_app.models import Container, EngineEvent, Incident, Setup, StatsBlock
from engine.errors import EngineError, NotFound
from engine.types import Event, LogLine
from operations.models import Engine
from tests.rows import make_container, make_engine

START = timezone.now().replace(microsecond=0) - timedelta(hours=2)


@pytest.fixture
def engine(db: None) -> Engine:
    found = make_engine()
    Engine.objects.filter(pk=found.pk).update(created_at=START - timedelta(days=1))
    found.refresh_from_db()
    return found


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    return make_container(engine, team, started_at=START, restart_policy="always", environment={"PORT": "80"})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def happened(row: Container, action: str, seconds: float, **fields: Any) -> None:
    """The gateway hears of it then."""
    moment = at(seconds)
    event = Event("container", action, row.native_id, int(moment.timestamp()) * 10**9, row.name, **fields)
    rows = chronicle.keep(row.engine, [event], chronicle.known(row.engine, [event]), moment)
    incidents.note(rows)


def crash(row: Container, seconds: float, code: int = 1) -> None:
    happened(row, "die", seconds, exit_code=code)
    happened(row, "start", seconds + 1)


def attention(user: User) -> set[str]:
    rows = queries.containers(person(user, source="ui")).filter(queries.needs_attention())
    return {row.name for row in rows}


# --- Words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "finished without an error"),
        (1, "an error of the application"),
        (3, "an error of the application"),
        (125, "the engine could not run it"),
        (126, "the command could not be executed"),
        (127, "the command was not found"),
        (137, "killed, with no chance to clean up"),
        (139, "an access to memory that is not its own (segmentation fault)"),
        (143, "asked to end"),
        (128 + 12, "ended by SIGUSR2"),
        (128 + 40, "ended by signal 40"),
        (255, "an error of the application"),
        (None, "with a code that nobody heard"),
    ],
)
def test_an_exit_code_has_words(code: int | None, words: str) -> None:
    assert exits.in_words(code) == words


def test_out_of_memory_says_more_than_its_code() -> None:
    assert exits.in_words(137, oom=True) == "out of memory"


# --- Ends --------------------------------------------------------------------------------------------


def test_an_error_nobody_asked_for_is_a_fault(web: Container, vic: User) -> None:
    happened(web, "die", 60, exit_code=3)
    found = web.incidents.get()
    assert (found.kind, found.exit_code, found.asked, found.fault, found.seconds) == (
        "exit",
        3,
        "itself",
        True,
        60,
    )
    Container.objects.update(state="exited", exit_code=3, finished_at=at(60))
    assert attention(vic) == {"web"}


def test_what_is_done_is_no_fault(web: Container) -> None:
    happened(web, "die", 60, exit_code=0)
    assert not web.incidents.get().fault
    web.refresh_from_db()
    assert web.ended == "done"


def test_an_end_from_outside_is_no_fault_whatever_its_code(web: Container, vic: User) -> None:
    happened(web, "kill", 59, signal=15)
    happened(web, "die", 60, exit_code=1)
    found = web.incidents.get()
    assert (found.asked, found.fault) == ("outside", False)
    Container.objects.update(state="exited", exit_code=1, finished_at=at(60))
    web.refresh_from_db()
    assert attention(vic) == set()
    assert str(queries.status_of(web, at(120))) == "Exited 1 · stopped from outside 1 min ago"


def test_137_that_nobody_asked_for_is_a_fault(web: Container, vic: User) -> None:
    happened(web, "die", 60, exit_code=137)
    Container.objects.update(state="exited", exit_code=137, finished_at=at(60))
    web.refresh_from_db()
    assert attention(vic) == {"web"}
    assert str(queries.status_of(web, at(120))) == "Exited 137 · killed, 1 min ago"


def test_the_oom_event_before_an_end_is_its_cause(web: Container, vic: User) -> None:
    happened(web, "oom", 58)
    assert web.incidents.get().kind == "oom"
    happened(web, "die", 60, exit_code=137)
    found = web.incidents.get()
    assert (found.kind, found.oom, found.fault) == ("exit", True, True)
    web.refresh_from_db()
    assert web.trouble == "out of memory"
    assert attention(vic) == {"web"}, "for a day, although it runs again"


def test_a_child_that_ran_out_of_memory_is_an_incident_of_its_own(web: Container) -> None:
    for second in (10, 11, 12):
        happened(web, "oom", second)
    happened(web, "die", 60, exit_code=0)
    assert sorted(web.incidents.values_list("kind", "count", "oom")) == [("exit", 1, False), ("oom", 3, True)]


def test_a_crash_loop_is_one_incident_that_counts(web: Container, vic: User) -> None:
    for n in range(40):
        crash(web, 10 * n)
    found = web.incidents.get()
    assert (found.count, found.first_at, found.last_at) == (40, at(0), at(390))
    web.refresh_from_db()
    assert web.trouble == "crash loop: exit 1, 40 times in 6 min"
    assert attention(vic) == {"web"}
    status = queries.status_of(web)
    assert (status.glyph, status.note, status.tone) == (
        "restarting",
        "crash loop: exit 1, 40 times in 6 min",
        "warn",
    )


def test_another_code_or_a_long_time_begins_another_incident(web: Container) -> None:
    crash(web, 0)
    crash(web, 10, code=2)
    crash(web, 20, code=2)
    crash(web, 20 + 16 * 60, code=2)
    assert list(web.incidents.order_by("first_at").values_list("exit_code", "count")) == [
        (1, 1),
        (2, 2),
        (2, 1),
    ]


def test_incidents_of_one_container_are_bounded(web: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident_rows, "MOST", 6)
    monkeypatch.setattr(incident_rows, "WITH_LINES", 3)
    for n in range(12):
        crash(web, n * 60, code=1 + n % 2)
        web.incidents.filter(lines_state="").update(lines=[["1", 1, "last words"]], lines_state="kept")
    states = list(web.incidents.order_by("-last_at").values_list("lines_state", flat=True))
    assert states == ["kept"] * 3 + ["left"] * 3
    assert not web.incidents.filter(lines_state="left").exclude(lines=[]).exists()


def test_seen_holds_until_the_next_incident(web: Container, vic: User) -> None:
    Container.objects.update(state="exited", exit_code=1, finished_at=at(0))
    happened(web, "die", 0, exit_code=1)
    Container.objects.update(noted_at=timezone.now())
    assert attention(vic) == set()
    happened(web, "start", 3600)
    happened(web, "die", 3660, exit_code=1)
    assert attention(vic) == {"web"}


def test_a_loop_that_was_seen_stays_seen_while_it_goes_on(web: Container, vic: User) -> None:
    for n in range(4):
        crash(web, 10 * n)
    Container.objects.update(noted_at=timezone.now())
    crash(web, 50)
    assert attention(vic) == set()


# --- Checks ------------------------------------------------------------------------------------------


def test_failing_checks_are_an_incident_until_they_pass(web: Container) -> None:
    Container.objects.update(
        health_log=[{"exit_code": 0, "output": "fine"}, {"exit_code": 1, "output": "no answer"}]
    )
    happened(web, "health_status", 100, health="unhealthy")
    happened(web, "health_status", 130, health="unhealthy")
    found = web.incidents.get()
    assert (found.kind, found.open, found.error) == ("health", True, "no answer")
    happened(web, "health_status", 460, health="healthy")
    found.refresh_from_db()
    assert (found.open, found.seconds) == (False, 360)


def test_an_end_is_the_end_of_failing_checks_too(web: Container) -> None:
    happened(web, "health_status", 100, health="unhealthy")
    happened(web, "die", 200, exit_code=1)
    assert not web.incidents.filter(open=True).exists()


# --- Unheard of --------------------------------------------------------------------------------------


def test_an_end_in_a_blind_time_is_found_by_the_row(web: Container, vic: User) -> None:
    Container.objects.update(state="exited", exit_code=3, started_at=START, finished_at=at(60))
    assert incidents.missed(web.engine)
    found = web.incidents.get()
    assert (found.exit_code, found.asked, found.fault, found.last_at) == (3, "unknown", True, at(60))
    assert not incidents.missed(web.engine)
    assert attention(vic) == {"web"}


def test_an_end_after_a_kill_that_was_heard_was_asked_for(web: Container, vic: User) -> None:
    happened(web, "kill", 55, signal=15)
    Container.objects.update(state="exited", exit_code=2, finished_at=at(60))
    incidents.missed(web.engine)
    found = web.incidents.get()
    assert (found.exit_code, found.asked, found.fault) == (2, "outside", False)
    assert attention(vic) == set()


def test_what_ended_before_slipway_came_is_no_incident(web: Container) -> None:
    Container.objects.update(state="exited", exit_code=3, finished_at=START - timedelta(days=2))
    assert not incidents.missed(web.engine)


def test_an_event_that_comes_late_takes_over_what_the_row_told(web: Container) -> None:
    Container.objects.update(state="exited", exit_code=3, finished_at=at(60))
    incidents.missed(web.engine)
    happened(web, "die", 60, exit_code=3)
    found = web.incidents.get()
    assert (found.asked, found.count) == ("itself", 1)


def test_a_loop_that_goes_on_unheard_is_the_same_loop(web: Container) -> None:
    for n in range(3):
        crash(web, 10 * n)
    Container.objects.update(state="restarting", exit_code=1, finished_at=at(300), started_at=at(299))
    incidents.missed(web.engine)
    found = web.incidents.get()
    assert (found.count, found.asked, found.last_at) == (4, "itself", at(300))


def test_what_has_started_again_meanwhile_has_no_code_to_tell(web: Container) -> None:
    Container.objects.update(state="running", exit_code=0, finished_at=at(60), started_at=at(61))
    incidents.missed(web.engine)
    found = web.incidents.get()
    assert (found.exit_code, found.fault, found.started_at) == (None, False, None)


# --- What has changed --------------------------------------------------------------------------------


def test_a_fault_is_held_against_the_last_good_run(web: Container) -> None:
    happened(web, "start", 0)
    happened(web, "kill", 700, signal=15)
    happened(web, "die", 701, exit_code=0)
    new = make_container(
        web.engine,
        web.team,
        restart_policy="no",
        environment={"PORT": "81", "MODE": "fast"},
        image_ref="blue/app:2",
    )
    happened(new, "start", 710)
    happened(new, "die", 711, exit_code=1)
    found = new.incidents.get()
    assert found.good_at == at(701)
    assert {(d["path"], d["kind"], d["old"], d["new"]) for d in found.changed or ()} == {
        ("environment.PORT", "changed", "80", "81"),
        ("environment.MODE", "added", None, "fast"),
        ("image", "changed", "", "blue/app:2"),
        ("restart_policy", "changed", "always", "no"),
    }


def test_settings_that_went_well_before_are_said_to_have(web: Container) -> None:
    happened(web, "start", 0)
    happened(web, "die", 700, exit_code=1)
    found = web.incidents.get()
    assert (found.changed, found.good_at) == ([], at(700))


def test_without_a_good_run_nothing_is_known(web: Container) -> None:
    happened(web, "start", 0)
    happened(web, "die", 5, exit_code=1)
    assert web.incidents.get().changed is None


def test_a_run_whose_checks_failed_until_it_was_stopped_was_no_good_one(web: Container) -> None:
    happened(web, "start", 0)
    happened(web, "health_status", 100, health="unhealthy")
    happened(web, "kill", 700, signal=15)
    happened(web, "die", 701, exit_code=0)
    assert Setup.objects.get().good_at is None


def test_a_name_that_another_team_has_used_tells_nothing(web: Container, other_team: Team) -> None:
    happened(web, "die", 700, exit_code=0)
    red = make_container(web.engine, other_team, environment={"PORT": "90"})
    happened(red, "start", 710)
    happened(red, "die", 711, exit_code=1)
    assert red.incidents.get().changed is None


def test_what_goes_into_the_trash_keeps_the_name_it_was_known_by(web: Container) -> None:
    happened(web, "start", 0)
    Container.objects.update(name="slipway-trash-0123456789ab-web")
    web.refresh_from_db()
    happened(web, "rename", 10)
    assert Setup.objects.get().name == "web"


def test_few_settings_of_a_name_are_kept(web: Container) -> None:
    for n in range(8):
        Container.objects.update(memory_limit=n)
        web.refresh_from_db()
        happened(web, "start", 10 * n)
    assert sorted(Setup.objects.values_list("settings__memory_limit", flat=True)) == [3, 4, 5, 6, 7]


# --- Last lines --------------------------------------------------------------------------------------


class Told:
    """A backend that knows only logs."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.logs = answer


def test_the_last_lines_are_those_of_the_run_and_bounded(web: Container) -> None:
    happened(web, "start", 30)
    happened(web, "die", 60, exit_code=1)
    asked: dict[str, Any] = {}

    def logs(native_id: str, **options: Any) -> list[LogLine]:
        asked.update(options)
        return [LogLine(1, n, 0, f"{n} \0\ud800 " + "x" * 5000) for n in range(100)]

    forensics.read(Told(logs), web.incidents.get())  # type: ignore[arg-type]
    found = web.incidents.get()
    assert datetime.fromtimestamp(asked["since_ns"] / 10**9, UTC) == at(29.9)
    assert datetime.fromtimestamp(asked["until_ns"] / 10**9, UTC) == at(62)
    assert found.lines_state == "kept"
    happened(web, "start", 61)
    forensics.read(Told(logs), web.incidents.get())  # type: ignore[arg-type]
    assert datetime.fromtimestamp(asked["until_ns"] / 10**9, UTC) == at(61), (
        "the next run's lines are not its own"
    )
    assert found.lines[-1][2].startswith("99 \ufffd\ufffd x")
    assert sum(len(line[2]) for line in found.lines) <= forensics.ROOM
    assert list(incidents.pending(web.engine)) == []


@pytest.mark.parametrize(
    ("error", "state"),
    [(NotFound("gone"), "gone"), (EngineError("this driver cannot be read"), "unreadable")],
)
def test_lines_that_cannot_be_read_are_said_to_be_so(web: Container, error: EngineError, state: str) -> None:
    happened(web, "die", 60, exit_code=1)

    def logs(native_id: str, **options: Any) -> list[LogLine]:
        raise error

    forensics.read(Told(logs), web.incidents.get())  # type: ignore[arg-type]
    assert web.incidents.get().lines_state == state


# --- Figures -----------------------------------------------------------------------------------------


def recorded(row: Container, until: datetime, readings: int) -> None:
    """The collector has written CPU and growing memory, one reading each 15 s until then."""
    fine = RESOLUTIONS[0]
    blocks: dict[int, Block] = {}
    for n in range(readings):
        at = int(until.timestamp()) // fine.step * fine.step - 15 * (readings - 1 - n)
        block = blocks.setdefault(fine.start(at), Block(fine.start(at), fine))
        values = [0.5, 1e6 * (n + 1), *[0.0] * 5]
        block.put(Slot(at, values, values))
    for start, block in blocks.items():
        StatsBlock.objects.create(
            engine=row.engine, subject=row.pk, step=fine.step, start=start, data=block.pack()
        )


def test_the_ten_minutes_before_are_kept(web: Container) -> None:
    end = int(timezone.now().timestamp()) - 180
    # Not on a reading itself: then both ends of the ten minutes would have one, and there would be 41.
    end = end // 15 * 15 + 7
    seconds = end - int(START.timestamp())
    happened(web, "die", seconds, exit_code=1)
    recorded(web, at(seconds), 60)
    assert forensics.remember_figures(web.engine) == 1
    assert forensics.remember_figures(web.engine) == 0
    figures = web.incidents.get().figures
    assert figures is not None
    assert len(figures["t"]) == 40
    assert -600 <= figures["t"][0] < figures["t"][-1] <= 0
    assert (figures["cpu"][0], figures["memory"][-1]) == (0.5, 60e6)
    StatsBlock.objects.all().delete()
    cpu, memory = cards.card(web.incidents.get()).figures
    assert (cpu.name, cpu.most, memory.name, memory.last) == ("cpu", 0.5, "memory", 60e6)


def test_what_nobody_recorded_is_said_to_be_so(web: Container) -> None:
    happened(web, "die", 60, exit_code=1)
    StatsBlock.objects.create(
        engine=web.engine,
        subject=web.pk,
        step=15,
        start=RESOLUTIONS[0].start(at(60).timestamp()),
        data=b"torn",
    )
    assert forensics.figures_before(web.pk, at(60)) is None
    assert cards.card(web.incidents.get()).figures == []


# --- Ends of rows ------------------------------------------------------------------------------------


def test_incidents_outlive_their_container_with_its_owner(web: Container, other_team: Team) -> None:
    happened(web, "die", 60, exit_code=1)
    Container.objects.update(team=other_team)
    chronicle.forgotten([web.pk])
    Container.objects.all().delete()
    assert Incident.objects.get().team == other_team
    assert Setup.objects.get().team == other_team
    assert EngineEvent.objects.first().team == other_team  # type: ignore[union-attr]


def test_what_is_too_old_is_taken_away(web: Container, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    happened(web, "die", 60, exit_code=1)
    Incident.objects.update(last_at=timezone.now() - timedelta(days=31))
    assert chronicle.prune(web.engine) == 1
    assert not Incident.objects.exists()
