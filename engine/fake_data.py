"""Files of the fake engine: its containers write none, and a volume holds what was put into it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from engine import names
from engine.base import Emit, ShouldStop, never
from engine.errors import Invalid, NotFound, TooLarge
from engine.fake_facts import FakeReads
from engine.fake_world import Volume
from engine.files import FileInfo


class FakeData(FakeReads):
    """The part of `engine.base.Engine` that moves files."""

    def file_stats(
        self, native_id: str, paths: Sequence[str], *, deadline: float = 2
    ) -> Mapping[str, FileInfo]:
        names.container_id(native_id)
        self._do("file_stats", lambda: self._container(native_id), deadline)
        return {}

    def copy_out(
        self,
        native_id: str,
        paths: Sequence[str],
        out: IO[bytes],
        *,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 600,
    ) -> int:
        names.container_id(native_id)
        self._do("copy_out", lambda: self._container(native_id), deadline, should_stop=should_stop)
        out.write(_nothing())
        return 0

    def commit(self, native_id: str, reference: str, *, message: str = "", deadline: float = 600) -> str:
        names.container_id(native_id)
        target = str(names.tag_reference(reference))

        def work() -> str:
            self._container(native_id)
            return self.world.add_image(target)

        return str(self._do("commit", work, deadline, writes=True))

    def export(
        self,
        native_id: str,
        out: IO[bytes],
        *,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 3600,
    ) -> int:
        names.container_id(native_id)
        self._do("export", lambda: self._container(native_id), deadline, should_stop=should_stop)
        tar = _nothing("etc")
        if len(tar) > most:
            raise TooLarge("Its file system holds more than what may be exported.", most=most)
        out.write(tar)
        return len(tar)

    @contextmanager
    def saved(
        self, *references: str, should_stop: ShouldStop = never, deadline: float = 1800
    ) -> Iterator[Iterator[bytes]]:
        wanted = [one if names.is_image_id(one) else str(names.tag_reference(one)) for one in references]
        self._do(
            "saved", lambda: [self.world.find_image(one) for one in wanted], deadline, should_stop=should_stop
        )
        yield iter([_nothing("blobs")])

    def prune_cache(self, native_id: str, *, deadline: float = 60) -> bool:
        names.cache_id(native_id)
        return bool(self._do("prune_cache", lambda: False, deadline, writes=True))

    def load(
        self,
        data: IO[bytes],
        size: int,
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 3600,
    ) -> list[str]:
        """Nothing of it is taken: this engine has no layers."""
        self._do("load", lambda: None, deadline, writes=True, should_stop=should_stop)
        raise Invalid("This engine takes no images in.")

    def read_volume(
        self,
        name: str,
        out: IO[bytes],
        *,
        operation_id: str,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 600,
    ) -> int:
        names.volume_name(name)
        names.operation_id(operation_id)
        content = self._do(
            "read_volume", lambda: self._volume(name).content, deadline, should_stop=should_stop
        )
        content = content or _nothing("volume")
        if len(content) > most:
            raise TooLarge("This volume holds more than what may be kept.", most=most)
        return out.write(content)

    def write_volume(self, name: str, data: IO[bytes], *, operation_id: str, deadline: float = 600) -> None:
        names.volume_name(name)
        names.operation_id(operation_id)
        content = data.read()

        def work() -> None:
            self._volume(name).content = content

        self._do("write_volume", work, deadline, writes=True)

    def _volume(self, name: str) -> Volume:
        found = self.world.volumes.get(name)
        if found is None:
            raise NotFound("This engine has no such volume.")
        return found


def _nothing(folder: str = "") -> bytes:
    """A tar that holds nothing, or one empty folder."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        if folder:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
    return made.getvalue()
