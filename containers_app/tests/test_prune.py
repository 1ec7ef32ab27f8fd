"""What was shown is what goes, and as many bytes as was said. On a real engine."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.http import Http404
from django.utils import timezone

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from containers_app import operations, prune_plans, sync
from containers_app.models import Container, PrunePlan, Volume
from containers_app.tests.test_operations import SLEEP, Bench, Carry
from containers_app.tests.test_trash import follow, remove
from engine.base import Engine as EngineBackend
from engine.errors import DeadlineExceeded
from engine.specs import SpecError
from images_app import operations as image_operations
from images_app import sync as image_sync
from images_app.models import Image
from operations import leases, reads, services, tasks, trash
from operations.models import Engine, Operation, TrashItem
from operations.services import Refused

ALL = ("containers", "images", "unused_images", "volumes", "named_volumes")


@pytest.fixture(autouse=True)
def _answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions to the engine are answered at once, in this process."""

    def send(name: str, args: tuple[str], **options: Any) -> None:
        if name == reads.TASK:
            tasks.answer_read(args[0])

    monkeypatch.setattr(reads.current_app, "send_task", send)


@pytest.fixture
def bench(
    engine_row: Engine, team: Team, bob: User, alice: User, busybox: str, run_operations: Carry,
    engine_backend: EngineBackend,
) -> Bench:  # fmt: skip
    image_sync.reconcile(engine_row, engine_backend)
    sync.reconcile(engine_row, engine_backend)
    return Bench(engine_row, team, bob, busybox, run_operations)


@pytest.fixture
def plan_of(bench: Bench, alice: User, engine_backend: EngineBackend) -> Callable[..., PrunePlan]:
    """``plan_of("containers", …)``: what Alice is shown now."""

    def make(*kinds: str) -> PrunePlan:
        image_sync.reconcile(bench.engine, engine_backend)
        sync.reconcile(bench.engine, engine_backend)
        actor = person(alice, source="ui")
        return prune_plans.freeze(prune_plans.look(bench.engine, actor=actor), kinds, actor=actor)

    return make


@pytest.fixture
def carry(bench: Bench, alice: User) -> Callable[[PrunePlan], Operation]:
    """``carry(plan)``: Alice has it done."""

    def ask(plan: PrunePlan) -> Operation:
        return bench._done(operations.request_prune(plan.pk, actor=person(alice, source="ui")))

    return ask


PlanOf, CarryPlan = Callable[..., PrunePlan], Callable[[PrunePlan], Operation]


def stopped(client: docker.DockerClient, image: str, name: str, script: str = "true", **options: Any) -> Any:
    """Somebody's container that has ended."""
    made = client.containers.run(
        image, ["sh", "-c", script], name=name, detach=True, network_mode="none", **options
    )
    made.wait()
    return made


def built(client: docker.DockerClient, base: str, *steps: str, tag: str = "") -> str:
    """An image with these steps; its id."""
    text = "\n".join([f"FROM {base}", *steps, ""])
    image, _ = client.images.build(fileobj=io.BytesIO(text.encode()), tag=tag or None, rm=True)
    return str(image.id)


def names(plan: PrunePlan) -> list[tuple[str, str]]:
    return [(item["kind"], item["name"]) for item in plan.items]


def kept(operation: Operation) -> dict[str, str]:
    assert operation.state == "succeeded", operation.error_message
    assert operation.result
    return {one["name"]: one["reason"] for one in operation.result["skipped"]}


