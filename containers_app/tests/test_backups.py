"""Backups of volumes: made, kept, put back whole and in parts, by themselves, and let go. On a real engine."""

from __future__ import annotations

import errno
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Denied, person
from accounts.models import Membership, Role, Team, User
from containers_app import backup_asks, operations, stores
from containers_app.backed import packed
from containers_app.models import BackupSchedule, Volume, VolumeBackup
from containers_app.tests.test_operations import Bench, failed
from containers_app.tests.test_volume_copies import LOOK, SAID, data, nothing_lies_around
from engine.specs import SpecError
from operations.models import Engine, Operation
from operations.plans import preview
from operations.services import Refused
from tests.machine import said_by
from tests.rows import make_engine, make_operation, make_volume

Carry = Callable[[], list[Operation]]
__all__ = ["data"]


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.BACKUP_DIR = str(tmp_path / "backups")
    return tmp_path / "backups"


def make(bench: Bench, volume: Volume, by: User, **options: Any) -> VolumeBackup:
    actor = person(by, source="ui")
    operation = bench._done(operations.request_volume_backup(volume, actor=actor, **options))
    assert operation.state == "succeeded", operation.error_message
    return VolumeBackup.objects.get(pk=operation.result["backup"])


def restore(bench: Bench, row: VolumeBackup, by: User, **body: Any) -> Operation:
    actor = person(by, source="ui")
    return bench._done(operations.request_backup_restore(row, body, actor=actor))


def test_a_backup_can_be_read_with_tar_and_a_text_editor(
    bench: Bench, data: Volume, tara: User, folder: Path
) -> None:
    row = make(bench, data, tara)
    file = folder / row.key
    assert (row.size, row.entries, row.team) == (file.stat().st_size, 3, bench.team)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file, "r:gz") as archive:
        assert sorted(archive.getnames()) == ["file", "folder", "link"]
    said = json.loads((folder / f"{row.key}.json").read_text())
    assert (said["volume"], said["sha256"], said["entries"]) == ("data", row.digest, 3)
    assert [entry["name"] for entry in row.listed if entry["kind"] == "file"] == ["file"]
    assert nothing_lies_around()
    assert not list(folder.rglob("*.half"))


def test_a_volume_comes_back_whole_into_a_new_one(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient
) -> None:
    row = make(bench, data, tara)
    operation = restore(bench, row, tara, volume="back")
    assert operation.state == "succeeded", operation.error_message
    assert Volume.objects.get(native_id="back").team == bench.team
    assert said_by(docker_client, bench.image, LOOK, volumes=["back:/data"]) == SAID
    assert nothing_lies_around()


def test_an_empty_volume_is_backed_up_and_comes_back_empty(
    bench: Bench, docker_client: docker.DockerClient, tara: User
) -> None:
    docker_client.volumes.create("bare")
    bare = make_volume(bench.engine, bench.team, "bare")
    row = make(bench, bare, tara)
    assert row.entries == 0
    operation = restore(bench, row, tara, volume="back")
    assert operation.state == "succeeded", operation.error_message
    assert said_by(docker_client, bench.image, ["ls", "-A", "/data"], volumes=["back:/data"]) == b""


def test_a_volume_that_is_gone_comes_back_under_its_name(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient
) -> None:
    row = make(bench, data, tara)
    for container in docker_client.containers.list(all=True):
        container.remove(force=True)
    docker_client.volumes.get("data").remove()
    Volume.objects.all().delete()
    assert restore(bench, row, tara).state == "succeeded"
    assert said_by(docker_client, bench.image, LOOK, volumes=["data:/data"]) == SAID


