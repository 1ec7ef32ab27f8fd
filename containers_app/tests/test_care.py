"""What Slipway does by itself: whom, when, how often, until when, and what it leaves in the trail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Actor, Denied
from accounts.models import AuditEntry, Team, User
from containers_app import care, incidents, sync
from containers_app.models import CareRule, Container, EngineEvent
from containers_app.queries import attention_of, needs_attention, status_of
from engine.base import Engine as EngineBackend
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_volume

Run = Callable[[], list[Operation]]


@pytest.fixture
def engine(db: None) -> Engine:
    return make_engine()


@pytest.fixture
def ill(engine: Engine, team: Team) -> Container:
    """A container of team blue that is unhealthy, and healed."""
    CareRule.objects.create(team=team, heal=True)
    return make_container(engine, team, health="unhealthy")


def later(seconds: float) -> None:
    """As if so much time had passed."""
    for row in Container.objects.exclude(heal_at=None):
        Container.objects.filter(pk=row.pk).update(heal_at=row.heal_at - timedelta(seconds=seconds))


def end(state: str = "succeeded") -> None:
    Operation.objects.active().update(state=state, finished_at=timezone.now())


# Rules


def test_the_nearest_rule_that_says_anything_counts(engine: Engine, team: Team) -> None:
    row = make_container(engine, team)
    assert care.of(row) == care.Care()
    CareRule.objects.create(heal=True, end_loops=True)
    assert care.of(row) == care.Care(True, True, "site", "site")
    CareRule.objects.create(team=team, heal=False)
    assert care.of(row) == care.Care(False, True, "team", "site")
    CareRule.objects.create(team=team, engine=engine, name="web", heal=True)
    assert care.of(row) == care.Care(True, True, "own", "site")
    assert care.of(make_container(engine, None, "other")) == care.Care(True, True, "site", "site")


def test_who_may_say_it_and_what_is_written_down(
    engine: Engine, team: Team, bob: User, tara: User, vic: User, alice: User
) -> None:
    row = make_container(engine, team)
    for who, what in ((vic, row), (bob, team), (tara, None)):
        with pytest.raises(Denied):
            care.switch(what, actor=Actor(user=who), heal=True)
    for who, what, verb in (
        (bob, row, "care.container"),
        (tara, team, "care.team"),
        (alice, None, "care.site"),
    ):
        care.switch(what, actor=Actor(user=who), heal=True)
        assert AuditEntry.objects.get(verb=verb, outcome="succeeded").detail == {"heal": True}
    care.switch(row, actor=Actor(user=bob), end_loops=True)
    assert CareRule.objects.filter(name="web").values_list("heal", "end_loops").get() == (True, True)


# Healing


def test_nothing_is_done_where_nobody_has_asked_for_it(engine: Engine, team: Team) -> None:
    make_container(engine, team, health="unhealthy", heal_at=timezone.now())
    assert care.sweep() == 0
    CareRule.objects.create(team=team, end_loops=True)
    assert care.sweep() == 0
    assert not Operation.objects.exists()


def test_an_unhealthy_container_is_restarted_with_ever_longer_pauses_and_then_given_up(
    ill: Container,
) -> None:
    assert care.sweep() == 0, "it may get well by itself"
    for number, pause in enumerate((*care.BACK_OFF[1:], care.AFTER_LAST), 1):
        later(care.BACK_OFF[number - 1])
        assert care.sweep() == 1
        assert care.sweep() == 0
        end()
        ill.refresh_from_db()
        assert ill.heal_tries == number
        assert ill.heal_at - timezone.now() > timedelta(seconds=pause - 5)
    later(care.AFTER_LAST)
    assert care.sweep() == 0
    ill.refresh_from_db()
    assert ill.heal_over
    assert status_of(ill).note == "unhealthy, and 5 restarts by Slipway did not help"
    assert attention_of(ill)
    assert list(Container.objects.filter(needs_attention())) == [ill]
    later(86400)
    assert care.sweep() == 0
    assert Operation.objects.count() == len(care.BACK_OFF)


def test_each_restart_is_the_systems_own_with_its_line(ill: Container, team: Team) -> None:
    care.sweep()
    later(10)
    care.sweep()
    operation = Operation.objects.get()
    assert (operation.kind, operation.source, operation.actor, operation.team) == (
        "container.restart", "system", None, team,
    )  # fmt: skip
    assert operation.params["because"] == "unhealthy, restart 1 of 5"
    line = AuditEntry.objects.get(verb="container.restart")
    assert (line.outcome, line.actor_name, line.team_id) == ("accepted", "system", team.pk)


def test_whoever_is_at_it_already_is_not_disturbed_and_nothing_is_counted(ill: Container) -> None:
    Operation.objects.create(
        kind="container.stop", state="running", engine=ill.engine, actor_name="bob", target_type="container",
        target_id=str(ill.pk), target_name="web", lock_key=f"container:{ill.pk}",
    )  # fmt: skip
    care.sweep()
    later(10)
    assert care.sweep() == 0
    ill.refresh_from_db()
    assert (ill.heal_tries, Operation.objects.count()) == (0, 1)


def test_what_slipway_leaves_alone_keeps_no_other_from_its_restart(
    ill: Container, team: Team, settings: Any
) -> None:
    """Its own containers, and what mounts a volume of theirs; nothing is counted, and nobody has tried."""
    settings.OWN_CONTAINERS = ["ours"]
    ours = make_container(ill.engine, team, "ours", health="unhealthy")
    guest = make_container(ill.engine, team, "a-guest", health="unhealthy")
    make_volume(ill.engine, None, "ours_data", ours, guest)
    Container.objects.update(heal_at=timezone.now(), heal_tries=0)
    assert care.sweep() == 1
    assert Operation.objects.get().target_name == ill.name
    assert set(Container.objects.exclude(pk=ill.pk).values_list("heal_tries", flat=True)) == {0}
    assert not AuditEntry.objects.filter(outcome="denied").exists()


def test_what_got_well_begins_anew_after_a_while(ill: Container) -> None:
    now = timezone.now()
    Container.objects.update(heal_tries=3, heal_at=now, heal_over=now, health="healthy", trouble_until=now)
    care.sweep()
    ill.refresh_from_db()
    assert (ill.heal_over, ill.heal_tries) == (None, 3), "a moment of health is no cure"
    later(care.STEADY.total_seconds() + 1)
    care.sweep()
    ill.refresh_from_db()
    assert (ill.heal_tries, ill.heal_at) == (0, None)


def test_two_processes_ask_once(ill: Container) -> None:
    care.sweep()
    later(10)
    row = Container.objects.select_related("engine", "team").get()
    assert care._try(row, timezone.now()) == 1
    assert care._try(row, timezone.now()) == 0, "the other has read the same row"


# Crash loops


@pytest.fixture
def looping(engine: Engine, team: Team) -> Container:
    """A container of team blue that has ended ten times within two minutes."""
    row = make_container(engine, team, state="restarting", restart_policy="always", exit_code=1)
    now = timezone.now()
    for number in range(care.ENDS):
        EngineEvent.objects.create(
            engine=engine, type="container", action="die", native_id=row.native_id, container=row, origin="engine",
            time_ns=int((now.timestamp() - 120) * 10**9) + number, at=now - timedelta(seconds=120 - number),
            exit_code=1,
        )  # fmt: skip
    return row


def test_a_crash_loop_is_stopped_where_that_was_asked_for(looping: Container, team: Team) -> None:
    """S-45."""
    CareRule.objects.create(team=team, heal=True)
    assert care.sweep() == 0
    CareRule.objects.update(end_loops=True)
    assert care.sweep() == 1
    assert care.sweep() == 0
    operation = Operation.objects.get()
    assert (operation.kind, operation.source) == ("container.stop", "system")
    Container.objects.update(state="exited", ended="asked", finished_at=timezone.now())
    looping.refresh_from_db()
    status = status_of(looping)
    assert (status.glyph, status.note, status.tone) == (
        "failed", "crash loop: 10 ends in 2 min, stopped by Slipway", "bad",
    )  # fmt: skip
    assert attention_of(looping)
    assert list(Container.objects.filter(needs_attention())) == [looping]


def test_who_starts_it_again_knows_of_the_loop_and_is_not_stopped_for_it(
    looping: Container, team: Team
) -> None:
    CareRule.objects.create(team=team, end_loops=True)
    care.sweep()
    end()
    assert care.sweep() == 0
    start = EngineEvent.objects.create(
        engine=looping.engine, type="container", action="start", native_id=looping.native_id, container=looping,
        time_ns=time.time_ns(), at=timezone.now(), origin="operation",
    )  # fmt: skip
    incidents.note([start])
    looping.refresh_from_db()
    assert looping.trouble_until is None


def test_ends_that_somebody_asked_for_are_no_loop(looping: Container, team: Team) -> None:
    CareRule.objects.create(team=team, end_loops=True)
    first = EngineEvent.objects.order_by("time_ns")[0]
    EngineEvent.objects.filter(pk=first.pk).update(origin="outside")
    assert care.sweep() == 0


# Pages and REST


def test_it_is_shown_and_switched_on_the_page_and_by_rest(
    engine: Engine,
    team: Team,
    client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
    bob: User,
    vic: User,
    tara: User,
    charlie: User,
) -> None:
    check = {"test": ["CMD", "true"], "interval": 30}
    row = make_container(engine, team, restart_policy="always", healthcheck=check)
    page = f"/containers/{row.pk}/"
    assert b"Turn on" not in client_for(vic).get(page).content
    text = client_for(bob).get(page).content.decode()
    assert text.count(">Turn on<") == 2
    client_for(bob).post(f"{page}care/", {"what": "heal", "on": "1"})
    assert care.of(row) == care.Care(heal=True, heal_by="own")
    assert client_for(bob).get(page).content.decode().count(">Turn off<") == 1
    assert client_for(vic).post(f"{page}care/", {"what": "heal", "on": "0"}).status_code == 403
    assert b"web" in client_for(bob).get("/care/").content
    assert b"web" not in client_for(charlie).get("/care/").content
    client_for(tara).post("/care/switch/", {"team": str(team.pk), "what": "end_loops", "on": "1"})
    assert care.of(row).end_loops_by == "team"
    answer = api_for(bob).post("/api/v1/care/", {"container": str(row.pk), "end_loops": False}, format="json")
    assert (answer.status_code, json.loads(answer.content)["end_loops"]) == (200, False)
    assert (
        api_for(bob).post("/api/v1/care/", {"team": "blue", "heal": True}, format="json").status_code == 403
    )
    assert api_for(bob).post("/api/v1/care/", {"heal": True}, format="json").status_code == 403
    names = [one["name"] for one in json.loads(api_for(bob).get("/api/v1/care/").content)["results"]]
    assert sorted(names) == ["", "web"]
    assert json.loads(api_for(charlie).get("/api/v1/care/").content)["results"] == []


# On a real engine


def test_a_container_whose_checks_fail_is_restarted_for_real(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    team: Team,
    run_operations: Run,
) -> None:
    check = {"test": ["CMD", "test", "-e", "/well"], "interval": 200_000_000, "retries": 1, "timeout": 10**9}
    made: Any = docker_client.containers.run(
        busybox, ["sleep", "300"], name="ill", detach=True, network_mode="none", healthcheck=check, stop_signal="KILL"
    )  # fmt: skip
    until = time.monotonic() + 30
    while made.attrs["State"].get("Health", {}).get("Status") != "unhealthy" and time.monotonic() < until:
        time.sleep(0.1)
        made.reload()
    sync.reconcile(engine_row, engine_backend)
    sync.look_at_all(engine_row, engine_backend)
    Container.objects.update(team=team)
    CareRule.objects.create(team=team, heal=True)
    row = Container.objects.get(name="ill")
    assert row.health == "unhealthy"
    care.sweep()
    later(10)
    assert care.sweep() == 1
    assert [one.state for one in run_operations()] == ["succeeded"]
    row.refresh_from_db()
    assert (row.heal_tries, row.state) == (1, "running")
    before = made.attrs["State"]["StartedAt"]
    made.reload()
    assert made.attrs["State"]["StartedAt"] > before


def test_a_real_crash_loop_is_ended_and_stays_so(
    engine_row: Engine,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
    busybox: str,
    team: Team,
    run_operations: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(care, "ENDS", 3)
    made: Any = docker_client.containers.run(
        busybox, ["sh", "-c", "exit 7"], name="loop", detach=True, network_mode="none",
        restart_policy={"Name": "always"},
    )  # fmt: skip
    until = time.monotonic() + 30
    while made.attrs["RestartCount"] < 3 and time.monotonic() < until:
        time.sleep(0.1)
        made.reload()
    sync.reconcile(engine_row, engine_backend)
    sync.look_at_all(engine_row, engine_backend)
    Container.objects.update(team=team, state="restarting")
    row = Container.objects.get(name="loop")
    for number in range(3):
        EngineEvent.objects.create(
            engine=engine_row, type="container", action="die", native_id=row.native_id, container=row, origin="engine",
            time_ns=time.time_ns() + number, at=timezone.now(), exit_code=7,
        )  # fmt: skip
    care.switch(row, actor=Actor(user=None, source="system"), end_loops=True)
    assert care.sweep() == 1
    assert [one.state for one in run_operations()] == ["succeeded"]
    row.refresh_from_db()
    assert (row.state, status_of(row).tone, attention_of(row)) == ("exited", "bad", True)
    time.sleep(2)
    made.reload()
    assert made.status == "exited", "its policy does not start it again"
