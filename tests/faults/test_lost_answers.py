"""Engines that do what they were asked for and do not say so, that refuse, hang, break off and are slow."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

from conftest import BUSYBOX
from containers_app.models import Network
from operations import services
from operations.models import Engine, Operation, OperationEvent, TrashItem
from tests import machine
from tests.chaos import Faulty
from tests.faults.conftest import Start
from tests.faults.site import CALLS, KINDS, MORE, Site

QUICK = [kind for kind in (*KINDS, *MORE) if kind not in ("image.build", "image.import")]
"""A build goes on for as long as it is listened to: it has a test of its own. An import has an hour."""
NAMED = ("container.run", "volume.create")
"""Kinds whose change is answered with what was made."""


def lose(site: Site, mode: str, kinds: list[str]) -> list[tuple[str, str]]:
    """Each of these will go wrong once, in that way."""
    cells = [(kind, f"lost-{kind.replace('.', '-')}") for kind in kinds]
    site.prepare(cells)
    for kind, name in cells:
        room, _, verb = kind.partition(".")
        there = room == "container" and verb != "run"
        network = Network.objects.get(name=name).native_id if room == "network" and verb != "create" else ""
        native_id = site.row(name).native_id if there else network
        line = CALLS[kind].format(id=native_id, name=re.escape(name), network=network)
        site.door.fail(mode, line, times=1)
    return cells


def was_unknown(row: Operation) -> bool:
    return OperationEvent.objects.filter(operation=row, kind="state", data__state="unknown").exists()


def proven(site: Site, cells: list[tuple[str, str]], seconds: float) -> None:
    ended = site.wait([site.ask(kind, name) for kind, name in cells], seconds)
    assert {(row.kind, row.state) for row in ended} == {(kind, "succeeded") for kind, _ in cells}
    assert [row.kind for row in ended if not was_unknown(row)] == []
    assert {row.kind: len(site.calls(row, name)) for row, (_, name) in zip(ended, cells, strict=True)} == {
        kind: 1 for kind, _ in cells
    }
    site.holds()


def test_an_answer_that_breaks_off_is_looked_up_and_nothing_is_done_twice(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    proven(site, lose(site, "reset", QUICK), 60)


@pytest.mark.long
def test_an_answer_that_never_comes_is_looked_up_and_nothing_is_done_twice(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    proven(site, lose(site, "blackhole_response", QUICK), 110)


@pytest.mark.parametrize("mode", ["garbage", "truncated", "huge"])
def test_an_answer_that_is_nonsense_is_looked_up_and_nothing_is_done_twice(
    mode: str, site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    # An engine's answer to these is read; that of the others is its status alone, and 200 is one.
    read = [kind for kind in QUICK if kind in NAMED or mode == "garbage"]
    proven(site, lose(site, mode, read), 60)
    no_path(Operation.objects.all())


@pytest.mark.parametrize("mode", ["garbage", "truncated", "huge"])
def test_looks_that_are_answered_with_nonsense_end_no_worker_and_show_no_path(
    mode: str, site: Site, start: Start
) -> None:
    names = [f"look-{n}" for n in range(3)]
    site.prepare([("container.stop", name) for name in names])
    start("worker")
    site.door.fail(mode, r"GET \S*/json")
    asked = [site.ask("container.pause", name) for name in names]
    machine.wait_for(lambda: site.door.effects("GET"), 30, "nobody looks", every=0.1)
    site.door.heal()
    ended = site.wait([*asked, site.ask("volume.create", "afterwards")])
    assert ended[-1].state == "succeeded"
    # Whoever was told nonsense before has changed nothing, or has looked again.
    assert {(row.state, row.error_code) for row in ended} <= {
        ("succeeded", ""), ("failed", "engine_error"), ("failed", "engine_unreachable"),
    }  # fmt: skip
    no_path(ended)
    site.look()
    for row in ended[:-1]:
        paused = site.row(row.target_name).state == "paused"
        assert (row.state == "succeeded") == paused
    site.holds()


def no_path(rows: Iterable[Operation]) -> None:
    """Nothing of the host is shown."""
    told = [*rows, *OperationEvent.objects.all()]
    assert [row.pk for row in told if "/var/lib" in f"{vars(row)}"] == []


def test_what_an_engine_refuses_without_sense_has_failed_and_shows_no_path_of_its_host(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    cells = lose(site, "e500", QUICK)
    ended = site.wait([site.ask(kind, name) for kind, name in cells])
    # A start that the engine does not refuse a second time is not asked for a second time either.
    assert {(row.kind, row.state, row.error_code) for row in ended} == {
        (kind, "failed", "engine_error") for kind, _ in cells
    }
    assert [row.error_message for row in ended if "/var/lib" in row.error_message] == []
    assert [row.kind for row, (_, name) in zip(ended, cells, strict=True) if site.calls(row, name)] == []
    assert not TrashItem.objects.exists()
    site.holds()


def test_a_build_whose_connection_breaks_leaves_no_image_and_no_container(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.door.fail("reset", r"POST \S*/build", times=1)
    # The head of the answer alone: the engine goes on, and notices that nobody listens.
    text = f"FROM {BUSYBOX}\nRUN trap exit TERM; sleep 30\n"
    (row,) = site.wait([site.ask("image.build", "broken", dockerfile=text)])
    assert (row.state, row.error_code) == ("failed", "engine_answer_lost")
    machine.wait_for(lambda: not site.docker.api.containers(all=True), 20, "the step goes on", every=0.1)
    assert [i for i in site.docker.api.images() if "faults/broken:1" in (i["RepoTags"] or [])] == []
    site.holds()


def test_a_removal_that_has_stopped_its_container_is_brought_to_its_end(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("container.stop", "half")])
    site.door.fail("reset", r"POST \S*/update", times=1)
    operation = site.ask("container.remove", "half", force=True)
    (row,) = site.wait([operation])
    assert row.state == "succeeded"
    assert was_unknown(row)
    assert TrashItem.objects.get().state == TrashItem.State.KEPT
    site.holds()


def test_a_removal_whose_worker_died_is_taken_back_where_nobody_may_go_on(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("container.stop", "half")])
    site.docker.api.update_container("half", restart_policy={"Name": "always"})
    died = site.will("container.remove", "half", "after-call")
    operation = site.ask("container.remove", "half", force=True)
    machine.wait_for(died.exists, 30, "nobody died there")
    assert not site.docker.containers.get("half").attrs["State"]["Running"]
    services.cancel(operation, actor=site.actor)
    (row,) = site.wait([operation])
    assert (row.state, row.error_code) == ("cancelled", "cancelled")
    found = site.docker.containers.get("half")
    assert found.attrs["State"]["Running"]
    assert found.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert not TrashItem.objects.exists()
    site.holds()


def test_a_copy_of_a_volume_that_breaks_off_leaves_nothing_that_holds_the_volume(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("volume.remove", "held")])
    site.door.fail("reset", r"POST \S*/containers/create", times=1)
    (row,) = site.wait([site.ask("volume.remove", "held")])
    assert (row.state, row.error_code) == ("failed", "engine_answer_lost"), (
        "nothing of the volume was touched"
    )
    assert site.docker.api.containers(all=True) == []
    (again,) = site.wait([site.ask("volume.remove", "held")])
    assert again.state == "succeeded"
    site.holds()


def test_a_copy_of_a_volume_whose_worker_died_is_taken_away_though_nobody_goes_on(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("volume.remove", "held")])
    copies = set(Path(settings.HOME, "trash").glob("*.tar"))
    died = site.will("volume.remove", "held", "reading")
    operation = site.ask("volume.remove", "held")
    machine.wait_for(died.exists, 30, "nobody died there")
    assert len(site.docker.api.containers(all=True)) == 1
    services.cancel(operation, actor=site.actor)
    (row,) = site.wait([operation])
    assert (row.state, row.error_code) == ("cancelled", "cancelled")
    assert site.docker.api.containers(all=True) == []
    assert not TrashItem.objects.exists(), "half a copy is none"
    assert set(Path(settings.HOME, "trash").glob("*.tar")) == copies
    assert [volume["Name"] for volume in site.docker.api.volumes()["Volumes"]] == ["held"]
    site.holds()


@pytest.mark.long
def test_an_engine_that_hangs_ends_its_calls_and_holds_up_no_other(
    site: Site, engine_url: str, start: Start
) -> None:
    folder = machine.short_folder()
    other_door = Faulty(folder / "o.sock", engine_url).open()
    other = Engine.objects.create(name="other", endpoint=other_door.url, status=Engine.Status.ONLINE)
    well = Site(other, other_door, site.docker, site.team, site.actor.user, site.plan.folder)
    try:
        site.prepare([("container.rename", f"hangs-{n}") for n in range(2)])
        well.look()
        site.door.fail("hang", r".")
        start("worker")
        stuck = [site.ask("container.rename", f"hangs-{n}") for n in range(2)]
        machine.wait_for(lambda: [r for r in site.door.journal if not r.status], 30, "nothing hangs")
        fine = well.wait([well.ask("volume.create", f"fine-{n}") for n in range(4)])
        # The last of the others has ended before the first look of these could.
        ended = site.wait(stuck)
        assert [(row.state, row.error_code) for row in ended] == [("failed", "engine_timeout")] * 2
        assert {row.state for row in fine} == {"succeeded"}
        assert site.door.effects("rename") == []
        site.door.heal()
        (again,) = site.wait([site.ask("container.rename", "hangs-0")])
        assert again.state == "succeeded"
    finally:
        well.close()
        other.delete()
        other_door.shut()
        folder.rmdir()


@pytest.mark.long
def test_an_answer_that_comes_a_byte_at_a_time_is_not_waited_for_beyond_its_deadline(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("container.rename", "slow")])
    site.door.fail("drip", r"POST \S*/rename", times=1)
    (row,) = site.wait([site.ask("container.rename", "slow")])
    assert row.state == "succeeded"
    assert was_unknown(row)
    assert len(site.calls(row, "slow")) == 1
    site.holds()