def test_single_files_come_back_and_nothing_else_changes(
    bench: Bench, data: Volume, tara: User, docker_client: docker.DockerClient
) -> None:
    row = make(bench, data, tara)
    change = ["sh", "-c", "cd /data; echo spoilt > file; echo new > later; rm -r folder"]
    said_by(docker_client, bench.image, change, volumes=["data:/data"])
    actor = person(tara, source="ui")
    plan = preview(
        lambda: operations.request_backup_restore(row, {"paths": ["file"]}, actor=actor), actor=actor
    )
    assert plan.lost[0].text.endswith("written over: file")
    operation = restore(bench, row, tara, paths=["/file"])
    assert (operation.state, operation.result["files"]) == ("succeeded", 1), operation.error_message
    look = ["sh", "-c", "cd /data; cat file later; stat -c %u:%g:%a file; ls"]
    assert (
        said_by(docker_client, bench.image, look, volumes=["data:/data"])
        == b"precious\nnew\n1234:567:640\nfile\nlater\nlink\n"
    )
    failed(restore(bench, row, tara, paths=["nothing"]), "not_found")
    restore(bench, row, tara, paths=["folder"])
    assert said_by(docker_client, bench.image, ["ls", "-d", "/data/folder"], volumes=["data:/data"])


@pytest.mark.parametrize("harm", ["changed", "gone", "cut"])
def test_a_file_that_is_not_what_was_put_there_goes_into_no_volume(
    harm: str, bench: Bench, data: Volume, tara: User, folder: Path, docker_client: docker.DockerClient
) -> None:
    row = make(bench, data, tara)
    file = folder / row.key
    whole = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-20] if harm == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    failed(restore(bench, row, tara, volume="back"), "store_failed")
    assert {one.name for one in docker_client.volumes.list()} == {"data"}
    assert nothing_lies_around()


def test_a_removed_backup_takes_its_file_along(bench: Bench, data: Volume, tara: User, folder: Path) -> None:
    row = make(bench, data, tara)
    operation = bench._done(operations.request_backup_remove(row, actor=person(tara, source="ui")))
    assert operation.state == "succeeded", operation.error_message
    assert not VolumeBackup.objects.exists()
    assert list(folder.rglob("*")) == []


def test_a_schedule_makes_backups_once_a_time_and_lets_go_of_the_oldest(
    bench: Bench, data: Volume, tara: User, folder: Path
) -> None:
    actor = person(tara, source="ui")
    kept = make(bench, data, tara)
    schedule = backup_asks.put_schedule(data, {"every": "hour", "keep": 2}, actor=actor)
    assert backup_asks.ask_for_due() == 0
    for _ in range(3):
        BackupSchedule.objects.update(next_at=timezone.now() - timedelta(days=3))
        assert backup_asks.ask_for_due() == 1, "what was missed comes once"
        assert backup_asks.ask_for_due() == 0
        bench.carry_out()
        Operation.objects.filter(kind="volume.backup").update(created_at=timezone.now() - timedelta(hours=1))
    schedule.refresh_from_db()
    assert timezone.now() < schedule.next_at <= timezone.now() + timedelta(hours=1)
    rows = VolumeBackup.objects.filter(scheduled=True)
    assert rows.count() == 2
    assert VolumeBackup.objects.filter(pk=kept.pk).exists(), "those that people have made stay"
    assert len(list(folder.rglob("*.tar.gz"))) == 3
    assert backup_asks.drop_schedule(data, actor=actor)
    assert not backup_asks.drop_schedule(data, actor=actor)


def test_a_busy_volume_is_backed_up_a_little_later(bench: Bench, data: Volume, tara: User) -> None:
    actor = person(tara, source="ui")
    backup_asks.put_schedule(data, {"every": "week"}, actor=actor)
    operations.request_volume_export(data, actor=actor)
    BackupSchedule.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    assert backup_asks.ask_for_due() == 0
    assert BackupSchedule.objects.get().next_at <= timezone.now() + backup_asks.AGAIN


