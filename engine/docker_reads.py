"""What there is on a Docker engine: lists and single objects, each one call (two for an image)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker

from engine import docker_map, docker_map_objects, names
from engine.base import ShouldStop, never
from engine.disk import DiskUsage
from engine.docker_calls import Calls
from engine.docker_map import items, mapping
from engine.docker_text import mask, number, text, texts
from engine.docker_transport import Client, Endpoint
from engine.errors import EngineError, NotFound
from engine.types import (
    ContainerInfo,
    ContainerSummary,
    EngineInfo,
    ImageInfo,
    ImageSummary,
    NetworkInfo,
    VolumeInfo,
)

MOST_PROCESSES = 1024
MOST_CHANGES = 10_000
AGAIN = 0.2
"""Seconds until an engine that is counting for somebody else is asked again."""
_PLAIN = {"Accept-Encoding": "identity"}
_CHANGE_KINDS = {0: "modified", 1: "added", 2: "deleted"}


class DockerReads:
    """The reading half of `engine.base.Engine`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint.url
        self._calls = Calls(endpoint)

    def close(self) -> None:
        """Nothing is kept between calls."""

    # Who is there

    def ping(self, *, deadline: float = 3) -> None:
        if not self._calls.run(lambda client: client.ping(), deadline=deadline):
            raise EngineError("This does not answer like a container engine.")

    def info(self, *, deadline: float = 5) -> EngineInfo:
        # Somebody may have replaced the engine since the last connection.
        self._calls.forget_version()

        def work(client: Client) -> EngineInfo:
            return docker_map_objects.engine_info(mapping(client.info()), str(client.api_version))

        return self._calls.run(work, deadline=deadline)

    # Containers

    def containers(self, *, deadline: float = 15) -> list[ContainerSummary]:
        found = self._calls.run(lambda client: client.containers(all=True), deadline=deadline)
        listed = [docker_map.summary(item) for item in items(found, 100_000)]
        return [summary for summary in listed if names.is_container_id(summary.native_id)]

    def container(self, native_id: str, *, deadline: float = 5) -> ContainerInfo:
        names.container_id(native_id)
        return self._inspect(native_id, deadline)

    def _inspect(self, reference: str, deadline: float) -> ContainerInfo:
        found = self._calls.run(lambda client: client.inspect_container(reference), deadline=deadline)
        info = docker_map.container(mapping(found))
        if not names.is_container_id(info.native_id):
            raise EngineError("The engine's answer makes no sense.")
        return info

    def find_container(self, name: str, *, deadline: float = 5) -> ContainerInfo | None:
        names.existing_container_name(name)
        try:
            info = self._inspect(name, deadline)
        except NotFound:
            return None
        # Engines also look through ids: "abc" may have found the container whose id starts with abc.
        return info if info.name == name else None

    def find_by_operation(self, operation_id: str, *, deadline: float = 5) -> ContainerInfo | None:
        label = f"{names.OPERATION_LABEL}={names.operation_id(operation_id)}"

        def work(client: Client) -> Any:
            for item in reversed(items(client.containers(all=True, filters={"label": [label]}))):
                # Containers inherit the labels of their image: one committed from ours is not ours.
                try:
                    image = mapping(client.inspect_image(names.image_id(item.get("ImageID"))))
                except docker.errors.NotFound:
                    image = {}
                inherited = mapping(mapping(image.get("Config")).get("Labels")).get(names.OPERATION_LABEL)
                if inherited != operation_id:
                    return client.inspect_container(names.container_id(item.get("Id")))
            return None

        found = self._calls.run(work, deadline=deadline)
        return docker_map.container(mapping(found)) if found else None

    def processes(self, native_id: str, *, deadline: float = 5) -> tuple[list[str], list[list[str]]]:
        names.container_id(native_id)
        found = mapping(self._calls.run(lambda client: client.top(native_id), deadline=deadline))
        titles = list(texts(found.get("Titles"), 32, 64))
        rows = found.get("Processes")
        return titles, [
            _process(row, len(titles)) for row in (rows if isinstance(rows, list) else [])[:MOST_PROCESSES]
        ]

    def changes(self, native_id: str, *, deadline: float = 10) -> list[tuple[str, str]]:
        names.container_id(native_id)
        found = self._calls.run(lambda client: client.diff(native_id), deadline=deadline)
        return [
            (_CHANGE_KINDS.get(number(item.get("Kind")), "modified"), text(item.get("Path"), 4096))
            for item in items(found, MOST_CHANGES)
        ]

    # Images

    def images(self, *, deadline: float = 15) -> list[ImageSummary]:
        found = self._calls.run(lambda client: client.images(), deadline=deadline)
        listed = [docker_map_objects.image_summary(item) for item in items(found, 100_000)]
        return [summary for summary in listed if names.is_image_id(summary.native_id)]

    def image(self, native_id: str, *, deadline: float = 10) -> ImageInfo:
        return self._image(names.image_id(native_id), deadline)

    def resolve_image(self, reference: str, *, deadline: float = 5) -> ImageInfo | None:
        try:
            return self._image(names.image_target(reference), deadline)
        except NotFound:
            return None

    def _image(self, reference: str, deadline: float) -> ImageInfo:
        def work(client: Client) -> ImageInfo:
            found = mapping(client.inspect_image(reference))
            native_id = found.get("Id")
            if not names.is_image_id(native_id):
                raise EngineError("The engine's answer makes no sense.")
            return docker_map_objects.image(found, client.history(str(native_id)))

        return self._calls.run(work, deadline=deadline)

    @contextmanager
    def saved(
        self, *references: str, should_stop: ShouldStop = never, deadline: float = 1800
    ) -> Iterator[Iterator[bytes]]:
        """See `engine.base.Engine.saved`."""
        wanted = [one if names.is_image_id(one) else str(names.tag_reference(one)) for one in references]

        def work(client: Client) -> Iterator[bytes]:
            for one in wanted:
                client.inspect_image(one)  # engines call it a fault of theirs where it is not there
            yield from client.open_stream("GET", "/images/get", {"names": wanted}, headers=_PLAIN)

        with self._calls.stream(work, deadline=deadline, should_stop=should_stop) as pieces:
            yield (piece for piece in pieces if piece)

    # Volumes and networks

    def volumes(self, *, deadline: float = 15) -> list[VolumeInfo]:
        found = mapping(self._calls.run(lambda client: client.volumes(), deadline=deadline))
        return [docker_map_objects.volume(item) for item in items(found.get("Volumes"), 100_000)]

    def volume(self, name: str, *, deadline: float = 5) -> VolumeInfo:
        names.volume_name(name)
        found = self._calls.run(lambda client: client.inspect_volume(name), deadline=deadline)
        return docker_map_objects.volume(mapping(found))

    def volume_sizes(self, *, deadline: float = 60) -> Mapping[str, int]:
        found = mapping(self._calls.run(lambda client: client.df(), deadline=deadline))
        listed = [docker_map_objects.volume(item) for item in items(found.get("Volumes"), 100_000)]
        return {volume.name: volume.size for volume in listed if volume.size is not None}

    def disk_usage(self, *, deadline: float = 60) -> DiskUsage:
        ends = time.monotonic() + deadline

        def work(client: Client) -> DiskUsage:
            return docker_map_objects.disk_usage(mapping(client.df()), client.images(all=True))

        while True:
            left = max(0.1, ends - time.monotonic())
            try:
                return self._calls.run(work, deadline=left)
            except EngineError as error:
                # Older engines count for one at a time, and send the others away.
                if "already running" not in error.message or left <= AGAIN:
                    raise
            time.sleep(AGAIN)

    def networks(self, *, deadline: float = 15) -> list[NetworkInfo]:
        found = self._calls.run(lambda client: client.networks(), deadline=deadline)
        return [docker_map_objects.network(item) for item in items(found, 10_000)]

    def network(self, native_id: str, *, deadline: float = 5) -> NetworkInfo:
        names.network_id(native_id)
        found = docker_map_objects.network(
            mapping(self._calls.run(lambda client: client.inspect_network(native_id), deadline=deadline))
        )
        if found.native_id != native_id:  # engines look through names too
            raise NotFound("This engine has no such network.")
        return found


def _process(row: object, columns: int) -> list[str]:
    """Podman tells a row as one string. Arguments may hold passwords as ``--password=…``."""
    cells = row.split(None, max(columns - 1, 0)) if isinstance(row, str) else list(texts(row, 32, 1024))
    return [text(" ".join(mask(word) for word in cell.split(" ")), 1024) for cell in cells]
