"""Files told by an engine that lies, speaks nonsense or stops in the middle."""

from __future__ import annotations

import base64
import io
import json
import socket
import tarfile
import time
from typing import Any

import pytest

from engine.base import Engine
from engine.connect import connect
from engine.errors import EngineError
from engine.files import Place
from engine.tests.test_liars import CHUNKED, Liar, answer, chunk, hang, liar

__all__ = ["liar"]
ID = "a" * 64
FOLDER, LINK = 1 << 31 | 0o755, 1 << 27 | 0o777
PLACE = Place(container=ID)


def told(stat: Any) -> bytes:
    """The answer to the question what stands somewhere."""
    header = stat if isinstance(stat, bytes) else base64.b64encode(json.dumps(stat).encode())
    head = b"HTTP/1.1 200 x\r\nX-Docker-Container-Path-Stat: " + header
    return head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def tar(*names: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def behaves(liar: Liar, stat: Any, body: bytes, *, ends: bool = True) -> Engine:
    def behave(connection: socket.socket, asked: str) -> None:
        connection.sendall(told(stat) if asked.startswith("HEAD") else body)
        if not ends and not asked.startswith("HEAD"):
            hang(connection, asked)

    liar.behave = behave
    return connect(liar.url)


@pytest.mark.parametrize("stat", [b"!!", b"", b"bnVsbA==", [], 7, {"mode": "x", "size": {}, "mtime": 5}])
def test_a_strange_answer_about_a_file_breaks_nothing(liar: Liar, stat: Any) -> None:
    engine = behaves(liar, stat, b"nonsense")
    with pytest.raises(EngineError):
        engine.files(PLACE, "/a", deadline=2)
    with pytest.raises(EngineError):
        engine.peek(PLACE, "/a", most=10, deadline=2)
    with pytest.raises(EngineError):
        engine.put_file(PLACE, "/a/b", io.BytesIO(b"x"), size=1, replace=True, deadline=2)


@pytest.mark.parametrize("target", ["/a", "a", "", "/", "../../..", "/proc/self", "x" * 9000, "\u202e"])
def test_a_link_that_leads_anywhere_ends(liar: Liar, target: str) -> None:
    engine = behaves(liar, {"mode": LINK, "linkTarget": target}, b"nonsense")
    for place in (PLACE, Place(container=ID, root="/data")):
        with pytest.raises(EngineError):
            engine.files(place, "/a/b/c", deadline=2)


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        answer(200, b"no tar at all" * 100),
        answer(200, tar("w/f")[:700]),
        answer(500, b"<html>"),
        CHUNKED + chunk(b"\xff" * 1024),
    ],
)
def test_a_broken_archive_is_an_error_of_ours_or_a_listing_that_says_so(liar: Liar, body: bytes) -> None:
    engine = behaves(liar, {"mode": FOLDER}, body)
    try:
        listing = engine.files(PLACE, "/w", deadline=2)
    except EngineError:
        listing = None
    assert listing is None or len(listing.entries) <= 1
    with pytest.raises(EngineError):
        engine.fetch(PLACE, "/w", io.BytesIO(), most=10**6, deadline=2)


@pytest.mark.parametrize("name", ["w/../../etc/passwd", "../w/z", "w/a/.."])
def test_names_that_climb_are_no_archive_of_ours(liar: Liar, name: str) -> None:
    engine = behaves(liar, {"mode": FOLDER}, answer(200, tar("w/fine", name)))
    with pytest.raises(EngineError):
        engine.files(PLACE, "/w")
    with pytest.raises(EngineError):
        engine.fetch(PLACE, "/w", io.BytesIO(), most=10**6)


def test_names_that_begin_anywhere_stay_in_the_folder(liar: Liar) -> None:
    engine = behaves(liar, {"mode": FOLDER}, answer(200, tar("/etc/shadow", "w/./x", "w//y", "w")))
    assert [one.name for one in engine.files(PLACE, "/w").entries] == ["shadow", "x", "y"]
    out = io.BytesIO()
    engine.fetch(PLACE, "/w", out, most=10**6)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as archive:
        assert archive.getnames() == ["w/shadow", "w/x", "w/y", "w"]


def test_an_archive_that_stops_in_the_middle_is_given_up(liar: Liar) -> None:
    engine = behaves(liar, {"mode": FOLDER}, CHUNKED + chunk(tar("w/f")[:1024]), ends=False)
    began = time.monotonic()
    assert not engine.files(PLACE, "/w", deadline=1).complete
    with pytest.raises(EngineError):
        engine.fetch(PLACE, "/w", io.BytesIO(), most=10**6, deadline=1)
    assert time.monotonic() - began < 8


def test_a_header_without_end_is_not_read_into_memory(liar: Liar) -> None:
    huge = tarfile.TarInfo("w/f")
    huge.type, huge.size = tarfile.XHDTYPE, 8_000_000_000
    engine = behaves(
        liar, {"mode": FOLDER}, CHUNKED + chunk(huge.tobuf()) + chunk(b"x" * 5_000_000), ends=False
    )
    with pytest.raises(EngineError):
        engine.fetch(PLACE, "/w", io.BytesIO(), most=10**6, deadline=30)
