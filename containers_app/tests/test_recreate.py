"""Making a container anew in its place: what passes the gate stays, and else the old one is back. On a real engine."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.access import Denied, person
from accounts.models import Team, User
from containers_app import bodies, gate, operations, present, sync, timeline
from containers_app.models import Container, Volume
from containers_app.tests.test_operations import SLEEP, Bench, Carry, failed
from engine.base import Engine as EngineBackend
from engine.errors import GateFailed, PolicyDenied, Unreachable
from engine.specs import SpecError
from engine.types import ContainerState, Health
from operations import plans, remains, services, trash, undoable, verifying
from operations.models import Engine, Operation, TrashItem
from operations.services import Refused
from operations.tasks import run_operation

QUICK = {"gate": {"timeout": 20, "steady": 1}}
STAYS = 'CMD ["sh", "-c", "trap \'exit 0\' TERM; echo version $VERSION; while :; do sleep 0.05; done"]'
IMAGES = {
    "good:1": f"ENV VERSION=1\n{STAYS}",
    "good:2": f"ENV VERSION=2\nEXPOSE 2000\nLABEL is=two\n{STAYS}",
    "healthy:1": f"ENV VERSION=healthy\nHEALTHCHECK --interval=200ms CMD true\n{STAYS}",
    "ill:1": f"ENV VERSION=ill\nHEALTHCHECK --interval=200ms --retries=1 CMD echo no database; false\n{STAYS}",
    "never:1": f"ENV VERSION=never\nHEALTHCHECK --interval=600s CMD true\n{STAYS}",
    "crash:1": 'CMD ["sh", "-c", "echo I cannot; exit 3"]',
}


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture
def image(docker_client: docker.DockerClient, busybox: str) -> Callable[[str], str]:
    """``image("good:2")`` builds it; its reference."""

    def build(name: str) -> str:
        text, reference = f"FROM {busybox}\n{IMAGES[name]}\n", f"slipway-test/{name}"
        docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag=reference, rm=True)
        return reference

    return build


@pytest.fixture
def port() -> int:
    """One of the host's that nobody has: the engines of parallel tests share the host's."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def web(bench: Bench, image: Callable[[str], str], port: int) -> Container:
    return bench.container(
        name="web", image=image("good:1"), command=None, networks=[], ports=[{"container": 80, "host": port}],
        environment={"MINE": "yes", "DB_PASSWORD": "canary-1"}, labels={"tier": "front"},
        restart_policy={"name": "unless-stopped"}, mounts=[{"type": "volume", "source": "data", "target": "/data"}],
    )  # fmt: skip


def anew(bench: Bench, row: Container, image: str = "", **params: Any) -> Operation:
    return bench.do(row, "recreate", **QUICK, **({"image": image} if image else {}), **params)


def called(docker_client: docker.DockerClient, name: str = "web") -> list[Any]:
    return [one for one in docker_client.containers.list(all=True) if one.name == name]


def in_order(docker_client: docker.DockerClient) -> Any:
    """Exactly one container has the name, it runs, and nothing is left under a name for the meantime."""
    (found,) = called(docker_client)
    assert found.status == "running"
    assert not [c.name for c in docker_client.containers.list(all=True) if c.name.startswith("slipway-new-")]
    return found


def log_of(operation: Operation) -> str:
    events = operation.events.filter(kind="log").order_by("seq")
    return "\n".join(str(event.data["text"]) for event in events)


