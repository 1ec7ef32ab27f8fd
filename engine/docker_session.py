"""What BuildKit asks of whoever began a build: its secrets, and the credentials of registries.

The engine calls back over a connection that we open and it takes over: it is the client of a small gRPC server here
(``POST /session``). Nothing else is served: no files of ours, no agent's keys.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from engine import names
from engine.buildkit_trace import field, fields
from engine.docker_transport import Endpoint, Wire
from engine.errors import EngineError, Unreachable

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 - the name of a method
CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
HEALTH = "/grpc.health.v1.Health/Check"
LARGEST_CALL = 64 * 1024
LARGEST_HEAD = 16 * 1024
MOST_CALLS = 64
"""At once."""

_HUB = ("registry-1.docker.io", "index.docker.io", "docker.io", "https://index.docker.io/v1/")
_OK, _NOT_FOUND, _UNIMPLEMENTED = 0, 5, 12

Auths = Mapping[str, Mapping[str, str]]
"""Host of a registry → ``username`` and ``password``."""


class Session:
    """Open while its ``with`` lasts. ``id`` goes with the build."""

    def __init__(
        self, endpoint: Endpoint, version: str, secrets: Mapping[str, str], auths: Auths, *, patience: float
    ) -> None:
        self.id = uuid.uuid4().hex
        self._version, self._secrets, self._auths = version, secrets, auths
        self._wire = Wire(endpoint, patience)
        self._calls: dict[int, tuple[str, bytearray]] = {}

    def __enter__(self) -> Self:
        try:
            self._sock = self._wire.open()
            self._sock.sendall(self._hello())
            self._first = self._upgraded()
        except OSError:
            self._wire.close()
            raise Unreachable("The engine did not open a connection for the secrets of a build.") from None
        except EngineError:
            self._wire.close()
            raise
        threading.Thread(target=self._serve, name="build-session", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.cut()

    def _hello(self) -> bytes:
        lines = [
            f"POST /v{self._version}/session HTTP/1.1", "Host: engine", "Connection: Upgrade", "Upgrade: h2c",
            f"X-Docker-Expose-Session-Uuid: {self.id}", "X-Docker-Expose-Session-Name: slipway",
            "X-Docker-Expose-Session-Sharedkey: ",
            *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in (SECRET, CREDENTIALS, HEALTH)),
        ]  # fmt: skip
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _upgraded(self) -> bytes:
        """What came behind the head of the engine's answer."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self._sock.recv(4096)
            head += piece
            if not piece or len(head) > LARGEST_HEAD:
                raise Unreachable("The engine did not open a connection for the secrets of a build.")
        status, _, rest = head.partition(b"\r\n\r\n")
        if not status.startswith(b"HTTP/1.1 101"):
            raise EngineError("This engine's BuildKit takes no secrets and no credentials.")
        return rest

    def _serve(self) -> None:
        """Until the connection ends. Whatever is wrong with it, the build fails at what it asked for."""
        config = h2.config.H2Configuration(client_side=False, header_encoding=False)
        connection = h2.connection.H2Connection(config)
        try:
            connection.initiate_connection()
            data = self._first
            while True:
                for event in connection.receive_data(data) if data else ():
                    self._take(connection, event)
                self._sock.sendall(connection.data_to_send())
                data = self._sock.recv(65536)
                if not data:
                    return
        except (OSError, h2.exceptions.H2Error, ValueError):
            return
        finally:
            self._wire.close()

    def _take(self, connection: h2.connection.H2Connection, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            if len(self._calls) >= MOST_CALLS:
                raise ValueError("too many calls at once")
            method = next((value for name, value in event.headers if name == b":path"), b"")
            self._calls[event.stream_id] = (method.decode("ascii", "replace"), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if (call := self._calls.get(event.stream_id)) is not None:
                call[1].extend(event.data)
                if len(call[1]) > LARGEST_CALL:
                    raise ValueError("a call is too large")
        elif isinstance(event, h2.events.StreamReset):
            self._calls.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._calls:
            asked, body = self._calls.pop(event.stream_id)
            self._answer(connection, event.stream_id, *self._answer_to(asked, bytes(body[5:])))

    def _answer_to(self, method: str, asked: bytes) -> tuple[int, bytes]:
        if method == HEALTH:
            return _OK, b"\x08\x01"
        if method not in (SECRET, CREDENTIALS):
            return _UNIMPLEMENTED, b""
        value = dict(fields(asked)).get(1, b"")
        name = value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
        if method == SECRET:
            found = self._secrets.get(name)
            return (_NOT_FOUND, b"") if found is None else (_OK, field(1, found.encode()))
        known = self._auths.get(names.DEFAULT_REGISTRY if name in _HUB else name)
        if known is None:  # nobody: what is public is to be had without
            return _OK, b""
        return _OK, field(1, known["username"].encode()) + field(2, known["password"].encode())

    def _answer(self, connection: h2.connection.H2Connection, stream: int, status: int, body: bytes) -> None:
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if status == _OK:
            message = b"\0" + len(body).to_bytes(4, "big") + body
            # Secrets are smaller than what a fresh stream may be sent at once.
            size = connection.max_outbound_frame_size
            for at in range(0, len(message), size):
                connection.send_data(stream, message[at : at + size])
        connection.send_headers(stream, [("grpc-status", str(status))], end_stream=True)
