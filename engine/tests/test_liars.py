"""Engines that hang, drip, lie, break off or flood: every call still ends, with the right error."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import docker_calls, docker_events, docker_transport
from engine.connect import connect, connect_streams
from engine.errors import (
    AnswerLost,
    Cancelled,
    DeadlineExceeded,
    EngineError,
    EventsLost,
    Invalid,
    PortInUse,
    Unreachable,
)
from engine.specs import BuildSpec, ContainerSpec

ID = "a" * 64
OPERATION = "11111111-2222-3333-4444-555555555555"
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10"}

Behaviour = Callable[[socket.socket, str], None]


def answer(status: int, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n"


class Liar:
    """Listens on a socket; tells its version, and does as ``behave`` says for everything else."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked: list[str] = []
        self.behave: Behaviour = hang
        self.stopped = threading.Event()
        self.open = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            asked = head.split(b" HTTP/")[0].decode()
            self.asked.append(asked)
            if asked == "GET /version":
                connection.sendall(answer(200, json.dumps(VERSION).encode()))
            else:
                self.behave(connection, asked)
        self.open -= 1

    def stop(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def hang(connection: socket.socket, asked: str) -> None:
    """Accepts, and says nothing until the other side goes."""
    while connection.recv(65536):
        pass


def drip(connection: socket.socket, asked: str) -> None:
    """A byte every 0.1 s: no pause is ever long enough for a time-out between bytes."""
    for byte in CHUNKED + chunk(b"[" + b" " * 10000):
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def says(data: bytes) -> Behaviour:
    return lambda connection, asked: connection.sendall(data)


def says_then_hangs(data: bytes) -> Behaviour:
    def behave(connection: socket.socket, asked: str) -> None:
        connection.sendall(data)
        hang(connection, asked)

    return behave


@pytest.fixture
def liar() -> Iterator[Liar]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        made = Liar(str(Path(folder, "s")))
        yield made
        made.stop()


def calls_of(process_name: str = "engine-call") -> int:
    return sum(thread.name == process_name for thread in threading.enumerate())


def gone(condition: Callable[[], bool]) -> bool:
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.02)
    return False


# --- Calls ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_a_call_ends_by_its_deadline_and_so_does_its_thread(liar: Liar, behaviour: Behaviour) -> None:
    liar.behave = behaviour
    engine = connect(liar.url)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        engine.containers(deadline=0.5)
    with pytest.raises(DeadlineExceeded):
        engine.start(ID, deadline=0.5)
    assert 0.9 < time.monotonic() - began < 5
    assert gone(lambda: not calls_of())


def test_a_hung_version_is_bounded_as_well(liar: Liar) -> None:
    def serve(connection: socket.socket) -> None:
        with connection:
            hang(connection, "")

    liar._serve = serve  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded):
        connect(liar.url).ping(deadline=0.3)


def test_a_stalled_upload_ends_by_its_deadline(liar: Liar) -> None:
    liar.behave = lambda connection, asked: liar.stopped.wait(10) or None
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        connect(liar.url).build(
            BuildSpec.parse({"tags": ["a"]}), io.BytesIO(bytes(10_000_000)), emit=lambda _: None, deadline=0.5
        )
    assert time.monotonic() - began < 5
    assert gone(lambda: not calls_of())


def test_a_cancelled_build_is_let_go_at_once(liar: Liar) -> None:
    liar.behave = says_then_hangs(CHUNKED + chunk(b'{"stream":"Step 1/2 : FROM a\\n"}\r\n'))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        connect(liar.url).build(
            BuildSpec.parse({"tags": ["a"]}),
            io.BytesIO(b""),
            emit=lambda _: None,
            should_stop=lambda: time.monotonic() - began > 0.3,
        )
    assert time.monotonic() - began < 5
    assert gone(lambda: not liar.open)


def test_an_engine_that_hangs_cannot_eat_the_process(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_calls, "MOST_AT_ONCE", 4)
    liar.behave = lambda connection, asked: liar.stopped.wait(10) or None
    engine = connect(liar.url)
    errors: list[EngineError] = []

    def call() -> None:
        try:
            engine.containers(deadline=1)
        except EngineError as error:
            errors.append(error)

    callers = [threading.Thread(target=call) for _ in range(12)]
    for caller in callers:
        caller.start()
    time.sleep(0.4)
    assert calls_of() <= 4
    for caller in callers:
        caller.join()
    assert len(errors) == 12
    assert {type(error) for error in errors} == {DeadlineExceeded, Unreachable}