def test_to_the_byte_what_was_said_goes(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient
) -> None:
    stopped(
        docker_client, bench.image, "done", "head -c 4321 /dev/zero > /v/x; head -c 1000 /dev/zero > /out",
        volumes=["left:/v"],
    )  # fmt: skip
    writes = "head -c 777 /dev/zero > /a/x; head -c 50 /dev/zero > /b/x"
    stopped(docker_client, bench.image, "writer", writes, volumes=["named:/a", "/b"])
    docker_client.containers.get("writer").remove()
    one = built(
        docker_client, bench.image, "RUN head -c 10000 /dev/zero > /one", "RUN head -c 20 /dev/zero > /1"
    )
    two = built(
        docker_client, bench.image, "RUN head -c 10000 /dev/zero > /one", "RUN head -c 30 /dev/zero > /2"
    )
    tagged = built(docker_client, bench.image, "RUN head -c 500 /dev/zero > /t", tag="shop/old:1")
    docker_client.images.get(tagged).tag("shop/other", "2")
    used = built(docker_client, bench.image, "RUN head -c 9 /dev/zero > /u", tag="shop/used:1")
    stopped(docker_client, bench.image, "on", "sleep 0")
    bench.container(name="web", image="shop/used:1")
    docker_client.containers.get("on").remove()

    plan = plan_of(*ALL)
    assert sorted({item["kind"] for item in plan.items}) == sorted(ALL)
    assert {item["native_id"] for item in plan.items if item["image"]} == {one, two, tagged}
    found = {item["name"]: item["size"] for item in plan.items}
    assert (found["done"], found["named"]) == (1000, 777)
    assert "left" not in found, "a stopped container mounts it"
    assert plan.frees == sum(found.values()) == 1000 + 777 + 50 + 10000 + 20 + 30 + 500
    before = docker_client.api.df()
    operation = carry(plan)
    assert operation.state == "succeeded", operation.error_message
    assert operation.result == {"removed": 6, "skipped": [], "freed": plan.frees, "measured": plan.frees}
    after = docker_client.api.df()
    assert before["LayersSize"] - after["LayersSize"] == 10550
    assert [one.name for one in docker_client.containers.list(all=True)] == ["web"]
    assert [one.name for one in docker_client.volumes.list()] == ["left"]
    assert docker_client.images.get(used)
    assert not Container.objects.filter(name="done").exists()
    assert not Image.objects.filter(native_id__in=(one, two, tagged)).exists()
    assert not Volume.objects.filter(native_id="named").exists()
    lines = [event.data["text"] for event in operation.events.filter(kind="log")]
    assert "Removed done" in lines
    assert operation.progress["current"] == operation.progress["total"] == 6
    assert AuditEntry.objects.filter(verb="engine.prune").count() == 2


def test_what_is_used_again_by_then_stays(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient
) -> None:
    docker_client.containers.create(bench.image, SLEEP, name="started", network_mode="none")
    stopped(docker_client, bench.image, "again")
    stopped(docker_client, bench.image, "gone")
    tagged, contained = (
        built(docker_client, bench.image, f"RUN head -c {size} /dev/zero > /x") for size in (100, 200)
    )
    named = built(docker_client, bench.image, "RUN head -c 300 /dev/zero > /x", tag="shop/old:1")
    docker_client.images.get(named).tag("shop/old", "2")
    for name in ("mounted", "remade", "idle"):
        docker_client.volumes.create(name)
    plan = plan_of(*ALL)
    assert len(plan.items) == 9

    docker_client.containers.get("started").start()
    docker_client.containers.get("again").start()
    docker_client.containers.get("again").wait()
    docker_client.containers.get("gone").remove()
    docker_client.images.get(tagged).tag("shop/kept", "1")
    docker_client.containers.create(contained, ["true"], name="user")
    docker_client.images.get(named).tag("shop/new", "3")
    docker_client.containers.create(bench.image, ["true"], name="mounts", volumes=["mounted:/data"])
    _make_anew(docker_client, "remade")
    stopped(docker_client, bench.image, "later")

    operation = carry(plan)
    short = {one: one.removeprefix("sha256:")[:12] for one in (tagged, contained)}
    assert kept(operation) == {
        "started": "It is running by now.",
        "again": "It was started meanwhile.",
        short[tagged]: "It is called shop/kept:1 by now.",
        short[contained]: "A container uses it by now.",
        "shop/old:1": "It is called shop/new:3 by now.",
        "mounted": "A container mounts it by now.",
        "remade": "It is another one of the same name by now.",
    }
    assert operation.result
    assert (operation.result["removed"], operation.result["freed"]) == (2, 0)
    there = {one.name for one in docker_client.containers.list(all=True)}
    assert there == {"started", "again", "user", "mounts", "later"}, "what became unused since is in no plan"
    assert sorted(docker_client.images.get(named).tags) == ["shop/new:3", "shop/old:1", "shop/old:2"]


def _make_anew(client: docker.DockerClient, name: str) -> None:
    """Engines tell when a volume was made to the second: made until that is another one."""
    before = after = client.volumes.get(name).attrs["CreatedAt"]
    while before == after:
        client.volumes.get(name).remove()
        after = client.volumes.create(name).attrs["CreatedAt"]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("step", ["remove", "untag", "remove_image", "remove_volume"])
def test_a_worker_that_dies_in_the_middle_is_followed(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient,
    engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch, step: str, lost: bool,
) -> None:  # fmt: skip
    """``lost``: the engine has done the step, and nobody is left to hear it."""
    for name in ("one", "two"):
        stopped(docker_client, bench.image, name, "head -c 100 /dev/zero > /out")
        docker_client.volumes.create(f"data-{name}")
    image = built(docker_client, bench.image, "RUN head -c 300 /dev/zero > /x", tag="shop/old:1")
    docker_client.images.get(image).tag("shop/old", "2")
    plan = plan_of(*ALL)
    real = getattr(type(engine_backend), step)

    def dies(self: Any, *args: Any, **options: Any) -> None:
        if lost:
            real(self, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(engine_backend), step, dies)
        with pytest.raises(KeyboardInterrupt):
            carry(plan)
    operation = Operation.objects.get(kind="engine.prune")
    follow(operation)
    assert kept(operation) == {}
    assert operation.result == {"removed": 5, "skipped": [], "freed": 500, "measured": 500}
    assert docker_client.containers.list(all=True) == docker_client.volumes.list() == []


