"""What BuildKit says of a build: ``moby.buildkit.v1.StatusResponse`` in protobuf, read by hand.

Only the fields that are shown are read. Everything is bounded by the length of the message, which the stream bounds.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from engine.docker_text import text

LONGEST_NAME = 4096
LONGEST_SAID = 1024 * 1024
_VARINT_MOST = 10

Value = int | bytes


@dataclass(frozen=True, slots=True)
class Vertex:
    """A piece of work. Times in seconds of the engine's clock, 0 for not yet."""

    digest: str
    name: str
    started: float = 0
    completed: float = 0
    cached: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How far a part of a vertex is; ``total`` 0: not counted."""

    vertex: str
    name: str
    current: int
    total: int
    completed: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Output of a vertex, any piece of it."""

    vertex: str
    text: str


def trace(encoded: object) -> Iterator[Vertex | Status | Said]:
    """The news in one message, as base64. What is no such message is a `ValueError`."""
    if not isinstance(encoded, str):
        raise ValueError("a trace is text")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("a trace is base64") from error
    for number, value in fields(raw):
        if isinstance(value, bytes):
            if number == 1:
                yield _vertex(value)
            elif number == 2:
                yield _status(value)
            elif number == 3:
                yield _said(value)
            elif number == 4:
                yield _warning(value)


def fields(raw: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message; `ValueError` where it is none."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _varint(raw, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("no such kind of field")
        if length > len(raw) - at:
            raise ValueError("a field is cut off")
        yield number, raw[at : at + length]
        at += length


def field(number: int, value: bytes) -> bytes:
    """A field of bytes or text, written."""
    return _written(number << 3 | 2) + _written(len(value)) + value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    found = 0
    for place in range(_VARINT_MOST):
        if at + place >= len(raw):
            break
        byte = raw[at + place]
        found |= (byte & 127) << 7 * place
        if byte < 128:
            return found, at + place + 1
    raise ValueError("a number is cut off or too long")


def _written(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _words(value: Value | None, longest: int = LONGEST_NAME) -> str:
    return text(value.decode("utf-8", "replace"), longest) if isinstance(value, bytes) else ""


def _number(value: Value | None) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: Value | None) -> float:
    if not isinstance(value, bytes):
        return 0
    found = dict(fields(value))
    return min(_number(found.get(1)), 1 << 40) + min(_number(found.get(2)), 10**9) / 1e9


def _vertex(raw: bytes) -> Vertex:
    found = dict(fields(raw))
    return Vertex(
        digest=_words(found.get(1), 128), name=_words(found.get(3)), cached=bool(found.get(4)),
        started=_moment(found.get(5)), completed=_moment(found.get(6)), error=_words(found.get(7)),
    )  # fmt: skip


def _status(raw: bytes) -> Status:
    found = dict(fields(raw))
    name = _words(found.get(3)) or _words(found.get(1))
    return Status(
        _words(found.get(2), 128), name, _number(found.get(4)), _number(found.get(5)), bool(_moment(found.get(8)))
    )  # fmt: skip


def _said(raw: bytes) -> Said:
    found = dict(fields(raw))
    return Said(_words(found.get(1), 128), _words(found.get(4), LONGEST_SAID))


def _warning(raw: bytes) -> Said:
    found = dict(fields(raw))
    return Said(_words(found.get(1), 128), f"warning: {_words(found.get(3), 1000)}\n")
