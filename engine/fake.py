"""An engine in memory, with time and faults, behind the same protocols as a real one.

`engine.tests.contract` is one suite that runs on it and on a real engine, so that it cannot drift. Programs are a
small part of a shell (`engine.fake_program`); what goes wrong is asked for with `World.fail`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO

from engine import docker_create, fake_build, names
from engine.base import Emit, ShouldStop, never
from engine.docker_logs import parameters
from engine.errors import Cancelled, Conflict, ImageNotFound, InUse, Invalid, NotFound, RegistryUnreachable
from engine.fake_clone import FakeClones
from engine.fake_data import FakeData
from engine.fake_files import FakeFiles
from engine.fake_networks import FakeNetworks
from engine.fake_program import exists, plan
from engine.fake_streams import FakeStreams
from engine.fake_world import Container, Image, Volume, World, new_world, updated, world
from engine.specs import BuildSpec, ContainerSpec, UpdateSpec, VolumeSpec
from engine.types import ContainerState, LogLine, Progress, VolumeInfo


class FakeEngine(FakeClones, FakeData, FakeFiles, FakeNetworks):
    """Implements `engine.base.Engine` on a `World`."""

    # Containers

    def create(self, spec: ContainerSpec, *, operation_id: str, deadline: float = 30) -> str:
        labels = docker_create.body(spec, operation_id)["Labels"]

        def work() -> str:
            image = self.world.find_image(spec.image)
            name = spec.name or f"fake_{self.world.new_id('name')[:8]}"
            self.world.require_free_name(name)
            for network in spec.networks:
                if network not in self.world.networks and network not in self.world.networks.values():
                    raise NotFound("This engine has no such network.")
            for mount in spec.mounts:
                if mount.type == "volume":
                    self.world.volumes.setdefault(mount.source, Volume(mount.source, self.world.now()))
            command = (
                *(spec.entrypoint or ()),
                *(spec.command if spec.command is not None else image.command),
            )
            native_id = self.world.new_id(name)
            self.world.containers[native_id] = Container(
                native_id,
                name,
                spec,
                image.native_id,
                command,
                {**image.labels, **labels},
                self.world.now(),
                plan(list(command)),
            )
            self.world.note("container", "create", native_id)
            return native_id

        return self._do("create", work, deadline, writes=True)

    def start(self, native_id: str, *, deadline: float = 30) -> None:
        names.container_id(native_id)

        def work() -> None:
            container = self._container(native_id)
            if container.state == ContainerState.PAUSED:
                raise Conflict("The container is paused: unpause it first.")
            if container.alive:
                return
            if not exists(container.command):
                raise Invalid("The container's command cannot be run: the image has no such program.")
            self.world.run(container)

        self._do("start", work, deadline, writes=True)

    def stop(self, native_id: str, *, timeout: int = 10, should_stop: ShouldStop = never) -> None:
        names.container_id(native_id)
        if type(timeout) is not int or not 0 <= timeout <= 300:
            raise Invalid("A stop time-out is a whole number of seconds from 0 to 300.")

        def ask() -> bool:
            container = self._container(native_id)
            container.wanted_end = True
            if container.alive and timeout > 0:
                self._signal(container, "TERM")
            return container.alive

        waited = 0.0
        alive = self._do("stop", ask, timeout + 15, writes=True)
        while alive and waited < timeout:
            if should_stop():
                raise Cancelled("Cancelled: the container was asked to end, and was not killed.")
            self.world.sleep(0.02)
            waited += 0.02
            self.world.tick()
            found = self.world.containers.get(native_id)
            alive = found is not None and found.alive
        with self.world.lock:
            if alive:
                self.world.end(self._container(native_id), 137)
            self.world.note("container", "stop", native_id)

    def restart(self, native_id: str, *, timeout: int = 10) -> None:
        self.stop(native_id, timeout=timeout)
        self._do("restart", lambda: self.world.run(self._container(native_id)), 30, writes=True)

    def kill(self, native_id: str, *, signal: str = "KILL", deadline: float = 15) -> None:
        names.container_id(native_id)
        names.signal(signal)

        def work() -> None:
            container = self._container(native_id)
            if not container.alive:
                raise Conflict("The container is not running.")
            self._signal(container, signal.removeprefix("SIG"))

        self._do("kill", work, deadline, writes=True)

    def _signal(self, container: Container, signal: str) -> None:
        self.world.note("container", "kill", container.native_id)
        if signal in ("KILL", "9"):
            container.wanted_end = True
            self.world.end(container, 137)
        elif signal in ("TERM", "15") and container.program.on_term is not None:
            container.wanted_end = True
            self.world.end(container, container.program.on_term)

    def pause(self, native_id: str, *, deadline: float = 15) -> None:
        names.container_id(native_id)

        def work() -> None:
            container = self._container(native_id)
            if container.state == ContainerState.PAUSED:
                raise Conflict("The container is paused already.")
            if container.state != ContainerState.RUNNING:
                raise Conflict("The container is not running.")
            container.state, container.paused = ContainerState.PAUSED, self.world.now()
            self.world.note("container", "pause", native_id)

        self._do("pause", work, deadline, writes=True)

    def unpause(self, native_id: str, *, deadline: float = 15) -> None:
        names.container_id(native_id)

        def work() -> None:
            container = self._container(native_id)
            if container.state != ContainerState.PAUSED:
                raise Conflict("The container is not paused.")
            container.started += self.world.now() - container.paused
            container.state = ContainerState.RUNNING
            self.world.note("container", "unpause", native_id)

        self._do("unpause", work, deadline, writes=True)

    def rename(self, native_id: str, name: str, *, deadline: float = 10) -> None:
        names.container_id(native_id)
        names.container_name(name)

        def work() -> None:
            container = self._container(native_id)
            self.world.require_free_name(name)
            container.name = name
            self.world.note("container", "rename", native_id)

        self._do("rename", work, deadline, writes=True)

    def remove(
        self, native_id: str, *, force: bool = False, volumes: bool = False, deadline: float = 60
    ) -> None:
        names.container_id(native_id)

        def work() -> None:
            container = self._container(native_id)
            if container.alive and not force:
                raise Conflict("The container is running: stop it first, or force it.")
            if container.alive:
                container.wanted_end = True
                self.world.end(container, 137)
            if native_id in self.world.containers:
                self.world.forget(container)

        self._do("remove", work, deadline, writes=True)

    def update(self, native_id: str, spec: UpdateSpec, *, deadline: float = 10) -> None:
        names.container_id(native_id)
        if spec.restart_policy is not None:
            names.restart_policy(spec.restart_policy)

        def work() -> None:
            container = self._container(native_id)
            container.spec = updated(container.spec, spec)
            self.world.note("container", "update", native_id)

        self._do("update", work, deadline, writes=True)

    def logs(
        self,
        native_id: str,
        *,
        tail: int | None = 1000,
        since_ns: int = 0,
        until_ns: int = 0,
        deadline: float = 20,
    ) -> Iterator[LogLine]:
        names.container_id(native_id)
        parameters(tail, since_ns, until_ns)

        def work() -> list[LogLine]:
            log = self._container(native_id).log
            bound = until_ns or 2**63
            last = log if tail is None else log[-tail:] if tail else []
            return [line for line in last if since_ns <= line.ts_ns <= bound]

        def lines() -> Iterator[LogLine]:
            yield from self._do("logs", work, deadline)

        return lines()

    # Images

    def pull(
        self, reference: str, *, emit: Emit, should_stop: ShouldStop = never, deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        target = str(names.ImageReference.parse(reference))

        def work() -> str:
            if not self.world.registry:
                raise RegistryUnreachable("The engine cannot reach the registry.")
            if target not in self.world.registry:
                raise ImageNotFound("The registry has no such image or tag.")
            total = self.world.registry[target]
            for done in range(total + 1):
                if should_stop():
                    raise Cancelled("Cancelled on its way.")
                emit(Progress(done, total, "layers", f"{done} of {total} layers", (f"layer {done}",)))
            found = next((image for image in self.world.images.values() if target in image.tags), None)
            native_id = found.native_id if found else self.world.add_image(target)
            self.world.note("image", "pull", target)
            return native_id

        return self._do("pull", work, deadline, writes=True, should_stop=should_stop)

    def push(
        self, reference: str, *, emit: Emit, should_stop: ShouldStop = never, deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        target = str(names.tag_reference(reference))

        def work() -> str:
            found = next((image for image in self.world.images.values() if target in image.tags), None)
            if found is None:
                raise ImageNotFound("This engine has no such image.")
            self.world.registry[target] = 1
            emit(Progress(1, 1, "layers", "1 of 1 layers"))
            return found.native_id

        return self._do("push", work, deadline, writes=True, should_stop=should_stop)

    def builder(self, wanted: str) -> tuple[str, str]:
        return "classic", "This engine has no BuildKit"

    def build(
        self, spec: BuildSpec, context: IO[bytes], *, emit: Emit, should_stop: ShouldStop = never,
        deadline: float = 1800, auths: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:  # fmt: skip
        self._do("build", lambda: None, deadline, writes=True, should_stop=should_stop)
        return fake_build.build(
            self.world, spec, context, emit=emit, should_stop=should_stop, deadline=deadline
        )

    def tag(self, native_id: str, reference: str, *, deadline: float = 10) -> None:
        names.image_id(native_id)
        target = str(names.tag_reference(reference))
        self._do(
            "tag", lambda: self.world.set_tag(self.world.find_image(native_id), target), deadline, writes=True
        )

    def untag(self, reference: str, *, deadline: float = 30) -> None:
        target = str(names.ImageReference.parse(reference))

        def work() -> None:
            image = self.world.find_image(target)
            if len(image.tags) == 1:
                self._require_unused(image)
            image.tags.discard(target)
            self.world.note("image", "untag", image.native_id)
            if not image.tags:
                self._delete(image)

        self._do("untag", work, deadline, writes=True)

    def remove_image(self, native_id: str, *, force: bool = False, deadline: float = 60) -> None:
        names.image_id(native_id)

        def work() -> None:
            image = self.world.find_image(native_id)
            self._require_unused(image, force=force)
            if len(image.tags) > 1 and not force:
                raise InUse("This image has several tags: remove them one by one, or force it.")
            self._delete(image)

        self._do("remove_image", work, deadline, writes=True)

    def _require_unused(self, image: Image, *, force: bool = False) -> None:
        users = [one for one in self.world.containers.values() if one.image_id == image.native_id]
        if any(one.alive for one in users) or (users and not force):
            raise InUse("Containers use this image: remove them first.")

    def _delete(self, image: Image) -> None:
        del self.world.images[image.native_id]
        self.world.note("image", "delete", image.native_id)

    # Volumes

    def create_volume(self, spec: VolumeSpec, *, deadline: float = 15) -> VolumeInfo:
        names.volume_name(spec.name)

        def work() -> None:
            if spec.name not in self.world.volumes:
                made = Volume(spec.name, self.world.now(), spec.driver, dict(spec.options), dict(spec.labels))
                self.world.volumes[spec.name] = made
                self.world.note("volume", "create", spec.name)

        self._do("create_volume", work, deadline, writes=True)
        return self.volume(spec.name)

    def remove_volume(self, name: str, *, force: bool = False, deadline: float = 30) -> None:
        names.volume_name(name)

        def work() -> None:
            mounts = [mount for one in self.world.containers.values() for mount in one.spec.mounts]
            if any(mount.type == "volume" and mount.source == name for mount in mounts):
                raise InUse("Containers use this volume: remove them first.")
            if self.world.volumes.pop(name, None) is None and not force:
                raise NotFound("This engine has no such volume.")
            self.world.note("volume", "destroy", name)

        self._do("remove_volume", work, deadline, writes=True)


__all__ = ["FakeEngine", "FakeStreams", "World", "new_world", "world"]
