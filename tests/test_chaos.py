"""The door that the tests shut."""

from __future__ import annotations

import socket

from scripts import dockerd
from tests.chaos import Door
from tests.machine import short_folder


def test_a_shut_door_refuses_and_cuts_and_an_open_one_lets_through(engine_url: str) -> None:
    door = Door(short_folder() / "d.sock", engine_url).open()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.settimeout(10)
        listening.connect(str(door.path))
        listening.sendall(b"GET /events HTTP/1.1\r\nHost: engine\r\n\r\n")
        assert listening.recv(4096).startswith(b"HTTP/1.1 200")
        assert dockerd.answers(door.url)
        door.shut()
        assert listening.recv(4096) == b""
    assert not dockerd.answers(door.url)
    door.open()
    assert dockerd.answers(door.url)
    door.shut()
