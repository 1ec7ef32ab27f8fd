"""An engine to test with: the fake one and a real one, through the same fixtures."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from engine.base import Engine, EngineStreams
from engine.connect import connect, connect_streams
from engine.fake import World, new_world
from engine.specs import ContainerSpec
from tests import machine

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("engine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("engine")

BUSYBOX = "slipway-test/busybox:1"


@pytest.fixture
def world() -> Iterator[World]:
    """The world behind the fake engine of this test."""
    with new_world("contract") as made:
        made.add_image(BUSYBOX)
        yield made


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.engine)])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an engine that has busybox, and that is left as it was found."""
    if request.param == "fake":
        request.getfixturevalue("world")
        yield "fake://contract"
        return
    url = request.getfixturevalue("engine_url")
    request.getfixturevalue("busybox")
    inventory = machine.Inventory(request.getfixturevalue("docker_client"))
    yield url
    inventory.restore()


@pytest.fixture
def engine(endpoint: str) -> Engine:
    return connect(endpoint, allow_fake=True)


@pytest.fixture
def streams(endpoint: str) -> EngineStreams:
    return connect_streams(endpoint, allow_fake=True)


Create = Callable[..., str]


@pytest.fixture
def create(engine: Engine) -> Create:
    """``create("script", name=…)``: a container that runs the script in a shell; its id."""

    def make(script: str | None = None, **body: Any) -> str:
        if script is not None:
            body["command"] = ["sh", "-c", script]
        spec = ContainerSpec.parse({"image": BUSYBOX, "networks": ["none"], **body})
        return engine.create(spec, operation_id=str(uuid.uuid4()))

    return make


@pytest.fixture
def run(engine: Engine, create: Create) -> Create:
    """The same, started."""

    def make(script: str | None = None, **body: Any) -> str:
        native_id = create(script, **body)
        engine.start(native_id)
        return native_id

    return make


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of ``condition()``."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def unused_name(prefix: str = "slipway-test") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"