def test_nobody_there_is_told_from_an_answer_that_is_lost(liar: Liar) -> None:
    liar.behave = says(b"")
    engine = connect(liar.url)
    with pytest.raises(Unreachable):
        engine.containers()
    spec = ContainerSpec.parse({"image": "a"})
    for write in (lambda: engine.start(ID), lambda: engine.create(spec, operation_id=OPERATION)):
        with pytest.raises(AnswerLost):
            write()
    nobody = connect("unix:///nonexistent/s.sock")
    with pytest.raises(Unreachable):
        nobody.start(ID)
    with pytest.raises(Unreachable):
        nobody.create(spec, operation_id=OPERATION)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        answer(200, b"{"),
        answer(200, b"\xff\xfe"),
        answer(200, b"[" * 100_000),
        CHUNKED + b"zz\r\n",
        CHUNKED + chunk(b'[{"Id":') + b"0\r\n",
        b"HTTP/1.1 999 x\r\n\r\n",
        b"HTTP/1.1 301 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_nonsense_is_an_error_of_ours(liar: Liar, data: bytes) -> None:
    liar.behave = says(data)
    engine = connect(liar.url)
    with pytest.raises(EngineError):
        engine.containers(deadline=3)
    with pytest.raises(EngineError):
        engine.container(ID, deadline=3)
    with pytest.raises(DeadlineExceeded):  # AnswerLost is one: it may have been created
        engine.create(ContainerSpec.parse({"image": "a"}), operation_id=OPERATION, deadline=3)
    assert not any("127.0.0.1" in asked for asked in liar.asked)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7", b'"x"', b"[null, 7, {}]"])
def test_json_of_another_shape_breaks_nothing(liar: Liar, body: bytes) -> None:
    liar.behave = says(answer(200, body))
    engine = connect(liar.url)
    assert engine.containers() == []
    assert engine.images() == []
    engine.volumes()
    engine.networks()
    engine.info()
    with pytest.raises(EngineError):
        engine.container(ID)
    with pytest.raises(EngineError):
        engine.image("sha256:" + ID)


def test_an_answer_is_not_read_without_end(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_transport, "LARGEST_ANSWER", 1_000_000)

    def flood(connection: socket.socket, asked: str) -> None:
        connection.sendall(CHUNKED)
        while True:
            connection.sendall(chunk(b" " * 65536))

    liar.behave = flood
    with pytest.raises(EngineError, match="too large"):
        connect(liar.url).containers(deadline=10)
    monkeypatch.setattr(docker_transport, "LONGEST_LINE", 1_000_000)
    with pytest.raises(AnswerLost):
        connect(liar.url).pull("a", emit=lambda _: None, deadline=10)


def test_a_proxy_in_front_is_told_without_its_page(liar: Liar) -> None:
    liar.behave = says(answer(403, b"<html><b>403</b> /var/run/docker.sock</html>", "text/html"))
    with pytest.raises(EngineError) as caught:
        connect(liar.url).containers()
    assert "docker.sock" not in caught.value.message
    assert "403" in caught.value.message


def test_an_error_that_comes_late_in_a_pull_is_raised(liar: Liar) -> None:
    lines = [
        {"status": "Pulling from a", "id": "latest"},
        {"status": "Pulling fs layer", "id": "aaaa"},
        {"status": "Downloading", "id": "aaaa", "progressDetail": {"current": 5, "total": 10}},
        {"errorDetail": {"message": "Bind for 0.0.0.0:80 failed: port is already allocated"}, "error": "x"},
    ]
    liar.behave = says(CHUNKED + b"".join(chunk(json.dumps(line).encode() + b"\r\n") for line in lines))
    seen = []
    with pytest.raises(PortInUse):
        connect(liar.url).pull("a", emit=seen.append)
    assert seen[-1].total in (None, 1)


def test_a_container_that_the_engine_names_strangely_is_not_believed(liar: Liar) -> None:
    liar.behave = says(answer(201, b'{"Id": "../images/x"}'))
    with pytest.raises(EngineError):
        connect(liar.url).create(ContainerSpec.parse({"image": "a"}), operation_id=OPERATION)


