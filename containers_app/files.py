"""Files of containers and volumes: where they are reached, who may what there, and the looks that the worker takes.

A volume is reached through a container that mounts it, best one that does not run: an engine holds a container for as
long as it sends an archive of it. What a look tells is bounded in entries, bytes and time.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db.models import Q

from accounts.access import Actor, can
from containers_app import own
from containers_app.models import Container, Mount, Volume
from engine.base import Engine as EngineBackend
from engine.errors import DiskFull, EngineError, PolicyDenied
from engine.files import FileInfo, Place, is_below, shown
from operations import room
from operations.reads import reader

MOST_ENTRIES = 5000
PEEK = 256 * 1024
"""Bytes of a file that are shown, and of one that can be edited."""
LONGEST = 600.0
"""Seconds of a download from the engine."""
FOLDER = "files"
LEFT = 3600
"""Seconds after which a file on its way, that nobody has fetched, is forgotten."""
_ENGINES_OWN = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Mounted by the engine into each container."""
_USUAL = (
    "app", "bin", "boot", "data", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt",
    "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var", "workspace",
)  # fmt: skip
"""What a listing asks after at the top of a container, where it does not come to its end."""
_USABLE = ("created", "running", "paused", "exited", "restarting")


def most_bytes() -> int:
    """The largest file, or folder, that is taken out or put in."""
    return int(settings.FILES_MB) * 1024 * 1024


def place_of(row: Container | Volume, actor: Actor) -> Place:
    """Where its files are, with what this actor may not see there closed. Raises `PolicyDenied`, `SelfProtected`."""
    if isinstance(row, Container):
        own.check(row, actor)
        return _container(row, actor)
    own.check_volume(row, actor)
    if _is_of_the_host(row) and not actor.is_site_admin:
        raise PolicyDenied(
            "This volume is a folder of the engine's host: its files are for site administrators.",
            rule="files.host", field="path",
        )  # fmt: skip
    return _volume(row)


def _container(row: Container, actor: Actor) -> Place:
    """Host paths are for site administrators, volumes for who may see their files."""
    mounts = list(row.mounts.select_related("volume"))
    closed = [mount.target for mount in mounts if not _is_open(mount, actor)]
    return Place(
        container=row.native_id, closed=tuple(closed), mounts=(*(m.target for m in mounts), *_ENGINES_OWN)
    )


def _is_open(mount: Mount, actor: Actor) -> bool:
    if mount.volume is not None and own.keeps(mount.volume) and not own.open_for(mount.volume, actor):
        return False
    if actor.is_site_admin:
        return True
    if mount.type == "volume" and mount.volume is not None:
        return can(actor, "volume.files", mount.volume) and not _is_of_the_host(mount.volume)
    return mount.type in ("tmpfs", "image")


def _is_of_the_host(volume: Volume) -> bool:
    """Whether its options make it a folder, or a disk, of the engine's host."""
    return any(str(volume.options.get(key, "")).startswith("/") for key in ("device", "mountpoint"))


def _volume(row: Volume) -> Place:
    mounts = "container__inspect__HostConfig__Mounts"
    whole = Q(**{f"{mounts}__isnull": True}) | ~Q(**{f"{mounts}__icontains": '"Subpath"'})
    found = Mount.objects.filter(whole, volume=row, container__state__in=_USABLE)
    ways = sorted(
        found.values_list("container__state", "container__native_id", "target"),
        key=lambda way: (way[0] not in ("exited", "created"), way[1]),
    )
    ids = [native_id for _, native_id, _ in ways]
    others = list(
        Mount.objects.filter(container__native_id__in=ids).values_list("container__native_id", "target")
    )
    for _, native_id, target in ways:
        if not any(one == native_id and at != target and is_below(at, target) for one, at in others):
            return Place(container=native_id, root=target)
    return Place(volume=row.native_id)


def hints(row: Container | Volume, path: str) -> list[str]:
    """Names that a listing of this folder should find."""
    if isinstance(row, Volume):
        return []
    paths = [mount.target for mount in row.mounts.all()] + [row.working_dir]
    below = [one.removeprefix(path.rstrip("/")).strip("/") for one in paths if one and is_below(one, path)]
    return [*dict.fromkeys(part.split("/")[0] for part in below if part), *(_USUAL if path == "/" else ())]


def params_of(row: Container | Volume, actor: Actor, path: str) -> dict[str, Any]:
    """What a look is asked with."""
    return {"place": asdict(place_of(row, actor)), "path": path, "hints": hints(row, path)}


