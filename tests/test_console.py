"""Consoles through the whole of it: socket, Redis, gateway, a real engine; and what is left of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time

import pytest
from asgiref.sync import sync_to_async

from accounts.models import AuditEntry, Membership
from containers_app import console_socket, recording
from containers_app.models import ConsoleSession, Container
from operations import sockets
from operations.models import Engine
from streams import hub
from tests.terminal import Terminal

pytestmark = [pytest.mark.django_db(transaction=True)]
ENDS = "trap exit TERM; while :; do sleep 0.1; done"


async def aside(work, *arguments, **options):
    return await sync_to_async(work, thread_sensitive=False)(*arguments, **options)


async def until(condition, seconds=8.0):
    """The first true value of an async condition."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await condition():
                return found
            await asyncio.sleep(0.03)


@pytest.fixture
async def gateway(engine_url, busybox, settings, transactional_db, monkeypatch):
    from dashboard.gateway import Gateway

    settings.DOCKER_HOST = engine_url
    monkeypatch.setattr(sockets, "RECHECK", 0.3)
    monkeypatch.setattr(console_socket, "BEAT", 0.5)
    found = Gateway()
    task = asyncio.create_task(found.run())
    await until(Engine.objects.filter(status="online", synced_at__isnull=False).afirst, 15)
    yield found
    found.stop()
    await asyncio.wait_for(task, 8)
    await hub.close()


@pytest.fixture
async def native(gateway, docker_client, busybox):
    """A container of team blue, as the engine's terminal sees it."""

    def start():
        return docker_client.containers.run(
            busybox, ["sh", "-c", ENDS], name="blue-web", detach=True, network_mode="none"
        )

    return await aside(start)


@pytest.fixture
async def container(native, team):
    row = await until(Container.objects.filter(name="blue-web", state="running").afirst)
    await Container.objects.filter(pk=row.pk).aupdate(team=team)
    row.team = team
    return row


@pytest.fixture
async def granted(bob, team):
    """Bob, an operator with the grant."""
    await Membership.objects.filter(user=bob, team=team).aupdate(console=True)
    return bob


@pytest.fixture
def open_terminal(client_for, container):
    """``await open_terminal(user, cmd="sh")``: an open terminal and its first frame."""
    made = []

    async def open_(user, **query):
        client = await sync_to_async(client_for)(user)
        terminal = Terminal(container.pk, client, **query)
        made.append(terminal)
        return terminal, await terminal.start()

    return open_


async def inside(native):
    """Command lines that run in the container beside its own. A zombie has ended; one in brackets is just ending."""
    listed = await aside(native.top, ps_args="-eo pid,stat,args")
    running = [row[-1] for row in listed["Processes"] if not row[1].startswith("Z") and row[-1][:1] != "["]
    return [line for line in running if ENDS not in line and line != "sleep 0.1"]


async def ended(session_id, seconds=8.0):
    return await until(ConsoleSession.objects.filter(pk=session_id, state="ended").afirst, seconds)


# --- A session -----------------------------------------------------------------------------------------


async def test_a_shell_answers_is_joined_again_and_is_gone_at_its_end(open_terminal, native, granted):
    terminal, about = await open_terminal(granted, cmd="sh", cols=101, rows=33)
    assert (about["writable"], about["command"], about["recorded"]) == (True, ["sh"], False)
    await terminal.hears(type="state", state="open")
    await terminal.type(b"sleep 0.5; stty size; echo one$((1+1))\r")
    await terminal.shows(b"33 101")
    await terminal.shows(b"one2\r\n")
    await terminal.send_to(text_data=json.dumps({"resize": [90, 20]}))
    await terminal.hears(type="size", size=[90, 20])
    await terminal.type(b"stty size\r")
    await terminal.shows(b"20 90\r\n")
    await terminal.disconnect()

    again, joined = await open_terminal(granted, session=about["id"])
    assert joined["writable"]
    await again.shows(b"20 90\r\n")
    assert again.screen.count(b"one2\r\n") == 1, "nothing is lost, and nothing comes twice"
    await again.hears(type="replayed")
    await again.type(b"sleep 1234 &\r exit 7\r")
    state = await again.hears(type="state", state="ended")
    assert (state["exit_code"], await again.is_closed()) == (7, 1000)
    assert await inside(native) == []
    row = await ended(about["id"])
    assert (row.exit_code, row.left, row.reason) == (7, 0, "The program ended.")
    assert row.bytes_in > 0
    assert row.bytes_out > row.bytes_in
    lines = [line async for line in AuditEntry.objects.filter(verb="container.console").order_by("seq")]
    assert [line.outcome for line in lines] == ["accepted", "succeeded"]
    assert lines[1].detail["exit_code"] == 7
    assert lines[1].detail["bytes_out"] == row.bytes_out
    assert lines[1].detail["processes_left"] == 0


