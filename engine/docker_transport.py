"""One engine call on one connection that can always be broken off from outside.

The Docker SDK's ``timeout=`` bounds the pause between two bytes and not the call: an engine that drips a byte a
second holds its caller for ever. Here each call gets a client and a connection of its own (0.2 ms, against 1.4 ms
for the smallest real answer), so that breaking one off means shutting down exactly one socket, nothing is
shared between threads or forks, and no stale kept-alive connection can swallow a write.

The client ignores what belongs to the person who started the process: proxies, CA bundles and netrc in the
environment, and credentials, headers and proxies in the Docker client's own configuration file.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import docker
import requests
from docker.utils.proxy import ProxyConfig
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from engine.certificates import Certificates
from engine.errors import Invalid

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of one answer that is read whole: a thousand containers list in 1 MB, hostile labels could make it 2 GB."""

LONGEST_LINE = 4 * 1024 * 1024
"""Bytes of one line of a stream of JSON lines. Engines send a build's output in pieces of some kilobytes."""

_ANY_VERSION = "1.24"
"""Only for asking ``/version``, whose address has none."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class AnswerTooLarge(requests.RequestException):
    """More than `LARGEST_ANSWER`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens: a path, or a host and a port; with certificates, over TLS."""

    url: str
    path: str = ""
    host: str = ""
    port: int = 0
    certificates: Certificates | None = None

    @classmethod
    def parse(cls, url: str, certificates: Certificates | None = None) -> Endpoint:
        """From ``unix:///run/docker.sock`` or ``tcp://10.0.0.7:2376``; without TLS, only to this very machine."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise Invalid("An engine's address is written tcp://host:port.") from None
        if parts.scheme == "unix":
            path = parts.netloc + parts.path
            if not path.startswith("/") or len(path.encode()) > 107 or "\0" in path:
                raise Invalid(
                    "An engine's socket is an absolute path of at most 107 bytes: unix:///run/docker.sock."
                )
            if certificates:
                raise Invalid("A socket of this machine takes no certificates: they are for tcp:// alone.")
            return cls(url, path=path)
        if parts.scheme == "tcp":
            try:
                host, port = parts.hostname or "", parts.port or 0
            except ValueError:
                host, port = "", 0
            if not host or not port or parts.path.strip("/") or parts.username or parts.query:
                raise Invalid("An engine's address is written tcp://host:port.")
            if host not in _LOOPBACK and not certificates:
                raise Invalid(
                    "Plain tcp:// is only allowed to this very machine: who reaches it owns the engine. Another one"
                    " needs TLS, with the CA, a certificate and its key."
                )
            return cls(url, host=host, port=port, certificates=certificates)
        if parts.scheme == "ssh":
            raise Invalid(
                "Slipway does not connect by ssh://: use tcp:// with certificates, or forward the engine's socket"
                " to this machine with ssh -L and give unix://."
            )
        raise Invalid("An engine's address starts with unix:// or tcp://.")


