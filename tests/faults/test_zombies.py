"""Workers that were only asleep, messages that come many times, and people who want different things at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.access import Actor, person
from accounts.models import AuditEntry, Role, Team, User
from containers_app import operations as containers
from containers_app.models import Container
from operations import services
from operations.models import Operation, TrashItem
from operations.services import Refused
from tests import machine
from tests.faults import tally
from tests.faults.conftest import Start
from tests.faults.site import Site

KINDS = (
    "container.run",
    "container.stop",
    "container.rename",
    "container.remove",
    "volume.create",
    "image.build",
)
ASLEEP = ("claimed", "before-call", "after-call", "before-finish")
"""Not in the middle of a transaction: that would hold up the whole database, as long as the process lives."""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def settled() -> list[dict[str, Any]]:
    """All operations, once those who ended them have written their last word."""
    told, before = list(Operation.objects.order_by("pk").values()), None
    while told != before:
        time.sleep(1)
        told, before = list(Operation.objects.order_by("pk").values()), told
    return told


def test_a_worker_that_slept_longer_than_its_lease_changes_nothing_when_it_wakes(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    cells = [(kind, point, f"{point}-{kind.replace('.', '-')}") for kind in KINDS for point in ASLEEP]
    site.prepare([(kind, name) for kind, _, name in cells])
    slept = [site.will(kind, name, point, "sleep") for kind, point, name in cells]
    ended = site.wait([site.ask(kind, name) for kind, _, name in cells], 90)

    assert [cell for cell, said in zip(cells, slept, strict=True) if not said.exists()] == []
    assert {row.state for row in ended} == {"succeeded"}
    told, asked = settled(), time.time()
    zombies = [int(said.read_text()) for said in slept]
    for pid in zombies:
        os.kill(pid, signal.SIGCONT)
    machine.wait_for(lambda: all(map(gone, zombies)), 60, "a zombie does not end", every=0.1)

    assert [str(r) for r in site.door.journal if r.at > asked and r.method != "GET"] == []
    assert list(Operation.objects.order_by("pk").values()) == told
    assert {
        row.target_name: len(site.calls(row, name)) for row, (_, _, name) in zip(ended, cells, strict=True)
    } == {row.target_name: 1 for row in ended}
    site.holds()


def test_a_message_that_comes_a_hundred_times_to_several_workers_has_one_effect(
    site: Site, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-87."""
    names = ("container.run", "container.rename", "container.restart", "volume.create")
    site.prepare([(kind, kind.replace(".", "-")) for kind in names])
    asked = [site.ask(kind, kind.replace(".", "-")) for kind in names]
    for operation in asked * 100:
        services.dispatch(operation.pk)
    start("worker")
    start("worker")
    ended = site.wait(asked)
    assert [(row.state, row.fence, row.attempt) for row in ended] == [("succeeded", 1, 1)] * len(names)
    assert [len(site.calls(row, row.kind.replace(".", "-"))) for row in ended] == [1] * len(names)
    site.holds()


WISHES: list[tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]] = [
    (("stop", {"timeout": 2}), ("start", {})),
    (("remove", {"force": True}), ("restart", {"timeout": 2})),
    (("rename", {"name": "mine"}), ("rename", {"name": "yours"})),
]


FLEET = 20
"""Containers that are fought over at the same time."""