def test_another_image_takes_the_place_and_the_old_one_is_in_the_trash(
    bench: Bench, web: Container, image: Callable[[str], str], docker_client: docker.DockerClient, port: int
) -> None:
    before = docker_client.containers.get("web").attrs
    operation = anew(bench, web, image("good:2"))
    assert operation.state == "succeeded", operation.error_message
    new = Container.objects.get(name="web")
    assert operation.result["container"] == str(new.pk) != str(web.pk)
    assert operation.result["replaced"] == str(web.pk)
    assert (new.team, new.state, new.image_ref) == (bench.team, "running", "slipway-test/good:2")
    after = in_order(docker_client).attrs
    assert {"MINE=yes", "DB_PASSWORD=canary-1", "VERSION=2"} <= set(after["Config"]["Env"])
    assert after["Config"]["Labels"] == {
        "tier": "front", "is": "two", "io.slipway.operation": str(operation.pk),
    }  # fmt: skip
    for key in ("RestartPolicy", "PortBindings", "LogConfig"):
        assert after["HostConfig"][key] == before["HostConfig"][key], key
    assert after["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == str(port)
    assert "2000/tcp" in after["Config"]["ExposedPorts"]
    assert after["Mounts"] == before["Mounts"]
    assert "canary-1" not in str(list(operation.events.values_list("data", flat=True)))
    item = TrashItem.objects.get()
    assert (item.operation, item.target_id, item.state) == (operation, str(web.pk), "kept")
    assert undoable.until(Operation.objects.get(pk=operation.pk))


def test_the_page_of_the_operation_leads_to_the_new_one_and_offers_to_undo_it(
    bench: Bench, web: Container, vic: User, client_for: Callable[..., Any]
) -> None:
    operation = anew(bench, web)
    address = reverse("operations:detail", args=[operation.pk])
    undo = reverse("operations:undo", args=[operation.pk])
    page = client_for(bench.bob).get(address).content.decode()
    assert reverse("containers:detail", args=[operation.result["container"]]) in page
    assert undo in page
    assert undo not in client_for(vic).get(address).content.decode()


def test_the_history_goes_on(bench: Bench, web: Container, image: Callable[[str], str]) -> None:
    anew(bench, web, image("good:2"))
    second = Container.objects.get(name="web")
    operation = anew(bench, second)
    third = Container.objects.get(name="web")
    actor = person(bench.bob, source="ui")
    assert present.lineage(third, actor) == [str(third.pk), str(second.pk), str(web.pk)]
    told, _ = timeline.moments(third, actor, limit=10, kinds=["operation"])
    assert [m.row.kind for m in told] == ["container.recreate", "container.recreate", "container.run"]
    assert present.made_by(third, actor) == operation


def test_undo_swaps_back_and_can_be_undone_too(
    bench: Bench, web: Container, image: Callable[[str], str], docker_client: docker.DockerClient
) -> None:
    operation = anew(bench, web, image("good:2"))
    new = Container.objects.get(name="web")
    actor = person(bench.bob, source="ui")
    plan = plans.preview(lambda: trash.undo(operation, actor=actor), actor=actor)
    assert (plan.blocked, plan.button) == ("", "Swap back")

    back = bench._done(trash.undo(operation, actor=actor))
    assert back.state == "succeeded", back.error_message
    assert in_order(docker_client).id == web.native_id
    assert Container.objects.get(name="web") == web
    assert TrashItem.objects.get(state="kept").target_id == str(new.pk)
    assert (
        docker_client.containers.get("web").attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    )

    again = bench._done(trash.undo(back, actor=actor))
    assert again.state == "succeeded", again.error_message
    assert in_order(docker_client).id == new.native_id


def test_what_has_taken_the_name_since_is_not_put_aside(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    operation = anew(bench, web)
    new = Container.objects.get(name="web")
    bench.do(new, "rename", name="shop")
    docker_client.containers.create(bench.image, name="web")
    failed(bench._done(trash.undo(operation, actor=person(bench.bob, source="ui"))), "name_in_use")
    assert docker_client.containers.get("shop").status == "running"


# The gate


def test_a_healthy_one_passes(bench: Bench, web: Container, image: Callable[[str], str]) -> None:
    operation = anew(bench, web, image("healthy:1"))
    assert operation.state == "succeeded", operation.error_message
    assert Container.objects.get(name="web").health == "healthy"


def test_an_unhealthy_one_goes_and_says_why_and_the_old_one_runs(
    bench: Bench, web: Container, image: Callable[[str], str], docker_client: docker.DockerClient
) -> None:
    operation = anew(bench, web, image("ill:1"))
    failed(operation, "gate_failed")
    assert "web is unhealthy" in operation.error_message
    assert 'its last check said "no database" (exit code 1)' in operation.error_message
    assert operation.error_message.endswith("; the new one was removed, and the old one is back and runs.")
    assert "version ill" in log_of(operation)
    said = remains.of(operation)
    assert said is not None
    assert said.inspect["State"]["Health"]["Status"] == "unhealthy"
    assert [(check.exit_code, check.output) for check in said.checks][:1] == [(1, "no database")]
    assert "canary-1" not in str(said.said)
    assert in_order(docker_client).id == web.native_id
    assert (
        docker_client.containers.get("web").attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    )
    web.refresh_from_db()
    assert (web.name, web.state, web.trashed_at) == ("web", "running", None)
    assert Container.everything.count() == 1
    assert not TrashItem.objects.filter(state="kept").exists()
    with pytest.raises(Refused):
        trash.undo(operation, actor=person(bench.bob, source="ui"))


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("crash:1", {"steady": 5}, "had to be started again"),
        ("never:1", {"timeout": 1}, "web did not get healthy within 1 s"),
    ],
)
def test_one_that_does_not_do_well_goes(
    bench: Bench, web: Container, image: Callable[[str], str], docker_client: docker.DockerClient,
    name: str, limits: dict[str, int], words: str,
) -> None:  # fmt: skip
    operation = bench.do(web, "recreate", image=image(name), gate=limits)
    failed(operation, "gate_failed")
    assert words in operation.error_message
    assert in_order(docker_client).id == web.native_id


