"""The fake engine's world: what there is, what time it is, and what goes wrong on purpose.

Several backends and streams can look at one world, as several processes look at one engine. Things happen when
somebody looks: `World.tick` lets every container do what it should have done by now.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import Conflict, EngineError, ImageNotFound, NameInUse, PortInUse
from engine.fake_program import Program
from engine.specs import ENDS_FOR_GOOD, STAYS, ContainerSpec, EndpointSpec, NetworkSpec, UpdateSpec
from engine.types import ContainerState, Event, Health, LayerInfo, LogLine

NANO = 10**9
FIRST_FREE_PORT = 49153


@dataclass(slots=True)
class Container:
    """One container. Times are nanoseconds since 1970, 0: never."""

    native_id: str
    name: str
    spec: ContainerSpec
    image_id: str
    command: tuple[str, ...]
    labels: dict[str, str]
    created: int
    program: Program
    state: ContainerState = ContainerState.CREATED
    started: int = 0
    finished: int = 0
    paused: int = 0
    exit_code: int | None = None
    restart_count: int = 0
    said: int = 0
    wanted_end: bool = False
    ports: list[int] = field(default_factory=list)
    endpoints: dict[str, EndpointSpec] = field(default_factory=dict)
    log: list[LogLine] = field(default_factory=list)
    files: dict[str, bytes | None] = field(default_factory=dict)
    """Path → content, ``None`` for a folder."""

    @property
    def alive(self) -> bool:
        return self.state in (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


@dataclass(slots=True)
class Image:
    """One image."""

    native_id: str
    tags: set[str]
    created: int
    labels: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("sh",)
    parent_id: str = ""
    layers: tuple[LayerInfo, ...] = ()
    digests: tuple[str, ...] = ()


@dataclass(slots=True)
class Volume:
    """One volume."""

    name: str
    created: int
    driver: str = "local"
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    files: dict[str, bytes | None] = field(default_factory=dict)


@dataclass(slots=True)
class Fault:
    """What goes wrong, at which calls, how many times.

    ``refuse``: nobody answers. ``hang``: nothing is done, no answer. ``late``: no answer in time, done afterwards.
    ``lose_answer``: done, the answer is lost. ``error``: ``error`` is raised.
    """

    kind: str
    call: str = "*"
    times: int = 1
    error: EngineError | None = None


class World:
    """``instant``: waiting does not take time, it only moves the world's clock."""

    def __init__(self, *, instant: bool = False) -> None:
        self.instant = instant
        self.lock = threading.RLock()
        self.containers: dict[str, Container] = {}
        self.images: dict[str, Image] = {}
        self.volumes: dict[str, Volume] = {}
        self.networks = {name: _id(f"network {name}") for name in ("bridge", "host", "none")}
        self.made_networks: dict[str, tuple[NetworkSpec, int]] = {}
        """Id → what it was made as, and when: those that people have made."""

        self.registry: dict[str, int] = {}
        """Reference → number of layers: what can be pulled. Empty: the registry cannot be reached."""

        self.marks: dict[str, str] = {}
        """Mark of a program at a terminal → its container."""

        self.events: list[Event] = []
        self.faults: list[Fault] = []
        self.up = True
        self._ahead = 0
        self._late: list[Callable[[], object]] = []
        self._count = itertools.count(1)

    # Time

    def now(self) -> int:
        return time.time_ns() + self._ahead

    def advance(self, seconds: float) -> None:
        """Moves the clock, and lets happen what happens meanwhile."""
        self._ahead += int(seconds * NANO)
        self.tick()

    def sleep(self, seconds: float) -> None:
        if self.instant:
            self.advance(seconds)
        else:
            time.sleep(seconds)

    # Faults

    def fail(self, kind: str, call: str = "*", times: int = 1, error: EngineError | None = None) -> None:
        """The next ``times`` calls of that name go wrong; see `Fault`."""
        self.faults.append(Fault(kind, call, times, error))

    def take_fault(self, call: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.call in ("*", call):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None

    def later(self, work: Callable[[], object]) -> None:
        """Done at the next `tick`, whoever has gone meanwhile."""
        self._late.append(work)

    # What happens

    def new_id(self, seed: str) -> str:
        return _id(f"{seed} {next(self._count)} {self.now()}")

    def note(self, kind: str, action: str, native_id: str) -> None:
        self.events.append(Event(kind, action, native_id, self.now()))

    def add_image(
        self, reference: str, command: tuple[str, ...] = ("sh",), labels: dict[str, str] | None = None
    ) -> str:
        """An image that is just there, as after an import; returns its id."""
        with self.lock:
            native_id = "sha256:" + self.new_id(reference)
            layer = LayerInfo(0, "sha256:" + self.new_id("layer"), "imported", 1_000_000, None, empty=False)
            image = Image(native_id, set(), self.now(), labels or {}, {"PATH": "/bin"}, command, "", (layer,))
            self.images[native_id] = image
            self.set_tag(image, reference)
            return native_id

    def set_tag(self, image: Image, reference: str) -> None:
        for other in self.images.values():
            other.tags.discard(reference)
        image.tags.add(reference)
        self.note("image", "tag", image.native_id)

    def find_image(self, target: str) -> Image:
        for image in self.images.values():
            if target == image.native_id or target in image.tags or target in image.digests:
                return image
        raise ImageNotFound("This engine has no such image.")

    def container_named(self, name: str) -> Container | None:
        return next((found for found in self.containers.values() if found.name == name), None)

    def require_free_name(self, name: str) -> None:
        if self.container_named(name):
            raise NameInUse(f'The name "{name}" belongs to another container: choose another one.')

    def run(self, container: Container) -> None:
        """Starts the program; `PortInUse` where a host port is taken."""
        taken = {port for other in self.containers.values() if other.alive for port in other.ports}
        wanted: list[int] = []
        for port in container.spec.ports:
            host = port.host or next(free for free in itertools.count(FIRST_FREE_PORT) if free not in taken)
            if host in taken:
                raise PortInUse(
                    f"Port {host} of the host is taken: choose another one, or free it.", port=host
                )
            wanted.append(host)
            taken.add(host)
        container.ports = wanted
        container.state, container.started, container.said = ContainerState.RUNNING, self.now(), 0
        container.exit_code, container.wanted_end = None, False
        self.note("container", "start", container.native_id)

    def end(self, container: Container, exit_code: int, at: int | None = None) -> None:
        """The first process has ended; the restart policy may start another one."""
        container.exit_code, container.finished = exit_code, at or self.now()
        container.state, container.ports = ContainerState.EXITED, []
        self.note("container", "die", container.native_id)
        spec = container.spec
        again = spec.restart_policy in ("always", "unless-stopped") or (
            spec.restart_policy == "on-failure"
            and exit_code != 0
            and (not spec.restart_max_retries or container.restart_count < spec.restart_max_retries)
        )
        if again and not container.wanted_end:
            container.restart_count += 1
            container.state = ContainerState.RESTARTING
        elif spec.auto_remove:
            self.forget(container)

    def forget(self, container: Container) -> None:
        del self.containers[container.native_id]
        self.note("container", "destroy", container.native_id)

    def tick(self) -> None:
        """Everything that should have happened by now."""
        with self.lock:
            late, self._late = self._late, []
            for work in late:
                with contextlib.suppress(EngineError):  # nobody is left to be told
                    work()
            for container in list(self.containers.values()):
                self._tick(container)

    def _tick(self, container: Container) -> None:
        if container.state is ContainerState.RESTARTING and self.now() >= container.finished + NANO // 10:
            self.run(container)
        if container.state is not ContainerState.RUNNING:
            return
        program, age = container.program, (self.now() - container.started) / NANO
        while container.said < len(program.output) and program.output[container.said].at <= age:
            line = program.output[container.said]
            container.said += 1
            self.say(container, line.stream, line.text, container.started + int(line.at * NANO))
        if program.ends_at is not None and program.ends_at <= age:
            self.end(container, program.exit_code, container.started + int(program.ends_at * NANO))

    def say(self, container: Container, stream: int, text: str, at: int = 0) -> None:
        """One line of output, now or at that time."""
        at = at or self.now()
        n = sum(line.stream == stream and line.ts_ns == at for line in container.log[-4096:]) + 1
        container.log.append(LogLine(stream, at, n, text))

    def health_of(self, container: Container) -> Health:
        check = container.spec.healthcheck
        if not check or check.test[0] == "NONE" or not container.alive:
            return Health.NONE
        rounds = int((self.now() - container.started) / NANO / check.interval)
        if not rounds:
            return Health.STARTING
        if check.test[-1] in ("true", "exit 0"):
            return Health.HEALTHY
        return Health.UNHEALTHY if rounds >= check.retries else Health.STARTING


def updated(now: ContainerSpec, wanted: UpdateSpec) -> ContainerSpec:
    """What a container is after an update; refuses as engines do."""
    limits = {"memory": wanted.memory, "cpus": wanted.cpus, "pids": wanted.pids}
    changed: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    for key, words in STAYS.items():
        if changed.get(key) == 0 and getattr(now, key):
            raise Conflict(words)
    if wanted.restart_policy is not None:
        if now.auto_remove and wanted.restart_policy != "no":
            raise Conflict(ENDS_FOR_GOOD)
        changed["restart_policy"] = wanted.restart_policy
        changed["restart_max_retries"] = wanted.restart_max_retries
    return replace(now, **changed)


def _id(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()


_worlds: dict[str, World] = {}
_worlds_lock = threading.Lock()


def world(name: str) -> World:
    """The world behind ``fake://name``, made when first asked for."""
    with _worlds_lock:
        return _worlds.setdefault(name, World())


@contextlib.contextmanager
def new_world(name: str, *, instant: bool = False) -> Iterator[World]:
    """A fresh world behind ``fake://name``, gone afterwards."""
    with _worlds_lock:
        _worlds[name] = made = World(instant=instant)
    try:
        yield made
    finally:
        with _worlds_lock:
            _worlds.pop(name, None)
