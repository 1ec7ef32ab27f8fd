"""A thousand containers, and storms: on the fake engine, whose answers the contract suite keeps honest."""

from __future__ import annotations

import random
import time
import uuid

import pytest

from containers_app import sync
from containers_app.models import Container
from engine.errors import EngineError, NotFound
from engine.fake import FakeEngine
from engine.fake_world import World
from engine.specs import ContainerSpec
from engine.types import Event
from images_app import sync as image_sync
from operations.models import Engine

IMAGE = "app:1"


@pytest.fixture
def row(db: None) -> Engine:
    return Engine.objects.create(name="fake", endpoint="fake://fake")


@pytest.fixture
def fake() -> FakeEngine:
    world = World(instant=True)
    world.add_image(IMAGE)
    return FakeEngine(world)


def make(fake: FakeEngine, name: str, **body: object) -> str:
    spec = ContainerSpec.parse({"image": IMAGE, "name": name, **body})
    return fake.create(spec, operation_id=str(uuid.uuid4()))


def same(row: Engine, fake: FakeEngine) -> None:
    """The rows are what the engine would say now."""
    there = {c.native_id: fake.container(c.native_id) for c in fake.containers()}
    rows = {c.native_id: c for c in Container.objects.filter(engine=row).prefetch_related("mounts")}
    assert rows.keys() == there.keys()
    for native_id, info in there.items():
        found = rows[native_id]
        assert (found.name, found.state, found.exit_code) == (info.name, info.state.value, info.exit_code)
        assert (found.started_at, found.image_native_id) == (info.started_at, info.image_id)
        assert {m.target for m in found.mounts.all()} == {m.target for m in info.mounts}


@pytest.mark.slow
def test_a_thousand_containers_are_compared_in_under_three_seconds(row: Engine, fake: FakeEngine) -> None:
    labels = {f"label.{n}": "value" * 4 for n in range(10)}
    for n in range(1000):
        make(fake, f"web-{n}", labels=labels, environment={f"NAME_{k}": "value" for k in range(15)})
    image_sync.reconcile(row, fake)
    # Of the processor, since other tests may run beside this one.
    began = time.process_time()
    report = sync.reconcile(row, fake)
    first = time.process_time()
    assert (report.seen, report.added) == (1000, 1000)
    assert first - began < 3
    assert sync.reconcile(row, fake).quiet
    assert time.process_time() - first < 1
    assert Container.objects.filter(image__isnull=False).count() == 1000


def test_a_look_at_nothing_new_writes_nothing(
    row: Engine, fake: FakeEngine, django_assert_max_num_queries: object
) -> None:
    for n in range(50):
        make(fake, f"web-{n}")
    sync.reconcile(row, fake)
    with django_assert_max_num_queries(10) as queries:  # type: ignore[operator]
        sync.reconcile(row, fake)
    assert not [q for q in queries.captured_queries if q["sql"].startswith(("INSERT", "DELETE"))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("heard", [0.0, 0.5, 1.0])
def test_after_any_storm_the_rows_equal_the_engine(
    row: Engine, fake: FakeEngine, seed: int, heard: float
) -> None:
    """``heard`` of the events come; one comparison at the end is enough in any case."""
    dice = random.Random(seed)  # noqa: S311 - the same storm each time
    for n in range(120):
        known = [c.native_id for c in fake.containers()]
        verb = dice.choice(
            ["make", "make", "start", "stop", "kill", "restart", "rename", "pause", "unpause", "remove"]
        )
        native_id = dice.choice(known) if known else ""
        try:
            if verb == "make":
                native_id = make(
                    fake, f"c{n}", mounts=[{"type": "volume", "source": f"v{n % 7}", "target": "/v"}]
                )
            elif verb == "rename":
                fake.rename(native_id, f"r{n}")
            elif verb == "remove":
                fake.remove(native_id, force=True)
            elif verb == "stop":
                fake.stop(native_id, timeout=0)
            else:
                getattr(fake, verb)(native_id)
        except EngineError:
            continue
        if dice.random() < heard:
            sync.apply(row, fake, [Event("container", verb, native_id, n)])
    sync.reconcile(row, fake)
    same(row, fake)


def test_a_container_that_goes_while_we_look_leaves_no_row(
    row: Engine, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    native_id, other = make(fake, "web"), make(fake, "other")
    inspect = FakeEngine.container

    def gone(self: FakeEngine, wanted: str, **options: float) -> object:
        if wanted == native_id:
            raise NotFound("Gone.")
        return inspect(self, wanted, **options)

    monkeypatch.setattr(FakeEngine, "container", gone)
    sync.reconcile(row, fake)
    assert [c.native_id for c in Container.objects.all()] == [other]


def test_an_engine_that_fails_in_the_middle_changes_no_row(row: Engine, fake: FakeEngine) -> None:
    native_id = make(fake, "web")
    sync.reconcile(row, fake)
    fake.start(native_id)
    before = list(Container.objects.values())
    fake.world.fail("refuse", "container")
    with pytest.raises(EngineError):
        sync.reconcile(row, fake)
    assert list(Container.objects.values()) == before
    sync.reconcile(row, fake)
    same(row, fake)
