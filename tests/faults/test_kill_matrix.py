"""A worker killed at any point of any operation: it has happened once, or not at all, and that is what is said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from accounts.models import Membership
from containers_app import stores, volume_files
from containers_app.models import Volume, VolumeBackup
from images_app import operations as images
from images_app.models import Tag
from operations import services, trash
from tests import machine
from tests.faults import rest, tally
from tests.faults import site as sites
from tests.faults.points import LATER, POINTS
from tests.faults.site import AGAIN, Site

KINDS = (*sites.KINDS, *sites.MORE)
BEFORE = ("claimed", "before-call")
"""Points at which nothing has been asked of the engine."""
WITHOUT = {
    "volume.purge": ("before-call", "after-call"), "network.purge": ("before-call", "after-call"),
    "container.export": ("before-call", "after-call"), "container.copy": ("before-call", "after-call"),
    "image.export": ("before-call", "after-call"), "image.index": ("before-call", "after-call"),
    "volume.export": ("after-call",), "backup.remove": ("after-call",),
}  # fmt: skip
"""Points that these do not pass: they change files and rows of ours, and nothing on the engine."""
STEPS = {
    "container.recreate": 5, "container.restore": 2, "container.remove": 2, "volume.clone": 2, "volume.import": 2,
    "volume.recover": 2, "volume.restore": 2, "network.remove": 2, "network.restore": 2, "image.remove": 2,
    "image.restore": 2,
}  # fmt: skip
"""How many changes each of those makes that make more than one."""
TELLING = ("after-call", "in-finish")
"""Those that every run looks at: where something has happened and nobody knows yet."""


def test_a_container_that_was_made_and_not_started_is_found_and_started(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    died = site.will("container.run", "half", "created")
    operation = site.ask("container.run", "half")
    (ended,) = site.wait([operation])
    assert died.exists()
    assert (ended.state, ended.attempt, len(site.calls(ended, "half"))) == ("succeeded", 2, 1)
    assert site.row("half").state == "running"
    site.holds()


@pytest.mark.parametrize("loss", ["rights", "cancel"])
def test_what_a_lost_worker_has_left_half_made_is_taken_away_where_it_is_not_to_be_done_any_more(
    loss: str, site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    died = site.will("container.run", "half", "created")
    operation = site.ask("container.run", "half")
    machine.wait_for(died.exists, 30, "nobody died there")
    if loss == "rights":
        Membership.objects.all().delete()
    else:
        services.cancel(operation, actor=site.actor)
    (ended,) = site.wait([operation])
    assert (ended.state, ended.error_code) == ("cancelled", "denied" if loss == "rights" else "cancelled")
    assert site.docker.containers.list(all=True, filters={"name": "half"}) == []
    site.holds()


def test_what_had_happened_before_the_worker_was_lost_is_not_called_cancelled(
    site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("container.stop", "off")])
    died = site.will("container.stop", "off", "after-call")
    operation = site.ask("container.stop", "off")
    machine.wait_for(died.exists, 30, "nobody died there")
    services.cancel(operation, actor=site.actor)
    (ended,) = site.wait([operation])
    assert ended.state == "succeeded"
    site.holds()


@pytest.mark.parametrize("kind", ["volume.remove", "image.untag"])
def test_what_a_killed_worker_has_removed_can_still_be_taken_back(
    kind: str, site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    if kind == "volume.remove":
        site.prepare([(kind, "data")])
        died = site.will(kind, "data", "after-call")
        (removed,) = site.wait([site.ask(kind, "data")])
    else:
        site.wait([site.ask("image.tag", "more")])
        died = site.plan.put(kind, "faults/more:1", "after-call")
        tag = Tag.objects.get(name="faults/more:1")
        (removed,) = site.wait([images.request_untag(tag, actor=site.actor)])
    assert died.exists()
    assert (removed.state, removed.attempt) == ("succeeded", 2)
    (back,) = site.wait([trash.undo(removed, actor=site.actor)])
    assert back.state == "succeeded"
    site.holds()


@pytest.mark.parametrize("point", ["before-call", "reading", "before-finish", "in-finish"])
def test_a_worker_killed_while_it_backs_up_leaves_one_backup(
    point: str, site: Site, nursery: subprocess.Popen[bytes]
) -> None:
    site.prepare([("volume.backup", "data")])
    died = site.will("volume.backup", "data", point)
    (ended,) = site.wait([site.ask("volume.backup", "data")])
    assert died.exists()
    assert (ended.state, ended.attempt) == ("succeeded", 2), ended.error_message
    row = VolumeBackup.objects.get()
    assert ended.result["backup"] == str(row.pk)
    file = stores.folder() / row.key
    assert [path for path in stores.folder().rglob("*.tar.gz") if path.parent == file.parent] == [file]
    stores.of(None).delete(row.key)
    stores.of(None).delete(f"{row.key}.json")
    site.holds()


def all_died(died: Mapping[str, Path]) -> None:
    """Behind the commit an operation has ended a moment before its worker does."""
    with suppress(AssertionError):
        machine.wait_for(lambda: all(path.exists() for path in died.values()), 10, "")
    assert [kind for kind, path in died.items() if not path.exists()] == [], "nobody died there"


@pytest.mark.parametrize(
    "point", [point if point in TELLING else pytest.param(point, marks=pytest.mark.long) for point in POINTS]
)
def test_a_worker_killed_at_this_point_leaves_one_effect(
    point: str, site: Site, nursery: subprocess.Popen[bytes], record_property: Callable[[str, object], None]
) -> None:
    names = {kind: f"{point}-{kind.replace('.', '-')}" for kind in KINDS}
    site.prepare(list(names.items()))
    died = {kind: site.will(kind, name, point) for kind, name in names.items()}
    asked = {kind: site.ask(kind, name) for kind, name in names.items()}
    ended = dict(zip(KINDS, site.wait(list(asked.values())), strict=True))

    all_died(died)
    told = {kind: (row.state, row.error_code) for kind, row in ended.items()}
    once = {kind: len(site.calls(row, names[kind])) for kind, row in ended.items()}
    times = {0: "never", 1: "once"}
    cells = [[kind, point, f"{told[kind][0]}, {times.get(n, f'{n} times')}"] for kind, n in once.items()]
    record_property(tally.MATRIX, cells)
    lost = AGAIN if point in BEFORE else set()
    assert told == {kind: ("failed", "lost") if kind in lost else ("succeeded", "") for kind in KINDS}
    assert once == {kind: 0 if kind in lost else 1 for kind in KINDS}
    assert not Volume.objects.filter(team=None).exists(), "a volume that came with a container is its team's"
    site.holds()


def _files() -> list[str]:
    return [path.name for path in volume_files.file_of("x").parent.iterdir()]


def _passes(kind: str, point: str) -> bool:
    step = int(point.rpartition("-")[2]) if point in LATER else 0
    return STEPS.get(kind, 1) >= step if step else kind in rest.KINDS and point not in WITHOUT.get(kind, ())


@pytest.mark.long
@pytest.mark.parametrize("point", [*POINTS, *LATER])
def test_a_worker_killed_there_leaves_what_was_wished_also_where_more_is_needed(
    point: str, site: Site, nursery: subprocess.Popen[bytes], record_property: Callable[[str, object], None]
) -> None:
    kinds, files = [kind for kind in (*rest.KINDS, *KINDS) if _passes(kind, point)], {*_files()}
    names = {kind: f"{point}-{kind.replace('.', '-')}" for kind in kinds}
    site.prepare(list(names.items()))
    first = {kind: site.ask(rest.FIRST[kind], names[kind]) for kind in kinds if kind in rest.FIRST}
    before = dict(zip(first, site.wait(list(first.values())), strict=True))
    assert [(one.kind, one.error_message) for one in before.values() if one.state != "succeeded"] == []
    died, asked = {}, {}
    for kind, name in names.items():
        called = rest.called(kind, name, before.get(kind)) if kind in rest.KINDS else name
        died[kind] = site.plan.put(kind, called, point)
        asked[kind] = site.ask(kind, name, **({"before": before[kind]} if kind in before else {}))
    ended = dict(zip(kinds, site.wait(list(asked.values())), strict=True))
    site.look()

    all_died(died)
    told = {kind: (row.state, row.error_code, row.error_message) for kind, row in ended.items()}
    assert told == dict.fromkeys(kinds, ("succeeded", "", ""))
    counted = [kind for kind in kinds if kind in {**rest.CALLS, **sites.CALLS}]
    once = {kind: len(site.calls(ended[kind], names[kind])) for kind in counted}
    assert once == dict.fromkeys(counted, 1)
    wrong = [k for k in kinds if k in rest.KINDS and not rest.happened(site, ended[k], names[k])]
    assert wrong == []
    cells = [[kind, point, f"succeeded, {'once' if kind in counted else 'seen'}"] for kind in kinds]
    record_property(tally.MATRIX, cells)
    assert {*_files()} - files == set(), "files for the meantime"
    site.holds()