def test_one_that_ends_goes(
    bench: Bench, image: Callable[[str], str], docker_client: docker.DockerClient
) -> None:
    web = bench.container(name="web", image=image("good:1"), command=None)
    operation = anew(bench, web, image("crash:1"))
    failed(operation, "gate_failed")
    assert "web ended with exit code 3" in operation.error_message
    assert "I cannot" in log_of(operation)
    said = remains.of(operation)
    assert said is not None
    assert ("Exit code", "3", True) in [(fact.name, fact.value, fact.bad) for fact in said.facts]
    lines = operation.events.filter(kind="log", seq__gt=said.first_line).order_by("seq")[: said.lines]
    assert [line.data["text"] for line in lines] == ["I cannot"]
    assert in_order(docker_client).id == web.native_id


def test_one_that_cannot_be_started_goes(bench: Bench, docker_client: docker.DockerClient) -> None:
    text = f"FROM {bench.image}\nRUN mkdir /only; ln -s /bin/sh /only/sh\n"
    docker_client.images.build(fileobj=io.BytesIO(text.encode()), tag="slipway-test/has:1", rm=True)
    web = bench.container(name="web", image="slipway-test/has:1", command=["/only/sh", "-c", SLEEP[2]])
    operation = anew(bench, web, bench.image)
    failed(operation, "gate_failed")
    assert operation.error_message.startswith("web did not start: ")
    said = remains.of(operation)
    assert said is not None
    assert ("Ran", "never") in [(fact.name, fact.value) for fact in said.facts]
    assert in_order(docker_client).id == web.native_id


def test_what_does_not_run_is_made_anew_and_not_started(
    bench: Bench, web: Container, image: Callable[[str], str]
) -> None:
    bench.do(web, "stop", timeout=5)
    operation = anew(bench, web, image("crash:1"))
    assert operation.state == "succeeded", operation.error_message
    assert Container.objects.get(name="web").state == "created"


def test_an_image_that_nobody_has_changes_nothing(
    bench: Bench, web: Container, docker_client: docker.DockerClient
) -> None:
    operation = anew(bench, web, "127.0.0.1:9/slipway-test/nowhere:1")
    assert operation.state == "failed"
    assert operation.error_code in ("image_not_found", "registry_unreachable")
    found = in_order(docker_client)
    assert (found.id, found.attrs["State"]["StartedAt"][:19]) == (
        web.native_id, web.started_at.strftime("%Y-%m-%dT%H:%M:%S") if web.started_at else "",
    )  # fmt: skip


