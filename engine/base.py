"""The two protocols every engine backend has: calls that end, and streams that do not.

Every method is bounded by a hard deadline of its own (``deadline`` seconds of wall clock, whatever the
peer does) and raises only `engine.errors.EngineError` and its children. Identifiers are checked against
the patterns of `engine.names` before anything is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import IO, Protocol, runtime_checkable

from engine.changes import ChangeSpec
from engine.disk import DiskUsage
from engine.files import FileInfo, Listing, Place
from engine.specs import BuildSpec, ContainerSpec, EndpointSpec, NetworkSpec, UpdateSpec, VolumeSpec
from engine.terminal import Console, Program
from engine.types import (
    ContainerInfo,
    ContainerSummary,
    EngineInfo,
    Event,
    FirstProcess,
    ImageInfo,
    ImageSummary,
    LogHole,
    LogLine,
    NetworkInfo,
    Progress,
    StatsSample,
    VolumeInfo,
)

Emit = Callable[[Progress], None]
ShouldStop = Callable[[], bool]
"""Asked between steps and at least every 200 ms while waiting; true means: stop and raise `Cancelled`."""


Missing = Callable[[LogHole], None]


def never() -> bool:
    """The `ShouldStop` of callers that cannot be cancelled."""
    return False


@runtime_checkable
class Engine(Protocol):
    """Calls that end. Blocking; safe to use from several threads."""

    endpoint: str

    # Who is there
    def ping(self, *, deadline: float = 3) -> None: ...
    def info(self, *, deadline: float = 5) -> EngineInfo: ...

    # Facts
    def containers(self, *, deadline: float = 15) -> list[ContainerSummary]: ...
    def container(self, native_id: str, *, deadline: float = 5) -> ContainerInfo: ...
    def find_container(self, name: str, *, deadline: float = 5) -> ContainerInfo | None: ...
    def find_by_operation(self, operation_id: str, *, deadline: float = 5) -> ContainerInfo | None:
        """The container that an earlier attempt of this operation made, by the label we set at creation."""

    def images(self, *, deadline: float = 15) -> list[ImageSummary]: ...
    def image(self, native_id: str, *, deadline: float = 10) -> ImageInfo: ...
    def resolve_image(self, reference: str, *, deadline: float = 5) -> ImageInfo | None:
        """The image that this reference points at here, or ``None``."""

    def volumes(self, *, deadline: float = 15) -> list[VolumeInfo]: ...
    def volume(self, name: str, *, deadline: float = 5) -> VolumeInfo: ...
    def networks(self, *, deadline: float = 15) -> list[NetworkInfo]: ...
    def network(self, native_id: str, *, deadline: float = 5) -> NetworkInfo: ...
    def volume_sizes(self, *, deadline: float = 60) -> Mapping[str, int]: ...
    def disk_usage(self, *, deadline: float = 60) -> DiskUsage:
        """What everything takes. Engines count on demand, which takes as long as there are files."""

    # Containers
    def create(self, spec: ContainerSpec, *, operation_id: str, deadline: float = 30) -> str:
        """Creates and returns the 64-hex id. The caller pulls the image before, and starts the container after."""

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
        """Creates another container with the settings of this one, and returns its id. Its environment never leaves
        the engine room.

        What came from the old one's image is left to the new one's. Volumes are the same ones, those without a name
        too. ``changes`` say what is to be other. ``apart``: beside the old one, so host ports are the engine's to
        choose unless changed, and nameless volumes and addresses are its own. `Conflict` where it has something that
        cannot be had twice, or that is not known here, or where a value is to be kept that is not there.
        """

    def start(self, native_id: str, *, deadline: float = 30) -> None: ...
    def stop(self, native_id: str, *, timeout: int = 10, should_stop: ShouldStop = never) -> None:
        """Asks to end, and after ``timeout`` seconds kills, unless cancelled before. Bounded by ``timeout`` + 15 s."""

    def restart(self, native_id: str, *, timeout: int = 10) -> None: ...
    def kill(self, native_id: str, *, signal: str = "KILL", deadline: float = 15) -> None: ...
    def pause(self, native_id: str, *, deadline: float = 15) -> None: ...
    def unpause(self, native_id: str, *, deadline: float = 15) -> None: ...
    def rename(self, native_id: str, name: str, *, deadline: float = 10) -> None: ...
    def update(self, native_id: str, spec: UpdateSpec, *, deadline: float = 10) -> None:
        """Changes its limits and its restart policy, running or not: all of it or nothing.

        The swap that it may use beside its memory stays as much as it is. `Conflict`: a limit that cannot be taken
        away (`engine.specs.STAYS`), less memory than it uses (some engines end it instead), or a restart policy for
        one that removes itself.
        """

    def remove(
        self, native_id: str, *, force: bool = False, volumes: bool = False, deadline: float = 60
    ) -> None: ...
    def processes(self, native_id: str, *, deadline: float = 5) -> tuple[list[str], list[list[str]]]:
        """``(titles, rows)`` of the processes in a running container."""

    def changes(self, native_id: str, *, deadline: float = 10) -> list[tuple[str, str]]:
        """``(kind, path)`` of the writable layer; kind is added, modified or deleted."""

    def file_stats(
        self, native_id: str, paths: Sequence[str], *, deadline: float = 2
    ) -> Mapping[str, FileInfo]:
        """What stands at these paths, links not followed; what could not be told in time is left out."""

    # Files, of containers that run or do not, and of volumes. Paths are absolute within the place; a path that leads
    # out of it, or to what is closed, is `PolicyDenied`; what is not there, `NotFound`; of another kind, `Conflict`.

    def files(
        self, place: Place, path: str, *, most: int = 5000, hints: Sequence[str] = (), deadline: float = 4
    ) -> Listing:
        """What lies in a folder; at most ``most`` entries, and no longer than ``deadline`` seconds plus a few.

        Engines send all that lies below, so that a listing may not come to its end: then it asks after ``hints``.
        """

    def peek(self, place: Place, path: str, *, most: int, deadline: float = 8) -> tuple[FileInfo, bytes]:
        """A file, and its first ``most`` bytes."""

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
        """Writes a file, or a folder as a tar. `TooLarge` beyond ``most`` bytes."""

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
        """Writes a file of ``size`` bytes. One that is there keeps owner and mode (without its set-id bits); a new one
        belongs to the owner of its folder. `NameInUse` where it is there and shall not be replaced. ``folders``: those
        above it that are not there are made, else `NotFound`."""

    def remove_file(self, place: Place, path: str, *, deadline: float = 120) -> None:
        """Removes a file, a link, or a folder with all that is in it; for good. `Conflict` where something is mounted
        in it."""

    def rename_file(self, place: Place, path: str, name: str, *, deadline: float = 30) -> None:
        """Gives a file or a link another name in its folder. `NameInUse` where that is taken; folders are refused."""

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
        """Writes a tar of exactly these paths, and returns the bytes of files in it. `TooLarge` beyond ``most``."""

    def commit(self, native_id: str, reference: str, *, message: str = "", deadline: float = 600) -> str:
        """Makes an image of it under that name, volumes left out, and returns the image's id."""

    def export(
        self,
        native_id: str,
        out: IO[bytes],
        *,
        most: int,
        should_stop: ShouldStop = never,
        deadline: float = 3600,
    ) -> int:
        """Writes its whole file system as a tar, volumes left out; the bytes of that. `TooLarge` beyond ``most``."""

    def logs(
        self,
        native_id: str,
        *,
        tail: int | None = 1000,
        since_ns: int = 0,
        until_ns: int = 0,
        deadline: float = 20,
    ) -> Iterator[LogLine]:
        """The last ``tail`` lines (at most 500,000, and 16 MiB), those of them between two times; oldest first.

        A time of 0 is no bound. Without a ``tail`` (``None``) it is all that the engine holds: who asks stops in time.
        """

    # Images
    def pull(
        self,
        reference: str,
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:
        """Pulls, with progress by layer, and returns the image's native id. ``auth``: ``username``, ``password`` and
        ``serveraddress`` for its registry; without, nobody's."""

    def push(
        self,
        reference: str,
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 900,
        auth: Mapping[str, str] | None = None,
    ) -> str:
        """Sends a tag to its registry, and returns its digest there; empty where the engine did not say."""

    def builder(self, wanted: str) -> tuple[str, str]:
        """Which builder it builds with where ``wanted`` (auto, buildkit, classic) is asked for, and why.

        `Invalid` where it has no BuildKit and that is wanted.
        """

    def build(
        self,
        spec: BuildSpec,
        context: IO[bytes],
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 1800,
        auths: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:
        """Builds from an uncompressed tar and returns the image's native id; with BuildKit where the spec says so.

        Emits `Progress` with ``unit="steps"`` and ``extra={"step": n, "instruction": "RUN …", "cached": bool}``
        at each step, output lines in ``log``. BuildKit's have ``state``, ``seconds``, ``started_at``, ``stage`` and
        ``place`` ("2/3" within the stage) too, and several run at once. Cancelling ends the build at the engine.
        ``auths``: ``username`` and ``password`` for registries of base images, by host.
        """

    def saved(
        self, *references: str, should_stop: ShouldStop = never, deadline: float = 1800
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Images with all of their layers as one tar, in pieces as they come; see `engine.layers` for what is in it.

        Each by its id, or by a tag, which is then in the tar too.

        Engines may put the whole of it together on their disk before the first piece.
        """

    def tag(self, native_id: str, reference: str, *, deadline: float = 10) -> None: ...
    def untag(self, reference: str, *, deadline: float = 30) -> None:
        """Takes a tag away. An image's last one takes the image with it, where no container uses it."""

    def prune_cache(self, native_id: str, *, deadline: float = 60) -> bool:
        """Removes one record of the build cache; false where it stays, since something uses it or stands on it."""

    def load(
        self,
        data: IO[bytes],
        size: int,
        *,
        emit: Emit,
        should_stop: ShouldStop = never,
        deadline: float = 3600,
    ) -> list[str]:
        """Takes in what `saved` gave, of ``size`` bytes; what the engine says that it has loaded. Tags move silently.

        What it had taken before an error, or before it was told to stop, stays.
        """

    def remove_image(self, native_id: str, *, force: bool = False, deadline: float = 60) -> None: ...

    # Networks
    def create_network(self, spec: NetworkSpec, *, deadline: float = 30) -> NetworkInfo:
        """`NameInUse` where one has the name; `Conflict` where its addresses overlap with those of another."""

    def remove_network(self, native_id: str, *, deadline: float = 30) -> None:
        """`InUse` while running containers are on it. Stopped ones do not keep it."""

    def connect_network(
        self, native_id: str, container: str, spec: EndpointSpec, *, deadline: float = 15
    ) -> None:
        """Puts a container on it, running or not. `Conflict` where it is there already, or cannot be."""

    def disconnect_network(self, native_id: str, container: str, *, deadline: float = 15) -> None:
        """Takes a container off it. `Conflict` where it is not on it."""

    # Volumes
    def create_volume(self, spec: VolumeSpec, *, deadline: float = 15) -> VolumeInfo: ...
    def remove_volume(self, name: str, *, force: bool = False, deadline: float = 30) -> None: ...
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
        """Writes all that is in it as an uncompressed tar, and returns its bytes. `TooLarge` beyond ``most``."""

    def write_volume(self, name: str, data: IO[bytes], *, operation_id: str, deadline: float = 600) -> None:
        """Puts back what `read_volume` wrote, from where ``data`` stands."""

    def close(self) -> None: ...


@runtime_checkable
class EngineStreams(Protocol):
    """Streams, on asyncio. Each is a context manager, so that leaving it frees the engine's socket."""

    endpoint: str

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Container, image, volume and network events from now on; ends or raises when the engine goes away."""

    def logs(
        self,
        native_id: str,
        *,
        tty: bool,
        tail: int = 1000,
        cursor: Mapping[int, tuple[int, int]] | None = None,
        follow: bool = True,
        rotates_at: int = 0,
        missing: Missing | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[LogLine]]]:
        """Batches of lines as they come (never empty). ``cursor``: stream → ``(ts_ns, n)`` of the last line had.

        With a cursor nothing is sent twice and nothing the engine still holds is left out.
        ``rotates_at``: bytes at which the engine begins another file of this log, 0 for never. What it leaves out
        then is told to ``missing``, at its place between the batches or, where only reading again showed it, behind.
        Ends when the container has ended and everything was read.
        """

    async def stats(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[StatsSample]:
        """One reading of each running container, all asked for at once (at most 50 in flight)."""

    async def first_processes(self, native_ids: Sequence[str], *, deadline: float = 8) -> list[FirstProcess]:
        """The first process of each running container, for `engine.cgroups`; one inspection each."""

    def exec(self, native_id: str, program: Program) -> AbstractAsyncContextManager[Console]:
        """Runs a program at a terminal in a running container. Leaving ends nothing but the connection:
        `end_marked` ends the program.
        """

    def attach(
        self, native_id: str, *, tty: bool, stdin: bool, columns: int = 80, rows: int = 24
    ) -> AbstractAsyncContextManager[Console]:
        """The container's own first process: what it writes from now on, and with ``stdin`` what it is told.

        Leaving ends nothing and sends nothing; an engine closes the input of a container that was made to have it once.
        """

    async def end_marked(
        self, native_id: str, mark: str, *, user: str = "", leader: int = 0, deadline: float = 20
    ) -> int:
        """Ends all processes of `Program.mark`: asks them, then kills until none is found, and returns how many are
        left. ``user`` is who ran the program, ``leader`` its process where that is known, which is looked for from
        outside too. 0 also where the container does not run any more; `Conflict` where it is paused.
        """

    async def ping(self, *, deadline: float = 3) -> None: ...


__all__ = ["Emit", "Engine", "EngineStreams", "Missing", "ShouldStop", "never"]
