"""Building an image with BuildKit, as `engine.docker_build` does with the classic builder.

BuildKit works on several steps at once, and its stream is a graph: vertices that wait, run and end, each with its own
output. Its steps run in no container that the engine would list. A build that is cancelled is ended by its own call,
and has ended when its stream has.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from docker.errors import APIError

from engine import names
from engine.base import Emit, ShouldStop
from engine.buildkit_trace import Said, Status, Vertex, trace
from engine.docker_build import ENDS_WITHIN, LONGEST_LINE, MOST_LINES, query, refused
from engine.docker_calls import Calls
from engine.docker_errors import from_build, from_text, one_line
from engine.docker_map import Json, mapping
from engine.docker_session import Auths, Session
from engine.docker_text import text
from engine.docker_transport import Client, json_objects
from engine.errors import (
    AnswerLost,
    AuthRequired,
    BuildFailed,
    Cancelled,
    DeadlineExceeded,
    EngineError,
    ImageNotFound,
    RegistryUnreachable,
)
from engine.specs import BuildSpec
from engine.types import Progress
from engine.words import kept

SHOWN_AFTER = 0.5
"""Seconds after which also work that no line of the Dockerfile asks for is a step."""
MOST_STEPS = 1000

News = Vertex | Status | Said

_STEP = re.compile(
    r"\[(?:linux/\S+ |windows/\S+ )?(?:(?P<stage>\S+) +)?(?P<n>\d{1,4})/(?P<of>\d{1,4})\] (?P<said>.*)",
    re.DOTALL,
)
_CODE = re.compile(r"exit code: (\d{1,5})")
_PARSE = re.compile(r"parse error (?:on )?line (\d{1,6})|Dockerfile:(\d{1,6})")
_NO_FILE = re.compile(r'"/?([^"]{1,300})"(?::| not found:) not found')
_FLAGS = re.compile(r"^RUN (?:--\S+ +)*")
_BEFORE = re.compile(
    r"^(failed to solve( with frontend [\w.]+)?: |failed to create LLB definition: |rpc error: code = \w+ desc = "
    r"|failed to (read|compute) \w+ key: )+"
)


@dataclass(slots=True)
class _Step:
    """One vertex. ``n`` is 0 while it is not shown."""

    name: str
    n: int = 0
    stage: str = ""
    place: str = ""
    instruction: str = ""
    started: float = 0
    completed: float = 0
    cached: bool = False
    error: str = ""
    since: float = 0
    open: str = ""
    wanted: bool = False
    over: bool = False
    told: tuple[str, bool] | None = None

    @property
    def state(self) -> str:
        if self.error:
            return "cancelled" if "context canceled" in self.error else "failed"
        if self.started and self.completed < self.started:
            return "running"
        return "done" if self.completed else "queued"

    @property
    def seconds(self) -> float:
        return round(min(max(0.0, self.completed - self.started), 1e6), 2) if self.completed else 0


class Board:
    """Where a build is, from the objects of its stream."""

    def __init__(self) -> None:
        self.native_id = ""
        self._steps: dict[str, _Step] = {}
        self._shown: list[_Step] = []
        self._news: list[Progress] = []
        self._zero = 0.0
        self._ours = datetime.now(UTC).timestamp()
        self._said: set[tuple[str, str]] = set()

    def take(self, event: Json, found: list[News]) -> None:
        """Raises `BuildFailed` for an error in the stream."""
        changed = [step for one in found if isinstance(one, Vertex) and (step := self._vertex(one))]
        speak = {id(self._steps.get(one.vertex)) for one in found if not isinstance(one, Vertex)}
        for step in changed:
            if id(step) not in speak:
                self._show(step)
            elif step.wanted:  # its end comes behind what it says
                self._begin(step)
        for one in found:
            if isinstance(one, Said):
                self._output(one)
            elif isinstance(one, Status):
                self._status(one)
        for step in changed:
            self._show(step)
        if event.get("id") == "moby.image.id":
            native_id = mapping(event.get("aux")).get("ID")
            if names.is_image_id(native_id):
                self.native_id = str(native_id)
        error = mapping(event.get("errorDetail")).get("message") or event.get("error")
        if error:
            raise self._failed(text(error, 4096))

    def look(self) -> None:
        """Shows what has taken its time, whoever asked for it."""
        for step in self._steps.values():
            if not step.n and step.since and time.monotonic() - step.since > SHOWN_AFTER:
                step.wanted = True
                self._show(step)

    def news(self) -> list[Progress]:
        """What is to be told since the last time, in order."""
        found, self._news = self._news, []
        return found

    def end(self) -> None:
        """What a step said last, without an end of its line."""
        for step in self._shown:
            self._close(step)

    def _vertex(self, vertex: Vertex) -> _Step | None:
        step = self._steps.get(vertex.digest)
        if step is None:
            if len(self._steps) >= MOST_STEPS:
                return None
            step = self._steps[vertex.digest] = _named(vertex.name)
        if vertex.started:
            if not self._zero:
                self._zero, self._ours = vertex.started, datetime.now(UTC).timestamp()
            step.started = min(step.started or vertex.started, vertex.started)
        step.completed = vertex.completed if vertex.completed >= vertex.started else 0
        step.cached = step.cached or vertex.cached
        step.error = vertex.error or step.error
        step.since = 0 if step.completed else step.since or (time.monotonic() if step.started else 0)
        step.wanted = step.wanted or bool(step.place or step.error) or step.name.startswith("exporting")
        return step

    def _show(self, step: _Step) -> None:
        """Tells of a step what has changed."""
        state = step.state
        if not step.wanted:
            return
        self._begin(step)
        if state in ("queued", "running"):
            return
        self._close(step)
        if (state, step.cached) != step.told:
            step.told = (state, step.cached)
            self._news.append(self._progress(step))
        if not step.over:
            step.over = True
            words = {"done": f"DONE {step.seconds:.1f}s", "failed": f"ERROR {from_build(step.error)}"}
            self._say(step, "CACHED" if step.cached else words.get(state, "CANCELED"))

    def _begin(self, step: _Step) -> None:
        """That it is there, and what it is, before anything that it says."""
        if not step.n:
            step.n = len(self._shown) + 1
            self._shown.append(step)
        if not step.told or step.told[0] == "queued":
            step.told = (step.state, step.cached)
            self._news.append(self._progress(step))
            if step.state != "queued":
                self._say(step, step.instruction)

    def _progress(self, step: _Step) -> Progress:
        asked = [one for one in self._shown if one.place] or self._shown
        begun = sum(one.state != "queued" for one in asked)
        began = datetime.fromtimestamp(self._ours + min(max(0.0, step.started - self._zero), 1e6), UTC)
        return Progress(
            current=begun, total=len(asked), unit="steps", message=one_line(step.instruction, 200), step=step.n,
            extra={
                "step": step.n, "instruction": step.instruction, "stage": step.stage, "place": step.place,
                "state": step.state, "cached": step.cached, "seconds": step.seconds,
                "started_at": began.isoformat() if step.started else "",
            },
        )  # fmt: skip

    def _output(self, said: Said) -> None:
        if (step := self._steps.get(said.vertex)) is None:
            return
        step.wanted = True
        self._begin(step)
        *lines, step.open = (step.open + said.text).split("\n")
        if len(step.open) > LONGEST_LINE:
            lines, step.open = [*lines, step.open], ""
        self._say(step, *(line.removesuffix("\r") for line in lines))

    def _status(self, status: Status) -> None:
        """One line for each part, when it is done; pulls of layers come here."""
        step, key = self._steps.get(status.vertex), (status.vertex, status.name)
        if (
            step is None
            or not step.n
            or not status.completed
            or key in self._said
            or len(self._said) > 10 * MOST_STEPS
        ):
            return
        self._said.add(key)
        size = f" {status.total / 1e6:.1f} MB" if status.total > 100_000 else ""
        self._say(step, f"{one_line(status.name, 300)}{size}")

    def _close(self, step: _Step) -> None:
        if step.open:
            last, step.open = step.open, ""
            self._say(step, last)

    def _say(self, step: _Step, *lines: str) -> None:
        cut = [line[:LONGEST_LINE] for line in lines]
        for at in range(0, len(cut), MOST_LINES):
            self._news.append(Progress(log=tuple(cut[at : at + MOST_LINES]), step=step.n))

    def _failed(self, said: str) -> BuildFailed:
        self.end()
        step = next((one for one in self._steps.values() if one.state == "failed"), None) or self._blamed(
            said
        )
        instruction = one_line(step.instruction, 200) if step else ""
        details: dict[str, Any] = {"exit_code": None, "step": step.n if step else 0}
        known, message = from_text(said), from_build(_BEFORE.sub("", said))
        if code := _CODE.search(said) if step and step.place else None:
            details["exit_code"] = int(code[1])
            message = kept(f"{instruction} ended with exit code {code[1]}.")
        elif isinstance(known, RegistryUnreachable | ImageNotFound | AuthRequired):
            message, details["cause"] = f"{known.message} ({instruction})", known.code
        elif missing := _NO_FILE.search(said) if step and step.place else None:
            name = one_line(missing[1], 200)
            message = kept(f"There is no {name} among the files of this build ({instruction}).")
        elif said == "no active sessions" or re.match(r"secret \S+ not found", said):
            message = kept(f"This step wants a secret that the build was not given ({instruction}).")
        if line := _PARSE.search(said):
            details["line"] = int(line[1] or line[2])
        return BuildFailed(message, **details)

    def _blamed(self, said: str) -> _Step | None:
        """An engine may end its stream before it has said which step failed: the one that runs, or that is named."""
        running = [one for one in self._steps.values() if one.place and one.state == "running"]
        named = [one for one in running if _FLAGS.sub("", one.instruction) in said]
        if len(named or running) != 1:
            return None
        (step,) = named or running
        step.error = said
        step.completed = max(step.started, self._zero + datetime.now(UTC).timestamp() - self._ours)
        self._show(step)
        return step


def _named(name: str) -> _Step:
    if match := _STEP.match(name):
        said = one_line(match["said"], 4096)
        return _Step(name, 0, match["stage"] or "", f"{int(match['n'])}/{int(match['of'])}", said)
    return _Step(name, instruction=one_line(name.removeprefix("[internal] "), 4096))


def build(
    calls: Calls,
    spec: BuildSpec,
    context: IO[bytes],
    *,
    emit: Emit,
    should_stop: ShouldStop,
    deadline: float,
    auths: Auths,
) -> str:
    """Returns the image's id. ``context`` is an uncompressed tar, read once from where it stands."""
    build_id = uuid.uuid4().hex
    session = _session(calls, spec, auths, deadline)
    board = Board()
    emit(Progress(message="Sending the build context"))
    with session as held:
        asked = {**query(spec), "version": "2", "buildid": build_id, **({"session": held.id} if held else {})}

        def work(client: Client) -> Iterator[tuple[Json, list[News]]]:
            try:
                headers = {"Content-Type": "application/x-tar"}
                pieces = client.open_stream("POST", "/build", asked, headers=headers, data=context)
            except APIError as error:
                raise refused(error) from None
            for event in json_objects(pieces):
                traced = event.get("id") == "moby.buildkit.trace"
                yield event, list(trace(event.get("aux"))) if traced else []

        with calls.stream(work, deadline=deadline + ENDS_WITHIN, writes=True) as events:
            try:
                _follow(calls, board, events, _Limits(emit, should_stop, deadline, build_id))
            finally:
                board.end()
                _tell(board, emit)
    if not board.native_id:
        raise AnswerLost("The engine's answer ended before it said which image it has built.")
    return board.native_id