def test_what_is_cancelled_goes_back(
    bench: Bench, web: Container, image: Callable[[str], str], docker_client: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    actor = person(bench.bob, source="ui")
    wait = gate.wait

    def cancel_and_wait(ctx: Any, *args: Any) -> None:
        services.cancel(ctx.operation, actor=actor)
        ctx.held.cancelled = True
        wait(ctx, *args)

    monkeypatch.setattr(gate, "wait", cancel_and_wait)
    operation = bench.do(web, "recreate", image=image("never:1"))
    assert operation.state == "cancelled", operation.error_message
    assert in_order(docker_client).id == web.native_id
    assert operation.error_message == (
        "Cancelled while Slipway waited for the new container;"
        " the new one was removed, and the old one is back and runs."
    )
    assert operation.error_message in log_of(operation)


def test_page_and_rest_show_the_one_that_did_not_stay(
    bench: Bench, web: Container, image: Callable[[str], str], client_for: Callable[..., Any]
) -> None:
    operation = anew(bench, web, image("ill:1"))
    client = client_for(bench.bob)
    page = client.get(reverse("operations:detail", args=[operation.pk])).content.decode()
    for words in ("as it was taken out", "unhealthy, ", "no database", "Everything the engine said"):
        assert words in page
    assert "canary-1" not in page
    found = client.get(f"/api/v1/operations/{operation.pk}/").json()["discarded"]
    assert (found["name"], found["state"], found["health"]) == ("web", "running", "unhealthy")
    assert found["inspect"]["State"]["Running"] is True
    assert found["checks"][-1]["output"].strip() == "no database"
    log = client.get(f"/api/v1/operations/{operation.pk}/log/?after={found['log_after']}").getvalue().decode()
    assert log.splitlines()[1 : 1 + found["log_lines"]] == ["version ill"]
    done = anew(bench, web)
    assert client.get(f"/api/v1/operations/{done.pk}/").json()["discarded"] is None


def test_progress_says_how_long(bench: Bench, web: Container, image: Callable[[str], str]) -> None:
    operation = bench.do(web, "recreate", image=image("never:1"), gate={"timeout": 2})
    words = [event.data.get("message") for event in operation.events.filter(kind="progress").order_by("seq")]
    assert "Waiting for a healthy answer: 1 of 2 s" in words


# Lost on the way


def follow(operation: Operation) -> None:
    """Its worker has died; when its lease has lapsed another one takes over."""
    Operation.objects.filter(pk=operation.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    run_operation(str(operation.pk))
    operation.refresh_from_db()


class Deadly:
    """Lets the worker die at the nth call that changes something, before or after the engine has carried it out."""

    def __init__(
        self, backend: EngineBackend, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool
    ) -> None:
        self.calls = 0
        for name in ("create_like", "stop", "update", "rename", "start", "remove"):
            monkeypatch.setattr(type(backend), name, self._deadly(getattr(type(backend), name), at, after))

    def _deadly(self, call: Any, at: int, after: bool) -> Any:
        def dying(engine: Any, *args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls != at:
                return call(engine, *args, **options)
            if after:
                call(engine, *args, **options)
            raise KeyboardInterrupt

        return dying


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("name", ["good:2", "crash:1"])
def test_a_worker_that_dies_on_the_way_leaves_one_that_runs(
    bench: Bench, image: Callable[[str], str], docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch, name: str, at: int, after: bool,
) -> None:  # fmt: skip
    web = bench.container(name="web", image=image("good:1"), command=None)
    wanted = image(name)
    operation = operations.request(
        web, "recreate", actor=person(bench.bob, source="ui"), params={"image": wanted, **QUICK}
    )
    with monkeypatch.context() as patched:
        deadly = Deadly(engine_backend, patched, at, after=after)
        with suppress(KeyboardInterrupt):
            run_operation(str(operation.pk))
    died = deadly.calls == at and Operation.objects.get(pk=operation.pk).state == "running"
    if died:
        follow(operation)
    operation.refresh_from_db()
    found = in_order(docker_client)
    if name == "good:2":
        assert operation.state == "succeeded", operation.error_message
        assert found.id != web.native_id
        assert Container.objects.get(name="web").native_id == found.id
    else:
        failed(operation, "gate_failed")
        assert found.id == web.native_id
    assert Container.objects.count() == 1


@pytest.mark.parametrize("at", [2, 4, 5, 6])
@pytest.mark.parametrize("why", ["cancelled", "rights", "engine"])
def test_nobody_goes_on_and_the_old_one_is_back(
    bench: Bench, image: Callable[[str], str], docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch, at: int, why: str,
) -> None:  # fmt: skip
    web = bench.container(name="web", image=image("good:1"), command=None)
    actor = person(bench.bob, source="ui")
    operation = operations.request(web, "recreate", actor=actor, params={"image": image("good:2"), **QUICK})
    with monkeypatch.context() as patched:
        Deadly(engine_backend, patched, at, after=True)
        with pytest.raises(KeyboardInterrupt):
            run_operation(str(operation.pk))
    if why == "cancelled":
        services.cancel(operation, actor=actor)
    elif why == "rights":
        bench.bob.memberships.all().delete()
    else:
        _engine_is_away_once(monkeypatch, engine_backend, operation)
    follow(operation)
    if why == "engine":
        assert operation.state == "succeeded", operation.error_message
        in_order(docker_client)
        return
    assert operation.state == "cancelled"
    if at > 2:
        assert operation.error_message.endswith("the new one was removed, and the old one is back and runs.")
    assert in_order(docker_client).id == web.native_id
    assert not TrashItem.objects.filter(state="kept").exists()


def _engine_is_away_once(
    monkeypatch: pytest.MonkeyPatch, backend: EngineBackend, operation: Operation
) -> None:
    """The attempt after finds nobody; the operation is unknown, and no more than that."""
    monkeypatch.setattr(verifying, "LOOKS", (0.0,))
    with monkeypatch.context() as patched:

        def nobody(*args: Any, **options: Any) -> Any:
            raise Unreachable("Nobody answers.")

        for name in ("container", "find_by_operation"):
            patched.setattr(type(backend), name, nobody)
        follow(operation)
    assert operation.state == "unknown", operation.error_message


def test_a_swap_back_that_died_in_the_middle_is_brought_to_its_end(
    bench: Bench, web: Container, docker_client: docker.DockerClient, engine_backend: EngineBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    first, at = anew(bench, web), 1
    while at < 6:
        actor = person(bench.bob, source="ui")
        operation = trash.undo(first, actor=actor)
        with monkeypatch.context() as patched:
            Deadly(engine_backend, patched, at, after=True)
            with pytest.raises(KeyboardInterrupt):
                run_operation(str(operation.pk))
        if at % 2:
            services.cancel(operation, actor=actor)
        follow(operation)
        assert operation.state in ("succeeded", "cancelled")
        in_order(docker_client)
        assert TrashItem.objects.filter(state="kept").count() == 1
        first, at = TrashItem.objects.get(state="kept").operation, at + 1


# Who may


def test_a_viewer_may_not(bench: Bench, web: Container, vic: User) -> None:
    with pytest.raises(Denied):
        operations.request(web, "recreate", actor=person(vic, source="ui"))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"privileged": True}, "no_privileged"),
        ({"volumes": ["/tmp:/x"]}, "no_host_paths"),
        ({"cap_add": ["SYS_ADMIN"]}, "no_added_capability"),
        ({"pid_mode": "host"}, "no_shared_namespaces"),
        ({"devices": ["/dev/null:/dev/x"]}, "no_devices"),
    ],
)
def test_what_a_team_may_not_run_it_may_not_make_anew(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend, alice: User,
    options: dict[str, Any], rule: str,
) -> None:  # fmt: skip
    made = docker_client.containers.create(bench.image, SLEEP, name="bold", **options)
    row = sync.refresh(bench.engine, engine_backend, made.id, team=bench.team)
    assert row is not None
    with pytest.raises(PolicyDenied) as denied:
        anew(bench, row)
    assert denied.value.details["rule"] == rule
    # The rows may know less than the engine: the worker looks again.
    Container.objects.update(inspect={})
    row.refresh_from_db()
    failed(anew(bench, row), "policy_denied")
    asked = operations.request(row, "recreate", actor=person(alice, source="ui"))
    assert bench._done(asked).state == "succeeded"


