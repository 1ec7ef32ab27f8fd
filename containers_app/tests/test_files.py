"""Files of containers and volumes: who may what, what is closed to whom, and each change on a real engine."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from django.http import Http404
from django.utils import timezone

from accounts.access import Denied, can, person
from accounts.models import AuditEntry, Membership, Team, User
from containers_app import file_changes, files
from containers_app.models import Mount, Volume
from containers_app.tests.test_operations import Bench, Carry, failed
from engine.base import Engine as EngineBackend
from engine.docker_backend import DockerEngine
from engine.errors import AnswerLost, Cancelled, PolicyDenied
from engine.files import Place
from operations import reads, verifying
from operations.models import Engine, Operation
from operations.plans import preview
from operations.services import Refused
from operations.tasks import run_operation
from tests.rows import make_container, make_engine, make_volume


@pytest.fixture
def quiet(db: None) -> Engine:
    return make_engine()


# --- Who may -----------------------------------------------------------------------------------------


def test_files_need_a_team_admin_or_a_grant(
    quiet: Engine, team: Team, tara: User, bob: User, vic: User
) -> None:
    web, data = make_container(quiet, team), make_volume(quiet, team)
    names = [
        (f"{kind}.{what}", row)
        for kind, row in (("container", web), ("volume", data))
        for what in ("files", "write")
    ]
    assert all(can(person(tara, source="ui"), name, row) for name, row in names)
    for user in (bob, vic):
        assert not any(can(person(user, source="ui"), name, row) for name, row in names)
        Membership.objects.filter(user=user).update(files=True)
    fresh = [User.objects.get(pk=user.pk) for user in (bob, vic)]
    assert all(can(person(fresh[0], source="ui"), name, row) for name, row in names)
    assert not any(can(person(fresh[1], source="ui"), name, row) for name, row in names), (
        "viewers cannot be granted it"
    )


def test_what_is_the_host_s_or_another_team_s_is_closed(
    quiet: Engine, team: Team, other_team: Team, tara: User, alice: User
) -> None:
    web = make_container(quiet, team)
    make_volume(quiet, team, "ours", web)
    make_volume(quiet, other_team, "theirs", web)
    make_volume(quiet, None, "nobodys", web)
    Mount.objects.create(container=web, type="bind", source="/srv/host", target="/host")
    Mount.objects.create(container=web, type="tmpfs", target="/scratch")
    place = files.place_of(web, person(tara, source="ui"))
    assert set(place.closed) == {"/theirs", "/nobodys", "/host"}
    assert {"/ours", "/theirs", "/host", "/scratch", "/etc/hosts"} <= set(place.mounts)
    assert files.place_of(web, person(alice, source="ui")).closed == ()
    assert files.place_from(files.params_of(web, person(tara, source="ui"), "/")["place"]) == place


def test_a_volume_that_is_a_folder_of_the_host_is_for_site_administrators(
    quiet: Engine, team: Team, tara: User, alice: User
) -> None:
    web = make_container(quiet, team)
    options = {"type": "none", "o": "bind", "device": "/etc"}
    data = make_volume(quiet, team, "etc", web, options=options)
    shared = make_volume(quiet, team, "shared", web, options={"type": "nfs", "device": ":/srv"})
    with pytest.raises(PolicyDenied):
        files.place_of(data, person(tara, source="ui"))
    assert files.place_of(data, person(alice, source="ui")).root == "/etc"
    assert files.place_of(shared, person(tara, source="ui")).root == "/shared"
    assert files.place_of(web, person(tara, source="ui")).closed == ("/etc",)


def test_a_volume_is_reached_through_a_container_that_shows_nothing_else_there(
    quiet: Engine, team: Team, tara: User
) -> None:
    actor, data = person(tara, source="ui"), make_volume(quiet, team, "data")
    assert files.place_of(data, actor) == Place(volume="data")
    nested = make_container(quiet, team, "nested", state="exited")
    Mount.objects.create(container=nested, volume=data, type="volume", source="data", target="/data")
    Mount.objects.create(container=nested, type="tmpfs", target="/data/cache")
    part = make_container(
        quiet, team, "part", inspect={"HostConfig": {"Mounts": [{"VolumeOptions": {"Subpath": "x"}}]}}
    )
    Mount.objects.create(container=part, volume=data, type="volume", source="data", target="/part")
    assert files.place_of(data, actor) == Place(volume="data")
    live = make_container(quiet, team, "live")
    Mount.objects.create(container=live, volume=data, type="volume", source="data", target="/live")
    assert files.place_of(data, actor) == Place(container=live.native_id, root="/live")
    still = make_container(quiet, team, "still", state="exited")
    Mount.objects.create(container=still, volume=data, type="volume", source="data", target="/still")
    assert files.place_of(data, actor) == Place(container=still.native_id, root="/still")


def test_a_plan_says_that_nothing_brings_a_file_back(quiet: Engine, team: Team, tara: User) -> None:
    web, actor = make_container(quiet, team), person(tara, source="ui")
    plan = preview(lambda: file_changes.request_erase(web, "/srv/\u202ea", actor=actor), actor=actor)
    assert [one.what for one in plan.lost] == ["/srv/\\u202ea"]
    assert plan.unknown == ["what it is"], "no engine has told"
    assert (plan.undo_hours, plan.kind) == (0, "container.erase")
    wrote = preview(
        lambda: file_changes.request_write(web, "/a", io.BytesIO(b"xyz"), actor=actor, replace=True),
        actor=actor,
    )
    assert (wrote.changed[0].size, len(wrote.lost)) == (3, 1)
    assert not list(files.spooled("x").parent.iterdir()), "a plan leaves nothing behind"


def test_an_upload_that_is_too_large_or_refused_leaves_nothing_behind(
    quiet: Engine, team: Team, tara: User, bob: User, charlie: User, settings: Any
) -> None:
    web, settings.FILES_MB = make_container(quiet, team), 1
    with pytest.raises(Refused) as refused:
        file_changes.request_write(web, "/a", io.BytesIO(bytes(1024**2 + 1)), actor=person(tara, source="ui"))
    assert (refused.value.code, refused.value.status) == ("too_large", 413)
    with pytest.raises(Denied):
        file_changes.request_write(web, "/a", io.BytesIO(b"x"), actor=person(bob, source="ui"))
    with pytest.raises(Http404):
        file_changes.request_write(web, "/a", io.BytesIO(b"x"), actor=person(charlie, source="ui"))
    assert not list(files.spooled("x").parent.iterdir())


def test_the_same_upload_joins_and_another_one_to_the_same_file_waits(
    quiet: Engine, team: Team, tara: User
) -> None:
    web, actor = make_container(quiet, team), person(tara, source="ui")
    first = file_changes.request_write(web, "/a", io.BytesIO(b"x"), actor=actor)
    assert file_changes.request_write(web, "/a", io.BytesIO(b"x"), actor=actor) == first
    with pytest.raises(Refused) as refused:
        file_changes.request_write(web, "/a", io.BytesIO(b"other"), actor=actor)
    assert refused.value.code == "conflict"
    assert file_changes.request_write(web, "/b", io.BytesIO(b"other"), actor=actor) != first
    assert len(list(files.spooled("x").parent.glob("*.up"))) == 2
    for left in files.spooled("x").parent.iterdir():
        left.unlink()


# --- On a real engine --------------------------------------------------------------------------------


@pytest.fixture
def bench(engine_row: Engine, team: Team, tara: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, tara, busybox, run_operations)


def done(bench: Bench, operation: Operation) -> Operation:
    return bench._done(operation)


def write(bench: Bench, row: Any, path: str, data: bytes, **options: Any) -> Operation:
    actor = person(bench.bob, source="ui")
    return done(bench, file_changes.request_write(row, path, io.BytesIO(data), actor=actor, **options))


@pytest.mark.parametrize("kind", ["container", "volume"])
def test_a_file_is_written_edited_renamed_and_deleted_by_operations(
    bench: Bench, kind: str, engine_backend: EngineBackend, docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web", mounts=[{"type": "volume", "source": "data", "target": "/data"}])
    row = web if kind == "container" else Volume.objects.get(native_id="data")
    at, base = docker_client.containers.get("web"), "" if kind == "container" else "/data"
    assert write(bench, row, "/made", b"one").state == "succeeded"
    assert at.exec_run(["cat", f"{base}/made"]).output == b"one"
    failed(write(bench, row, "/made", b"two"), "name_in_use")
    stale = hashlib.sha256(b"zero").hexdigest()
    failed(write(bench, row, "/made", b"two", replace=True, digest=stale), "conflict")
    assert at.exec_run(["cat", f"{base}/made"]).output == b"one"
    seen = hashlib.sha256(b"one").hexdigest()
    assert write(bench, row, "/made", b"two", replace=True, digest=seen).state == "succeeded"
    assert at.exec_run(["cat", f"{base}/made"]).output == b"two"
    actor = person(bench.bob, source="ui")
    moved = done(bench, file_changes.request_rename(row, "/made", "moved", actor=actor))
    assert (moved.state, moved.result["path"]) == ("succeeded", "/moved")
    assert at.exec_run(["cat", f"{base}/moved"]).output == b"two"
    assert done(bench, file_changes.request_erase(row, "/moved", actor=actor)).state == "succeeded"
    assert at.exec_run(["ls", f"{base}/moved"]).exit_code == 1
    assert not list(files.spooled("x").parent.iterdir()), "what was sent is forgotten"
    ends = AuditEntry.objects.filter(verb__startswith=f"{kind}.", outcome="succeeded", target_id=str(row.pk))
    assert {f"{kind}.put", f"{kind}.move", f"{kind}.erase"} <= set(ends.values_list("verb", flat=True))


def test_whoever_follows_a_dead_worker_does_it_once(
    bench: Bench, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, actor = bench.container(name="web"), person(bench.bob, source="ui")
    at = docker_client.containers.get("web")

    def die(*args: Any) -> None:
        raise SystemExit("the worker is killed")

    def followed(operation: Operation) -> Operation:
        monkeypatch.setattr(file_changes, "_result", die)
        with pytest.raises(SystemExit):
            run_operation(str(operation.pk))
        monkeypatch.undo()
        Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        run_operation(str(operation.pk))
        operation.refresh_from_db()
        return operation

    wrote = followed(file_changes.request_write(web, "/f", io.BytesIO(b"once"), actor=actor))
    assert (wrote.state, wrote.attempt) == ("succeeded", 2)
    assert at.exec_run(["cat", "/f"]).output == b"once"
    assert followed(file_changes.request_rename(web, "/f", "g", actor=actor)).state == "succeeded"
    assert at.exec_run(["cat", "/g"]).output == b"once"
    assert followed(file_changes.request_erase(web, "/g", actor=actor)).state == "succeeded"
    assert at.exec_run(["ls", "/g"]).exit_code == 1


@pytest.mark.parametrize("did", [True, False])
def test_a_lost_answer_is_looked_up_on_the_engine(
    bench: Bench, docker_client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, did: bool
) -> None:
    web, actor = bench.container(name="web"), person(bench.bob, source="ui")
    write(bench, web, "/f", b"old")

    def lose(method: str) -> None:
        real = getattr(DockerEngine, method)

        def lost(*args: Any, **options: Any) -> None:
            if did:
                real(*args, **options)
            raise AnswerLost("The connection to the engine broke.")

        monkeypatch.setattr(DockerEngine, method, lost)

    monkeypatch.setattr(verifying, "LOOKS", (0.0,))
    end = "succeeded" if did else "failed"
    lose("put_file")
    assert write(bench, web, "/f", b"new", replace=True).state == end
    lose("rename_file")
    assert done(bench, file_changes.request_rename(web, "/f", "g", actor=actor)).state == end
    lose("remove_file")
    at = "/g" if did else "/f"
    assert done(bench, file_changes.request_erase(web, at, actor=actor)).state == end
    held = docker_client.containers.get("web").exec_run(["cat", at])
    assert (held.exit_code, held.output) == (0, b"old") if not did else held.exit_code == 1


def test_a_look_is_bounded_and_spooled_files_are_whole(
    bench: Bench, engine_backend: EngineBackend, docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web")
    docker_client.containers.get("web").exec_run(
        ["sh", "-c", "mkdir /w; dd if=/dev/urandom of=/w/big bs=1M count=20; echo héllo > /w/small"]
    )
    actor = person(bench.bob, source="ui")

    def params(path: str) -> dict[str, Any]:
        return files.params_of(web, actor, path)

    listing = files._listing(engine_backend, web, params("/w"))
    assert [(one["name"], one["size"]) for one in listing["entries"]] == [("big", 20 * 1024**2), ("small", 7)]
    peek = files._peek(engine_backend, web, params("/w/big"))
    assert (peek["whole"], peek["digest"], len(peek["data"])) == (False, "", 4 * (files.PEEK // 3 + 1))
    assert files._peek(engine_backend, web, params("/w/small"))["digest"]
    *_, end = files._fetch(engine_backend, web, params("/w/big"))
    at = files.spooled(end["file"])
    want = docker_client.containers.get("web").exec_run(["sha256sum", "/w/big"]).output.split()[0].decode()
    assert hashlib.sha256(at.read_bytes()).hexdigest() == want
    at.unlink()


def test_a_download_that_nobody_waits_for_ends_and_leaves_nothing(
    quiet: Engine, team: Team, tara: User
) -> None:
    web = make_container(quiet, team)

    def fetch(place: Any, path: str, out: Any, *, should_stop: Callable[[], bool], **options: Any) -> None:
        out.write(b"begun")
        out.flush()
        while not should_stop():
            time.sleep(0.01)
        raise Cancelled("Cancelled on its way.")

    engine: Any = SimpleNamespace(fetch=fetch)
    gone = files._fetch(engine, web, files.params_of(web, person(tara, source="ui"), "/big"))
    assert next(gone) == {"bytes": 5}
    gone.close()  # type: ignore[attr-defined]
    assert not list(files.spooled("x").parent.iterdir())


def test_looks_ask_for_the_right_to_files(quiet: Engine, team: Team, bob: User, charlie: User) -> None:
    web = make_container(quiet, team)
    for kind in ("container.files", "container.peek", "container.fetch"):
        with pytest.raises(Denied):
            reads.ask(kind, web, actor=person(bob, source="ui"))
        with pytest.raises(Http404):
            reads.ask(kind, web, actor=person(charlie, source="ui"))