@pytest.mark.parametrize(
    ("now", "every", "due"),
    [
        ("2026-03-04 02:10", "day", "2026-03-04 03:00"),
        ("2026-03-04 03:00", "day", "2026-03-05 03:00"),
        ("2026-03-04 23:59", "hour", "2026-03-05 00:00"),
        ("2026-03-04 02:10", "week", "2026-03-08 03:00"),
        ("2026-03-08 03:00", "week", "2026-03-15 03:00"),
        ("2026-02-28 12:00", "day", "2026-03-01 03:00"),
    ],
)
def test_when_a_schedule_comes_round(now: str, every: str, due: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert backup_asks.next_after(at, every, 3) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_backups_are_their_teams_alone(
    bench: Bench, data: Volume, tara: User, bob: User, charlie: User, api_for: Callable[..., APIClient]
) -> None:
    row = make(bench, data, tara)
    charlie.memberships.update(role="admin")
    for user, status in ((bob, 403), (charlie, 404)):
        assert api_for(user).get(f"/api/v1/backups/{row.pk}/").status_code == status
        assert api_for(user).get(f"/api/v1/backups/{row.pk}/files/").status_code == status
        assert api_for(user).get(f"/api/v1/volumes/{data.pk}/backups/").json().get("results", []) == []
    found = api_for(tara).get(f"/api/v1/volumes/{data.pk}/backups/").json()["results"]
    assert [one["id"] for one in found] == [str(row.pk)]
    files = api_for(tara).get(f"/api/v1/backups/{row.pk}/files/?q=fi").json()
    assert ([one["name"] for one in files["results"]], files["entries"]) == (["file"], 3)
    Volume.objects.create(engine=bench.engine, native_id="foreign", team=charlie.memberships.get().team)
    with pytest.raises(Refused, match="already"):
        operations.request_backup_restore(row, {"volume": "foreign"}, actor=person(tara, source="ui"))
    answer = api_for(tara).post(
        f"/api/v1/backups/{row.pk}/restore/?dry_run=1", {"volume": "back"}, format="json"
    )
    assert answer.json()["made"][0]["what"] == "Volume back"


def test_what_is_ticked_stays_whatever_is_looked_for(
    db: None, team: Team, tara: User, client_for: Callable[..., Client]
) -> None:
    engine = make_engine()
    entries = [(name, "file", 1, 0) for name in ("Read.ME", "app.conf", "notes.txt")]
    row = VolumeBackup.objects.create(
        engine=engine, team=team, volume_name="data", operation=make_operation(engine, team), key="data/1.tar.gz",
        digest="0" * 64, size=10, held=3, entries=3, index=packed(entries),
    )  # fmt: skip
    asked = {"volume": "data", "part": "some", "paths": ["notes.txt"]}

    def names(q: str) -> list[str]:
        answer = client_for(tara).get(
            f"/volumes/backups/{row.pk}/restore/", {**asked, "q": q}, headers={"HX-Target": "restore-files"}
        )
        return re.findall(r'name="paths" value="([^"]+)"', answer.content.decode())

    assert names("") == ["notes.txt", "Read.ME", "app.conf"]
    assert names("read.me") == ["notes.txt", "Read.ME"]
    assert names("nothing") == ["notes.txt"]


def test_a_schedule_in_rest(
    bench: Bench, data: Volume, tara: User, bob: User, api_for: Callable[..., APIClient]
) -> None:
    there = f"/api/v1/volumes/{data.pk}/backup-schedule/"
    assert api_for(tara).get(there).status_code == 404
    assert api_for(bob).put(there, {"every": "day"}, format="json").status_code == 403
    answer = api_for(tara).put(there, {"every": "week", "hour": 4, "keep": 3}, format="json")
    assert (answer.status_code, answer.json()["every"]) == (200, "week"), answer.content
    assert api_for(tara).get(there).json()["keep"] == 3
    assert api_for(tara).put(there, {"every": "year"}, format="json").status_code == 400
    assert api_for(tara).delete(there).status_code == 204
    assert api_for(tara).get(there).status_code == 404


@pytest.mark.parametrize("fails_at", [".tar.gz", ".json"])
def test_a_backup_that_cannot_be_kept_leaves_nothing(
    fails_at: str, bench: Bench, data: Volume, tara: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfileobj

    def full(source: Any, target: Any, *more: Any) -> None:
        copy(source, target, *more)
        if f"{fails_at}.half" in str(getattr(target, "name", "")):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores.shutil, "copyfileobj", full)
    operation = bench._done(operations.request_volume_backup(data, actor=person(tara, source="ui")))
    failed(operation, "disk_full")
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert not VolumeBackup.objects.exists()
    assert nothing_lies_around()


def test_nothing_is_kept_outside_of_the_folder(folder: Path) -> None:
    from engine.errors import StoreFailed

    place = stores.Folder(folder)
    for key in ("../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(StoreFailed):
            place.get(key, io.BytesIO(), 10)


def test_stores_are_the_sites_and_their_keys_go_in_only(
    tara: User, alice: User, api_for: Callable[..., APIClient]
) -> None:
    body = {
        "name": "offsite", "endpoint": "https://s3.example.com", "bucket": "backups", "access_key": "AKIA",
        "secret_key": "very-secret-canary",
    }  # fmt: skip
    assert api_for(tara).post("/api/v1/backup-stores/", body, format="json").status_code == 403
    with pytest.raises(Denied):
        backup_asks.add_store(body, actor=person(tara, source="ui"))
    answer = api_for(alice).post("/api/v1/backup-stores/", body, format="json")
    assert answer.status_code == 201, answer.content
    assert "canary" not in answer.content.decode()
    assert "canary" not in api_for(tara).get("/api/v1/backup-stores/").content.decode()
    from accounts.models import AuditEntry
    from containers_app.models import BackupStore

    row = BackupStore.objects.get()
    assert "canary" not in row.sealed
    assert "canary" not in str(list(AuditEntry.objects.values()))
    assert stores.of(row).secret == "very-secret-canary"  # type: ignore[attr-defined]
    assert api_for(alice).post("/api/v1/backup-stores/", body, format="json").status_code == 400
    assert api_for(alice).delete(f"/api/v1/backup-stores/{row.pk}/").status_code == 204
    with pytest.raises(SpecError):
        backup_asks.add_store({**body, "bucket": "../x"}, actor=person(alice, source="ui"))


def test_all_backups_are_listed_for_who_may_read_them(
    client_for: Callable[..., Client], api_for: Callable[..., APIClient], team: Team, other_team: Team, tara: User,
    bob: User, alice: User,
) -> None:  # fmt: skip
    engine = make_engine()
    kept = make_volume(engine, team, "kept")
    for name, owner in (("kept", team), ("vanished", team), ("theirs", other_team)):
        VolumeBackup.objects.create(
            engine=engine, team=owner, volume_name=name, key=f"{name}.tar.gz", digest="0" * 64, size=9, held=9,
            entries=1,
        )  # fmt: skip
    for state in ("succeeded", "failed"):
        make_operation(
            engine, team, kind="volume.backup", state=state, target_type="volume", target_id=str(kept.pk),
            target_name="kept", error_message="The store is full.",
        )  # fmt: skip
    html = client_for(tara).get("/volumes/backups/").content.decode()
    assert f'<a href="/volumes/{kept.pk}/backups/">kept</a>' in html
    assert "volume gone" in html
    assert "The store is full." in html
    assert "theirs" not in html
    assert client_for(bob).get("/volumes/backups/").status_code == 403
    assert "theirs" in client_for(alice).get("/volumes/backups/").content.decode()
    filtered = client_for(tara).get("/volumes/backups/?q=van").content.decode()
    assert 'title="vanished"' in filtered
    assert 'title="kept' not in filtered
    found = api_for(tara).get("/api/v1/backups/?q=e").json()["results"]
    assert sorted(row["volume"] for row in found) == ["kept", "vanished"]
    # An operator here and a team admin there: reading is a team admin's.
    Membership.objects.create(user=tara, team=other_team, role=Role.VIEWER)
    assert "theirs" not in client_for(tara).get("/volumes/backups/").content.decode()
    make_operation(
        engine, team, kind="volume.backup", target_type="volume", target_id=str(kept.pk), target_name="kept"
    )
    assert "The store is full." not in client_for(tara).get("/volumes/backups/").content.decode()
