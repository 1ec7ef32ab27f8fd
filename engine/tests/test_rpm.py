"""Databases of rpm in all three forms, whole, damaged and hostile."""

from __future__ import annotations

import gzip
import sqlite3
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import packages, rpm

DATA = Path(__file__).parent / "data"
SQLITE = gzip.decompress((DATA / "rpm-sqlite.gz").read_bytes())
"""Written by rpm 4.18: four packages that were installed."""
HASH = gzip.decompress((DATA / "rpm-hash.gz").read_bytes())
"""The same headers, written by Berkeley DB 5.3."""
INSTALLED = {
    ("plain", "2.10-3.el9", "x86_64"), ("plain-libs", "2.10-3.el9", "x86_64"),
    ("hello-tool", "1:2.10-3.el9", "noarch"), ("libhello", "1:2.10-3.el9", "noarch"),
}  # fmt: skip


def blobs() -> list[bytes]:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(SQLITE[:18] + b"\x01\x01" + SQLITE[20:])
    return [bytes(row[0]) for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]


def ndb(headers: list[bytes]) -> bytes:
    """As rpm's rpmpkg.c lays it out: a page of slots, then the blobs in blocks of 16 bytes, each with head and tail."""
    slots, rest, at = b"", b"", 4096
    for key, header in enumerate(headers, 1):
        body = struct.pack("<4sIII", b"BlbS", key, 1, len(header)) + header
        body += bytes(-(len(body) + 12) % 16) + struct.pack("<II4s", 0, len(header), b"BlbE")
        slots += struct.pack("<4sIII", b"Slot", key, at // 16, len(body) // 16)
        rest, at = rest + body, at + len(body)
    head = struct.pack("<4sIII16x", b"RpmP", 0, 1, 1)
    empty = struct.pack("<4s12x", b"Slot")
    slots += empty * ((4096 - 32 - len(slots)) // 16)
    return head + slots + rest


NDB = ndb(blobs())


@pytest.mark.parametrize("data", [SQLITE, HASH, NDB], ids=["sqlite", "hash", "ndb"])
def test_each_form_names_what_is_installed(data: bytes) -> None:
    assert {tuple(header) for header in rpm.packages(data)} == INSTALLED
    assert {tuple(package) for package in packages.installed("rpm", data) or ()} == INSTALLED


@pytest.mark.parametrize("data", [b"", b"SQLite", b"x" * 5000, SQLITE[:9000], NDB[:4200], HASH[:9000]])
def test_what_is_none_or_ends_early_says_so(data: bytes) -> None:
    with pytest.raises(rpm.Unreadable):
        list(rpm.packages(data))
    assert packages.installed("rpm", data) is None


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SQLITE, HASH, NDB]),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), max_size=12),
)
def test_damage_is_an_answer_and_never_a_crash(data: bytes, changes: list[tuple[int, int]]) -> None:
    bad = bytearray(data)
    for place, value in changes:
        bad[place % len(bad)] = value
    found = packages.installed("rpm", bytes(bad))
    assert found is None or len(found) <= packages.MOST


def hostile(sql: str) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(sql)
    return connection.serialize()


@pytest.mark.parametrize(
    "sql",
    [
        """CREATE VIEW Packages AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)
        SELECT n AS hnum, 'x' AS blob FROM r;""",
        "CREATE TABLE Packages (hnum, blob AS (zeroblob(1000000000)));INSERT INTO Packages (hnum) VALUES (1);",
        "CREATE TABLE Packages (hnum, blob AS (upper('x')));INSERT INTO Packages (hnum) VALUES (1);",
        "CREATE TABLE Packages (hnum, blob);INSERT INTO Packages VALUES (1, 'text');",
        "CREATE TABLE other (x);",
    ],
    ids=["endless view", "large", "function", "text", "another table"],
)
def test_a_database_that_wants_more_than_to_be_read_is_refused(sql: str) -> None:
    began = time.monotonic()
    assert packages.installed("rpm", hostile(sql)) is None
    assert time.monotonic() - began < 5


def test_headers_that_count_the_same_bytes_over_and_over_are_given_up() -> None:
    """Every slot points at one large blob: a small file must not become hours of reading."""
    body = struct.pack("<4sIII", b"BlbS", 1, 1, 400_000) + bytes(400_000)
    slots = struct.pack("<4sIII", b"Slot", 1, 4096 * 8 // 16, 30_000) * ((4096 * 8 - 32) // 16)
    data = struct.pack("<4sIII16x", b"RpmP", 0, 1, 8) + slots + body + bytes(100)
    assert packages.installed("rpm", data) is None