def test_another_teams_volume_is_not_taken_along(bench: Bench, web: Container, other_team: Team) -> None:
    Volume.objects.filter(native_id="data").update(team=other_team)
    failed(anew(bench, web), "policy_denied")


def test_what_could_not_be_put_back_is_refused(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend
) -> None:
    gone = bench.container(name="gone", auto_remove=True)
    with pytest.raises(Refused, match="removes itself"):
        anew(bench, gone)
    web = bench.container(name="web")
    bench.do(web, "pause")
    web.refresh_from_db()
    with pytest.raises(Refused, match="paused"):
        anew(bench, web)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"image": "../x"}, "image"),
        ({"pull": "yes"}, "pull"),
        ({"gate": {"timeout": 0}}, "gate.timeout"),
        ({"gate": {"seconds": 5}}, "gate.seconds"),
        ({"gate": 5}, "gate"),
    ],
)
def test_a_wish_that_is_not_valid_is_told_field_by_field(
    bench: Bench, web: Container, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(SpecError) as wrong:
        bench.do(web, "recreate", **params)
    assert list(wrong.value.errors) == [field]


def test_the_plan_says_what_changes_and_what_stays(
    bench: Bench, web: Container, image: Callable[[str], str], engine_backend: EngineBackend, port: int
) -> None:
    from images_app import sync as image_sync

    image("good:2")
    image_sync.reconcile(bench.engine, engine_backend)
    actor = person(bench.bob, source="ui")
    wish = {"image": "slipway-test/good:2"}
    plan = plans.preview(lambda: operations.request(web, "recreate", actor=actor, params=wish), actor=actor)
    told = plan.to_dict()
    assert told["would_run"]
    assert "10 s without a restart" in told["summary"]
    assert "slipway-test/good:1 → slipway-test/good:2" in told["changed"][0]["detail"]
    assert "pulled" not in told["changed"][0]["detail"]
    assert [item["what"] for item in told["affected"]] == [f"port {port}"]
    assert {"Volume", "Name and settings"} <= {item["what"] for item in told["kept"]}
    assert told["undo_hours"] == 24
    assert not Operation.objects.filter(kind="container.recreate").exists()


# The judgement itself


def test_the_gate_judges_by_what_it_sees(bench: Bench, web: Container, engine_backend: EngineBackend) -> None:
    from dataclasses import replace

    info = engine_backend.container(web.native_id)
    limits = gate.Gate(timeout=5, steady=2)
    assert not gate.does_well(info, 1, limits)
    assert gate.does_well(info, 2, limits)
    checked = replace(info, healthcheck={"test": ["CMD", "true"]})
    assert not gate.does_well(replace(checked, restart_count=2), 4, limits)
    with pytest.raises(GateFailed, match="did not get healthy within 5 s"):
        gate.does_well(checked, 5, limits)
    ended = replace(checked, state=ContainerState.RESTARTING, health=Health.UNHEALTHY)
    assert not gate.does_well(replace(ended, restart_count=1), 1, limits)
    with pytest.raises(GateFailed, match="3 restarts within 2 s"):
        gate.does_well(replace(ended, restart_count=3), 2, limits)
    with pytest.raises(GateFailed, match="started again"):
        gate.does_well(replace(info, restart_count=1), 1, limits)
    with pytest.raises(GateFailed, match="exit code 137 after 1 s: it ran out of memory"):
        gate.does_well(replace(info, state=ContainerState.EXITED, exit_code=137, oom_killed=True), 1, limits)


def test_an_image_is_named_by_what_finds_it_again() -> None:
    image_id = "sha256:" + "ab" * 32
    assert bodies.image_of("nginx:1.27", image_id) == "nginx:1.27"
    assert bodies.image_of("sha256:" + "ab" * 32, image_id) == image_id
    assert bodies.image_of("abababababab", image_id) == image_id
    assert bodies.image_of("", image_id) == image_id
    assert bodies.image_of("No Such!", image_id) == image_id
