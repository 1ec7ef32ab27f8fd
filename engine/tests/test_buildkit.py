"""BuildKit: its stream read by hand, whatever is in it; what it does on a real engine."""

from __future__ import annotations

import base64
import threading
import uuid

import docker
import pytest

from engine.base import Engine
from engine.buildkit_trace import Said, Status, Vertex, field, fields, trace
from engine.docker_builders import choose
from engine.docker_buildkit import Board
from engine.docker_text import MASK
from engine.errors import BuildFailed, Cancelled, Invalid
from engine.specs import BuildSpec
from engine.tests.contract import BUSYBOX, context
from engine.types import Progress
from tests import machine, registry

DOCKER = {"Server": "Docker/20.10.24 (linux)", "Ostype": "linux"}


@pytest.fixture
def engine(engine_backend: Engine, busybox: str) -> Engine:
    return engine_backend


@pytest.mark.parametrize(
    ("told", "wanted", "builder"),
    [
        (DOCKER, "auto", "buildkit"),
        (DOCKER, "classic", "classic"),
        (DOCKER | {"Builder-Version": "2"}, "auto", "buildkit"),
        (DOCKER | {"Builder-Version": "1"}, "auto", "classic"),
        (DOCKER | {"Builder-Version": "1"}, "buildkit", "buildkit"),
        (DOCKER | {"Ostype": "windows"}, "auto", "classic"),
        (DOCKER | {"Libpod-API-Version": "5.0"}, "auto", "classic"),
        ({}, "auto", "classic"),
    ],
)
def test_the_engine_says_which_builder_it_has(told: dict[str, str], wanted: str, builder: str) -> None:
    name, why = choose(told, wanted)
    assert (name, bool(why)) == (builder, True)


def test_buildkit_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no BuildKit"):
        choose({"Server": "Podman/5"}, "buildkit")


def moment(seconds: int) -> bytes:
    return b"\x08" + bytes([seconds])


def encoded(*parts: tuple[int, bytes]) -> str:
    return base64.b64encode(b"".join(field(number, part) for number, part in parts)).decode()


def vertex(digest: str, name: str, *, started: int = 0, completed: int = 0, error: str = "") -> bytes:
    made = field(1, digest.encode()) + field(3, name.encode())
    made += field(5, moment(started)) if started else b""
    made += field(6, moment(completed)) if completed else b""
    return made + (field(7, error.encode()) if error else b"")


def test_a_trace_is_read() -> None:
    status = field(1, b"layer") + field(2, b"d") + b"\x20\x05\x28\x0a" + field(8, moment(3))
    said = field(1, b"d") + b"\x18\x01" + field(4, b"hello\xff\n")
    found = list(trace(encoded((1, vertex("d", "[1/2] RUN x", started=5)), (2, status), (3, said))))
    assert found == [
        Vertex("d", "[1/2] RUN x", started=5), Status("d", "layer", 5, 10, completed=True), Said("d", "hello\ufffd\n"),
    ]  # fmt: skip


@pytest.mark.parametrize("raw", [b"\x0a\x05ab", b"\x0a", b"\xff" * 20, b"\x0b", b"\x0a\xff\xff\xff\xff\x0f"])
def test_what_is_no_trace_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the one error that all of it is
        list(fields(raw))
    with pytest.raises(ValueError):  # noqa: PT011
        list(trace("not base64!"))
    with pytest.raises(ValueError):  # noqa: PT011
        list(trace({"an": "object"}))


def feed(board: Board, *parts: tuple[int, bytes]) -> list[Progress]:
    board.take({}, list(trace(encoded(*parts))))
    return board.news()


def test_output_comes_between_the_beginning_and_the_end_of_its_step() -> None:
    board = Board()
    said = field(1, b"d") + field(4, b"one\ntw")
    news = feed(board, (1, vertex("d", "[a 2/3] RUN x", started=1, completed=9)), (3, said))
    assert [line for one in news for line in one.log] == ["RUN x", "one", "tw", "DONE 8.0s"]
    assert {one.step for one in news} == {1}
    last = [one.extra for one in news if one.extra][-1]
    assert (last["state"], last["stage"], last["place"], last["seconds"]) == ("done", "a", "2/3", 8)


def test_what_nobody_asked_for_is_a_step_only_where_it_fails_or_takes_long() -> None:
    board = Board()
    assert feed(board, (1, vertex("d", "[internal] load build context", started=1, completed=2))) == []
    news = feed(board, (1, vertex("e", "[internal] load metadata for x", started=1, completed=2, error="no")))
    assert [one.extra["state"] for one in news if one.extra] == ["failed"]
    with pytest.raises(BuildFailed) as caught:
        board.take({"errorDetail": {"message": "failed to solve: no"}}, [])
    assert (caught.value.message, caught.value.details["step"]) == ("no", 1)


def test_a_failure_whose_step_was_not_told_is_of_the_step_that_it_names() -> None:
    board = Board()
    feed(
        board,
        (1, vertex("d", "[a 2/2] RUN --mount=type=cache,target=/x make all", started=1)),
        (1, vertex("e", "[b 2/2] RUN sleep 9", started=1)),
    )
    with pytest.raises(BuildFailed) as caught:
        board.take({"error": "executor failed running [/bin/sh -c make all]: exit code: 2"}, [])
    assert (caught.value.details["step"], caught.value.details["exit_code"]) == (1, 2)
    assert [one.extra["state"] for one in board.news() if one.extra] == ["failed"]


