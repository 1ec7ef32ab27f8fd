"""Files out of containers, and the whole of volumes out and in, as uncompressed tars that are always drained.

A reader that stalls freezes its container on the engine, so each piece goes to a file of ours as it comes; nobody slow
is ever on the other end. A volume is read and written through a container that never starts, of an image that holds
nothing: both are gone afterwards.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import docker.errors

from engine import names
from engine.base import ShouldStop
from engine.docker_calls import Calls
from engine.docker_map import items, mapping, own_name
from engine.docker_text import number
from engine.docker_transport import Client
from engine.errors import EngineError, Invalid, TooLarge

AT = "/volume"
"""Where the container that never starts has the volume."""
_NAME = "slipway-volume-"
_LEFT = 1800
"""Seconds after which nobody uses such a container any more: the longest change of a volume takes less."""
_TAR = {"Content-Type": "application/x-tar"}
_PLAIN = {"Accept-Encoding": "identity"}
"""Engines compress archives for whoever says that they take that."""


def copy_out(
    calls: Calls,
    native_id: str,
    paths: Sequence[str],
    out: IO[bytes],
    *,
    most: int,
    should_stop: ShouldStop,
    deadline: float,
) -> int:
    """Writes one tar of exactly these paths, whole paths as names; returns how many bytes of files are in it.

    What is below a folder and not named itself stays out: it is a mount, or the image's own. `TooLarge` beyond
    ``most``.
    """
    wanted, total = {path.strip("/") for path in paths}, 0
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as written:
        for root in _roots(paths):
            with archive(calls, native_id, root, should_stop, deadline) as pieces:
                source = io.BufferedReader(Pieces(pieces), 65536)
                above = root.strip("/").rpartition("/")[0]
                for name, member, data in _members(source, above):
                    if name not in wanted:
                        continue
                    total += member.size
                    if total > most:
                        raise TooLarge("These files are larger than what may be copied.", most=most)
                    member.name = name
                    written.addfile(member, data)
    return total


def _roots(paths: Iterable[str]) -> list[str]:
    """The paths that no other path is above of."""
    roots: list[str] = []
    for path in sorted(paths):
        if not roots or not path.startswith(f"{roots[-1]}/"):
            roots.append(path)
    return roots


def _members(source: IO[bytes], above: str) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    try:
        with tarfile.open(fileobj=source, mode="r|") as read:
            for member in read:
                name = f"{above}/{member.name}" if above else member.name
                if member.islnk():  # its target is named from the root of this archive
                    member.linkname = f"{above}/{member.linkname}" if above else member.linkname
                yield name.strip("/"), member, read.extractfile(member) if member.isreg() else None
    except tarfile.TarError:
        raise EngineError("The engine's archive makes no sense.") from None


@contextmanager
def archive(
    calls: Calls, native_id: str, path: str, should_stop: ShouldStop, deadline: float
) -> Iterator[Iterator[bytes | None]]:
    query = {"path": path}

    def work(client: Client) -> Iterator[bytes]:
        yield from client.open_stream("GET", f"/containers/{native_id}/archive", query, headers=_PLAIN)

    with calls.stream(work, deadline=deadline, should_stop=should_stop) as pieces:
        yield pieces


class Pieces(io.RawIOBase):
    """What comes from the engine piece by piece, as a file to read."""

    def __init__(self, pieces: Iterator[bytes | None]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, b"")
            if piece == b"":
                return 0
            self._rest = piece or b""
        part = self._rest[: len(buffer)]
        self._rest = self._rest[len(part) :]
        buffer[: len(part)] = part
        return len(part)


# Volumes


def read_volume(
    calls: Calls,
    name: str,
    out: IO[bytes],
    *,
    operation_id: str,
    most: int,
    should_stop: ShouldStop,
    deadline: float,
) -> int:
    """Writes all that is in the volume as a tar with names below ``volume/``; returns its bytes. `TooLarge` beyond."""
    written = 0
    with (
        mounted(calls, name, operation_id, read_only=True) as native_id,
        archive(calls, native_id, AT, should_stop, deadline) as pieces,
    ):
        for piece in pieces:
            written += len(piece or b"")
            if written > most:
                raise TooLarge("This volume holds more than what may be kept.", most=most)
            out.write(piece or b"")
    return written


def write_volume(calls: Calls, name: str, data: IO[bytes], *, operation_id: str, deadline: float) -> None:
    """Puts back what `read_volume` wrote; owners, modes and links as they were."""
    with mounted(calls, name, operation_id, read_only=False) as native_id:

        def work(client: Client) -> None:
            for _ in client.open_stream(
                "PUT", f"/containers/{native_id}/archive", {"path": "/"}, headers=_TAR, data=data
            ):
                pass

        calls.run(work, deadline=deadline, writes=True)


@contextmanager
def mounted(calls: Calls, volume: str, operation_id: str, *, read_only: bool) -> Iterator[str]:
    """A container with that volume, made of nothing and never started; what an earlier attempt left goes first."""
    body = {
        "Cmd": ["nothing"],
        "Labels": {names.OPERATION_LABEL: names.operation_id(operation_id)},
        "NetworkDisabled": True,
        "HostConfig": {
            "Mounts": [
                {"Type": "volume", "Source": names.volume_name(volume), "Target": AT, "ReadOnly": read_only}
            ],
            "NetworkMode": "none",
        },
    }
    calls.run(lambda client: client.inspect_volume(volume), deadline=5)  # else the engine would make one
    container = f"{_NAME}{operation_id[:13]}"
    image = calls.run(_empty_image, deadline=15, writes=True)
    try:
        calls.run(
            _quietly(lambda client: client.remove_container(container, force=True)), deadline=15, writes=True
        )
        made = calls.run(
            lambda client: client.create_container_from_config({"Image": image, **body}, container),
            deadline=15,
            writes=True,
        )
        try:
            yield names.container_id(mapping(made).get("Id"))
        finally:
            with suppress(EngineError):
                calls.run(
                    lambda client: client.remove_container(container, force=True), deadline=15, writes=True
                )
    finally:
        with suppress(EngineError):  # another attempt at the same moment may still use it
            calls.run(lambda client: client.remove_image(image), deadline=15, writes=True)


def forget_left(calls: Calls) -> None:
    """Removes such containers that a killed process has left: nobody could remove their volumes any more."""

    def work(client: Client) -> None:
        before = time.time() - _LEFT
        for one in items(client.containers(all=True, filters={"name": [_NAME], "status": ["created"]})):
            name = own_name(one.get("Names") or [])
            ours = names.OPERATION_LABEL in mapping(one.get("Labels")) and name.startswith(_NAME)
            if ours and number(one.get("Created")) < before:
                _remove(client, names.container_id(one.get("Id")))

    with suppress(EngineError):
        calls.run(work, deadline=5, writes=True)


def _empty_image(client: Client) -> str:
    """An image that holds one empty folder; the same bytes are the same layer however often they come."""
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        folder = tarfile.TarInfo(AT.strip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
    empty.seek(0)
    said = b"".join(client.open_stream("POST", "/images/create", {"fromSrc": "-"}, headers=_TAR, data=empty))
    for line in reversed(said.splitlines()):
        status = mapping(json.loads(line)).get("status")
        if names.is_image_id(status):
            return str(status)
    raise Invalid("The engine did not take an image that holds nothing.")


def _remove(client: Client, native_id: str) -> None:
    with suppress(docker.errors.NotFound):
        client.remove_container(native_id, force=True)


def _quietly(work: Callable[[Client], Any]) -> Callable[[Client], None]:
    def inner(client: Client) -> None:
        with suppress(docker.errors.NotFound):
            work(client)

    return inner
