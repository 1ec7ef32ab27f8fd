"""The only door: an engine's address in, an `Engine` or its `EngineStreams` out.

Addresses are ``unix:///run/docker.sock`` and, to this very machine, ``tcp://127.0.0.1:2375``. Making one costs nothing
and connects to nothing; the first call does.
"""

from __future__ import annotations

from engine.base import Engine, EngineStreams
from engine.docker_backend import DockerEngine
from engine.docker_streams import DockerStreams
from engine.docker_transport import Endpoint


def connect(endpoint: str) -> Engine:
    """Raises `Invalid` for an address that is not one, or not allowed."""
    return DockerEngine(Endpoint.parse(endpoint))


def connect_streams(endpoint: str) -> EngineStreams:
    """The same for the streams, to be used inside one event loop."""
    return DockerStreams(Endpoint.parse(endpoint))
