"""Images, volumes, networks, the engine itself: its JSON as our facts. As forgiving as `engine.docker_map`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from engine import names
from engine.disk import CacheRecord, DiskUsage, ImageUsage
from engine.docker_errors import one_line
from engine.docker_map import Json, items, mapping
from engine.docker_text import document, environment, moment, number, pairs, text, texts
from engine.types import (
    EngineInfo,
    ImageInfo,
    ImageSummary,
    LayerInfo,
    NetworkInfo,
    VolumeInfo,
)

_NOTHING = "<none>"


def engine_info(info: Json, api_version: str) -> EngineInfo:
    """From ``/info``; ``api_version`` is the one that is spoken."""
    options = texts(info.get("SecurityOptions"), 32, 256)
    return EngineInfo(
        native_id=text(info.get("ID"), 128),
        name=text(info.get("Name"), 256),
        version=text(info.get("ServerVersion"), 64),
        api_version=api_version,
        os=text(info.get("OperatingSystem") or info.get("OSType"), 128),
        architecture=text(info.get("Architecture"), 64),
        cpus=number(info.get("NCPU")),
        memory=number(info.get("MemTotal")),
        storage_driver=text(info.get("Driver"), 64),
        rootless=any("rootless" in option for option in options),
        warnings=texts(info.get("Warnings"), 16, 512),
    )


# Images


def _references(value: object) -> tuple[str, ...]:
    return tuple(sorted({item for item in texts(value, 512, 512) if _NOTHING not in item}))


_KEPT = 2
"""Counts up when more is kept of an image than before, so that those known already are looked at again."""


def _image_fingerprint(native_id: str, tags: tuple[str, ...], digests: tuple[str, ...]) -> str:
    """An image's contents are its id: only what points at it can change."""
    parts = json.dumps([_KEPT, native_id, tags, digests])
    return hashlib.blake2b(parts.encode("utf-8", "replace"), digest_size=12).hexdigest()


def image_summary(item: Json) -> ImageSummary:
    """One entry of the list of images."""
    native_id, tags, digests = (
        text(item.get("Id"), 128),
        _references(item.get("RepoTags")),
        _references(item.get("RepoDigests")),
    )
    return ImageSummary(
        native_id=native_id,
        tags=tags,
        digests=digests,
        size=number(item.get("Size")),
        created_at=moment(item.get("Created")),
        labels=pairs(item.get("Labels")),
        parent_id=text(item.get("ParentId"), 128),
        fingerprint=_image_fingerprint(native_id, tags, digests),
    )


def image(data: Json, history: object) -> ImageInfo:
    """One inspected image with its history (newest first, as engines tell it)."""
    config = mapping(data.get("Config"))
    native_id, tags, digests = (
        text(data.get("Id"), 128),
        _references(data.get("RepoTags")),
        _references(data.get("RepoDigests")),
    )
    stack = texts(mapping(data.get("RootFS")).get("Layers"), 512, 128)
    kept = document(config)
    if "Env" in config:
        kept["Env"] = [f"{name}={value}" for name, value in environment(config.get("Env")).items()]
    return ImageInfo(
        native_id=native_id,
        tags=tags,
        digests=digests,
        size=number(data.get("Size")),
        created_at=moment(data.get("Created")),
        labels=pairs(config.get("Labels")),
        parent_id=text(data.get("Parent"), 128),
        architecture=text(data.get("Architecture"), 64),
        os=text(data.get("Os"), 64),
        author=text(data.get("Author"), 256),
        config=kept,
        layers=tuple(_layers(history, stack)),
        fingerprint=_image_fingerprint(native_id, tags, digests),
        stack=stack if all(map(names.is_image_id, stack)) else (),
    )


_LAYER_MAKERS = ((), ("WORKDIR",), ("WORKDIR", "RUN", "COPY", "ADD"))
"""Instructions whose layer may be of size 0 (a new empty folder), the likeliest first."""


def _layers(history: object, digests: tuple[str, ...]) -> Iterator[LayerInfo]:
    """History and file layers go together only by order, and engines do not say which steps added nothing.

    So the steps with a size are counted, then also those that may have added an empty folder; where one of these
    counts is the number of layers, the digests are told out in order, and where none is they stay empty.
    """
    steps = items(history, 512)[::-1]
    if not steps:
        for index, digest in enumerate(digests):
            yield LayerInfo(index, digest, "", 0, None, empty=False)
    with_layer = _with_layer(steps, len(digests))
    left = iter(digests)
    for index, step in enumerate(steps):
        size = number(step.get("Size"))
        yield LayerInfo(
            index=index,
            digest=next(left, "") if index in with_layer else "",
            command=text(step.get("CreatedBy") or step.get("Comment"), 4096),
            size=size,
            created_at=moment(step.get("Created")),
            empty=size == 0 and index not in with_layer,
        )


