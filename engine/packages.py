"""Which packages a system has installed, from the files in which its package manager keeps that. Pure.

Those of an image are read from its layers, so that nothing of it has to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from engine import rpm
from engine.files import shown

LARGEST = 32 * 1024 * 1024
"""Bytes of such a file; what is larger is not read."""
MOST = 20_000
"""Of one image's layer."""
_DPKG = b"var/lib/dpkg/status"
_APK = (b"lib/apk/db/installed", b"usr/lib/apk/db/installed")
_RPM = re.compile(rb"(?:var|usr)/lib/(?:sysimage/)?rpm/(?:rpmdb\.sqlite|Packages(?:\.db)?)\Z")


class Package(NamedTuple):
    """One that is installed."""

    name: str
    version: str
    architecture: str


def manager(path: bytes) -> str:
    """``dpkg``, ``apk`` or ``rpm`` where a file of this path (without a slash in front) tells of packages."""
    if path == _DPKG or (path.startswith(b"var/lib/dpkg/status.d/") and not path.endswith(b".md5sums")):
        return "dpkg"
    if path in _APK:
        return "apk"
    return "rpm" if _RPM.match(path) else ""


def installed(manager: str, data: bytes) -> list[Package] | None:
    """Those that ``data`` names, in their order; ``None`` where it cannot be read."""
    found = {"apk": _apk, "dpkg": _dpkg, "rpm": _rpm}[manager](data)
    try:
        return [package for package, _ in zip(found, range(MOST), strict=False)]
    except rpm.Unreadable:
        return None


def _rpm(data: bytes) -> Iterator[Package]:
    for header in rpm.packages(data):
        yield Package(*(shown(text)[:255] for text in header))


def _dpkg(data: bytes) -> Iterator[Package]:
    for part in re.split(rb"\n[ \t]*\n", data):
        fields = _fields(part)
        # A file a package, as images without a package manager have them, says nothing of a state.
        state = fields.get("Status", "installed").split()
        if fields.get("Package") and fields.get("Version") and state[-1:] == ["installed"]:
            yield Package(fields["Package"], fields["Version"], fields.get("Architecture", ""))


def _apk(data: bytes) -> Iterator[Package]:
    for part in data.split(b"\n\n"):
        fields = _fields(part)
        if fields.get("P") and fields.get("V"):
            yield Package(fields["P"], fields["V"], fields.get("A", ""))


_WANTED = {b"Package", b"Version", b"Architecture", b"Status", b"P", b"V", b"A"}


def _fields(part: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in part.split(b"\n"):
        key, said, value = line.partition(b":")
        if said and key in _WANTED:
            found[key.decode()] = shown(value.decode(errors="replace").strip())[:255]
    return found
