"""Files that data of volumes passes through on its way: never an engine's socket to somebody's browser.

What an engine gives lies in a file of ours first, with names below ``volume/``; what people get and send is the same
without that folder.
"""

from __future__ import annotations

import hashlib
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

from django.conf import settings

from containers_app import sync
from engine.errors import Cancelled, EngineError, NotFound
from engine.specs import SpecError
from engine.types import Progress
from operations import archives, room, spooled
from operations.registry import Context
from operations.services import Refused
from operations.spooled import written

FOLDER = "volumes"
BELOW = "volume/"
"""Where an engine's archives have what is in a volume."""
KEPT = 24 * 3600
"""Seconds that an export can be fetched, and that a file nobody came for lies here."""
MOST_ENTRIES = 500_000
DEEPEST = 128
TOLD_EVERY = 0.5


def most_bytes() -> int:
    """The largest volume that is cloned, exported, imported or backed up."""
    return int(settings.VOLUME_MB) * 1024 * 1024


def file_of(name: str) -> Path:
    """Where a file of that name lies; its folder is made."""
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / Path(name).name


def forget_old() -> None:
    """Each is there for a day."""
    spooled.forget_old(file_of("x").parent, KEPT)


class Counted:
    """A file that tells how far it is."""

    def __init__(self, inner: IO[bytes], tell: Callable[[int], None]) -> None:
        self.inner, self.tell, self.count, self.told = inner, tell, 0, 0.0

    def write(self, data: bytes) -> int:
        """Like a file's."""
        self._add(len(data))
        return self.inner.write(data)

    def _add(self, size: int) -> None:
        self.count += size
        if time.monotonic() - self.told > TOLD_EVERY:
            self.told = time.monotonic()
            self.tell(self.count)


def telling(ctx: Context, words: str, total: int | None) -> Callable[[int], None]:
    """Progress in bytes; without a total where nobody has counted."""
    return lambda count: ctx.emit(Progress(count, max(total, count) if total else None, "bytes", words))


def read(ctx: Context, volume: str, path: Path, total: int | None, words: str) -> int:
    """All that is in the volume, into that file; its bytes."""
    ctx.emit(Progress(0, total, "bytes", words))
    ctx.check_fence()
    with written(path) as out:
        return ctx.engine.read_volume(
            volume, Counted(out, telling(ctx, words, total)),  # type: ignore[arg-type]
            operation_id=str(ctx.operation.pk), most=most_bytes(), should_stop=ctx.should_stop, deadline=3000,
        )  # fmt: skip


def write(ctx: Context, volume: str, path: Path, words: str) -> None:
    """What that file holds, into the volume. How far it is an engine does not say."""
    ctx.emit(Progress(message=words))
    ctx.check_fence()
    with path.open("rb") as data:
        ctx.engine.write_volume(volume, data, operation_id=str(ctx.operation.pk), deadline=3000)


def clear(ctx: Context) -> None:
    """Removes what carried data of a volume for this operation: a dead worker or a lost answer may have left it."""
    left = ctx.engine.find_by_operation(str(ctx.operation.pk))
    if left:
        ctx.check_fence()
        with suppress(NotFound):
            ctx.engine.remove(left.native_id, force=True)
        sync.refresh(ctx.operation.engine, ctx.engine, left.native_id)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in an archive; ``size`` in bytes, ``kind`` file, folder, link or other."""

    name: str
    kind: str
    size: int
    mtime: int


def unwrapped(path: Path, out: IO[bytes], *, ctx: Context) -> list[Entry]:
    """Writes what an engine gave as people know it: without the folder. What there is in it, in its order."""
    found: list[Entry] = []
    with (
        tarfile.open(path, "r:") as old,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            if ctx.should_stop():
                raise Cancelled("Cancelled. The volume is as it was.")
            name = member.name.removeprefix(BELOW.rstrip("/")).lstrip("/")
            if not name:
                continue
            data = old.extractfile(member) if member.isreg() else None
            if member.islnk():
                member.linkname = member.linkname.removeprefix(BELOW)
            member.name = name
            member.pax_headers = without_names(member.pax_headers)
            new.addfile(member, data)
            found.append(Entry(name, kind_of(member), member.size, int(member.mtime)))
    return found


def without_names(headers: Mapping[str, str]) -> dict[str, str]:
    """What else a header says; the names stand in their own places, and are others now."""
    return {key: value for key, value in headers.items() if key not in ("path", "linkpath")}


def kind_of(member: tarfile.TarInfo) -> str:
    """In a word."""
    if member.isdir():
        return "folder"
    return "file" if member.isreg() else "link" if member.issym() or member.islnk() else "other"


def spool(upload: IO[bytes], field: str = "archive") -> tuple[Path, str]:
    """An archive of anybody's, checked and written anew for an engine; the file it lies in now, and its SHA-256.

    Raises `SpecError` where it is not acceptable, or `Refused` where there is no room, and leaves nothing then.
    """
    forget_old()
    path = file_of(f"{uuid4()}.tar")
    rules = archives.Rules(
        "volume", most_bytes(), MOST_ENTRIES, owners=True, leaving=True, below=BELOW, deepest=DEEPEST
    )
    try:
        with written(path) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new:
            archives.Copy(new, rules).all_of(upload)
    except archives.Bad as error:
        raise SpecError({field: [str(error)]}) from None
    except OSError as error:
        if room.is_full(error):
            raise Refused("disk_full", room.FULL, 507) from None
        raise
    with path.open("rb") as whole:
        return path, hashlib.file_digest(whole, "sha256").hexdigest()


def read_whole(path: Path, what: str) -> None:
    """Raises `EngineError` where the file is gone: it waits for a day."""
    if not path.exists():
        raise EngineError(f"The file with {what} is gone: send it again.")