def test_an_engine_of_another_age_is_refused(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    for told in (
        {"ApiVersion": "1.30"},
        {"ApiVersion": "1.99", "MinAPIVersion": "1.90"},
        {},
        {"ApiVersion": "x"},
    ):
        monkeypatch.setattr("engine.tests.test_liars.VERSION", told)
        with pytest.raises(EngineError):
            connect(liar.url).containers()
    monkeypatch.setattr("engine.tests.test_liars.VERSION", {"ApiVersion": "1.60", "MinAPIVersion": "1.44"})
    liar.behave = says(answer(200, b"[]"))
    assert connect(liar.url).containers() == []
    assert liar.asked[-1].startswith("GET /v1.51/")


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
)
def test_the_environment_of_the_process_does_not_matter(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1/nowhere")
    liar.behave = says(answer(200, b"[]"))
    assert connect(liar.url).containers() == []


def test_nobodys_registry_credentials_are_sent(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = {
        "auths": {"https://index.docker.io/v1/": {"auth": "aHVzaDpodXNo"}},
        "HttpHeaders": {"X-Mine": "hush"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    heads: list[bytes] = []
    serve = liar._serve

    def listen(connection: socket.socket) -> None:
        heads.append(connection.recv(65536, socket.MSG_PEEK))
        serve(connection)

    liar._serve = listen  # type: ignore[method-assign]
    liar.behave = says(CHUNKED + b"0\r\n\r\n")
    engine = connect(liar.url)
    with suppress(EngineError):
        engine.pull("nginx", emit=lambda _: None)
    with suppress(EngineError):
        engine.build(BuildSpec.parse({"tags": ["a"]}), io.BytesIO(b"x"), emit=lambda _: None)
    sent = b"".join(heads)
    assert b"POST /v1.41/build" in sent
    assert b"POST /v1.41/images/create" in sent
    assert b"hush" not in sent.lower()
    assert b"aHVzaDpodXNo" not in sent
    assert b"X-Registry-Config" not in sent
    assert b"X-Registry-Auth: e30=" in sent


@pytest.mark.parametrize(
    "url",
    [
        "tcp://10.0.0.1:2375",
        "tcp://engine.example:2375",
        "http://127.0.0.1:2375",
        "ssh://host",
        "unix://relative.sock",
        "unix://",
        "unix:///" + "a" * 120,
        "npipe:////./pipe/docker",
        "tcp://127.0.0.1",
        "tcp://user@127.0.0.1:1",
        "fake://x",
        "",
    ],
)
def test_only_safe_addresses_are_opened(url: str) -> None:
    with pytest.raises(Invalid):
        connect(url)
    with pytest.raises(Invalid):
        connect_streams(url)


def test_tcp_to_this_machine_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            for body in (json.dumps(VERSION).encode(), b"[]"):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer(200, body))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def both() -> None:
            assert connect(f"tcp://127.0.0.1:{port}").containers() == []

        both()
        thread.join(5)


# --- Streams -------------------------------------------------------------------------------------------


async def first_lines(url: str, **options: object) -> list[str]:
    found: list[str] = []
    async with connect_streams(url).logs(ID, tty=False, **options) as batches:  # type: ignore[arg-type]
        async for batch in batches:
            found += [line.text for line in batch]
    return found


def log_frame(text: bytes, second: int = 40) -> bytes:
    payload = b"2026-11-24T00:26:%02d.000000001Z " % second + text
    return struct.pack(">BxxxL", 1, len(payload)) + payload


async def test_a_stream_that_never_begins_ends_by_its_deadline(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.docker_streams.HEAD_WITHIN", 0.3)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await first_lines(liar.url)
    with pytest.raises(DeadlineExceeded):
        await connect_streams(liar.url).ping(deadline=0.3)
    liar.behave = drip
    with pytest.raises(DeadlineExceeded):
        await connect_streams(liar.url).ping(deadline=0.3)
    assert time.monotonic() - began < 5


async def test_a_log_that_breaks_off_is_no_end(liar: Liar) -> None:
    liar.behave = says(CHUNKED + chunk(log_frame(b"one\n")))
    with pytest.raises(Unreachable):
        await first_lines(liar.url)


async def test_a_log_that_ends_early_is_read_to_its_end(liar: Liar) -> None:
    one, two = chunk(log_frame(b"one\n", 40)), chunk(log_frame(b"two\n", 41))

    def behave(connection: socket.socket, asked: str) -> None:
        connection.sendall(CHUNKED + one + (b"" if "follow=1" in asked else two) + b"0\r\n\r\n")

    liar.behave = behave
    assert await first_lines(liar.url) == ["one", "two"]
    assert "since=" not in liar.asked[1]
    assert all("tail=" in asked for asked in liar.asked[1:])
    assert all("since=" in asked for asked in liar.asked[2:])


async def test_where_the_tail_does_not_reach_back_everything_is_read(liar: Liar) -> None:
    lines = [chunk(log_frame(b"%d\n" % second, second)) for second in range(40, 50)]

    def behave(connection: socket.socket, asked: str) -> None:
        told = lines if "tail=all" in asked else lines[-2:]
        connection.sendall(CHUNKED + b"".join(told) + b"0\r\n\r\n")

    liar.behave = behave
    cursor = {1: (1795480000 * 10**9 + 2 * 10**9 + 1, 1)}  # second 42
    assert await first_lines(liar.url, cursor=cursor) == [str(second) for second in range(43, 50)]


@pytest.mark.parametrize(
    "data", [b"garbage\r\n\r\n", CHUNKED + b"zz\r\n", CHUNKED + chunk(b"\x09\0\0\0\0\0\0\x01x")]
)
async def test_nonsense_in_a_log_is_an_error_of_ours(liar: Liar, data: bytes) -> None:
    liar.behave = says(data)
    with pytest.raises(EngineError):
        await first_lines(liar.url)


async def test_an_error_of_the_engine_in_a_log_is_raised(liar: Liar) -> None:
    said = b"cannot open /var/lib/docker/containers/x"
    liar.behave = says(CHUNKED + chunk(struct.pack(">BxxxL", 3, len(said)) + said) + b"0\r\n\r\n")
    with pytest.raises(EngineError) as caught:
        await first_lines(liar.url)
    assert "/var/lib" not in caught.value.message


async def test_leaving_a_stream_frees_the_engine(liar: Liar) -> None:
    liar.behave = says_then_hangs(CHUNKED + chunk(log_frame(b"one\n")))
    streams = connect_streams(liar.url)
    for _ in range(5):
        async with streams.logs(ID, tty=False) as batches:
            async for batch in batches:
                assert batch[0].text == "one"
                break
    follower = asyncio.create_task(first_lines(liar.url))
    await asyncio.sleep(0.2)
    follower.cancel()
    with suppress(asyncio.CancelledError):
        await follower
    assert await asyncio.to_thread(gone, lambda: not liar.open)


def said_event(n: int) -> bytes:
    data = {"Type": "container", "Action": "start", "Actor": {"ID": ID}, "timeNano": n}
    return json.dumps(data).encode() + b"\n"


def tells_events(data: bytes) -> Behaviour:
    def behave(connection: socket.socket, asked: str) -> None:
        if "/events" in asked:
            connection.sendall(CHUNKED + data)
            hang(connection, asked)
        connection.sendall(answer(200, b"OK"))

    return behave


async def test_events_that_are_not_taken_are_lost_and_that_is_said(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_events, "MOST_WAITING", 100)
    liar.behave = tells_events(b"".join(chunk(said_event(n)) for n in range(500)))
    async with connect_streams(liar.url).events() as events:
        await asyncio.sleep(0.3)
        found = [(await anext(events)).time_ns for _ in range(100)]
        with pytest.raises(EventsLost):
            await anext(events)
    assert found == list(range(100))


async def test_events_end_loudly_and_cost_nothing_to_leave(liar: Liar) -> None:
    liar.behave = tells_events(chunk(said_event(1)))
    async with connect_streams(liar.url).events() as events:
        assert (await anext(events)).action == "start"
    assert await asyncio.to_thread(gone, lambda: not liar.open)
    liar.behave = lambda connection, asked: connection.sendall(
        CHUNKED + b"0\r\n\r\n" if "/events" in asked else answer(200, b"OK")
    )
    async with connect_streams(liar.url).events() as events:
        with pytest.raises(Unreachable):
            await anext(events)
    asked = next(one for one in liar.asked if "/events" in one)
    assert "exec_create" not in asked
    assert "since=" in asked


async def test_readings_that_hang_do_not_hold_the_others(liar: Liar) -> None:
    good = "b" * 64
    body = json.dumps(
        {"read": "2026-11-24T00:26:40Z", "cpu_stats": {"cpu_usage": {"total_usage": 1}}}
    ).encode()

    def behave(connection: socket.socket, asked: str) -> None:
        if good in asked:
            connection.sendall(answer(200, body))
        else:
            hang(connection, asked)

    liar.behave = behave
    began = time.monotonic()
    found = await connect_streams(liar.url).stats([ID, good], deadline=0.5)
    assert [reading.native_id for reading in found] == [good]
    assert time.monotonic() - began < 5
    with pytest.raises(Unreachable):
        await connect_streams("unix:///nonexistent/s.sock").stats([ID])
