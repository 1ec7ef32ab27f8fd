"""Copies of volumes: into another one, to a tar, from one. On a real engine."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
from django.test import Client

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from containers_app import operations, volume_copies, volume_files
from containers_app.models import Volume
from containers_app.tests.test_operations import Bench, failed
from engine.base import Engine as EngineBackend
from engine.specs import SpecError
from operations import web
from operations.models import Engine, Operation
from operations.services import Refused
from tests.machine import said_by

Carry = Callable[[], list[Operation]]
LOOK = ["sh", "-c", "cd /data; cat file; stat -c %u:%g:%a file; readlink link; ls -d folder"]
SAID = b"precious\n1234:567:640\n/data/file\nfolder\n"


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture
def data(bench: Bench, docker_client: docker.DockerClient) -> Volume:
    """A volume of team blue with a file, a folder and a link."""
    fill = "cd /data; echo precious > file; chown 1234:567 file; chmod 640 file; ln -s /data/file link; mkdir folder"
    bench.container(
        command=["sh", "-c", fill], mounts=[{"type": "volume", "source": "data", "target": "/data"}]
    )
    docker_client.containers.list(all=True)[0].wait()
    return Volume.objects.get(native_id="data")


def nothing_lies_around() -> bool:
    return not [path for path in volume_files.file_of("x").parent.iterdir() if path.suffix != ".kept"]


def clone(bench: Bench, volume: Volume, by: User, name: str = "copy") -> Operation:
    actor = person(by, source="ui")
    return bench._done(operations.request_volume_clone(volume, {"name": name}, actor=actor))


def test_a_clone_holds_all_that_the_volume_holds(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient
) -> None:
    operation = clone(bench, data, tara)
    assert operation.state == "succeeded", operation.error_message
    copy = Volume.objects.get(native_id="copy")
    assert (copy.team, operation.result["volume"]) == (bench.team, str(copy.pk))
    assert said_by(docker_client, bench.image, LOOK, volumes=["copy:/data"]) == SAID
    assert said_by(docker_client, bench.image, LOOK, volumes=["data:/data"]) == SAID
    assert nothing_lies_around()
    assert [one for one in docker_client.containers.list(all=True) if "slipway-volume" in one.name] == []


def test_a_name_in_use_is_refused_before_and_by_the_engine(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient
) -> None:
    with pytest.raises(Refused) as refused:
        clone(bench, data, tara, "data")
    assert refused.value.code == "name_in_use"
    docker_client.volumes.create("copy")
    failed(clone(bench, data, tara), "name_in_use")
    with pytest.raises(SpecError):
        clone(bench, data, tara, "../copy")
    assert nothing_lies_around()


def test_a_clone_that_fails_leaves_no_volume(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient, settings: Any,
    engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(volume_files, "most_bytes", lambda: 100)
    failed(clone(bench, data, tara), "too_large")
    monkeypatch.undo()

    def refuses(self: Any, *_: Any, **__: Any) -> None:
        from engine.errors import EngineError

        raise EngineError("No.")

    monkeypatch.setattr(type(engine_backend), "write_volume", refuses)
    failed(clone(bench, data, tara), "engine_error")
    assert {one.name for one in docker_client.volumes.list()} == {"data"}
    assert nothing_lies_around()


def test_a_worker_that_dies_between_making_and_filling_is_followed(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from containers_app.tests.test_trash import follow

    operation = operations.request_volume_clone(data, {"name": "copy"}, actor=person(tara, source="ui"))

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), "write_volume", dies)
        with pytest.raises(KeyboardInterrupt):
            bench.carry_out()
    follow(operation)
    operation.refresh_from_db()
    assert (operation.state, operation.attempt) == ("succeeded", 2), operation.error_message
    assert said_by(docker_client, bench.image, LOOK, volumes=["copy:/data"]) == SAID


def test_an_export_is_a_tar_that_can_be_imported(
    bench: Bench, data: Volume, tara: User, vic: User, client_for: Callable[..., Client],
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    actor = person(tara, source="ui")
    operation = bench._done(operations.request_volume_export(data, actor=actor))
    assert operation.state == "succeeded", operation.error_message
    assert operation.result["files"] == 3
    address = operation.result["download"]
    assert client_for(vic).get(address).status_code == 403
    answer = client_for(tara).get(address)
    assert (answer["Content-Type"], 'filename="data.tar"' in answer["Content-Disposition"]) == (
        "application/x-tar",
        True,
    )
    whole = b"".join(answer.streaming_content)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        assert sorted(archive.getnames()) == ["file", "folder", "link"]
        assert archive.getmember("link").linkname == "/data/file"
    assert AuditEntry.objects.filter(verb="volume.download", actor_name="tara").count() == 1

    again = operations.request_volume_import(
        {"name": "back", "labels": {"a": "b"}}, io.BytesIO(gzip.compress(whole)), actor=actor
    )
    bench._done(again)
    assert again.state == "succeeded", again.error_message
    row = Volume.objects.get(native_id="back")
    assert (row.team, row.labels["a"]) == (bench.team, "b")
    assert said_by(docker_client, bench.image, LOOK, volumes=["back:/data"]) == SAID
    volume_copies.export_of(operation).unlink()
    assert client_for(tara).get(address).status_code == 404
    assert nothing_lies_around()


def hostile(name: str, **fields: Any) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(entry, key, value)
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return made.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        hostile("/etc/passwd"),
        hostile("../../etc/passwd"),
        hostile("dev", type=tarfile.BLKTYPE),
        hostile("pipe", type=tarfile.FIFOTYPE),
        hostile("hard", type=tarfile.LNKTYPE, linkname="/etc/shadow"),
        gzip.compress(hostile("zeros", size=30_000_000)),
        b"no tar",
    ],
    ids=["absolute", "out", "device", "pipe", "hard link", "bomb", "noise"],
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(archive: bytes, bench: Bench, tara: User) -> None:
    """S-75."""
    with pytest.raises(SpecError) as wrong:
        operations.request_volume_import(
            {"name": "back"}, io.BytesIO(archive), actor=person(tara, source="ui")
        )
    assert list(wrong.value.errors) == ["archive"]
    assert not Operation.objects.exists()
    assert nothing_lies_around()


def test_nothing_is_written_through_a_link_of_an_archive(
    bench: Bench, tara: User, docker_client: docker.DockerClient
) -> None:
    """S-75. A link may lead anywhere, and stays a link: what follows in the archive does not go through it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("out/escaped"), io.BytesIO())
    with pytest.raises(SpecError, match="valid"):
        operations.request_volume_import(
            {"name": "back"}, io.BytesIO(made.getvalue()), actor=person(tara, source="ui")
        )