@pytest.mark.parametrize(
    "rounds",
    [5, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids="{}-rounds".format,
)
@pytest.mark.parametrize("wishes", WISHES, ids=lambda wishes: f"{wishes[0][0]}-{wishes[1][0]}")
def test_of_two_people_at_once_one_wins_and_the_other_is_told_by_whom(
    wishes: Any, rounds: int, site: Site, start: Start, person_of_blue: Callable[[str], User],
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    start("worker")
    people = [site.actor, person(person_of_blue("otto"), source="ui")]
    fleet: list[Container] = []
    began, won = time.monotonic(), Counter[str]()
    for first in range(0, rounds, FLEET):
        numbers = range(first, min(first + FLEET, rounds))
        fleet = manned(site, fleet, numbers)
        rows = [row for row, n in zip(fleet, numbers, strict=True) for row in fight(row, n, wishes, people)]
        ended = site.wait(rows, 120)
        last = {
            row.target_id: row for row in sorted(ended, key=began_at)
        }  # of two: in the order of their leases
        for row in ended:
            expected = {"failed"} if row.error_code in ("conflict", "not_found") else {"succeeded"}
            assert row.state in expected, row.error_message
        state = on_the_engine(site)
        assert [
            str(row) for row in last.values() if row.state == "succeeded" and not as_wished(state, row)
        ] == []
        won.update(row.actor_name for row in ended)
    told = AuditEntry.objects.filter(outcome="accepted", operation_id__isnull=False)
    asked = dict(Operation.objects.values_list("pk", "actor_name"))
    assert {entry.operation_id: entry.actor_name for entry in told if entry.operation_id in asked} == asked
    site.holds()
    refused = 2 * rounds - len(asked)
    numbers_seen = [rounds, won["tara"], won["otto"], refused, f"{time.monotonic() - began:.0f} s"]
    record_property(tally.DUEL, [f"{wishes[0][0]}, {wishes[1][0]}", *map(str, numbers_seen)])


def manned(site: Site, fleet: list[Container], numbers: range) -> list[Container]:
    """A container for each of these rounds: those that are still there, and new ones."""
    site.look()
    here = Container.objects.select_related("engine", "team").filter(pk__in=[row.pk for row in fleet])
    left = list(here)[: len(numbers)]
    new = [f"round-{n}" for n in numbers[len(left) :]]
    if new:
        site.prepare([("container.stop", name) for name in new])
    return left + [site.row(name) for name in new]


def fight(row: Container, number: int, wishes: Any, people: Sequence[Actor]) -> list[Operation]:
    """Both ask at the same moment; what was accepted. Who was refused was told for whom he would have to wait."""
    both = [(verb, {**params, "name": f"{params['name']}-{number}"} if "name" in params else params)
            for verb, params in wishes]  # fmt: skip
    got, refused = at_once(
        [lambda who=who, wish=wish: containers.request(row, wish[0], actor=who, params=wish[1])
         for who, wish in zip(people, both, strict=True)]
    )  # fmt: skip
    # A worker may have ended the first before the second came: then both were accepted, one after the other.
    if refused:
        assert (len(got), len(refused)) == (1, 1)
        assert (refused[0].status, refused[0].details["operation"]) == (409, str(got[0].pk))
    return got


def at_once(works: list[Callable[[], Operation]]) -> tuple[list[Operation], list[Refused]]:
    """Does these at the same moment; what came of them."""
    got: list[Operation] = []
    refused: list[Refused] = []
    barrier = threading.Barrier(len(works))

    def work(ask: Callable[[], Operation]) -> None:
        try:
            barrier.wait(10)
            got.append(ask())
        except Refused as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(ask,)) for ask in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) + len(refused) == len(works)
    return got, refused


def began_at(row: Operation) -> datetime:
    assert row.started_at is not None
    return row.started_at


def on_the_engine(site: Site) -> dict[str, tuple[str, str]]:
    """State and name of all containers there, by their ids."""
    return {
        c["Id"]: (c["State"], c["Names"][0].removeprefix("/")) for c in site.docker.api.containers(all=True)
    }


def as_wished(found: Mapping[str, tuple[str, str]], row: Operation) -> bool:
    """Whether the engine is as the last of them has asked for."""
    state, name = found.get(str(row.params["native_id"]), ("gone", ""))
    if name.startswith(f"{TrashItem.NAMES}-"):
        state = "gone"
    wanted = {
        "container.stop": "exited", "container.start": "running", "container.restart": "running",
        "container.kill": "exited", "container.pause": "paused", "container.remove": "gone",
    }  # fmt: skip
    if row.kind == "container.rename":
        return name == row.params["name"]
    return state == wanted[row.kind]


@pytest.fixture
def person_of_blue(person: Callable[..., User], team: Team) -> Callable[[str], User]:
    return lambda name: person(name, team, Role.OPERATOR)
