"""A door between Slipway and an engine that can be shut while the engine itself goes on."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from pathlib import Path


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