def test_the_same_import_twice_is_one(bench: Bench, tara: User) -> None:
    actor, archive = person(tara, source="api"), hostile("empty")
    first = operations.request_volume_import(
        {"name": "back"}, io.BytesIO(archive), actor=actor, idempotency_key="once"
    )
    second = operations.request_volume_import(
        {"name": "back"}, io.BytesIO(archive), actor=actor, idempotency_key="once"
    )
    assert first == second
    assert bench._done(first).state == "succeeded"
    assert nothing_lies_around()


def test_when_a_volume_was_last_used_is_known_after_its_container_is_gone(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    from containers_app import sync

    row = bench.container(mounts=[{"type": "volume", "source": "data", "target": "/data"}])
    docker_client.volumes.create("idle")
    began = Volume.objects.get(native_id="data").last_used_at
    assert began
    bench.do(row, "remove", force=True, forever=True)
    sync.reconcile(bench.engine, engine_backend)
    used = dict(Volume.objects.values_list("native_id", "last_used_at"))
    assert used["data"] >= began
    assert used["idle"] is None


async def test_a_download_is_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "whole.tar"
    path.write_bytes(b"x" * (3 * web.PIECE - 5))
    answer = web.Download(path.open("rb"), filename="whole.tar")
    pieces = [len(piece) async for piece in answer]
    answer.close()
    assert pieces == [web.PIECE, web.PIECE, web.PIECE - 5]
