"""Files of containers and volumes on a real engine: links, hostile names, huge folders, mounts."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from engine import docker_data, docker_files, names
from engine.base import Engine
from engine.connect import connect
from engine.errors import Cancelled, Conflict, NameInUse, NotFound, PolicyDenied, TooLarge
from engine.files import FileKind, Place, shown
from engine.specs import VolumeSpec
from engine.tests.conftest import BUSYBOX, unused_name
from engine.tests.contract_files import content, names_in, put
from engine.tests.test_real import started
from tests import machine

SLEEP = "echo done > /done; sleep 1000"


@pytest.fixture
def engine(engine_url: str, busybox: str, docker_client: docker.DockerClient) -> Iterator[Engine]:
    inventory = machine.Inventory(docker_client)
    yield connect(engine_url)
    inventory.restore()


def made(engine: Engine, client: docker.DockerClient, script: str, **body: object) -> Place:
    """A running container in which this script has come to its end."""
    native_id = started(engine, f"{script}; {SLEEP}", **body)
    found = client.containers.get(native_id)
    machine.wait_for(lambda: found.exec_run("cat /done").exit_code == 0, 30, "the script does not end")
    return Place(container=native_id)


def says(client: docker.DockerClient, place: Place, command: str) -> str:
    found = client.containers.get(place.container).exec_run(["sh", "-c", command])
    return str(found.output.decode()).strip()


def test_links_are_followed_inside_the_container_alone(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    """S-77."""
    script = (
        "mkdir -p /srv/real; echo in > /srv/real/f; ln -s real /srv/near; ln -s /srv/real /srv/far;"
        " ln -s ../../../../etc /srv/up; ln -s /proc /srv/kernel; ln -s /nowhere /srv/broken; ln -s loop /srv/loop"
    )
    place = made(engine, docker_client, script)
    kinds = names_in(engine, place, "/srv")
    assert kinds == {
        "real": "folder", **dict.fromkeys(("near", "far", "up", "kernel", "broken", "loop"), "link"),
    }  # fmt: skip
    assert content(engine, place, "/srv/near/f") == content(engine, place, "/srv/far/f") == b"in\n"
    listing = engine.files(place, "/srv/up")
    assert listing.path == "/etc"
    with pytest.raises(PolicyDenied):
        engine.files(place, "/srv/kernel")
    for broken in ("/srv/broken", "/srv/loop"):
        with pytest.raises((NotFound, Conflict)):
            engine.files(place, broken)
    engine.remove_file(place, "/srv/far")
    assert content(engine, place, "/srv/real/f") == b"in\n", "the link goes, not what it leads to"


def test_a_link_that_leads_out_of_a_volume_is_refused_by_either_way_in(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    """S-77."""
    name = unused_name()
    script = "cd /data; ln -s /etc out; ln -s ../etc/passwd file; mkdir in; ln -s in near; echo v > in/f"
    mounts = [{"type": "volume", "source": name, "target": "/data"}]
    through = made(engine, docker_client, script, mounts=mounts)
    for place in (Place(container=through.container, root="/data"), Place(volume=name)):
        assert set(names_in(engine, place, "/")) == {"out", "file", "in", "near"}
        assert content(engine, place, "/near/f") == b"v\n"
        for path in ("/out", "/out/hostname", "/file"):
            with pytest.raises((PolicyDenied, NotFound)):
                engine.files(place, path)
            with pytest.raises((PolicyDenied, NotFound)):
                content(engine, place, path)
            with pytest.raises((PolicyDenied, NotFound)):
                put(engine, place, f"{path}/x", b"x", replace=True)
    assert says(docker_client, through, "ls /etc/x 2>&1").endswith("No such file or directory")


def test_a_volume_is_changed_with_and_without_a_container(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    name = unused_name()
    mounts = [{"type": "volume", "source": name, "target": "/data"}]
    through = made(engine, docker_client, "mkdir /data/d; chown 12:34 /data/d", mounts=mounts)
    for place in (Place(container=through.container, root="/data"), Place(volume=name)):
        put(engine, place, "/d/f", b"one")
        assert says(docker_client, through, "stat -c '%u:%g %a %s' /data/d/f") == "12:34 644 3"
        engine.rename_file(place, "/d/f", "g")
        assert says(docker_client, through, "cat /data/d/g; ls /data/d") == "oneg"
        engine.remove_file(place, "/d/g")
    assert says(docker_client, through, "ls /data/d") == ""
    left = docker_client.containers.list(all=True)
    assert [one.id for one in left] == [through.container]


def test_owner_mode_and_time_stay_and_set_id_bits_do_not(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    script = (
        "mkdir -p /srv; cd /srv; echo old > f; chown 7:8 f; chmod 4750 f; touch -d '2020-01-02 03:04:05' f"
    )
    place = made(engine, docker_client, script)
    engine.rename_file(place, "/srv/f", "g")
    assert says(docker_client, place, "stat -c '%u:%g %a %Y' /srv/g").startswith("7:8 750 15779")
    put(engine, place, "/srv/g", b"new", replace=True)
    assert says(docker_client, place, "stat -c '%u:%g %a %s' /srv/g; cat /srv/g") == "7:8 750 3\nnew"


def test_names_that_are_hostile_are_listed_and_do_no_harm(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    script = r"""mkdir /w; cd /w; echo 1 > "$(printf 'new\nline')"; echo 2 > "$(printf 'no\377text')"
        echo 3 > '<img src=x>'; echo 4 > "$(printf 'turn\342\200\256gpj')"
        echo 5 > '-rf'; echo 6 > '..x'; echo 7 > 'a*b?c'; echo 8 > ' '"""
    place = made(engine, docker_client, script)
    entries = {one.name: one for one in engine.files(place, "/w").entries}
    assert [shown(name) for name in sorted(entries)] == [
        " ", "-rf", "..x", "<img src=x>", "a*b?c", "new\\nline", "no\\xfftext", "turn\\u202egpj",
    ]  # fmt: skip
    for name in entries:
        if "\udcff" not in name:
            assert len(content(engine, place, f"/w/{name}")) == 2, name
    for name in ("new\nline", "-rf", "a*b?c", " "):
        engine.remove_file(place, f"/w/{name}")
    assert len(engine.files(place, "/w").entries) == 4


def test_special_files_are_listed_and_cannot_be_opened(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    place = made(
        engine,
        docker_client,
        "mkdir /w; mkfifo /w/pipe; mknod /w/null c 1 3; ln /done /w/done 2>/dev/null; echo 1 > /w/f",
    )
    entries = {one.name: one.kind for one in engine.files(place, "/w").entries}
    assert (entries["pipe"], entries["null"]) == (FileKind.OTHER, FileKind.OTHER)
    for name in ("pipe", "null"):
        for act in (
            lambda path: engine.peek(place, path, most=1),
            lambda path: content(engine, place, path),
            lambda path: put(engine, place, path, b"x", replace=True),
            lambda path: engine.rename_file(place, path, "other"),
        ):
            with pytest.raises(Conflict):
                act(f"/w/{name}")


def test_a_folder_with_very_many_entries_is_cut_and_says_so(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    place = made(
        engine, docker_client, "mkdir /w; cd /w; i=0; while [ $i -lt 6000 ]; do : > f$i; i=$((i+1)); done"
    )
    listing = engine.files(place, "/w", most=5000)
    assert (len(listing.entries), listing.complete) == (5000, False)
    whole = engine.files(place, "/w", most=6000)
    assert (len(whole.entries), whole.complete) == (6000, True)


def test_what_a_listing_does_not_come_to_is_asked_after(
    engine: Engine, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made(
        engine,
        docker_client,
        "mkdir -p /w/b /w/z; dd if=/dev/zero of=/w/b/big bs=1M count=30 2>/dev/null; echo 1 > /w/z/f",
    )
    monkeypatch.setattr(docker_files, "LIST_BYTES", 10_000_000)
    listing = engine.files(place, "/w", hints=["z", "nowhere"])
    assert not listing.complete
    assert {one.name: one.kind for one in listing.entries} == {"b": FileKind.FOLDER, "z": FileKind.FOLDER}
    monkeypatch.undo()
    assert engine.files(place, "/w").complete


def test_the_root_is_listed_with_what_is_mounted_in_it(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    mounts = [{"type": "volume", "source": unused_name(), "target": "/data"}]
    place = made(engine, docker_client, "echo v > /data/v; echo top > /top", mounts=mounts)
    entries = {one.name: one for one in engine.files(place, "/").entries}
    assert {"bin", "data", "top", "etc", "proc"} <= set(entries)
    assert entries["top"].size == 4
    assert engine.files(place, "/bin").entries
    engine.stop(place.container, timeout=0)
    assert content(engine, place, "/data/v") == b"v\n", "stopped, it has its volumes all the same"


def test_a_paused_container_is_no_hindrance(engine: Engine, docker_client: docker.DockerClient) -> None:
    place = made(engine, docker_client, "mkdir /w; echo 1 > /w/a")
    engine.pause(place.container)
    put(engine, place, "/w/b", b"2")
    engine.remove_file(place, "/w/a")
    assert names_in(engine, place, "/w") == {"b": "file"}
    engine.unpause(place.container)
    assert says(docker_client, place, "cat /w/b") == "2"


def test_hard_links_have_the_size_of_their_file(engine: Engine, docker_client: docker.DockerClient) -> None:
    place = made(engine, docker_client, "mkdir /w; echo 12345 > /w/a; ln /w/a /w/b")
    assert {one.name: one.size for one in engine.files(place, "/w").entries} == {"a": 6, "b": 6}
    assert content(engine, place, "/w/b") == b"12345\n"


def test_what_is_mounted_is_neither_emptied_nor_replaced(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    mounts = [{"type": "volume", "source": unused_name(), "target": "/srv/deep/data"}]
    found = made(engine, docker_client, "echo v > /srv/deep/data/v", mounts=mounts)
    place = Place(container=found.container, mounts=("/srv/deep/data", "/etc/hosts"))
    for path in ("/srv", "/srv/deep", "/srv/deep/data", "/etc", "/etc/hosts"):
        with pytest.raises(Conflict):
            engine.remove_file(place, path)
    with pytest.raises(Conflict):
        engine.rename_file(place, "/srv/deep", "other")
    assert content(engine, place, "/srv/deep/data/v") == b"v\n"


def test_what_is_closed_does_not_come_with_the_folder_above(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    mounts = [{"type": "volume", "source": unused_name(), "target": "/w/shut"}]
    found = made(
        engine, docker_client, "echo secret > /w/shut/s; echo open > /w/o; ln -s shut/s /w/way", mounts=mounts
    )
    place = Place(container=found.container, closed=("/w/shut",))
    with tarfile.open(fileobj=io.BytesIO(content(engine, place, "/w"))) as archive:
        assert sorted(archive.getnames()) == ["w", "w/o", "w/way"]
    for path in ("/w/shut", "/w/shut/s", "/w/way"):
        with pytest.raises(PolicyDenied):
            content(engine, place, path)
    with pytest.raises(PolicyDenied):
        put(engine, place, "/w/shut/x", b"x")


def test_a_sparse_file_counts_with_all_its_size(engine: Engine, docker_client: docker.DockerClient) -> None:
    """S-78."""
    place = made(engine, docker_client, "dd if=/dev/zero of=/big bs=1 count=1 seek=3000000000 2>/dev/null")
    with pytest.raises(TooLarge):
        engine.fetch(place, "/big", io.BytesIO(), most=10**9)
    began = time.monotonic()
    info, start = engine.peek(place, "/big", most=10)
    assert (info.size, start) == (3_000_000_001, bytes(10))
    assert time.monotonic() - began < 5


def test_a_folder_is_removed_with_all_that_is_in_it_also_from_a_stopped_container(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    place = made(
        engine,
        docker_client,
        "mkdir -p /w/a/b/c; echo 1 > /w/a/b/c/f; ln -s /etc /w/a/link; echo 2 > /w/stays",
    )
    engine.stop(place.container, timeout=0)
    engine.remove_file(place, "/w/a")
    assert names_in(engine, place, "/w") == {"stays": "file"}
    assert "passwd" in names_in(engine, place, "/etc")
    with pytest.raises(NameInUse):
        put(engine, place, "/w/stays", b"x")


def test_a_download_that_nobody_waits_for_lets_go_of_the_engine(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    """S-78."""
    place = made(engine, docker_client, "dd if=/dev/zero of=/big bs=1M count=200 2>/dev/null")
    stop, began = threading.Event(), time.monotonic()

    class Slow(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            stop.set()
            time.sleep(0.1)
            return len(data)

    with pytest.raises(Cancelled):
        engine.fetch(place, "/big", io.BufferedWriter(Slow()), most=10**9, should_stop=stop.is_set)
    engine.stop(place.container, timeout=0)
    assert time.monotonic() - began < 15


def test_what_a_killed_process_has_left_of_a_look_is_removed_by_the_next(
    engine: Engine, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = unused_name()
    engine.create_volume(VolumeSpec(name=name))
    labels = {names.OPERATION_LABEL: "x"}
    left = docker_client.containers.create(BUSYBOX, name="slipway-volume-left", labels=labels)
    stranger = docker_client.containers.create(BUSYBOX, name="slipway-volume-mine")
    engine.files(Place(volume=name), "/")
    assert {one.id for one in docker_client.containers.list(all=True)} == {left.id, stranger.id}, (
        "both are young"
    )
    monkeypatch.setattr(docker_data, "_LEFT", -5)
    engine.files(Place(volume=name), "/")
    assert [one.id for one in docker_client.containers.list(all=True)] == [stranger.id]