def _session(
    calls: Calls, spec: BuildSpec, auths: Auths, deadline: float
) -> AbstractContextManager[Session | None]:
    if not spec.secrets and not auths:
        return nullcontext()
    version = calls.run(lambda client: str(client.api_version), deadline=10)
    return Session(calls.endpoint, version, spec.secrets, auths, patience=deadline + 60)


@dataclass(frozen=True, slots=True)
class _Limits:
    emit: Emit
    should_stop: ShouldStop
    deadline: float
    build_id: str


def _follow(
    calls: Calls, board: Board, events: Iterator[tuple[Json, list[News]] | None], limits: _Limits
) -> None:
    """Until the stream ends. One that is to stop is asked to, and then listened to until it has."""
    ends, began = time.monotonic() + limits.deadline, False
    stop: EngineError | None = None
    for event in events:
        began = began or event is not None
        if stop is None and (stop := _reason(limits, ends)):
            ends = time.monotonic()
            if not began:  # it is cut off before the engine has the whole context
                raise stop
            _cancel(calls, limits.build_id)
        elif stop is not None and time.monotonic() - ends > ENDS_WITHIN:
            raise DeadlineExceeded("The build was asked to end, and goes on.")
        try:
            if event is not None:
                board.take(*event)
        except BuildFailed:
            if stop is not None:
                raise stop from None
            raise
        board.look()
        _tell(board, limits.emit)
    if stop is not None and not board.native_id:
        raise stop


def _reason(limits: _Limits, ends: float) -> EngineError | None:
    if time.monotonic() > ends:
        return DeadlineExceeded(f"The build took longer than {limits.deadline:g} seconds, and was ended.")
    return Cancelled("Cancelled on its way.") if limits.should_stop() else None


def _cancel(calls: Calls, build_id: str) -> None:
    """An engine that does not answer has lost the build's own connection as well, and that ends it too."""
    with suppress(EngineError):
        calls.run(lambda client: client.cancel_build(build_id), deadline=5)


def _tell(board: Board, emit: Emit) -> None:
    for progress in board.news():
        emit(progress)
