"""Where a worker can be made to die, or to fall asleep, on the way of an operation.

Nothing of this is in the product: what it calls is wrapped, in a process of the tests.

==============  ==============================================================
claimed         it has the lease, nothing has been asked of the engine
before-call     just before the fence is looked at for a change
created         ``container.run`` alone: the container is made, not started
reading         ``volume.remove`` alone: the copy of what is in it is on its way
sending         ``image.push`` alone: the registry has something of it
after-call      the engine has answered a change, nothing has been verified
after-call-2    the same of the second change, and so on, where a kind makes more than one
before-finish   verified, the rows of the target are true
in-finish       the end is written, and not committed
after-commit    all is done, but nobody has been told
==============  ==============================================================
"""

from __future__ import annotations

import functools
import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from operations import claims, endings, events
from operations.context import RunContext
from operations.models import Operation

POINTS = ("claimed", "before-call", "after-call", "before-finish", "in-finish", "after-commit")
LATER = ("after-call-2", "after-call-3", "after-call-4", "after-call-5")
CHANGES = {
    "create", "start", "stop", "restart", "kill", "pause", "unpause", "rename", "update", "remove", "pull", "build",
    "tag", "untag", "remove_image", "create_volume", "remove_volume", "create_network", "remove_network",
    "connect_network", "disconnect_network", "create_like", "commit", "put_file", "rename_file", "remove_file",
    "write_volume", "load", "push",
}  # fmt: skip
Hook = Callable[[str, Operation], None]


class Watched:
    """An engine that passes a point behind each change it has made."""

    def __init__(self, engine: Any, operation: Operation, hook: Hook) -> None:
        self._engine, self._operation, self._hook, self._steps = engine, operation, hook, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name == "read_volume":
            return lambda volume, out, **options: found(volume, Passing(out, self._passing), **options)
        if name not in CHANGES:
            return found
        if name == "push":
            found = functools.partial(self._push, found)

        def call(*arguments: Any, **options: Any) -> Any:
            result = found(*arguments, **options)
            if name == "create":
                self._hook("created", self._operation)
                return result
            self._steps += 1
            self._hook("after-call" if self._steps < 2 else f"after-call-{self._steps}", self._operation)
            return result

        return call

    def _passing(self) -> None:
        self._hook("reading", self._operation)

    def _push(self, push: Any, reference: str, *, emit: Callable[[Any], None], **options: Any) -> Any:
        def told(progress: Any) -> None:
            emit(progress)
            self._hook("sending", self._operation)

        return push(reference, emit=told, **options)


class Passing:
    """A file that passes a point with what is written into it."""

    def __init__(self, out: IO[bytes], passing: Callable[[], None]) -> None:
        self._out, self._passing = out, passing

    def write(self, data: bytes) -> int:
        self._passing()
        return self._out.write(data)


def install(hook: Hook, put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Calls ``hook(point, operation)`` at each point that an operation passes in this process."""
    claim, finish, ring = claims.claim, endings.finish, events.ring
    fence, begin = RunContext.check_fence, RunContext.__init__

    def claimed(operation_id: Any) -> Operation | None:
        operation = claim(operation_id)
        if operation:
            hook("claimed", operation)
        return operation

    def check_fence(ctx: RunContext) -> None:
        hook("before-call", ctx.operation)
        fence(ctx)

    def init(ctx: RunContext, operation: Operation, engine: Any, *more: Any) -> None:
        begin(ctx, operation, Watched(engine, operation, hook), *more)

    def finished(operation: Operation, *more: Any) -> None:
        hook("before-finish", operation)
        finish(operation, *more)
        hook("after-commit", operation)

    def rung(operation: Operation, *, state: bool = False) -> None:
        ring(operation, state=state)
        if state and operation.ended:
            hook("in-finish", operation)

    put(claims, "claim", claimed)
    put(endings, "finish", finished)
    put(events, "ring", rung)
    put(RunContext, "check_fence", check_fence)
    put(RunContext, "__init__", init)


class Plan:
    """What is to happen at which point of which operation, once: a folder that several processes look into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / hashlib.sha256(f"{kind} {name}".encode()).hexdigest()[:32]

    def put(self, kind: str, name: str, point: str, act: str = "die") -> Path:
        """``act`` is ``die`` or ``sleep``. The path holds the process id of who did it, once it was done."""
        path = self._path(kind, name)
        path.write_text(f"{act} {point}")
        return path.with_suffix(".done")

    def at(self, point: str, operation: Operation) -> None:
        """The hook: dies at once, or sleeps until somebody wakes it, where that was planned."""
        path = self._path(operation.kind, operation.target_name)
        try:
            act, planned = path.read_text().split()
            if planned != point:
                return
            mine = path.with_suffix(f".{os.getpid()}")
            path.rename(mine)  # of several that come here, one gets it
        except OSError:
            return
        mine.write_text(str(os.getpid()))
        mine.rename(path.with_suffix(".done"))
        if act == "die":
            os._exit(9)
        os.kill(os.getpid(), signal.SIGSTOP)
