"""The only door: an engine's address in, an `Engine` or its `EngineStreams` out.

Addresses are ``unix:///run/docker.sock``, with certificates ``tcp://10.0.0.7:2376``, and to this very machine without
them, ``tcp://127.0.0.1:2375``. Making one costs nothing and connects to nothing; the first call does. ``fake://name``
is the engine in memory of `engine.fake`, for tests only: it must be allowed at the call, so that no address in a
database can lead to it.
"""

from __future__ import annotations

from engine.base import Engine, EngineStreams
from engine.certificates import Certificates
from engine.docker_backend import DockerEngine
from engine.docker_streams import DockerStreams
from engine.docker_transport import Endpoint

_FAKE = "fake://"


def connect(endpoint: str, *, certificates: Certificates | None = None, allow_fake: bool = False) -> Engine:
    """Raises `Invalid` for an address that is not one, or not allowed."""
    if allow_fake and endpoint.startswith(_FAKE):
        from engine.fake import FakeEngine, world

        return FakeEngine(world(endpoint.removeprefix(_FAKE)), endpoint)
    return DockerEngine(Endpoint.parse(endpoint, certificates))


def connect_streams(
    endpoint: str, *, certificates: Certificates | None = None, allow_fake: bool = False
) -> EngineStreams:
    """The same for the streams, to be used inside one event loop."""
    if allow_fake and endpoint.startswith(_FAKE):
        from engine.fake import FakeStreams, world

        return FakeStreams(world(endpoint.removeprefix(_FAKE)), endpoint)
    return DockerStreams(Endpoint.parse(endpoint, certificates))
