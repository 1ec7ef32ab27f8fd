"""Doors between Slipway and an engine: one that can be shut, and one that loses, delays and breaks what passes."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LONGEST_BODY = 64 * 1024
"""Of a request's JSON that is kept: a creation names the operation that asked for it in there."""
MODES = ("refuse", "hang", "blackhole_response", "reset", "drip", "e500", "garbage", "truncated", "huge")
_HTML = b"<html>/var/lib/docker/overlay2/beef</html>"
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
_NONSENSE = {
    "garbage": b"\x00\xff" + _HTML + b"\r\n\r\n",
    "truncated": _JSON + b"Content-Length: 5000\r\n\r\n" + b'{"Id":"/var/lib/docker/' + b"a" * 500,
    "huge": _JSON + b"Transfer-Encoding: chunked\r\n\r\n",
}
"""What the engine did it for is told as this; what is huge goes on for ever."""
_E500 = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"message":"lstat /var/lib/docker/overlay2/beef/merged/etc: permission denied"}'
)


class Door:
    """A unix socket that passes everything on to another one. Shut, it refuses, and what was open is cut."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.target = target.removeprefix("unix://")
        self.url = f"unix://{path}"
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def is_shut(self) -> bool:
        """Whether it refuses."""
        return self._listener is None

    def open(self) -> Door:
        """Lets everybody through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def shut(self) -> None:
        """As if the engine had been killed: no more connections, and the open ones end."""
        if self._listener is None:
            return
        self.path.unlink(missing_ok=True)
        _wake(self._listener)
        self._listener = None
        with self._lock:
            for end in self._open:
                _wake(end)

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            far.connect(self.target)
            with self._lock:
                self._open |= {near, far}
            try:
                _pass_on({near: far, far: near})
            finally:
                with self._lock:
                    self._open -= {near, far}


def _pass_on(ways: dict[socket.socket, socket.socket]) -> None:
    """Until both sides have said all. The end of one is passed on: attached streams use half-closed sockets."""
    while ways:
        readable, _, _ = select.select(list(ways), [], [])
        for source in readable:
            if data := source.recv(65536):
                ways[source].sendall(data)
            else:
                with contextlib.suppress(OSError):
                    ways[source].shutdown(socket.SHUT_WR)
                del ways[source]


def _wake(end: socket.socket) -> None:
    """Whoever waits there goes on, and closes it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@dataclass
class Request:
    """What somebody asked of the engine. ``status`` 0: the engine has not answered, or was never asked.

    Times are seconds since 1970, ``body`` what was sent, where it is JSON. ``whole``: a build was listened to up to its
    end; one that nobody listens to any more comes to nothing.
    """

    method: str
    path: str
    at: float
    status: int = 0
    ended: float = 0.0
    body: str = ""
    whole: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """What goes wrong with requests that match, how many times more."""

    mode: str
    match: re.Pattern[str]
    times: int
    hits: int = 0


class Faulty(Door):
    """A door that keeps a journal of all requests, and does to some of them what networks and engines do.

    ``refuse``: closed at once. ``hang``: never answered, never passed on. ``blackhole_response``: the engine does it,
    no answer comes. ``reset``: the engine does it, its answer breaks off. ``drip``: a byte of the answer at a time.
    ``e500``: not passed on, answered with an error. ``garbage``, ``truncated``, ``huge``: the engine does it, and its
    answer is nonsense, half of one, or without an end. One request a connection, so that each meets the faults of now.
    """

    def __init__(self, path: Path, target: str) -> None:
        super().__init__(path, target)
        self.journal: list[Request] = []
        self._faults: list[Fault] = []

    def fail(self, mode: str, match: str, times: int = 1_000_000) -> Fault:
        """From now on, what matches "METHOD path" goes wrong."""
        assert mode in MODES, mode
        fault = Fault(mode, re.compile(match), times)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Nothing goes wrong any more; who hangs already goes on hanging."""
        self._faults.clear()

    def effects(self, match: str) -> list[Request]:
        """Requests that match "METHOD path" and that the engine has carried out; 304: nothing was to be done."""
        acted = [r for r in list(self.journal) if 200 <= r.status < 300 and r.whole]
        return [r for r in acted if re.search(match, str(r))]

    def write(self, path: Path) -> Path:
        """The journal as a file, one JSON object a line."""
        path.write_text("".join(json.dumps(asdict(request)) + "\n" for request in list(self.journal)))
        return path

    def _fault(self, request: Request) -> str:
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and fault.match.search(str(request)):
                    fault.times -= 1
                    fault.hits += 1
                    return fault.mode
        return ""

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            with self._lock:
                self._open |= {near, far}
            try:
                self._answer(near, far)
            finally:
                with self._lock:
                    self._open -= {near, far}

    def _answer(self, near: socket.socket, far: socket.socket) -> None:
        head, rest = _head(near)
        if not head:
            return
        method, path = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
        request = Request(method, path, time.time())
        self.journal.append(request)
        mode = self._fault(request)
        if mode == "hang":
            _until_gone(near)
        elif mode == "e500":
            near.sendall(_E500)
        elif mode != "refuse":
            far.connect(self.target)
            far.sendall(_alone(head) + rest)
            said = bytearray(rest) if b"application/json" in head.lower() else None
            self._pass_back(near, far, request, said, mode)

    @staticmethod
    def _pass_back(
        near: socket.socket, far: socket.socket, request: Request, said: bytearray | None, mode: str
    ) -> None:
        for data in _through(near, far, said, patient=mode == "blackhole_response"):
            if not request.status:
                request.status, request.ended = int(data.split(b" ", 2)[1]), time.time()
                request.body = (said or b"").decode(errors="replace")
            request.whole = "/build?" not in request.path or data.endswith(b"0\r\n\r\n")
            if mode == "reset":
                near.sendall(data[:9])
                return
            if mode in _NONSENSE:
                near.sendall(_NONSENSE[mode])
                while mode == "huge":
                    near.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                return
            if mode == "drip":
                for byte in data:
                    near.sendall(bytes([byte]))
                    time.sleep(0.2)
            elif mode != "blackhole_response":
                near.sendall(data)
        if mode == "blackhole_response":
            _until_gone(near)


def _until_gone(near: socket.socket) -> None:
    while near.recv(65536):
        pass


def _head(near: socket.socket) -> tuple[bytes, bytes]:
    """The head of the request, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = near.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _alone(head: bytes) -> bytes:
    """The head, asking for the connection to end with the answer.

    An upgrade keeps its own, and so does a build: told so, the engine does not notice any more who hangs up on it.
    """
    if b"\nupgrade:" in head.lower() or b"/build?" in head.split(b"\r\n", 1)[0]:
        return head
    lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _through(
    near: socket.socket, far: socket.socket, said: bytearray | None, *, patient: bool
) -> Iterator[bytes]:
    """Passes on what is asked, and yields what is answered. ``patient``: though whoever asked has gone."""
    listening = {near, far}
    while far in listening:
        readable, _, _ = select.select(list(listening), [], [])
        if near in readable:
            data = near.recv(65536)
            if data:
                far.sendall(data)
                if said is not None and len(said) < LONGEST_BODY:
                    said += data
            elif patient:
                listening.discard(near)
            else:
                return  # who asks half-closes nothing: it has gone
        if far in readable:
            data = far.recv(65536)
            if not data:
                return
            yield data