async def test_a_hundred_kilobytes_are_pasted_whole(open_terminal, granted):
    terminal, _ = await open_terminal(granted, cmd="sh")
    await terminal.hears(state="open")
    await terminal.type(b"stty raw -echo; echo ready; head -c 102400 | sha256sum; stty sane\r")
    await terminal.shows(b"ready\n")
    text = b"".join(b"%06d " % n for n in range(14629))[:102400]
    for start in range(0, len(text), 8192):
        await terminal.type(text[start : start + 8192])
    await terminal.shows(hashlib.sha256(text).hexdigest().encode(), 20)


async def test_a_screenful_editor_saves_what_was_typed(open_terminal, native, granted):
    terminal, _ = await open_terminal(granted, cmd="vi /note.txt", cols=80, rows=24)
    await terminal.shows(b"/note.txt 1/1")
    await terminal.type(b"ihello from vi")
    await terminal.shows(b"hello from vi")
    await terminal.type(b"\x1b")
    await terminal.shows(b"- /note.txt [Modified")  # it waits for a moment whether more belongs to an Escape
    await terminal.type(b":wq\r")
    assert (await terminal.hears(state="ended"))["exit_code"] == 0
    found = await aside(native.exec_run, ["cat", "/note.txt"])
    assert found.output == b"hello from vi\n"


async def test_who_leaves_takes_the_processes_along(open_terminal, native, granted, settings):
    settings.CONSOLE_GRACE = 3
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"trap '' HUP TERM INT; sleep 1234 & setsid sleep 2345 & echo up\r")
    await terminal.shows(b"\nup\r\n")
    assert len(await inside(native)) >= 2
    await terminal.disconnect()
    row = await ended(about["id"], 10)
    assert row.reason == "Its browser went away."
    assert row.left == 0
    assert await inside(native) == []


async def test_a_console_that_nobody_uses_is_closed(open_terminal, native, granted, settings):
    settings.CONSOLE_IDLE_MINUTES = 0.05
    terminal, about = await open_terminal(granted, cmd="sh")
    assert "Nothing was typed" in (await terminal.hears(state="ended", seconds=10))["detail"]
    assert (await ended(about["id"])).left == 0
    assert await inside(native) == []


async def test_a_container_that_stops_ends_its_consoles_with_a_clear_word(open_terminal, native, granted):
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.hears(state="open")
    await aside(native.kill)
    state = await terminal.hears(state="ended")
    assert state["detail"] == "The container stopped.", state
    assert (await ended(about["id"])).left == 0


async def test_what_the_image_has_not_is_said_in_the_engines_words_with_a_hint(open_terminal, granted):
    terminal, _ = await open_terminal(granted, cmd="bash")
    state = await terminal.hears(state="ended")
    assert b"executable file not found" in terminal.screen
    assert "Try sh" in state["hint"]


async def test_a_flood_neither_stops_the_container_from_stopping_nor_the_gateway(
    open_terminal, native, granted
):
    terminal, about = await open_terminal(granted, cmd="yes 0123456789012345678901234567890123456789")
    await terminal.hears(state="open")
    await asyncio.sleep(2)  # nobody reads this socket meanwhile
    began = time.monotonic()
    await aside(native.stop, timeout=5)
    assert time.monotonic() - began < 8
    row = await ended(about["id"], 15)
    assert row.reason == "The container stopped."
    assert row.bytes_out > 1_000_000


async def test_a_storm_of_sizes_ends_with_the_last_one(open_terminal, granted):
    terminal, _ = await open_terminal(granted, cmd="sh")
    await terminal.hears(state="open")
    for n in range(80):
        await terminal.send_to(text_data=json.dumps({"resize": [40 + n, 10 + n % 30]}))
    await terminal.hears(type="size", size=[119, 29])
    told = [frame for frame in terminal.said if frame.get("type") == "size"]
    assert len(told) < 20
    await terminal.type(b"stty size\r")
    await terminal.shows(b"29 119")
    assert not terminal.code


async def test_a_console_outlives_a_redis_that_forgets(open_terminal, granted, settings):
    settings.CONSOLE_GRACE = 3
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"echo before$((1+1))\r")
    await terminal.shows(b"before2")
    import redis.asyncio

    connection = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    await connection.flushall()
    await connection.aclose()
    await asyncio.sleep(4)
    await terminal.type(b"echo after$((1+1))\r")
    await terminal.shows(b"after2")
    assert (await ConsoleSession.objects.aget(pk=about["id"])).state == "open"


