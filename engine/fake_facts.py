"""The fake engine's objects as facts, and the reading half of the fake."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from engine import names, reach
from engine.base import ShouldStop, never
from engine.disk import DiskUsage, ImageUsage
from engine.docker_text import MASK, is_secret_name
from engine.errors import (
    AnswerLost,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    EngineError,
    NotFound,
    Unreachable,
)
from engine.fake_world import NANO, Container, Image, Volume, World
from engine.specs import EndpointSpec
from engine.types import (
    ContainerInfo,
    ContainerState,
    ContainerSummary,
    EngineInfo,
    ImageInfo,
    ImageSummary,
    MountInfo,
    NetworkAttachment,
    PortInfo,
    VolumeInfo,
)

T = TypeVar("T")


def moment(ns: int) -> datetime | None:
    return datetime.fromtimestamp(ns / NANO, UTC) if ns else None


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode("utf-8", "replace"), digest_size=12).hexdigest()


class FakeReads:
    """Implements the reading half of `engine.base.Engine` on a `World`."""

    def __init__(self, world: World, endpoint: str = "fake://fake") -> None:
        self.world = world
        self.endpoint = endpoint

    def close(self) -> None:
        """Nothing to close."""

    def _do(
        self,
        call: str,
        work: Callable[[], T],
        deadline: float,
        *,
        writes: bool = False,
        should_stop: ShouldStop = never,
    ) -> T:
        """Does ``work`` with the world's faults."""
        world = self.world
        if not world.up:
            raise Unreachable("The engine does not answer: nothing listens at its address.")
        world.tick()
        if should_stop():
            raise Cancelled("Cancelled on its way.")
        fault = world.take_fault(call)
        if fault is None:
            with world.lock:
                return work()
        if fault.kind == "refuse":
            raise Unreachable("The engine does not answer: nothing listens at its address.")
        if fault.kind == "lose_answer":
            with world.lock:
                work()
            raise (AnswerLost if writes else Unreachable)("The connection to the engine broke.")
        if fault.kind == "error":
            raise fault.error or EngineError("The engine refused.")
        if fault.kind == "late":
            world.later(work)
        self._hang(deadline, should_stop)
        raise DeadlineExceeded(f"The engine did not answer within {deadline:g} seconds.")

    def _hang(self, deadline: float, should_stop: ShouldStop) -> None:
        waited = 0.0
        while waited < deadline:
            if should_stop():
                raise Cancelled("Cancelled on its way.")
            self.world.sleep(min(0.05, deadline - waited))
            waited += 0.05

    def _container(self, native_id: str) -> Container:
        found = self.world.containers.get(native_id)
        if found is None:
            raise NotFound("This engine has no such container.")
        return found

    # Who is there

    def ping(self, *, deadline: float = 3) -> None:
        self._do("ping", lambda: None, deadline)

    def info(self, *, deadline: float = 5) -> EngineInfo:
        info = EngineInfo(
            "FAKE:" + _hash(self.endpoint), "fake", "0.0", "1.41", "Fake", "x86_64", 2, 2**31, "memory"
        )
        return self._do("info", lambda: info, deadline)

    # Containers

    def containers(self, *, deadline: float = 15) -> list[ContainerSummary]:
        def work() -> list[ContainerSummary]:
            infos = [self._info(container) for container in self.world.containers.values()]
            return [
                ContainerSummary(i.native_id, i.name, i.state, i.fingerprint, _since(i), i.image_id)
                for i in infos
            ]

        return self._do("containers", work, deadline)

    def container(self, native_id: str, *, deadline: float = 5) -> ContainerInfo:
        names.container_id(native_id)
        return self._do("container", lambda: self._info(self._container(native_id)), deadline)

    def find_container(self, name: str, *, deadline: float = 5) -> ContainerInfo | None:
        names.existing_container_name(name)

        def work() -> ContainerInfo | None:
            found = self.world.container_named(name)
            return self._info(found) if found else None

        return self._do("find_container", work, deadline)

    def find_by_operation(self, operation_id: str, *, deadline: float = 5) -> ContainerInfo | None:
        names.operation_id(operation_id)

        def work() -> ContainerInfo | None:
            for container in self.world.containers.values():
                image = self.world.images.get(container.image_id)
                inherited = image.labels.get(names.OPERATION_LABEL) if image else None
                if container.labels.get(names.OPERATION_LABEL) == operation_id != inherited:
                    return self._info(container)
            return None

        return self._do("find_by_operation", work, deadline)

    def processes(self, native_id: str, *, deadline: float = 5) -> tuple[list[str], list[list[str]]]:
        names.container_id(native_id)

        def work() -> tuple[list[str], list[list[str]]]:
            container = self._container(native_id)
            if not container.alive:
                raise Conflict("The container is not running.")
            return ["UID", "PID", "CMD"], [["root", "4242", " ".join(container.command)]]

        return self._do("processes", work, deadline)

    def changes(self, native_id: str, *, deadline: float = 10) -> list[tuple[str, str]]:
        names.container_id(native_id)

        def work() -> list[tuple[str, str]]:
            return [("added", mount.target) for mount in self._container(native_id).spec.mounts]

        return self._do("changes", work, deadline)

    def _info(self, container: Container) -> ContainerInfo:
        spec, image = container.spec, self.world.images.get(container.image_id)
        variables = {**(image.environment if image else {}), **spec.environment, **spec.secrets}
        masked = {k: MASK if k in spec.secrets or is_secret_name(k) else v for k, v in variables.items()}
        ports = tuple(
            PortInfo(
                port.container,
                port.protocol,
                container.ports[i] if container.ports else port.host,
                port.host_ip or "0.0.0.0",  # noqa: S104 - as engines tell it
            )
            for i, port in enumerate(spec.ports)
        )
        networks = tuple(self._attachment(container, name) for name in spec.networks or ("bridge",))
        health = self.world.health_of(container)
        check = spec.healthcheck
        exit_code = container.exit_code if container.state != ContainerState.RUNNING else None
        return ContainerInfo(
            native_id=container.native_id,
            name=container.name,
            state=container.state,
            health=health,
            image_id=container.image_id,
            image_ref=spec.image,
            command=container.command,
            entrypoint=spec.entrypoint or (),
            created_at=moment(container.created),
            started_at=moment(container.started),
            finished_at=moment(container.finished),
            exit_code=exit_code,
            oom_killed=False,
            error="",
            restart_count=container.restart_count,
            pid=4242 if container.alive else 0,
            tty=spec.tty,
            restart_policy=spec.restart_policy,
            restart_max_retries=spec.restart_max_retries,
            memory_limit=spec.memory,
            cpu_limit=spec.cpus,
            pids_limit=spec.pids,
            privileged=spec.privileged,
            auto_remove=spec.auto_remove,
            hostname=spec.hostname or container.native_id[:12],
            user=spec.user or "",
            working_dir=spec.working_dir or "",
            log_driver="json-file",
            stop_signal="SIGTERM",
            stop_timeout=None,
            environment=masked,
            labels=dict(container.labels),
            ports=ports,
            mounts=tuple(
                sorted((MountInfo(m.type, m.source, m.target, m.read_only) for m in spec.mounts), key=_target)
            ),
            networks=networks,
            healthcheck={"test": list(check.test), "interval": check.interval} if check else {},
            fingerprint=_hash(
                container.name, container.state, health, exit_code, container.started, ports, networks
            ),
            inspect={
                "Id": container.native_id,
                "Name": f"/{container.name}",
                "State": {"Status": str(container.state)},
                "Config": {"Env": [f"{name}={value}" for name, value in masked.items()]},
            },
            reach=reach.asked_by(spec),
        )

    def _attachment(self, container: Container, name: str) -> NetworkAttachment:
        live = container.alive and name not in ("host", "none")
        number = list(self.world.containers).index(container.native_id) + 2
        wanted = container.endpoints.get(name, EndpointSpec())
        return NetworkAttachment(
            name,
            self.world.networks.get(name, ""),
            wanted.ip or f"172.17.0.{number}" if live else "",
            aliases=wanted.aliases,
        )

    # Images

    def images(self, *, deadline: float = 15) -> list[ImageSummary]:
        def work() -> list[ImageSummary]:
            return [
                ImageSummary(
                    i.native_id,
                    i.tags,
                    i.digests,
                    i.size,
                    i.created_at,
                    i.labels,
                    i.parent_id,
                    i.fingerprint,
                )
                for i in map(self._image_info, self.world.images.values())
            ]

        return self._do("images", work, deadline)

    def image(self, native_id: str, *, deadline: float = 10) -> ImageInfo:
        names.image_id(native_id)
        return self._do("image", lambda: self._image_info(self.world.find_image(native_id)), deadline)

    def resolve_image(self, reference: str, *, deadline: float = 5) -> ImageInfo | None:
        target = names.image_target(reference)
        try:
            return self._do(
                "resolve_image", lambda: self._image_info(self.world.find_image(target)), deadline
            )
        except NotFound:
            return None

    def _image_info(self, image: Image) -> ImageInfo:
        tags = tuple(sorted(image.tags))
        return ImageInfo(
            native_id=image.native_id,
            tags=tags,
            digests=image.digests,
            size=sum(layer.size for layer in image.layers),
            created_at=moment(image.created),
            labels=dict(image.labels),
            parent_id=image.parent_id,
            architecture="amd64",
            os="linux",
            author="",
            config={"Cmd": list(image.command), "Env": [f"{k}={v}" for k, v in image.environment.items()]},
            layers=image.layers,
            stack=tuple(layer.digest for layer in image.layers if layer.digest),
            fingerprint=_hash(image.native_id, tags, image.digests),
        )

    # Volumes

    def volumes(self, *, deadline: float = 15) -> list[VolumeInfo]:
        return self._do("volumes", lambda: [_volume(one) for one in self.world.volumes.values()], deadline)

    def volume(self, name: str, *, deadline: float = 5) -> VolumeInfo:
        names.volume_name(name)

        def work() -> VolumeInfo:
            if name not in self.world.volumes:
                raise NotFound("This engine has no such volume.")
            return _volume(self.world.volumes[name])

        return self._do("volume", work, deadline)

    def volume_sizes(self, *, deadline: float = 60) -> Mapping[str, int]:
        return self._do("volume_sizes", lambda: dict.fromkeys(self.world.volumes, 0), deadline)

    def disk_usage(self, *, deadline: float = 60) -> DiskUsage:
        def work() -> DiskUsage:
            images = self.world.images.values()
            holders = Counter(layer.digest for one in images for layer in one.layers)
            sizes = {layer.digest: layer.size for one in images for layer in one.layers}
            return DiskUsage(
                sum(sizes.values()),
                dict.fromkeys(self.world.containers, 0),
                {
                    one.native_id: ImageUsage(
                        sum(layer.size for layer in one.layers),
                        sum(layer.size for layer in one.layers if holders[layer.digest] > 1),
                    )
                    for one in images
                },
                {one.name: len(one.content) for one in self.world.volumes.values()},
                {one.native_id: one.parent_id for one in images if one.parent_id},
            )

        return self._do("disk_usage", work, deadline)


def _target(mount: MountInfo) -> str:
    return mount.target


def _since(info: ContainerInfo) -> datetime | None:
    return info.started_at if info.state == ContainerState.RUNNING else info.finished_at


def _volume(volume: Volume) -> VolumeInfo:
    anonymous = names.is_anonymous_volume(volume.name)
    return VolumeInfo(
        volume.name,
        volume.driver,
        "local",
        moment(volume.created),
        dict(volume.labels),
        dict(volume.options),
        anonymous,
    )
