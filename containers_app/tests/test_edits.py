"""A container with something changed, in its place or beside it: secrets stay unseen, and what fails is taken back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import docker
import pytest
from django.utils import timezone

from accounts.access import Denied, person
from accounts.models import Team, User
from containers_app import operations
from containers_app.models import Container, Volume
from containers_app.tests.test_operations import SLEEP, Bench, Carry, failed
from engine.base import Engine as EngineBackend
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app import sync as image_sync
from operations import plans, trash
from operations.models import Engine, Operation
from operations.services import Refused
from operations.tasks import run_operation
from tests.machine import free_port

QUICK = {"gate": {"timeout": 20, "steady": 1}}
SECRET = "canary-71c"


@pytest.fixture
def bench(
    engine_row: Engine,
    team: Team,
    bob: User,
    busybox: str,
    run_operations: Carry,
    engine_backend: EngineBackend,
) -> Bench:
    image_sync.reconcile(engine_row, engine_backend)
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture
def web(bench: Bench) -> Container:
    return bench.container(
        name="web", networks=[], ports=[{"container": 80, "host": free_port()}], hostname="box",
        environment={"MODE": "quiet", "DB_PASSWORD": SECRET, "OLD": "1"}, secrets={"HUSH": SECRET},
        labels={"tier": "front"}, restart_policy={"name": "unless-stopped"}, init=True,
        mounts=[{"type": "volume", "source": "data", "target": "/data"}], resources={"memory": 64 * 1024**2},
    )  # fmt: skip


def edit(bench: Bench, row: Container, **changes: Any) -> Operation:
    return bench.do(row, "recreate", **QUICK, changes=changes)


def variables(client: docker.DockerClient, name: str) -> dict[str, str]:
    pairs = client.containers.get(name).attrs["Config"]["Env"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_what_is_changed_is_changed_and_no_secret_is_seen(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    """S-58."""
    before = docker_client.containers.get("web").attrs
    operation = edit(
        bench, web, environment={"MODE": "loud", "DB_PASSWORD": None, "NEW_TOKEN": "canary-new"},
        secrets={"HUSH": None},
        restart_policy={"name": "no"}, resources={"pids": 50},
    )  # fmt: skip
    assert operation.state == "succeeded", operation.error_message
    after = docker_client.containers.get("web").attrs
    assert after["Id"] != before["Id"]
    found = variables(docker_client, "web")
    assert (found["MODE"], found["DB_PASSWORD"], found["HUSH"]) == ("loud", SECRET, SECRET)
    assert found["NEW_TOKEN"] == "canary-new"
    assert "OLD" not in found
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "no"
    changed = {key for key in before["HostConfig"] if before["HostConfig"][key] != after["HostConfig"][key]}
    assert changed == {"RestartPolicy", "PidsLimit"}
    assert after["Config"]["Hostname"] == "box"
    row = Container.objects.get(name="web")
    assert row.environment["HUSH"] == row.environment["DB_PASSWORD"] == "********"
    story = [operation.params, list(operation.events.values_list("data", flat=True))]
    assert "canary" not in json.dumps(story, default=str)


def test_undo_gives_the_old_one_back(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    operation = edit(bench, web, command=["sh", "-c", "sleep 1000"], restart_policy={"name": "no"})
    assert operation.state == "succeeded", operation.error_message
    back = bench._done(trash.undo(operation, actor=person(bench.bob, source="ui")))
    assert back.state == "succeeded", back.error_message
    old = docker_client.containers.get("web")
    assert old.id == web.native_id
    assert old.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_one_that_does_not_run_with_the_change_is_taken_back_by_itself(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    operation = edit(bench, web, command=["sh", "-c", "echo I cannot; exit 3"])
    failed(operation, "gate_failed")
    assert operation.error_message.endswith("the old one is back and runs.")
    (found,) = [one for one in docker_client.containers.list(all=True) if one.name == "web"]
    assert (found.id, found.status) == (web.native_id, "running")


def test_a_worker_killed_in_between_is_followed_by_one_that_brings_it_to_its_end(
    bench: Bench, web: Container, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for call in ("create_like", "rename", "start"):
        now = Container.objects.get(name="web")
        real, died = getattr(type(engine_backend), call), []

        def once(self: Any, *args: Any, real: Any = real, died: list[int] = died, **options: Any) -> Any:
            found = real(self, *args, **options)
            if not died:
                died.append(1)
                raise KeyboardInterrupt
            return found

        with monkeypatch.context() as patch:
            patch.setattr(type(engine_backend), call, once)
            actor = person(bench.bob, source="ui")
            changes = {
                "environment": {"MODE": call, "DB_PASSWORD": None},
                "restart_policy": {"name": "always"},
            }
            operation = operations.request(now, "recreate", actor=actor, params={**QUICK, "changes": changes})
            with pytest.raises(KeyboardInterrupt):
                bench.carry_out()
        _another_worker(operation)
        assert (operation.state, operation.attempt) == ("succeeded", 2), operation.error_message
        found = variables(docker_client, "web")
        assert (found["MODE"], found["DB_PASSWORD"]) == (call, SECRET)
        assert len([c for c in docker_client.containers.list() if c.name == "web"]) == 1


def _another_worker(operation: Operation) -> None:
    """Its worker has died; when its lease has lapsed another one takes over."""
    Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    run_operation(operation.pk)
    operation.refresh_from_db()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"image": "a:1"}, "changes.image"),
        ({"auto_remove": True}, "changes.auto_remove"),
        ({"ports": [{"container": "x"}]}, "changes.ports.0.container"),
        ({"environment": {"1X": "a"}}, "changes.environment.1X"),
    ],
)
def test_what_cannot_be_changed_is_said_at_its_field(
    bench: Bench, web: Container, changes: dict[str, Any], path: str
) -> None:
    with pytest.raises(SpecError) as refused:
        edit(bench, web, **changes)
    assert path in refused.value.errors


def test_guard_rails_judge_what_is_new(bench: Bench, web: Container, other_team: Team) -> None:
    Volume.objects.create(engine=bench.engine, native_id="theirs", team=other_team)
    here = {"type": "volume", "source": "data", "target": "/elsewhere"}
    for changes in (
        {"privileged": True}, {"mounts": [{"type": "bind", "source": "/", "target": "/host"}]},
        {"mounts": [here, {"type": "volume", "source": "theirs", "target": "/data"}]},
        {"ports": [{"container": 80, "host": 80}]},
    ):  # fmt: skip
        with pytest.raises(PolicyDenied):
            edit(bench, web, **changes)
        with pytest.raises(PolicyDenied):
            operations.request_duplicate(
                web, actor=person(bench.bob, source="ui"), params={"changes": changes}
            )
    assert edit(bench, web, mounts=[here]).state == "succeeded"


def test_a_value_that_is_not_there_cannot_stay(bench: Bench, web: Container) -> None:
    failed(edit(bench, web, environment={"NOPE": None}), "conflict")


def test_the_plan_says_what_changes_and_what_stays(bench: Bench, web: Container) -> None:
    actor = person(bench.bob, source="ui")
    changes = {
        "environment": {"MODE": "loud", "DB_PASSWORD": "n3w", "NEW": "1"}, "resources": {"memory": 0},
        "ports": [{"container": 80, "host": 8090}],
    }  # fmt: skip
    plan = plans.preview(
        lambda: operations.request(web, "recreate", actor=actor, params={"changes": changes}), actor=actor
    )
    told = {item.what: item.text for item in plan.changed}
    assert told["Variables"] == "NEW new, MODE and DB_PASSWORD changed, OLD removed"
    assert told["Ports"] == "8090:80"
    assert told["Limits"] == "memory without a limit"
    assert "n3w" not in repr(plan)


# Beside it


def duplicate(bench: Bench, row: Container, **params: Any) -> Operation:
    actor = person(bench.bob, source="ui")
    return bench._done(operations.request_duplicate(row, actor=actor, params=params))


def test_another_one_stands_beside_it_with_its_secrets_and_a_port_of_its_own(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    operation = duplicate(bench, web)
    assert operation.state == "succeeded", operation.error_message
    new = Container.objects.get(name="web-2")
    assert operation.result == {"container": str(new.pk), "name": "web-2"}
    assert (new.team, new.state, new.labels["tier"]) == (bench.team, "running", "front")
    assert variables(docker_client, "web-2") == variables(docker_client, "web")
    ports = [docker_client.containers.get(name).ports["80/tcp"][0]["HostPort"] for name in ("web", "web-2")]
    assert len(set(ports)) == 2
    assert SECRET not in json.dumps(operation.params)
    assert duplicate(bench, new, start=False).result["name"] == "web-3"
    assert Container.objects.get(name="web-3").state == "created"


def test_nameless_volumes_and_compose_stay_with_the_old_one(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    from containers_app import sync

    made = docker_client.containers.create(
        bench.image,
        SLEEP,
        name="db",
        volumes=["/var/data"],
        labels={"com.docker.compose.project": "shop", "a": "1"},
    )
    row = sync.refresh(bench.engine, engine_backend, made.id, team=bench.team)
    assert row is not None
    operation = duplicate(bench, row, name="other", changes={"command": ["true"]})
    assert operation.state == "succeeded", operation.error_message
    other = docker_client.containers.get("other")
    (old,), (new,) = (
        made.attrs["Mounts"] or docker_client.containers.get("db").attrs["Mounts"],
        other.attrs["Mounts"],
    )
    assert (new["Destination"], new["Type"]) == (old["Destination"], "volume")
    assert new["Name"] != old["Name"]
    labels = {key: value for key, value in other.labels.items() if not key.startswith("io.slipway.")}
    assert labels == {"a": "1"}
    assert other.attrs["Config"]["Cmd"] == ["true"]


def test_an_attempt_that_died_in_the_middle_is_found_again(
    bench: Bench, web: Container, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real, made = type(engine_backend).create_like, []

    def create_and_die(self: Any, *args: Any, **options: Any) -> str:
        made.append(real(self, *args, **options))
        raise KeyboardInterrupt

    operation = operations.request_duplicate(web, actor=person(bench.bob, source="ui"))
    with monkeypatch.context() as patch:
        patch.setattr(type(engine_backend), "create_like", create_and_die)
        with pytest.raises(KeyboardInterrupt):
            bench.carry_out()
    _another_worker(operation)
    assert operation.state == "succeeded", operation.error_message
    assert Container.objects.get(name="web-2").native_id == made[0]


def test_who_may_and_under_which_name(
    bench: Bench, web: Container, vic: User, charlie: User, api_for: Callable[..., Any]
) -> None:
    with pytest.raises(Denied):
        operations.request_duplicate(web, actor=person(vic, source="ui"))
    with pytest.raises(Refused) as refused:
        operations.request_duplicate(web, actor=person(bench.bob, source="ui"), params={"name": "web"})
    assert refused.value.code == "name_in_use"
    address = f"/api/v1/containers/{web.pk}/duplicate/"
    client = api_for(bench.bob, "read", "write")
    plan = client.post(f"{address}?dry_run=1", {"changes": {"user": "1000"}}, format="json").json()
    assert (plan["kind"], plan["would_run"], plan["made"][0]["detail"]) == (
        "container.duplicate",
        True,
        "like web",
    )
    assert plan["affected"] == [{"what": "data", "detail": "is written to by web and web-2", "size": None}]
    answer = client.post(address, {"name": "x", "changes": {"tty": 1}}, format="json")
    assert sorted(answer.json()["errors"]) == ["changes.tty", "name"]
    assert client.post(address, {}, format="json").status_code == 202
    assert api_for(charlie, "write").post(address, {}, format="json").status_code == 404


# By the form


def _as_sent(html: str) -> dict[str, Any]:
    """The form as a browser would send it back untouched."""
    data: dict[str, list[str]] = {}
    form = re.sub(r"<(template|noscript).*?</\1>", "", html[html.index('id="run-form"') :], flags=re.DOTALL)
    for tag in re.findall(r"<input [^>]*>", form):
        found = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if "name" in found and (found.get("type") != "checkbox" or " checked" in tag):
            data.setdefault(found["name"], []).append(unescape(found.get("value", "")))
    for name, inside in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', inside) or re.search(
            r'<option(?: value="([^"]*)")?', inside
        )
        data.setdefault(name, []).append((chosen and chosen[1]) or "tcp")
    return data


def test_an_untouched_form_changes_nothing_and_what_is_typed_alone_is_the_wish(
    bench: Bench, web: Container, client_for: Callable[..., Any]
) -> None:
    client, address = client_for(bench.bob), f"/containers/{web.pk}/edit/"
    html = client.get(address).content.decode()
    assert SECRET not in html
    sent = _as_sent(html)
    assert "Nothing is changed yet." in client.post(address, sent).content.decode()
    at = sent["env_name"].index("MODE")
    sent["env_value"][at], sent["memory"], sent["seconds"] = "loud", ["128"], ["1"]
    assert "MODE changed" in client.post(f"{address}check/", sent).content.decode()
    client.post(address, sent)
    operation = Operation.objects.get(kind="container.recreate")
    assert set(operation.params["changes"]) == {"environment", "resources"}
    bench._done(operation)
    assert operation.state == "succeeded", operation.error_message
    row = Container.objects.get(name="web")
    assert (row.environment["MODE"], row.memory_limit) == ("loud", 128 * 1024**2)


def test_the_form_of_a_duplicate_begins_with_a_new_name_and_free_ports(
    bench: Bench, web: Container, docker_client: docker.DockerClient, client_for: Callable[..., Any]
) -> None:
    client, address = client_for(bench.bob), f"/containers/{web.pk}/duplicate/"
    sent = _as_sent(client.get(address).content.decode())
    assert (sent["name"], sent["port_host"][0]) == (["web-2"], "")
    client.post(address, sent)
    operation = Operation.objects.get(kind="container.duplicate")
    assert "changes" not in operation.params
    bench._done(operation)
    assert operation.state == "succeeded", operation.error_message
    assert variables(docker_client, "web-2")["HUSH"] == SECRET
