"""File systems for images, made from programs of this machine: tar archives in memory."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var", "var/log", "www")
ACCOUNTS = (
    "root:x:0:0:root:/root:/bin/sh\nwww:x:1000:1000::/www:/bin/sh\nnobody:x:65534:65534::/home:/bin/false\n"
)


class Missing(Exception):
    """A program that the images are made of is not here; the message says how to get it."""


class Tree:
    """A tar archive that grows. Every time stamp is 0, so that the same content has the same digest."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - closed by `bytes`

    def folder(self, name: str, mode: int = 0o755) -> Tree:
        """An empty folder."""
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(info)
        return self

    def file(self, name: str, data: bytes | str, mode: int = 0o644) -> Tree:
        """A file with this content; text is stored as UTF-8."""
        content = data.encode() if isinstance(data, str) else data
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), mode
        self._tar.addfile(info, io.BytesIO(content))
        return self

    def link(self, name: str, target: str) -> Tree:
        """A symbolic link."""
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
        self._tar.addfile(info)
        return self

    def bytes(self) -> bytes:
        """The finished archive; nothing can be added afterwards."""
        self._tar.close()
        return self._buffer.getvalue()


def tree(fill: Callable[[Tree], object]) -> bytes:
    """The archive that ``fill`` writes."""
    made = Tree()
    fill(made)
    return made.bytes()


def busybox_program() -> Path:
    """The statically linked busybox of this machine. Raises `Missing`."""
    for name in ("busybox.static", "busybox"):
        found = shutil.which(name, path="/bin:/usr/bin:/usr/local/bin")
        if found and not _libraries(Path(found)):
            return Path(found)
    raise Missing("There is no static busybox here. On Debian or Ubuntu: apt-get install busybox-static")


def busybox(made: Tree) -> None:
    """A small system: busybox, a link for each of its programs, three accounts."""
    program = busybox_program()
    for name in FOLDERS:
        made.folder(name)
    made.folder("tmp", 0o1777)
    made.file("bin/busybox", program.read_bytes(), 0o755)
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in applets:
        if name != "busybox":
            made.link(f"bin/{name}", "busybox")
    made.file("etc/passwd", ACCOUNTS)
    made.file("etc/group", "root:x:0:\nwww:x:1000:\nnobody:x:65534:\n")
    made.file("etc/os-release", 'NAME="BusyBox"\nID=busybox\nPRETTY_NAME="BusyBox"\n')


def with_libraries(made: Tree, program: Path, name: str) -> None:
    """A dynamically linked program as ``usr/local/bin/name``, with every library that it loads."""
    made.folder("usr/local").folder("usr/local/bin")
    made.file(f"usr/local/bin/{name}", program.read_bytes(), 0o755)
    libraries = sorted(_libraries(program))
    folders = {folder for library in libraries for folder in library.parents} - {Path("/")}
    for folder in sorted(folders):
        made.folder(str(folder).lstrip("/"))
    for library in libraries:
        made.file(str(library).lstrip("/"), library.read_bytes(), 0o755)


def _libraries(program: Path) -> set[Path]:
    """What the loader maps for it, with the loader itself; nothing for a static program."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    found = set()
    for line in said.splitlines():
        words = line.split()
        path = words[2] if "=>" in words and len(words) > 2 else words[0] if words else ""
        if path.startswith("/"):
            found.add(Path(path))
    return found
