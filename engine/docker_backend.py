"""A Docker engine (or one that speaks its interface) behind `engine.base.Engine`.

Calls go through the Docker SDK's low-level client, one client and one connection a call; see
`engine.docker_calls` for deadlines and `engine.docker_transport` for what the client must not do. Reads are in
`engine.docker_reads`, pulling and building in `engine.docker_pull` and `engine.docker_build`.

Nothing here judges whether a change had its effect: engines answer "done" to a start of what runs already and carry
out a stop whose caller has gone. The caller inspects again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from engine import (
    docker_build,
    docker_builders,
    docker_buildkit,
    docker_clone,
    docker_commit,
    docker_create,
    docker_data,
    docker_file_changes,
    docker_files,
    docker_logs,
    docker_map_objects,
    docker_networks,
    docker_pull,
    docker_update,
    names,
)
from engine.base import Emit, ShouldStop, never
from engine.changes import ChangeSpec
from engine.docker_load import DockerLoads
from engine.docker_map import mapping
from engine.docker_reads import DockerReads
from engine.docker_transport import Client
from engine.errors import AnswerLost, Cancelled, Conflict, DeadlineExceeded, EngineError, Invalid, NotFound
from engine.files import FileInfo, Listing, Place
from engine.specs import BuildSpec, ContainerSpec, EndpointSpec, NetworkSpec, UpdateSpec, VolumeSpec
from engine.types import ContainerState, LogLine, NetworkInfo, VolumeInfo


class DockerEngine(DockerReads, DockerLoads):
    """Implements `engine.base.Engine`. Keeps nothing but its address: cheap to make, safe to share."""

    def _do(self, work: Callable[[Client], Any], deadline: float, should_stop: ShouldStop = never) -> Any:
        return self._calls.run(work, deadline=deadline, writes=True, should_stop=should_stop)

    # Containers

    def create(self, spec: ContainerSpec, *, operation_id: str, deadline: float = 30) -> str:
        """Creates and returns the 64-hex id. The caller starts it.

        The image must be there (`ImageNotFound`): pulling is the caller's step. So must the networks (`NotFound`),
        which engines only find out at the start. Where a second network cannot be connected, the container is
        removed again and the error raised.
        """
        created = docker_create.body(spec, operation_id)

        def work(client: Client) -> str:
            for network in spec.networks:
                _require_network(client, network)
            answer = mapping(client.create_container_from_config(created, spec.name))
            if not names.is_container_id(answer.get("Id")):
                raise AnswerLost("The engine created a container, and its answer makes no sense.")
            native_id = str(answer["Id"])
            try:
                for network in spec.networks[1:]:
                    client.connect_container_to_network(native_id, names.network_reference(network))
            except Exception:
                client.remove_container(native_id, force=True, v=True)
                raise
            return native_id

        return str(self._do(work, deadline))

    def create_like(
        self,
        native_id: str,
        *,
        image: str,
        name: str,
        operation_id: str,
        changes: ChangeSpec | None = None,
        apart: bool = False,
        deadline: float = 30,
    ) -> str:
        """Creates another container with the settings of this one; see `engine.docker_clone`."""
        wish = docker_clone.Wish(
            names.container_id(native_id),
            names.image_target(image),
            names.container_name(name),
            names.operation_id(operation_id),
            changes,
            apart,
        )
        return str(self._do(lambda client: docker_clone.create(client, wish), deadline))

    def start(self, native_id: str, *, deadline: float = 30) -> None:
        """Starts. Where that fails (`PortInUse`, `Invalid` command), the container stays, for the caller to remove."""
        names.container_id(native_id)
        self._do(lambda client: client.start(native_id), deadline)

    def stop(self, native_id: str, *, timeout: int = 10, should_stop: ShouldStop = never) -> None:
        """Asks to end, and after ``timeout`` seconds kills. Bounded by ``timeout`` + 15 s.

        An engine carries a stop out to its end whoever has gone, the kill included. So the two halves are asked for
        one by one: the container's own stop signal (which also ends its restart policy, as a stop does), then,
        if nobody cancelled, the kill. A cancelled stop cannot take the signal back: it only never kills.
        """
        _timeout(timeout)
        ends = time.monotonic() + timeout + 15
        info = self.container(native_id)
        if info.state is ContainerState.RUNNING and timeout > 0:
            with contextlib.suppress(Conflict):  # it ended before the signal came
                self._do(lambda client: client.kill(native_id, info.stop_signal), 5)
            with contextlib.suppress(DeadlineExceeded, Cancelled):  # still running: killed below, or spared
                self._calls.run(
                    lambda client: client.wait(native_id, condition="not-running"),
                    deadline=min(timeout, ends - time.monotonic() - 2),
                    should_stop=should_stop,
                )
        if should_stop():
            raise Cancelled("Cancelled: the container was asked to end, and was not killed.")
        try:
            self._do(lambda client: client.stop(native_id, timeout=0), max(2, ends - time.monotonic()))
        except NotFound:
            if not info.auto_remove:
                raise

    def restart(self, native_id: str, *, timeout: int = 10) -> None:
        """Stops (bounded by ``timeout``) and starts. Bounded by ``timeout`` + 30 s."""
        names.container_id(native_id)
        _timeout(timeout)
        self._do(lambda client: client.restart(native_id, timeout=timeout), timeout + 30)

    def kill(self, native_id: str, *, signal: str = "KILL", deadline: float = 15) -> None:
        names.container_id(native_id)
        names.signal(signal)
        self._do(lambda client: client.kill(native_id, signal), deadline)

    def pause(self, native_id: str, *, deadline: float = 15) -> None:
        names.container_id(native_id)
        self._do(lambda client: client.pause(native_id), deadline)

    def unpause(self, native_id: str, *, deadline: float = 15) -> None:
        names.container_id(native_id)
        self._do(lambda client: client.unpause(native_id), deadline)

    def rename(self, native_id: str, name: str, *, deadline: float = 10) -> None:
        names.container_id(native_id)
        names.container_name(name)
        self._do(lambda client: client.rename(native_id, name), deadline)

    def remove(
        self, native_id: str, *, force: bool = False, volumes: bool = False, deadline: float = 60
    ) -> None:
        """``volumes``: also the container's anonymous volumes. ``force``: also when it runs (killed, not stopped)."""
        names.container_id(native_id)
        self._do(lambda client: client.remove_container(native_id, v=volumes, force=force), deadline)

    def update(self, native_id: str, spec: UpdateSpec, *, deadline: float = 10) -> None:
        """Running or not; the container itself goes on as it is. See `engine.docker_update`."""
        names.container_id(native_id)
        if spec.restart_policy is not None:
            names.restart_policy(spec.restart_policy)
        self._do(lambda client: docker_update.update(client, native_id, spec), deadline)

    def file_stats(
        self, native_id: str, paths: Sequence[str], *, deadline: float = 2
    ) -> Mapping[str, FileInfo]:
        names.container_id(native_id)
        return docker_files.stats(self._calls, native_id, paths, deadline)

    # Files: see `engine.base.Engine`

    def files(
        self, place: Place, path: str, *, most: int = 5000, hints: Sequence[str] = (), deadline: float = 4
    ) -> Listing:
        return docker_files.listing(self._calls, place, path, most=most, hints=hints, deadline=deadline)

    def peek(self, place: Place, path: str, *, most: int, deadline: float = 8) -> tuple[FileInfo, bytes]:
        return docker_files.peek(self._calls, place, path, most=most, deadline=deadline)

    def fetch(
        self,
        place: Place,
        path: str,
        out: IO[bytes],
        *,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 600,
    ) -> FileInfo:
        return docker_files.fetch(
            self._calls, place, path, out, most=most, should_stop=should_stop, deadline=deadline
        )

    def put_file(
        self,
        place: Place,
        path: str,
        data: IO[bytes],
        *,
        size: int,
        replace: bool,
        folders: bool = False,
        deadline: float = 600,
    ) -> None:
        docker_file_changes.put(
            self._calls, place, path, data, size=size, replace=replace, folders=folders, deadline=deadline
        )

    def remove_file(self, place: Place, path: str, *, deadline: float = 120) -> None:
        docker_file_changes.remove(self._calls, place, path, deadline=deadline)

    def rename_file(self, place: Place, path: str, name: str, *, deadline: float = 30) -> None:
        docker_file_changes.rename(self._calls, place, path, name, deadline=deadline)

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
        return docker_data.copy_out(
            self._calls, native_id, paths, out, most=most, should_stop=should_stop, deadline=deadline
        )

    def commit(self, native_id: str, reference: str, *, message: str = "", deadline: float = 600) -> str:
        names.container_id(native_id)
        return docker_commit.commit(self._calls, native_id, names.tag_reference(reference), message, deadline)

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
        return docker_commit.export(
            self._calls, native_id, out, most=most, should_stop=should_stop, deadline=deadline
        )

    def logs(
        self,
        native_id: str,
        *,
        tail: int | None = 1000,
        since_ns: int = 0,
        until_ns: int = 0,
        deadline: float = 20,
    ) -> Iterator[LogLine]:
        """See `engine.base.Engine.logs`."""
        names.container_id(native_id)
        return docker_logs.read(
            self._calls, native_id, tail=tail, since_ns=since_ns, until_ns=until_ns, deadline=deadline
        )

    # Images

    def pull(
        self, reference: str, *, emit: Emit, should_stop: ShouldStop = never, deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Pulls, with progress by layer, and returns the image's native id."""
        target = names.ImageReference.parse(reference)
        docker_pull.pull(docker_pull.Way(self._calls, emit, should_stop, deadline, auth), target)
        found = self.resolve_image(str(target))
        if found is None:
            raise EngineError("The engine said that it has pulled the image, and does not have it.")
        return found.native_id

    def push(
        self, reference: str, *, emit: Emit, should_stop: ShouldStop = never, deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Sends a tag to its registry, and returns its digest there; empty where the engine did not say."""
        target = names.tag_reference(reference)
        return docker_pull.push(docker_pull.Way(self._calls, emit, should_stop, deadline, auth), target)

    def builder(self, wanted: str) -> tuple[str, str]:
        return docker_builders.choose(self._do(lambda client: client.told(), 10), wanted)

    def build(
        self, spec: BuildSpec, context: IO[bytes], *, emit: Emit, should_stop: ShouldStop = never,
        deadline: float = 1800, auths: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:  # fmt: skip
        """Builds from an uncompressed tar and returns the image's native id; see `engine.docker_build`."""
        way = docker_buildkit.build if spec.builder == docker_builders.BUILDKIT else docker_build.build
        return way(
            self._calls,
            spec,
            context,
            emit=emit,
            should_stop=should_stop,
            deadline=deadline,
            auths=auths or {},
        )

    def tag(self, native_id: str, reference: str, *, deadline: float = 10) -> None:
        names.image_id(native_id)
        target = names.tag_reference(reference)
        self._do(lambda client: client.tag(native_id, target.name, target.tag, force=True), deadline)

    def untag(self, reference: str, *, deadline: float = 30) -> None:
        """Takes a tag away. An image's last one takes the image with it, where no container uses it."""
        target = str(names.ImageReference.parse(reference))
        self._do(lambda client: client.remove_image(target), deadline)

    def remove_image(self, native_id: str, *, force: bool = False, deadline: float = 60) -> None:
        """Removes the image with its tags. Without ``force`` only one with at most one tag and no container."""
        names.image_id(native_id)
        self._do(lambda client: client.remove_image(native_id, force=force), deadline)

    # Networks

    def create_network(self, spec: NetworkSpec, *, deadline: float = 30) -> NetworkInfo:
        names.new_network_name(spec.name)
        names.driver_name(spec.driver)
        return self.network(str(self._do(lambda client: docker_networks.create(client, spec), deadline)))

    def remove_network(self, native_id: str, *, deadline: float = 30) -> None:
        names.network_id(native_id)
        self._do(lambda client: client.remove_network(native_id), deadline)

    def connect_network(
        self, native_id: str, container: str, spec: EndpointSpec, *, deadline: float = 15
    ) -> None:
        names.network_id(native_id)
        names.container_id(container)
        self._do(lambda client: docker_networks.connect(client, native_id, container, spec), deadline)

    def disconnect_network(self, native_id: str, container: str, *, deadline: float = 15) -> None:
        names.network_id(native_id)
        names.container_id(container)
        self._do(lambda client: client.disconnect_container_from_network(container, native_id), deadline)

    # Volumes

    def create_volume(self, spec: VolumeSpec, *, deadline: float = 15) -> VolumeInfo:
        """Engines answer with the old volume where the name is taken, labels ignored: look before."""
        names.volume_name(spec.name)
        names.driver_name(spec.driver)

        def work(client: Client) -> Any:
            options = dict(spec.options) or None
            return client.create_volume(spec.name, spec.driver, options, dict(spec.labels) or None)

        return docker_map_objects.volume(mapping(self._do(work, deadline)))

    def remove_volume(self, name: str, *, force: bool = False, deadline: float = 30) -> None:
        names.volume_name(name)
        self._do(lambda client: client.remove_volume(name, force=force), deadline)

    def read_volume(
        self, name: str, out: IO[bytes], *, operation_id: str, most: int, should_stop: ShouldStop = never,
        deadline: float = 600,
    ) -> int:  # fmt: skip
        names.volume_name(name)
        return docker_data.read_volume(
            self._calls, name, out, operation_id=operation_id, most=most, should_stop=should_stop, deadline=deadline
        )  # fmt: skip

    def write_volume(self, name: str, data: IO[bytes], *, operation_id: str, deadline: float = 600) -> None:
        names.volume_name(name)
        docker_data.write_volume(self._calls, name, data, operation_id=operation_id, deadline=deadline)


def _require_network(client: Client, reference: str) -> None:
    """Engines also take the beginning of an id for a name."""
    found = mapping(client.inspect_network(names.network_reference(reference)))
    if reference not in (found.get("Name"), found.get("Id")):
        raise NotFound("This engine has no such network.")


def _timeout(seconds: int) -> None:
    if type(seconds) is not int or not 0 <= seconds <= 300:
        raise Invalid("A stop time-out is a whole number of seconds from 0 to 300.")
