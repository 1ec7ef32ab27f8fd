"""Ending what a console has started, on a real engine: whoever it runs as, whatever it does, whatever the image has."""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from engine.connect import connect_streams
from engine.terminal import Demultiplexer, Program, size
from engine.tests.contract_console import heard

LOOP = "trap exit TERM; while :; do sleep 0.2; done"
Run = Callable[..., Container]


@pytest.fixture
def run(docker_client: docker.DockerClient, busybox: str) -> Iterator[Run]:
    """``run(…)``: a container, with the SDK's options."""
    made: list[Container] = []

    def start(image: str = busybox, command: Any = None, **options: Any) -> Container:
        command = command or ["sh", "-c", LOOP]
        made.append(docker_client.containers.run(image, command, detach=True, network_mode="none", **options))
        return made[-1]

    yield start
    for container in made:
        container.remove(force=True)


def inside(container: Container) -> list[str]:
    """Command lines of what runs there beside its own. A zombie has ended; one in brackets is just ending."""
    rows = container.top(ps_args="-eo pid,stat,args")["Processes"]
    return [
        row[-1]
        for row in rows
        if not row[1].startswith("Z")
        and not row[-1].startswith("[")
        and LOOP not in row[-1]
        and row[-1] != "sleep 0.2"
    ]


STUBBORN = (
    b"trap '' HUP TERM INT; sleep 1001 & env -i sleep 1002 & nohup sleep 1003 >/dev/null 2>&1 &"
    b" (setsid sh -c 'trap \"\" HUP TERM; sleep 1004; echo x' &) ; sleep 0.2; echo up$((1+1))\r"
)


@pytest.mark.parametrize(
    ("options", "user"),
    [
        ({}, ""), ({"user": "1000"}, ""), ({"user": "1000"}, "0"), ({}, "1000"), ({"cap_drop": ["ALL"]}, ""),
        ({"cap_drop": ["ALL"], "user": "1000"}, ""), ({"read_only": True, "security_opt": ["no-new-privileges"]}, ""),
    ],
)  # fmt: skip
async def test_nothing_is_left_whoever_it_runs_as(
    engine_url: str, run: Run, options: dict[str, Any], user: str
) -> None:
    container = await asyncio.to_thread(run, **options)
    assert container.id
    streams, program = connect_streams(engine_url), Program.of(["sh"], str(uuid.uuid4()), user=user)
    async with streams.exec(container.id, program) as console:
        await console.write(STUBBORN)
        await heard(console, b"\nup2")
        leader = console.leader
    assert len(await asyncio.to_thread(inside, container)) >= 5
    assert await streams.end_marked(container.id, program.mark, user=user, leader=leader) == 0
    assert await asyncio.to_thread(inside, container) == []
    await asyncio.to_thread(container.reload)
    assert container.status == "running"


async def test_others_are_left_alone(engine_url: str, run: Run) -> None:
    container = await asyncio.to_thread(run)
    assert container.id
    streams = connect_streams(engine_url)
    mine, theirs = (Program.of(["sh"], str(uuid.uuid4())) for _ in range(2))
    async with streams.exec(container.id, mine) as one, streams.exec(container.id, theirs) as other:
        for console, seconds in ((one, b"1001"), (other, b"2002")):
            await console.write(b"sleep " + seconds + b" & echo up$((1+1))\r")
            await heard(console, b"\nup2")
        assert await streams.end_marked(container.id, mine.mark, leader=one.leader) == 0
        assert sorted(await asyncio.to_thread(inside, container)) == ["sh", "sleep 2002"]
        await other.write(b"echo still$((1+1))\r")
        assert b"still2" in await heard(other, b"\nstill2")
        await streams.end_marked(container.id, theirs.mark, leader=other.leader)


async def test_forking_does_not_outrun_it(engine_url: str, run: Run) -> None:
    container = await asyncio.to_thread(run)
    assert container.id
    streams, program = connect_streams(engine_url), Program.of(["sh"], str(uuid.uuid4()))
    async with streams.exec(container.id, program) as console:
        await console.write(b"trap '' HUP; while :; do sleep 300 & sleep 0.05; done &\r echo up$((1+1))\r")
        await heard(console, b"\nup2")
        await asyncio.sleep(0.5)
        leader = console.leader
    assert await streams.end_marked(container.id, program.mark, leader=leader) == 0
    assert await asyncio.to_thread(inside, container) == []


def only_sleep() -> bytes:
    """The tar of an image with one program and nothing else."""
    program, data = shutil.which("busybox"), io.BytesIO()
    assert program
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("bin/sleep")
        content = Path(program).read_bytes()
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


async def test_in_an_image_without_a_shell_they_are_ended_from_outside(
    engine_url: str, run: Run, docker_client: docker.DockerClient
) -> None:
    await asyncio.to_thread(
        docker_client.api.import_image_from_data, only_sleep(), repository="slipway-test/bare", tag="1"
    )
    container = await asyncio.to_thread(run, "slipway-test/bare:1", ["/bin/sleep", "1000"])
    assert container.id
    streams, program = connect_streams(engine_url), Program.of(["/bin/sleep", "4444"], str(uuid.uuid4()))
    async with streams.exec(container.id, program) as console:
        for _ in range(100):
            if console.leader:
                break
            await asyncio.sleep(0.02)
        leader = console.leader
    assert leader
    assert "/bin/sleep 4444" in await asyncio.to_thread(inside, container)
    assert await streams.end_marked(container.id, program.mark, leader=leader) == 0
    assert await asyncio.to_thread(inside, container) == ["/bin/sleep 1000"]


async def test_control_p_reaches_the_program(engine_url: str, run: Run) -> None:
    """Engines take ^P^Q for themselves, unless they are told otherwise."""
    container = await asyncio.to_thread(run)
    assert container.id
    streams, program = connect_streams(engine_url), Program.of(["sh"], str(uuid.uuid4()))
    async with streams.exec(container.id, program) as console:
        await console.write(b"stty raw -echo; echo go; head -c 3 | od -c | head -1; stty sane\r")
        await heard(console, b"go\n")
        await console.write(b"\x10\x11x")
        assert b"020 021" in await heard(console, b"x", 5)
        leader = console.leader
    await streams.end_marked(container.id, program.mark, leader=leader)


async def test_a_removed_container_has_nothing_left(engine_url: str, run: Run) -> None:
    container = await asyncio.to_thread(run)
    assert container.id
    streams = connect_streams(engine_url)
    await asyncio.to_thread(container.kill)
    began = time.monotonic()
    assert await streams.end_marked(container.id, str(uuid.uuid4())) == 0
    assert await streams.end_marked("0" * 64, str(uuid.uuid4())) == 0
    assert time.monotonic() - began < 3


def test_frames_in_any_pieces_are_one_text() -> None:
    whole = b"".join(
        bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data
        for stream, data in ((1, b"one\n"), (2, b"two\n"), (1, b""), (1, b"three"))
    )
    for step in (1, 3, 7, len(whole)):
        demultiplexer = Demultiplexer()
        found = b"".join(demultiplexer.feed(whole[i : i + step]) for i in range(0, len(whole), step))
        assert found == b"one\r\ntwo\r\nthree"


def test_sizes_stay_within_what_a_terminal_can_be() -> None:
    assert (size(0, -5), size(10**9, 10**9), size(80, 24)) == ((2, 1), (500, 500), (80, 24))
