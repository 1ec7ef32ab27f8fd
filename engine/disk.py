"""What takes an engine's disk, counted by the engine itself. In bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """Bytes of one image, and how many of them other images have too (0 where the engine does not say)."""

    size: int
    shared: int


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One step that a builder keeps. ``shared``: its files are an image's too, so that its removal frees nothing.

    ``parents``: records that it stands on. ``used_at``: in ISO format, empty where the engine does not say.
    """

    native_id: str
    parents: tuple[str, ...]
    kind: str
    description: str
    size: int
    shared: bool
    in_use: bool
    used_at: str

    @property
    def own(self) -> int:
        """Bytes that go with it."""
        return 0 if self.shared else self.size


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What an engine's things take on its disk, in bytes, counted by the engine itself.

    ``layers`` is the sum of all layers, each once; ``containers`` what each has written outside of mounts; ``volumes``
    only those that the engine can count; ``cache`` what builders keep. ``parents``: image → the image it was built on
    step by step, with those in between that no list shows.
    """

    layers: int
    containers: Mapping[str, int]
    images: Mapping[str, ImageUsage]
    volumes: Mapping[str, int]
    parents: Mapping[str, str] = field(default_factory=dict)
    cache: tuple[CacheRecord, ...] = ()

    @property
    def cached(self) -> int:
        """Bytes that builders keep and no image holds."""
        return sum(record.own for record in self.cache)

    @property
    def total(self) -> int:
        """All of it; logs are no part."""
        return self.layers + sum(self.containers.values()) + sum(self.volumes.values()) + self.cached