class Wire:
    """The one connection of one call. `cut` ends it from any thread, at any moment of its life."""

    def __init__(self, endpoint: Endpoint, patience: float) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.connected = False
        self.is_cut = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def open(self) -> socket.socket:
        if self.endpoint.path:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(self.patience)
            self._hold(sock)
            sock.connect(self.endpoint.path)
        else:
            sock = socket.create_connection((self.endpoint.host, self.endpoint.port), self.patience)
            self._hold(sock)
            if self.endpoint.certificates:
                sock = self._secured(sock, self.endpoint.certificates.context())
        if self.is_cut:  # cut while the connection was being made, when there was nothing to shut down yet
            raise ConnectionAbortedError("the call was broken off")
        self.connected = True
        return sock

    def _secured(self, plain: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Held before the handshake, so that one that hangs can be cut too."""
        host = self.endpoint.host
        sock = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self._hold(sock)
        sock.do_handshake()
        return sock

    def _hold(self, sock: socket.socket) -> None:
        with self._lock:
            if self.is_cut:
                sock.close()
                raise ConnectionAbortedError("the call was broken off")
            self._sockets.append(sock)

    def cut(self) -> None:
        """Whoever reads or writes gets an end of file or an error at once."""
        with self._lock:
            self.is_cut = True
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    # Below TLS: its own shutdown would take the session away from under whoever reads now.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self.is_cut = True
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()


class _Connection(HTTPConnection):
    wire: Wire

    def connect(self) -> None:
        self.sock = self.wire.open()


class _Pool(HTTPConnectionPool):
    def __init__(self, wire: Wire) -> None:
        super().__init__("localhost", maxsize=1)
        self.wire = wire

    def _new_conn(self) -> _Connection:
        connection = _Connection("localhost")
        connection.wire = self.wire
        return connection


class _Adapter(HTTPAdapter):
    """Sends everything over one `Wire`, and reads whole answers up to `LARGEST_ANSWER` and not further."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.use(wire)

    def use(self, wire: Wire) -> None:
        self._wire = wire
        self._pool = _Pool(wire)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return str(request.path_url)

    def send(self, request: Any, stream: bool = False, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = self._wire.patience
        response = super().send(request, True, *args, **kwargs)
        if not stream or response.status_code >= 400:
            body = bytearray()
            for piece in response.raw.stream(65536, decode_content=False):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    response.close()
                    raise AnswerTooLarge("the answer is too large", response=response)
            # requests has no public way to say "this is the body"; a streamed body would not be bounded
            response._content = bytes(body)
            response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        self._pool.close()
        self._wire.close()
        super().close()


class Client(docker.APIClient):
    """The SDK's low-level client over one `Wire`. Between two calls it may be kept: it then holds no socket."""

    def __init__(self, endpoint: Endpoint, *, version: str = _ANY_VERSION, patience: float = 60) -> None:
        super().__init__(base_url="unix:///engine", version=version, timeout=int(patience) + 1)
        self.wire = Wire(endpoint, patience)
        self.trust_env = False
        self.max_redirects = 0
        self.adapters.clear()
        self._adapter = _Adapter(self.wire)
        self.mount("http+docker://", self._adapter)
        self._general_configs: dict[str, Any] = {}
        self._proxy_configs = ProxyConfig()

    def renew(self, patience: float) -> None:
        """Another call: another connection, and nothing that an engine left behind."""
        self.cookies.clear()
        self.wire = Wire(self.wire.endpoint, patience)
        self._adapter.use(self.wire)

    def use_version(self, version: str) -> None:
        self._version = version

    def _set_auth_headers(self, headers: dict[str, str]) -> None:
        """The SDK would read this account's own registry credentials and send all of them with each build."""

    # The SDK hides the types of these behind decorators without any.

    def inspect_image(self, image: str) -> Any:
        return super().inspect_image(image)  # type: ignore[no-untyped-call]

    def history(self, image: str) -> Any:
        return super().history(image)  # type: ignore[no-untyped-call]

    def create_container_from_config(self, config: Any, name: Any = None, platform: Any = None) -> Any:
        return super().create_container_from_config(config, name, platform)  # type: ignore[no-untyped-call]

    def update_from_config(self, container: str, config: Mapping[str, Any]) -> None:
        """Changes a container by exactly this: the SDK's own call knows neither CPU cores nor processes."""
        url = f"{self.base_url}/v{self.api_version}/containers/{container}/update"
        self._raise_for_status(self.post(url, json=dict(config)))  # type: ignore[attr-defined]

    def connect_network(self, network: str, container: str, endpoint: Mapping[str, Any]) -> None:
        """Connects a container with exactly these settings: the SDK's own call knows fewer of them."""
        url = f"{self.base_url}/v{self.api_version}/networks/{network}/connect"
        answer = self.post(url, json={"Container": container, "EndpointConfig": dict(endpoint)})
        self._raise_for_status(answer)  # type: ignore[attr-defined]

    def cancel_build(self, build_id: str) -> None:
        """Ends a build of BuildKit's; one that has ended is none."""
        url = f"{self.base_url}/v{self.api_version}/build/cancel"
        self._raise_for_status(self.post(url, params={"id": build_id}))  # type: ignore[attr-defined]

    def told(self) -> Mapping[str, str]:
        """What an engine says of itself in the head of an answer."""
        answer = self.get(f"{self.base_url}/_ping")
        self._raise_for_status(answer)  # type: ignore[attr-defined]
        return answer.headers

    def open_stream(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        data: IO[bytes] | Iterable[bytes] | None = None,
    ) -> Iterator[bytes]:
        """Sends, raises for an error status, and returns the pieces of the body as the engine sends them."""
        url = f"{self.base_url}/v{self.api_version}{path}"
        response = self.request(
            method, url, params=dict(params), headers=dict(headers or {}), data=data, stream=True
        )
        self._raise_for_status(response)  # type: ignore[attr-defined]
        return iter(response.raw.stream(65536, decode_content=False))


def json_objects(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a stream of JSON lines, each as soon as it is whole.

    A line longer than `LONGEST_LINE`, or one that is not an object, is a `ValueError`: this is no such stream.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ValueError("a line of the stream is too long")
        for line in lines:
            if line.strip():
                yield _object(line)
    if rest.strip():
        yield _object(rest)


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError("a line of the stream is not an object")
    return found