async def test_attached_to_a_container_one_talks_to_its_own_program_and_leaves_it_alone(
    gateway, docker_client, busybox, client_for, granted, team
):
    def start():
        return docker_client.containers.run(
            busybox, ["sh", "-c", "while read -r word; do echo heard $word; done; sleep 100"], name="listener",
            detach=True, network_mode="none", tty=True, stdin_open=True,
        )  # fmt: skip

    container = await aside(start)
    row = await until(Container.objects.filter(name="listener", state="running").afirst)
    await Container.objects.filter(pk=row.pk).aupdate(team=team)
    terminal = Terminal(row.pk, await sync_to_async(client_for)(granted), attach=1, cols=90, rows=20)
    about = await terminal.start()
    assert (about["kind"], about["writable"]) == ("attach", True)
    await terminal.hears(state="open")
    await terminal.type(b"hello\r")
    await terminal.shows(b"heard hello")
    await terminal.send_to(text_data=json.dumps({"end": True}))
    assert (await ended(about["id"])).left == 0
    await aside(container.reload)
    assert container.status == "running"
    again = Terminal(row.pk, await sync_to_async(client_for)(granted), attach=1)
    await again.start()
    await again.hears(state="open")
    await again.type(b"still there\r")
    await again.shows(b"heard still there")
    await aside(container.kill)
    assert (await again.hears(state="ended"))["detail"] == "The container stopped."


async def test_a_container_without_an_input_is_only_listened_to(open_terminal, granted, native):
    terminal, about = await open_terminal(granted, attach=1)
    assert (about["stdin"], about["writable"], about["owner"]) == (False, False, True)
    await terminal.hears(state="open")
    await terminal.type(b"anything\r")
    await terminal.send_to(text_data=json.dumps({"end": True}))
    row = await ended(about["id"])
    assert row.bytes_in == 0
    await aside(native.reload)
    assert native.status == "running"


# --- Others --------------------------------------------------------------------------------------------


async def test_a_second_person_watches_and_cannot_type(open_terminal, granted, tara, native):
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"echo secret plan\r")
    await terminal.shows(b"\nsecret plan\r\n")
    watcher, joined = await open_terminal(tara, session=about["id"])
    assert not joined["writable"]
    await watcher.shows(b"\nsecret plan\r\n")
    await watcher.type(b"exit\r")
    await watcher.hears(type="error", code="forbidden")
    await watcher.send_to(text_data=json.dumps({"end": True}))
    await watcher.hears(type="error", code="invalid")
    await terminal.type(b"echo still $((40+2))\r")
    await watcher.shows(b"still 42")
    line = await AuditEntry.objects.filter(verb="console.watch").afirst()
    assert (line.actor_name, line.detail["of"]) == ("tara", "bob")


async def test_who_may_not_is_refused_and_that_is_written_down(client_for, container, bob, vic, charlie):
    for user, code, error in (
        (bob, 4403, "forbidden"),
        (vic, 4403, "forbidden"),
        (charlie, 4404, "not_found"),
    ):
        terminal = Terminal(container.pk, await sync_to_async(client_for)(user), cmd="sh")
        assert (await terminal.start())["code"] == error
        assert await terminal.is_closed() == code
    denied = [line.actor_name async for line in AuditEntry.objects.filter(outcome="denied").order_by("seq")]
    assert denied == ["bob", "vic", "charlie"]
    assert not await ConsoleSession.objects.aexists()


async def test_a_session_of_another_container_cannot_be_joined(
    open_terminal, client_for, granted, container, team
):
    _, about = await open_terminal(granted, cmd="sh")
    other = await Container.objects.acreate(
        engine_id=container.engine_id, native_id="c" * 64, name="other", team=team, state="running"
    )
    terminal = Terminal(other.pk, await sync_to_async(client_for)(granted), session=about["id"])
    assert (await terminal.start())["code"] == "not_found"
    assert await terminal.is_closed() == 4404


async def test_rights_that_end_end_the_console_and_its_processes(open_terminal, native, granted, team):
    """S-12."""
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"sleep 1234\r")
    await terminal.shows(b"sleep 1234\r\n")
    began = time.monotonic()
    await Membership.objects.filter(user=granted, team=team).aupdate(console=False)
    assert await terminal.is_closed() == 4408
    row = await ended(about["id"])
    assert time.monotonic() - began < 5
    assert "may not have a console" in row.reason
    assert await inside(native) == []


async def test_whoever_reads_nothing_keeps_no_program_by_that(open_terminal, native, granted, team):
    """S-12: the program ends before anything is said, since nobody may take the word."""
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"sleep 1234\r")
    await terminal.shows(b"sleep 1234\r\n")
    terminal.takes.clear()
    began = time.monotonic()
    await Membership.objects.filter(user=granted, team=team).aupdate(console=False)
    row = await ended(about["id"])
    assert time.monotonic() - began < 5
    assert "may not have a console" in row.reason
    assert await inside(native) == []


