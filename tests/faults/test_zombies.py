"""Workers that were only asleep, messages that come many times, and people who want different things at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.access import person
from accounts.models import Role, Team, User
from containers_app import operations as containers
from operations import services
from operations.models import Operation, TrashItem
from operations.services import Refused
from tests import machine
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


def test_a_worker_that_slept_longer_than_its_lease_changes_nothing_when_it_wakes(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    cells = [(kind, point, f"{point}-{kind.replace('.', '-')}") for kind in KINDS for point in ASLEEP]
    site.prepare([(kind, name) for kind, _, name in cells])
    slept = [site.will(kind, name, point, "sleep") for kind, point, name in cells]
    ended = site.wait([site.ask(kind, name) for kind, _, name in cells], 90)

    assert [cell for cell, said in zip(cells, slept, strict=True) if not said.exists()] == []
    assert {row.state for row in ended} == {"succeeded"}
    told, asked = list(Operation.objects.order_by("pk").values()), time.time()
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


@pytest.mark.parametrize("wishes", WISHES, ids=lambda wishes: f"{wishes[0][0]}-{wishes[1][0]}")
def test_of_two_people_at_once_one_wins_and_the_other_is_told_by_whom(
    wishes: Any, site: Site, nursery: subprocess.Popen[bytes], person_of_blue: Callable[[str], User]
) -> None:
    rounds = [f"round-{n}" for n in range(5)]
    site.prepare([("container.stop", name) for name in rounds])
    people = [site.actor, person(person_of_blue("otto"), source="ui")]
    winners: list[Operation] = []
    for name in rounds:
        row = site.row(name)
        both = [(verb, {**params, "name": f"{name}-{params['name']}"} if "name" in params else params)
                for verb, params in wishes]  # fmt: skip
        got, refused = at_once(
            [lambda who=who, wish=wish: containers.request(row, wish[0], actor=who, params=wish[1])  # noqa: B023
             for who, wish in zip(people, both, strict=True)]
        )  # fmt: skip
        # The nursery may have ended the first before the second came: then both were accepted, one after the other.
        if refused:
            assert (len(got), len(refused)) == (1, 1)
            assert (refused[0].status, refused[0].details["operation"]) == (409, str(got[0].pk))
        winners += got
    ended = site.wait(winners)
    for row in ended:
        expected = {"failed"} if row.error_code in ("conflict", "not_found") else {"succeeded"}
        assert row.state in expected
    last = {row.target_id: row for row in sorted(ended, key=lambda row: row.created_at)}
    assert {row.actor_name for row in ended} <= {"tara", "otto"}
    for row in last.values():
        if row.state == "succeeded":
            assert as_wished(site, row)
    site.holds()


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


def as_wished(site: Site, row: Operation) -> bool:
    """Whether the engine is as the last of them has asked for."""
    native_id = str(row.params["native_id"])
    found = [c for c in site.docker.api.containers(all=True) if c["Id"] == native_id]
    state = found[0]["State"] if found else "gone"
    if found and found[0]["Names"][0].startswith(f"/{TrashItem.NAMES}-"):
        state = "gone"
    wanted = {
        "container.stop": "exited", "container.start": "running", "container.restart": "running",
        "container.kill": "exited", "container.pause": "paused", "container.remove": "gone",
    }  # fmt: skip
    if row.kind == "container.rename":
        return bool(found) and found[0]["Names"] == [f"/{row.params['name']}"]
    return state == wanted[row.kind]


@pytest.fixture
def person_of_blue(person: Callable[..., User], team: Team) -> Callable[[str], User]:
    return lambda name: person(name, team, Role.OPERATOR)