def place_from(told: Mapping[str, Any]) -> Place:
    """The place again, from the parameters of a look."""
    return Place(
        str(told["container"]), str(told["volume"]), str(told["root"]),
        closed=tuple(told.get("closed") or ()), mounts=tuple(told.get("mounts") or ()),
    )  # fmt: skip


def entry(info: FileInfo) -> dict[str, Any]:
    """One entry as it is told. ``usable``: its name is text, and can be asked for."""
    usable = not any("\ud800" <= letter <= "\udfff" for letter in info.name)
    return {
        "name": info.name if usable else shown(info.name), "kind": str(info.kind), "size": info.size,
        "mode": f"{info.mode:04o}", "modified_at": info.modified.isoformat() if info.modified else None,
        "target": shown(info.target), "usable": usable,
    }  # fmt: skip


# Looks, in the worker


def _listing(engine: EngineBackend, row: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"path", "entries", "complete"}``: ``path`` is where the folder really is, folders come first."""
    place = place_from(params["place"])
    found = engine.files(place, str(params["path"]), most=MOST_ENTRIES, hints=list(params["hints"]))
    entries = sorted(
        map(entry, found.entries), key=lambda one: (one["kind"] != "folder", one["name"].lower(), one["name"])
    )
    return {"path": found.path, "entries": entries, "complete": found.complete}


def _peek(engine: EngineBackend, row: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"info", "data"}``: its first `PEEK` bytes in base64; ``digest`` where that is all of it."""
    info, data = engine.peek(place_from(params["place"]), str(params["path"]), most=PEEK + 1)
    whole = len(data) <= PEEK
    return {
        "info": entry(info), "data": base64.b64encode(data[:PEEK]).decode(), "whole": whole,
        "digest": hashlib.sha256(data).hexdigest() if whole else "",
    }  # fmt: skip


def _fetch(engine: EngineBackend, row: Any, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Spools it, so that a slow browser never holds the engine: ``{"bytes"}`` as it goes, then ``{"file", "kind"}``."""
    forget_left()
    way = _Spooling(engine, place_from(params["place"]), str(params["path"]))
    try:
        yield from way.told()
    finally:
        way.end()


class _Spooling:
    """One file or folder on its way from the engine to a file of ours, on a thread of its own."""

    def __init__(self, engine: EngineBackend, place: Place, path: str) -> None:
        self._engine, self._place, self._path = engine, place, path
        self._at = spooled(f"{uuid4()}.part")
        self._over, self._stop = threading.Event(), threading.Event()
        self._info: FileInfo | None = None
        self._fault: BaseException | None = None
        self._taken = False
        self._thread = threading.Thread(target=self._run, name="file-download", daemon=True)

    def told(self) -> Iterator[dict[str, Any]]:
        """How far it is, twice a second, and at the end where it lies. Raises what went wrong."""
        self._thread.start()
        while not self._over.wait(0.5):
            yield {"bytes": self._at.stat().st_size if self._at.exists() else 0}
        if self._fault:
            raise self._fault
        assert self._info is not None  # noqa: S101 - there is one where nothing went wrong
        self._taken = True
        yield {"file": self._at.name, "kind": str(self._info.kind), "bytes": self._at.stat().st_size}

    def end(self) -> None:
        """Nobody waits any more."""
        self._stop.set()
        self._thread.join(timeout=10)
        if not self._taken:
            self._at.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            with self._at.open("xb") as out:
                self._at.chmod(0o600)
                self._info = self._engine.fetch(
                    self._place, self._path, out, most=most_bytes(), should_stop=self._stop.is_set, deadline=LONGEST
                )  # fmt: skip
        except OSError as error:
            full = room.is_full(error)
            self._fault = DiskFull(room.FULL) if full else EngineError("Slipway could not keep the file.")
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it
            self._fault = error
        finally:
            self._over.set()


def spooled(name: str) -> Path:
    """Where a file on its way lies, between a browser and an engine."""
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / Path(name).name


def forget_left() -> None:
    """Removes what nobody has come for."""
    for path in spooled("x").parent.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > LEFT:
                path.unlink()


for _target in ("container", "volume"):
    _options = {"target": _target, "permission": f"{_target}.files"}
    reader(f"{_target}.files", **_options)(_listing)
    reader(f"{_target}.peek", **_options)(_peek)
    reader(f"{_target}.fetch", **_options)(_fetch)