def _with_layer(steps: list[Json], count: int) -> set[int]:
    """Which steps have the ``count`` layers; nothing where that cannot be told."""
    for makers in _LAYER_MAKERS:
        found = {
            index
            for index, step in enumerate(steps)
            if number(step.get("Size")) > 0 or _instruction(text(step.get("CreatedBy"), 64)) in makers
        }
        if len(found) == count:
            return found
    return set()


def _instruction(command: str) -> str:
    """``WORKDIR`` of both builders' ``/bin/sh -c #(nop) WORKDIR /data`` and ``WORKDIR /data``; a bare command ran."""
    _, marked, rest = command.partition("#(nop)")
    if not marked and command.startswith(("/bin/sh -c", "|")):
        return "RUN"
    words = (rest if marked else command).split(maxsplit=1)
    return words[0] if words else ""


# Volumes and networks


def volume(data: Json) -> VolumeInfo:
    """One volume. The engine counts sizes only on demand: see `Engine.volume_sizes`."""
    name = text(data.get("Name"), 256)
    size = mapping(data.get("UsageData")).get("Size")
    labels = pairs(data.get("Labels"))
    return VolumeInfo(
        name=name,
        driver=text(data.get("Driver"), 128),
        scope=text(data.get("Scope"), 32),
        created_at=moment(data.get("CreatedAt")),
        labels={key: value for key, value in labels.items() if key != "com.docker.volume.anonymous"},
        options=pairs(data.get("Options")),
        anonymous=names.is_anonymous_volume(name) or "com.docker.volume.anonymous" in labels,
        size=size if isinstance(size, int) and size >= 0 else None,
    )


def disk_usage(found: Json, images: object) -> DiskUsage:
    """From ``/system/df``, and the list of all images, those in between included."""
    volumes = [volume(item) for item in items(found.get("Volumes"), 100_000)]
    return DiskUsage(
        layers=number(found.get("LayersSize")),
        containers={
            text(item.get("Id"), 64): number(item.get("SizeRw"))
            for item in items(found.get("Containers"), 100_000)
        },
        images={
            text(item.get("Id"), 128): ImageUsage(
                number(item.get("Size")), max(0, number(item.get("SharedSize")))
            )
            for item in items(found.get("Images"), 100_000)
        },
        volumes={one.name: one.size for one in volumes if one.size is not None},
        parents={
            text(item.get("Id"), 128): text(item.get("ParentId"), 128)
            for item in items(images, 100_000)
            if item.get("ParentId")
        },
        cache=tuple(
            _record(item)
            for item in items(found.get("BuildCache"), 100_000)
            if names.is_cache_id(item.get("ID"))
        ),
    )


def _record(data: Json) -> CacheRecord:
    """One record of the build cache; engines before 23 name one parent, later ones several."""
    parents = data.get("Parents") or [data.get("Parent")]
    used = moment(data.get("LastUsedAt") or data.get("CreatedAt"))
    return CacheRecord(
        native_id=text(data.get("ID"), 64),
        parents=tuple(str(one) for one in parents if names.is_cache_id(one))
        if isinstance(parents, list)
        else (),
        kind=text(data.get("Type"), 40),
        description=one_line(text(data.get("Description"), 4096), 200),
        size=max(0, number(data.get("Size"))),
        shared=data.get("Shared") is True,
        in_use=data.get("InUse") is True,
        used_at=used.isoformat() if used else "",
    )


def network(data: Json) -> NetworkInfo:
    """One network."""
    ranges = items(mapping(data.get("IPAM")).get("Config"), 32)
    return NetworkInfo(
        native_id=text(data.get("Id"), 64),
        name=text(data.get("Name"), 256),
        driver=text(data.get("Driver"), 128),
        scope=text(data.get("Scope"), 32),
        internal=data.get("Internal") is True,
        ipv6=data.get("EnableIPv6") is True,
        created_at=moment(data.get("Created")),
        labels=pairs(data.get("Labels")),
        subnets=tuple(text(item.get("Subnet"), 64) for item in ranges),
        gateways=tuple(text(item.get("Gateway"), 64) for item in ranges),
        options=pairs(data.get("Options")),
        connected=tuple(
            key for key in list(mapping(data.get("Containers")))[:100_000] if names.is_container_id(key)
        ),
    )
