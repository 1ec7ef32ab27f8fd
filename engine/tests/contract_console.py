"""Programs at a terminal: part of the suite of `engine.tests.contract`, on the fake engine and on a real one."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from engine.base import Engine, EngineStreams
from engine.errors import Conflict, Invalid, NotFound
from engine.terminal import Console, Program
from engine.tests.conftest import Create
from engine.tests.contract import ENDS, NOBODY


async def heard(console: Console, what: bytes, seconds: float = 5) -> bytes:
    """What it writes until it has written that, or to its end."""
    found = b""
    async with asyncio.timeout(seconds):
        while what not in found and (data := await console.read()):
            found += data
    return found


async def rest(console: Console, seconds: float = 5) -> bytes:
    """What it writes to its end."""
    return await heard(console, b"never written by anybody", seconds)


async def has_size(console: Console, wanted: bytes) -> None:
    """An older engine gives the size to what runs already: the first look may see another one."""
    for n in range(50):
        await console.write(f"stty size; echo look {n}\r".encode())
        if wanted in await heard(console, f"\nlook {n}\r\n".encode()):
            return
    raise AssertionError(f"it never had the size {wanted!r}")


def shell(**options: object) -> Program:
    return Program.of(["sh"], str(uuid.uuid4()), **options)  # type: ignore[arg-type]


async def test_a_shell_echoes_answers_and_says_how_it_ended(streams: EngineStreams, run: Create) -> None:
    native_id, program = run(ENDS), shell(columns=101, rows=33)
    async with streams.exec(native_id, program) as console:
        await has_size(console, b"33 101")
        await console.resize(90, 20)
        await has_size(console, b"20 90")
        await console.write(b"exit 7\r")
        await rest(console)
        assert await console.exit_code() == 7
        assert await console.is_up()
    assert await streams.end_marked(native_id, program.mark) == 0


async def test_what_is_left_behind_is_ended_by_its_mark(
    streams: EngineStreams, engine: Engine, run: Create
) -> None:
    native_id, program = run(ENDS), shell()
    async with streams.exec(native_id, program) as console:
        await console.write(b"echo up and running\r")
        await heard(console, b"up and running\r\n")
        leader = console.leader
    assert await streams.end_marked(native_id, program.mark, leader=leader) == 0
    async with streams.exec(native_id, program) as console:  # the container has taken no harm
        await console.write(b"echo again\r")
        assert b"again\r\n" in await heard(console, b"again\r\n")
    await streams.end_marked(native_id, program.mark)


async def test_a_program_that_the_image_has_not_is_said_in_the_engines_words(
    streams: EngineStreams, run: Create
) -> None:
    program = Program.of(["zsh"], str(uuid.uuid4()))
    async with streams.exec(run(ENDS), program) as console:
        assert b"executable file not found" in await rest(console)
        assert await console.exit_code() in (126, 127)


async def test_only_what_runs_has_a_console(streams: EngineStreams, engine: Engine, create: Create) -> None:
    stopped = create(ENDS)
    for native_id, error in ((NOBODY, NotFound), (stopped, Conflict)):
        with pytest.raises(error):
            async with streams.exec(native_id, shell()):
                pass
    assert await streams.end_marked(stopped, str(uuid.uuid4())) == 0
    engine.start(stopped)
    engine.pause(stopped)
    with pytest.raises(Conflict):
        await streams.end_marked(stopped, str(uuid.uuid4()))
    engine.unpause(stopped)


async def test_a_container_is_heard_and_left_as_it_was(
    streams: EngineStreams, engine: Engine, run: Create
) -> None:
    native_id = run("sleep 0.5; echo hello; exit 3")
    async with streams.attach(native_id, tty=False, stdin=False) as console:
        assert await rest(console, 10) == b"hello\r\n"
        assert await console.exit_code() == 3
        assert not await console.is_up()
    native_id = run(ENDS)
    async with streams.attach(native_id, tty=False, stdin=False):
        pass
    assert engine.container(native_id).state == "running"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ([], {}),
        ([""], {}),
        (["a" * 5000], {}),
        (["sh", "\0"], {}),
        (["sh"], {"user": "a b"}),
        (["sh"], {"user": "-u"}),
        (["sh"], {"folder": "app"}),
    ],
)
def test_what_no_terminal_can_run_is_refused_here(command: list[str], options: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Program.of(command, str(uuid.uuid4()), **options)  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        Program.of(["sh"], "not a mark; at all")