def test_a_flood_of_steps_is_cut() -> None:
    board = Board()
    for n in range(0, 3000, 100):
        feed(board, *((1, vertex(f"{n + i}", f"[{i + 1}/9] RUN", started=1)) for i in range(100)))
    assert len(board._steps) == 1000


def built(engine: Engine, dockerfile: str, **options: object) -> tuple[str, list[Progress]]:
    progress: list[Progress] = []
    auths = options.pop("auths", None)
    spec = BuildSpec.parse({"tags": ["slipway-test/built:1"], "builder": "buildkit", **options})
    made = engine.build(spec, context(dockerfile), emit=progress.append, deadline=60, auths=auths)  # type: ignore[arg-type]
    return made, progress


def test_stages_run_beside_each_other_and_come_from_the_cache(engine: Engine) -> None:
    word = uuid.uuid4().hex
    text = (
        f"FROM {BUSYBOX} AS a\nRUN echo {word}; sleep 0.5; touch /a\nFROM {BUSYBOX}\nRUN echo b-{word}; sleep 0.5\n"
        "COPY --from=a /a /a\nCMD true\n"
    )
    native_id, progress = built(engine, text)
    running: set[int] = set()
    most = 0
    for extra in (one.extra for one in progress if one.extra):
        (running.add if extra["state"] == "running" else running.discard)(extra["step"])
        most = max(most, len(running))
    assert most == 2
    said = {one.step for one in progress for line in one.log if line == word}
    assert {one.extra["instruction"] for one in progress if one.step in said and one.extra} == {
        f"RUN echo {word}; sleep 0.5; touch /a"
    }
    found = engine.resolve_image("slipway-test/built:1")
    assert found is not None
    assert found.native_id == native_id
    _, progress = built(engine, text)
    cached = {one.extra["instruction"].split()[0] for one in progress if one.extra.get("cached")}
    assert {"RUN", "COPY"} <= cached


def test_a_failing_step_ends_with_its_code_and_a_wrong_line_with_its_number(engine: Engine) -> None:
    with pytest.raises(BuildFailed) as caught:
        built(engine, f"FROM {BUSYBOX}\nRUN echo before; exit 3\n")
    assert caught.value.details["exit_code"] == 3
    assert caught.value.message == "RUN echo before; exit 3 ended with exit code 3."
    with pytest.raises(BuildFailed, match="unknown instruction") as caught:
        built(engine, f"FROM {BUSYBOX}\nRUNN x\n")
    assert caught.value.details["line"] == 2
    with pytest.raises(BuildFailed, match="There is no nowhere among the files"):
        built(engine, f"FROM {BUSYBOX}\nCOPY nowhere /x\n")


def test_a_secret_is_there_for_its_step_and_nowhere_else(
    engine: Engine, docker_client: docker.DockerClient
) -> None:
    canary = f"canary-{uuid.uuid4().hex}"
    step = f"RUN --mount=type=secret,id=k test $(cat /run/secrets/k) = {{}} && touch /{uuid.uuid4().hex}"
    native_id, _ = built(
        engine, f"FROM {BUSYBOX}\n{step.format('$(echo ' + canary + ')')}\n", secrets={"k": canary}
    )
    saved = b"".join(docker_client.images.get(native_id).save())
    # The one place is the line of the Dockerfile that compares it; no layer has it.
    layers = docker_client.images.get(native_id).history()
    assert sum(canary in layer["CreatedBy"] for layer in layers) == 1
    assert saved.count(canary.encode()) <= 2
    with pytest.raises(BuildFailed, match="wants a secret"):
        built(
            engine,
            f"FROM {BUSYBOX}\nRUN --mount=type=secret,id=other,required=true true\n",
            secrets={"k": MASK},
        )


def test_a_base_image_is_fetched_with_the_account_of_its_registry(
    engine: Engine, docker_client: docker.DockerClient, registry_place: registry.Place
) -> None:
    name = f"{registry_place.host}/private/{uuid.uuid4().hex[:8]}"
    docker_client.images.get(BUSYBOX).tag(name, "1")
    docker_client.images.push(name, "1", auth_config=registry_place.auth)
    docker_client.images.remove(f"{name}:1")
    with pytest.raises(BuildFailed):
        built(engine, f"FROM {name}:1\nRUN true\n")
    auths = {registry_place.host: registry_place.auth}
    built(engine, f"FROM {name}:1\nRUN true\n", auths=auths)
    built(engine, f"FROM {name}:1\nRUN true\n", auths=auths, builder="classic", pull=True)


def test_a_cancelled_build_has_ended_at_the_engine(engine: Engine) -> None:
    stop, word = threading.Event(), uuid.uuid4().hex

    def emit(progress: Progress) -> None:
        if word in progress.log:
            stop.set()

    spec = BuildSpec.parse({"tags": ["slipway-test/built:1"], "builder": "buildkit"})
    with pytest.raises(Cancelled):
        engine.build(
            spec, context(f"FROM {BUSYBOX}\nRUN echo {word}; sleep 60\n"), emit=emit, should_stop=stop.is_set
        )
    assert not machine.running(word)
    assert engine.resolve_image("slipway-test/built:1") is None
