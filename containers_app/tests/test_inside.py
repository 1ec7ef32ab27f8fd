"""What goes on inside a container: processes, health checks, changed files and bounds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from django.test import Client

from accounts.models import Team, User
from containers_app import bounds, inside_views, layer, present, readers
from containers_app.models import Container
from engine import errors
from engine.base import Engine as EngineBackend
from operations import reads
from tests.machine import wait_for
from tests.rows import make_container, make_engine, make_image

ClientFor = Callable[..., Client]
HTMX = {"HX-Request": "true"}
FILES = [
    {
        "path": "/app/uploads/in/a.pdf",
        "kind": "added",
        "size": 4_000_000,
        "modified": "2026-01-01T10:00:00+00:00",
    },
    {"path": "/app/uploads/b.csv", "kind": "added", "size": 1_000_000, "modified": None},
    {"path": "/etc/motd", "kind": "modified", "size": 10, "modified": None},
    {"path": "/srv/<b>\u202eevil", "kind": "added", "size": None, "modified": None},
]
WRITTEN = {"files": FILES, "total": 4, "bytes": 5_000_010, "complete": False, "deleted": ["/bin/vi"]}


@pytest.fixture
def web(db: None, team: Team) -> Container:
    """Team blue's, which runs."""
    return make_container(make_engine(), team)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for the worker's half of a read; what it answers is the test's business."""
    stand_in = SimpleNamespace(answer={}, asked=[])

    def read(kind: str, obj: Any, **options: Any) -> Any:
        stand_in.asked.append((kind, options.get("params")))
        if isinstance(stand_in.answer, Exception):
            raise stand_in.answer
        return stand_in.answer

    monkeypatch.setattr(reads, "read", read)
    return stand_in


# --- Changed files -----------------------------------------------------------------------------------


def test_changed_files_are_gathered_by_folder_with_their_sizes() -> None:
    found = layer.layer(WRITTEN, view="all", find="")
    assert [(one.path, one.size) for one in found.folders] == [
        ("/app/uploads", 5_000_000), ("/bin", 0), ("/etc", 10), ("/srv", 0),
    ]  # fmt: skip
    assert [leaf.name for leaf in found.folders[0].leaves] == ["b.csv", "in/a.pdf"]
    assert found.counts == {"added": 3, "modified": 1, "deleted": 1, "all": 5}
    assert (found.files, found.size, found.complete) == (4, 5_000_010, False)


def test_the_bar_has_every_part_in_it_however_small() -> None:
    many = [{**FILES[0], "path": f"/d{i}/f", "size": 10**i} for i in range(9)]
    shares = layer.layer({**WRITTEN, "files": many}, view="all", find="").shares
    assert [one.words for one in shares] == ["/d8", "/d7", "everything else"]
    assert sum(one.size for one in shares) == sum(10**i for i in range(9))
    assert all(one.width >= 2 for one in shares)
    assert all(one.x + one.width <= layer.WIDTH for one in shares)


def test_a_kind_and_a_part_of_the_path_are_filters() -> None:
    found = layer.layer(WRITTEN, view="added", find="UPLOADS")
    assert [leaf.path for one in found.folders for leaf in one.leaves] == [
        "/app/uploads/b.csv", "/app/uploads/in/a.pdf",
    ]  # fmt: skip
    assert layer.layer(WRITTEN, view="deleted", find="").matching == 1


def test_the_page_of_changed_files_shows_hostile_names_as_escapes(
    client_for: ClientFor, vic: User, web: Container, worker: Any
) -> None:
    """S-60."""
    worker.answer = WRITTEN
    html = client_for(vic).get(f"/containers/{web.pk}/files/").content.decode()
    assert "&lt;b&gt;\\u202eevil" in html
    assert "at least" in html
    assert "Save a copy" not in html, "a viewer may not"
    assert worker.asked == [("container.written", {"within": inside_views.SIZES_WITHIN})]
    part = client_for(vic).get(f"/containers/{web.pk}/files/?find=nothing", headers=HTMX).content.decode()
    assert "No file matches" in part
    assert "<html" not in part


def test_an_engine_that_does_not_say_is_a_sentence_and_no_fault(
    client_for: ClientFor, vic: User, charlie: User, web: Container, worker: Any
) -> None:
    worker.answer = errors.DeadlineExceeded("No answer from the engine in time.")
    for page in ("files", "processes"):
        answer = client_for(vic).get(f"/containers/{web.pk}/{page}/")
        assert answer.status_code == 200
        assert "No answer from the engine in time." in answer.content.decode()
        assert client_for(charlie).get(f"/containers/{web.pk}/{page}/").status_code == 404
    assert client_for(vic).get(f"/containers/{web.pk}/health/").status_code == 302


def test_the_engine_tells_what_was_changed_and_what_would_be_lost(
    engine_backend: EngineBackend, docker_client: docker.DockerClient, busybox: str
) -> None:
    script = "mkdir -p /srv/new; echo one > /srv/new/a; rm /bin/vi; echo 1 > /run/x.pid; echo v > /data/v; sleep 100"
    volumes = {"slipway-test-inside": {"bind": "/data"}}
    made = docker_client.containers.run(
        busybox, ["sh", "-c", script], detach=True, network_mode="none", volumes=volumes
    )
    wait_for(lambda: made.exec_run("cat /data/v").exit_code == 0, 10, "nothing written")
    row = SimpleNamespace(
        native_id=made.id, mounts=SimpleNamespace(all=lambda: [SimpleNamespace(target="/data")])
    )
    written = readers.written(engine_backend, row, {"within": 3})  # type: ignore[arg-type]
    assert [(one["path"], one["size"]) for one in written["files"]] == [("/srv/new/a", 4)]
    assert datetime.fromisoformat(written["files"][0]["modified"]) > datetime.now(UTC) - timedelta(minutes=5)
    assert (written["deleted"], written["complete"], written["bytes"]) == (["/bin/vi"], True, 4)
    told = {one["path"]: one for one in readers.changes(engine_backend, row, {})["changes"]}  # type: ignore[arg-type]
    assert (told["/srv/new/a"]["lost"], told["/srv/new/a"]["size"]) == (True, 4)
    assert [path for path, one in told.items() if one["lost"]] == ["/srv/new/a"]
    assert told["/bin/vi"] == {
        "path": "/bin/vi", "kind": "deleted", "size": None, "modified_at": None, "lost": False,
    }  # fmt: skip


# --- Processes and health ----------------------------------------------------------------------------


def test_processes_are_shown_while_it_runs(
    client_for: ClientFor, vic: User, web: Container, worker: Any
) -> None:
    worker.answer = {"titles": ["PID", "CMD"], "rows": [["7", "<script>"]]}
    html = client_for(vic).get(f"/containers/{web.pk}/processes/").content.decode()
    assert "1 process at" in html
    assert "&lt;script&gt;" in html
    Container.objects.update(state="exited")
    worker.asked.clear()
    assert "It does not run" in client_for(vic).get(f"/containers/{web.pk}/processes/").content.decode()
    assert worker.asked == []


def test_old_health_checks_are_looked_at_again_when_the_page_is_opened(
    client_for: ClientFor, vic: User, web: Container, worker: Any
) -> None:
    Container.objects.update(
        health="healthy", healthcheck={"test": ["CMD", "true"], "interval": 1},
        health_log=[{"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T10:00:01Z", "exit_code": 1, "output": "<i>"}],
    )  # fmt: skip
    html = client_for(vic).get(f"/containers/{web.pk}/").content.decode()
    assert f'hx-get="/containers/{web.pk}/health/" hx-trigger="load"' in html
    part = client_for(vic).get(f"/containers/{web.pk}/health/", headers=HTMX).content.decode()
    assert worker.asked == [("container.health", None)]
    assert "&lt;i&gt;" in part
    assert "in 1 s" in part


# --- Environment and bounds --------------------------------------------------------------------------


def test_where_a_variable_comes_from_and_whether_it_replaces_the_image_s(web: Container, team: Team) -> None:
    image = make_image(
        web.engine, team, "a:1", config={"Env": ["PATH=/bin", "MODE=slow", "API_KEY=********"]}
    )
    web.image, web.environment = image, {"PATH": "/bin", "MODE": "fast", "NEW": "1", "API_KEY": "********"}
    found = {one.name: (one.origin, one.replaces, one.hidden) for one in present.environment(web)}
    assert found == {
        "PATH": ("image", False, False), "MODE": ("run", True, False), "NEW": ("run", False, False),
        "API_KEY": ("image", False, True),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("memory", "swap", "words"),
    [
        (0, 0, "No limit of memory, no limit of CPU and no limit of processes."),
        (512, 512, "512 MB of memory and no swap, no limit of CPU and no limit of processes."),
        (512, 1024, "512 MB of memory and as much swap, no limit of CPU and no limit of processes."),
        (512, 0, "512 MB of memory and as much swap, no limit of CPU and no limit of processes."),
        (512, 612, "512 MB of memory and 100 MB of swap, no limit of CPU and no limit of processes."),
    ],
)
def test_bounds_are_told_in_words(web: Container, memory: int, swap: int, words: str) -> None:
    web.memory_limit, web.inspect = memory * 1024**2, {"HostConfig": {"MemorySwap": swap * 1024**2}}
    assert bounds.in_words(web) == words


def test_bounds_beyond_the_usual_ones_are_told_too(web: Container) -> None:
    web.memory_limit, web.cpu_limit, web.pids_limit = 1024**3, 1.5, 1
    web.inspect = {
        "HostConfig": {
            "MemorySwap": -1, "ShmSize": 64 * 1024**2, "CpusetCpus": "0-1", "ReadonlyRootfs": True,
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 4096}, {"Name": "core", "Soft": 0, "Hard": 0}],
        }
    }  # fmt: skip
    assert bounds.in_words(web) == "1 GB of memory and swap without limit, 1.5 cores and 1 process."
    assert [(one.name, one.value) for one in bounds.more(web)] == [
        ("Cores", "only 0-1"), ("Shared memory", "64 MB"), ("Open files", "1,024 to 4,096"), ("Core dumps", "none"),
        ("Its own layer", "read only"),
    ]  # fmt: skip


def test_labels_and_variables_hide_and_turn_nothing(
    client_for: Callable[..., Any], bob: User, team: Team
) -> None:
    """S-60: nor commands and paths, on the pages of a container and of an image."""
    evil, engine = "\u202egpj.exe\u200b", make_engine()
    config = {"Env": [f"NAME={evil}"], "Cmd": ["echo", evil], "Labels": {"org.evil": evil}}
    web = make_container(
        engine, team, "web", labels={"org.evil": evil}, environment={"NAME": evil}, command=["echo", evil],
        inspect={"Config": config},
    )  # fmt: skip
    web.mounts.create(type="bind", source=f"/srv/{evil}", target=f"/data/{evil}")
    image = make_image(engine, team, "a:1", labels={"org.evil": evil}, config={"environment": {"NAME": evil}})
    for page in (f"/containers/{web.pk}/", f"/images/{image.pk}/"):
        found = client_for(bob).get(page).content.decode()
        assert not {"\u202e", "\u200b"} & set(found), page
        assert "\\u202egpj.exe\\u200b" in found, page
