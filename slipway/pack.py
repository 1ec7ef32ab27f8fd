"""A folder as the form that a build is asked by. What `.dockerignore` leaves out the server leaves out."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path
from typing import IO
from uuid import uuid4

_HELD = 32 * 1024 * 1024


def form(folder: Path, fields: dict[str, object]) -> tuple[str, IO[bytes], int]:
    """Content type, body and its length. Owners and names of people stay at home; links stay links."""
    boundary = uuid4().hex
    out: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_HELD)  # noqa: SIM115 - the caller reads it
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            text = json.dumps(one) if isinstance(one, dict) else str(one)
            out.write(_head(boundary, f'name="{name}"') + text.encode() + b"\r\n")
    out.write(_head(boundary, 'name="context"; filename="context.tar"', "application/x-tar"))
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_nobodys)
    out.write(f"\r\n--{boundary}--\r\n".encode())
    length = out.tell()
    out.seek(0, io.SEEK_SET)
    return f"multipart/form-data; boundary={boundary}", out, length


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
        return None  # sockets, pipes, devices
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _head(boundary: str, what: str, kind: str = "") -> bytes:
    more = f"\r\nContent-Type: {kind}" if kind else ""
    return f"--{boundary}\r\nContent-Disposition: form-data; {what}{more}\r\n\r\n".encode()