@pytest.mark.parametrize(
    "query",
    [
        {"cmd": ""}, {"cmd": "sh -c 'unclosed"}, {"cmd": "sh", "user": "-x"}, {"cmd": "sh", "folder": "relative"},
        {"cmd": "sh", "cols": "many"}, {"what": "1"}, {"session": "no id"},
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_said(client_for, container, granted, query):
    terminal = Terminal(container.pk, await sync_to_async(client_for)(granted), **query)
    assert (await terminal.start())["code"] == "invalid"
    assert await terminal.is_closed() == 4400


# --- What is kept --------------------------------------------------------------------------------------


async def test_secrets_of_a_command_are_nowhere(open_terminal, granted, container, gateway):
    canary = "c4n4ryS3cret"
    line = f"sh -c 'DB_PASSWORD={canary} echo mysql -p{canary} --password {canary}; sleep 1000'"
    terminal, about = await open_terminal(granted, cmd=line)
    await terminal.shows(b"mysql")
    row = await ConsoleSession.objects.aget(pk=about["id"])
    assert row.sealed == "", "opened, and forgotten"
    from containers_app.models import EngineEvent

    found = [json.dumps(about), json.dumps(row.command)]
    found += [json.dumps(line.detail) async for line in AuditEntry.objects.all()]
    found += [str(event.__dict__) async for event in EngineEvent.objects.all()]
    assert not [text for text in found if canary in text]
    assert "********" in found[0]


async def test_a_recording_holds_what_was_shown_and_not_what_was_typed(open_terminal, granted):
    terminal, about = await open_terminal(granted, cmd="sh", record=1, cols=100, rows=30)
    assert about["recorded"]
    await terminal.type(b"stty -echo; echo re''ady; read -r word\r")
    await terminal.shows(b"ready")  # said by it, not typed: the echo is off by now
    await terminal.type(b"hidden-word\r")
    await terminal.type("echo ünïcode\r".encode())
    await terminal.shows("ünïcode\r\n".encode())
    await terminal.send_to(text_data=json.dumps({"resize": [90, 20]}))
    await terminal.hears(type="size")
    await terminal.send_to(text_data=json.dumps({"end": True}))
    await ended(about["id"])
    head, *events = [
        json.loads(line) for line in recording.recording_of(about["id"]).read_text().splitlines()
    ]
    assert (head["version"], head["width"], head["height"]) == (2, 100, 30)
    shown = "".join(data for _, kind, data in events if kind == "o")
    assert "ünïcode" in shown
    assert "hidden-word" not in shown
    assert ["r", "90x20"] in [event[1:] for event in events]
    assert [at for at, *_ in events] == sorted(at for at, *_ in events)


async def test_what_a_killed_gateway_left_is_ended_by_the_next(
    gateway, native, container, granted, open_terminal
):
    """A row that is open and that nobody holds: as after kill -9."""
    row = await ConsoleSession.objects.acreate(
        engine_id=container.engine_id, container=container, native_id=native.id, container_name="blue-web",
        actor=granted, actor_name="bob", command=["sh"], state="open", team_id=container.team_id,
    )  # fmt: skip
    mark = {"SLIPWAY_CONSOLE": str(row.pk)}
    await aside(native.exec_run, ["sleep", "4321"], environment=mark, detach=True)
    assert await inside(native) == ["sleep 4321"]
    terminal, about = await open_terminal(granted, session=row.pk)
    assert about["writable"]
    keeper = next(iter(gateway.keepers.values()))[0]
    watching = asyncio.create_task(keeper.consoles.watch())
    row = await ended(row.pk)
    watching.cancel()
    assert "started again" in (await terminal.hears(state="ended"))["detail"]
    assert await terminal.is_closed() == 1000
    assert row.left == 0
    assert await inside(native) == []


async def test_an_end_that_cannot_be_written_at_once_is_written_later(
    open_terminal, granted, native, monkeypatch
):
    from django.db import OperationalError

    from containers_app import console_session, consoles

    monkeypatch.setattr(console_session, "WRITE_AGAIN", (0.1, 0.1, 0.1))
    finish, failures = consoles.finish, [2]

    def moody(*arguments, **options):
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("database is locked")
        return finish(*arguments, **options)

    monkeypatch.setattr(consoles, "finish", moody)
    terminal, about = await open_terminal(granted, cmd="sh")
    await terminal.type(b"exit 5\r")
    await terminal.hears(state="ended")
    row = await ended(about["id"])
    assert (row.exit_code, row.reason, failures) == (5, "The program ended.", [0])
    assert await inside(native) == []