def test_an_engine_that_does_not_answer_in_time_keeps_one_thing_and_not_the_rest(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient,
    engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("one", "two", "three"):
        stopped(docker_client, bench.image, name)
    plan, real = plan_of("containers"), type(engine_backend).remove

    def slow(self: Any, native_id: str, **options: Any) -> None:
        if native_id == plan.items[0]["native_id"]:
            raise DeadlineExceeded("No answer.")
        real(self, native_id, **options)
        if native_id == plan.items[1]["native_id"]:
            raise DeadlineExceeded("The answer was lost.")

    monkeypatch.setattr(type(engine_backend), "remove", slow)
    assert kept(carry(plan)) == {"one": "The engine did not answer in time: it may still go."}
    assert [one.name for one in docker_client.containers.list(all=True)] == ["one"]


def test_it_is_cancelled_between_two_things(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient, alice: User,
    engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("one", "two", "three"):
        stopped(docker_client, bench.image, name)
    plan, real = plan_of("containers"), type(engine_backend).remove

    def cancels(self: Any, native_id: str, **options: Any) -> None:
        real(self, native_id, **options)
        services.cancel(Operation.objects.get(kind="engine.prune"), actor=person(alice, source="ui"))
        leases.look(list(leases._holds.values()))

    monkeypatch.setattr(type(engine_backend), "remove", cancels)
    operation = carry(plan)
    assert operation.state == "cancelled"
    assert sorted(one.name for one in docker_client.containers.list(all=True)) == ["three", "two"]
    with pytest.raises(Refused, match="used once"):
        services.retry(operation, actor=person(alice, source="ui"))


def test_an_engine_that_does_not_count_leaves_sizes_open(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient,
    engine_backend: EngineBackend, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stopped(docker_client, bench.image, "done", "head -c 100 /dev/zero > /out")
    built(docker_client, bench.image, "RUN head -c 300 /dev/zero > /x")

    def never(self: Any, **options: Any) -> Any:
        raise DeadlineExceeded("No answer.")

    monkeypatch.setattr(type(engine_backend), "disk_usage", never)
    plan = plan_of("containers", "images")
    assert [item["size"] for item in plan.items] == [None, 300]
    words = prune_plans.told(plan)
    assert (words.frees, words.unknown) == (300, ["how much some of them hold"])
    operation = carry(plan)
    assert operation.result == {"removed": 2, "skipped": [], "freed": 300, "measured": None}


# Images that stand on each other


def test_a_base_of_what_stays_is_not_in_the_plan_and_children_go_first(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient
) -> None:
    bench.container(name="keeps-busybox")
    steps = [f"RUN head -c {size} /dev/zero > /{size}" for size in (10, 20, 30)]
    built(docker_client, bench.image, *steps[:1], "ENV A=1", tag="shop/base:1")
    top = built(docker_client, bench.image, *steps[:1], "ENV A=1", "ENV B=2", *steps[1:], tag="shop/top:1")
    assert [name for _, name in names(plan_of("unused_images"))] == ["shop/top:1", "shop/base:1"]
    docker_client.containers.create(top, ["true"], name="user")
    assert names(plan_of("unused_images")) == [], "what stands on it step by step needs it"
    docker_client.containers.get("user").remove()
    plan = plan_of("unused_images")
    assert [item["size"] for item in plan.items] == [50, 10]
    assert carry(plan).result == {"removed": 2, "skipped": [], "freed": 60, "measured": 60}


# The trash


def test_the_trash_is_left_alone_unless_it_is_asked_for(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient, tara: User
) -> None:
    built(docker_client, bench.image, "RUN head -c 300 /dev/zero > /x", tag="shop/old:1")
    docker_client.volumes.create("data")
    web = bench.container(
        name="web", command=["sh", "-c", f"head -c 70 /dev/zero > /out; {SLEEP[2]}"],
        mounts=[{"type": "volume", "source": "in-the-trash", "target": "/data"}],
    )  # fmt: skip
    plan_of("containers")
    row = Image.objects.get(name="shop/old:1")
    Image.objects.update(team=bench.team)
    Volume.objects.update(team=bench.team)
    remove(bench, web)
    actor = person(tara, source="ui")
    for asked in (
        image_operations.request_remove(Image.objects.get(pk=row.pk), actor=actor),
        operations.request_volume_remove(Volume.objects.get(native_id="data"), actor=actor),
    ):
        assert bench._done(asked).state == "succeeded"
    assert names(plan_of(*ALL)) == []

    plan = plan_of("trash")
    file = TrashItem.objects.get(kind="volume")
    assert file.size
    assert sorted(item["size"] for item in plan.items) == sorted([70, 300, file.size])
    before = trash.file_of(file.path)
    operation = carry(plan)
    assert operation.result == {"removed": 3, "skipped": [], "freed": plan.frees, "measured": plan.frees}
    assert set(TrashItem.objects.values_list("state", flat=True)) == {"purged"}
    assert not before.exists()
    assert docker_client.containers.list(all=True) == []
    assert [one.name for one in docker_client.volumes.list()] == ["in-the-trash"]


def test_what_was_taken_back_meanwhile_stays(
    bench: Bench, plan_of: PlanOf, carry: CarryPlan, docker_client: docker.DockerClient
) -> None:
    operation = remove(bench, bench.container(name="web"))
    remove(bench, bench.container(name="outside"))
    plan = plan_of("trash")
    bench._done(trash.undo(operation, actor=person(bench.bob, source="ui")))
    outside = next(item for item in plan.items if item["name"] == "outside")
    docker_client.containers.get(outside["native_id"]).rename("found")
    assert kept(carry(plan)) == {
        "web": "It was taken back meanwhile.",
        "outside": "It is out of the trash: somebody has started or renamed it.",
    }
    assert {one.name for one in docker_client.containers.list(all=True)} == {"web", "found"}


# Plans


def test_a_plan_is_used_once_by_its_maker_within_an_hour(
    bench: Bench, plan_of: PlanOf, docker_client: docker.DockerClient, alice: User, person_too: User
) -> None:
    stopped(docker_client, bench.image, "done")
    plan, other = plan_of("containers"), plan_of("containers")
    with pytest.raises(Http404):
        operations.request_prune(plan.pk, actor=person(person_too, source="ui"))
    actor = person(alice, source="ui")
    operation = operations.request_prune(plan.pk, actor=actor)
    assert operations.request_prune(plan.pk, actor=actor) == operation
    with pytest.raises(Refused, match="not finished yet"):
        operations.request_prune(other.pk, actor=actor)
    bench._done(operation)
    PrunePlan.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert operations.request_prune(plan.pk, actor=actor) == operation
    with pytest.raises(Refused) as refused:
        operations.request_prune(other.pk, actor=actor)
    assert refused.value.code == "plan_expired"
    assert Operation.objects.filter(kind="engine.prune").count() == 1


@pytest.fixture
def person_too(person: Any) -> User:
    """Another site administrator."""
    found: User = person("ada", is_superuser=True)
    return found


@pytest.mark.parametrize("kinds", [(), ("everything",)])
def test_kinds_that_are_none_are_refused(kinds: Sequence[str]) -> None:
    with pytest.raises(SpecError) as refused:
        prune_plans.kinds_of(kinds)
    assert "kinds" in refused.value.errors


def test_what_builders_keep_goes_by_the_list_and_what_came_later_stays(
    bench: Bench,
    plan_of: PlanOf,
    carry: CarryPlan,
    engine_backend: EngineBackend,
    docker_client: docker.DockerClient,
) -> None:
    docker_client.api.prune_builds()

    def build(name: str) -> None:
        lines = (f"FROM {bench.image}", f"RUN head -c 9000 /dev/urandom > /{name}")
        text = "\n".join([*lines, "RUN --mount=type=cache,target=/c date > /c/x\n"])
        actor = person(bench.bob, source="ui")
        asked = image_operations.request_build(
            actor=actor, engine=bench.engine, team=bench.team, tags=[f"shop/{name}:1"], dockerfile=text
        )
        assert bench._done(asked).state == "succeeded", asked.error_message

    build("one")
    listed = plan_of("build_cache")
    names = {item["id"] for item in listed.items}
    assert names == {record.native_id for record in engine_backend.disk_usage().cache}
    assert any(item["what"] == "exec.cachemount" for item in listed.items)
    build("two")
    done = carry(listed)
    assert done.state == "succeeded", done.error_message
    left = {record.native_id for record in engine_backend.disk_usage().cache}
    assert left, "what the later build has made stays"
    kept = {item["name"] for item in done.result["skipped"]}
    assert names & left <= {item["id"] for item in listed.items if item["name"] in kept}
    assert done.result["removed"] >= 2
    docker_client.images.remove("shop/one:1")
    docker_client.images.remove("shop/two:1")
    docker_client.api.prune_builds()
