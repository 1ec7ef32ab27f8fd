"""Building an image with the engine's classic builder, step by step.

The builder never fails by its HTTP status once it began, and keeps its containers where a step fails unless told
otherwise. When the connection goes it ends the running step; that is looked after here, since a caller that was told
"cancelled" must be able to rely on it.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

from docker.errors import APIError

from engine import names
from engine.base import Emit, ShouldStop
from engine.docker_calls import Calls
from engine.docker_errors import from_build, from_text, one_line
from engine.docker_map import Json, items, mapping
from engine.docker_text import number, text
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

MOST_LINES = 500
"""Lines in one `Progress`."""

LONGEST_LINE = 16384
ENDS_WITHIN = 10.0
"""Seconds that a builder has to end a step whose caller has gone."""

_STEP = re.compile(r"Step (\d{1,4})/(\d{1,4}) : (.*)", re.DOTALL)
_RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12,64})\s*$")


class Steps:
    """Where a build is, from the objects of the stream."""

    def __init__(self) -> None:
        self.step = self.total = 0
        self.instruction = ""
        self.cached = False
        self.native_id = ""
        self.running = ""
        self.urgent = False
        self.lines: list[str] = []
        self._open = ""
        self._line_ended = True
        self._quiet = False

    @staticmethod
    def begins(event: Json) -> bool:
        """Whether this begins a step, so that the lines so far belong to the one before."""
        return _STEP.match(text(event.get("stream"), 64)) is not None

    def take(self, event: Json) -> None:
        """Raises `BuildFailed` for an error in the stream."""
        detail = mapping(event.get("errorDetail"))
        error = detail.get("message") or event.get("error")
        if error:
            raise self._failed(text(error, 4096), detail.get("code"))
        if "aux" in event:
            native_id = mapping(event["aux"]).get("ID")
            if names.is_image_id(native_id):
                self.native_id = str(native_id)
        if event.get("stream"):
            self._output(text(event["stream"], 1024 * 1024))
        elif event.get("status"):  # the pull of a base image
            line = one_line(f"{text(event.get('id'), 64)} {text(event['status'], 512)}")
            if not mapping(event.get("progressDetail")):
                self.lines.append(line)

    def _output(self, said: str) -> None:
        if match := _STEP.match(said):
            self.step, self.total = int(match[1]), int(match[2])
            self.instruction, self.cached, self.urgent = one_line(match[3], 4096), False, True
            self.finish()
            self.lines.append(said.rstrip("\n")[:LONGEST_LINE])
            self._line_ended, self._quiet = said.endswith("\n"), True
            return
        if not self._line_ended:  # the end of the step's line comes as a piece of its own
            said, self._line_ended = said.removeprefix("\n"), True
        # A step's own output can say these words too, but only later. Warnings of the engine come before them.
        if self._quiet and said and not said.startswith(" ---> [Warning]"):
            self._quiet = False
            if said.startswith(" ---> Using cache"):
                self.cached = self.urgent = True
            elif match := _RUNNING.match(said):
                self.running = match[1]
        *lines, self._open = (self._open + said).split("\n")
        self.lines += [line[:LONGEST_LINE].removesuffix("\r") for line in lines]
        if len(self._open) > LONGEST_LINE:
            self.lines.append(self._open[:LONGEST_LINE])
            self._open = ""

    def progress(self) -> Progress:
        lines, self.lines = tuple(self.lines[:MOST_LINES]), self.lines[MOST_LINES:]
        self.urgent = False
        return Progress(
            current=self.step or None,
            total=self.total or None,
            unit="steps",
            message=one_line(self.instruction, 200) or "Sending the build context",
            log=lines,
            step=self.step,
            extra={"step": self.step, "instruction": self.instruction, "cached": self.cached},
        )

    def _failed(self, said: str, code: object) -> BuildFailed:
        known, message = from_text(said), from_build(said)
        details: dict[str, Any] = {"exit_code": number(code) or None}
        if isinstance(known, RegistryUnreachable | ImageNotFound | AuthRequired):
            message, details = f"{known.message} ({self.instruction})", {"cause": known.code}
        self.finish()
        self.lines.append(message)
        return BuildFailed(message, step=self.step, **details)

    def finish(self) -> None:
        if self._open:
            self.lines.append(self._open[:LONGEST_LINE])
            self._open = ""


def build(
    calls: Calls,
    spec: BuildSpec,
    context: IO[bytes],
    *,
    emit: Emit,
    should_stop: ShouldStop,
    deadline: float,
    auths: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Returns the image's id. ``context`` is an uncompressed tar, read once from where it stands."""
    asked = query(spec)
    headers = {"Content-Type": "application/x-tar", **_credentials(auths or {})}

    def work(client: Client) -> Iterator[Json]:
        try:
            pieces = client.open_stream("POST", "/build", asked, headers=headers, data=context)
        except APIError as error:
            raise refused(error) from None
        yield from json_objects(pieces)

    steps = Steps()
    try:
        with calls.stream(work, deadline=deadline, writes=True, should_stop=should_stop) as events:
            _follow(steps, events, emit)
    except (Cancelled, DeadlineExceeded) as error:
        _make_sure_it_ended(calls, steps.running)
        if type(error) is DeadlineExceeded:
            raise DeadlineExceeded(
                f"The build took longer than {deadline:g} seconds, and was ended."
            ) from None
        raise
    finally:
        steps.finish()
        while steps.lines:
            emit(steps.progress())
    if not steps.native_id:
        # Also where the connection broke within the head of the answer: the rest of it then looks like an end.
        raise AnswerLost("The engine's answer ended before it said which image it has built.")
    return steps.native_id


def query(spec: BuildSpec) -> dict[str, Any]:
    """What both builders are asked in the same words."""
    query: dict[str, Any] = {
        "t": [str(names.tag_reference(tag)) for tag in spec.tags],
        "dockerfile": spec.dockerfile,
        "rm": "1",
        "forcerm": "1",
        "nocache": "1" if spec.no_cache else "0",
        "pull": "1" if spec.pull else "0",
        "buildargs": json.dumps(dict(spec.build_args)),
        "labels": json.dumps(dict(spec.labels)),
        "networkmode": "default" if spec.networked else "none",
    }
    if spec.memory:
        query |= {"memory": spec.memory, "memswap": spec.memory}
    if spec.cpus:
        query |= {"cpuperiod": 100_000, "cpuquota": round(spec.cpus * 100_000)}
    if spec.cgroup:
        query["cgroupparent"] = spec.cgroup
    if spec.target:
        query["target"] = spec.target
    return query


def _credentials(auths: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    if not auths:
        return {}
    hub = "https://index.docker.io/v1/"
    told = {hub if host == names.DEFAULT_REGISTRY else host: dict(auth) for host, auth in auths.items()}
    return {"X-Registry-Config": base64.urlsafe_b64encode(json.dumps(told).encode()).decode()}


def _follow(steps: Steps, events: Iterator[Json | None], emit: Emit) -> None:
    emit(steps.progress())
    for event in events:
        if event is None:
            continue
        if steps.lines and steps.begins(event):
            emit(steps.progress())
        steps.take(event)
        while steps.urgent or steps.lines:
            emit(steps.progress())


def refused(error: APIError) -> EngineError:
    """A Dockerfile that cannot be read at all is refused before the first step."""
    said = str(error.explanation or "")
    if "dockerfile" in said.lower() or getattr(error, "status_code", 500) == 400:
        line = re.search(r"line (\d+)", said)
        return BuildFailed(from_build(said), step=0, line=int(line[1]) if line else None)
    return from_text(said, error.response.status_code if error.response is not None else 500)


def _make_sure_it_ended(calls: Calls, running: str) -> None:
    """Waits until the container of the last step is gone. Never removes it: a build's output can name any container."""
    ends = time.monotonic() + ENDS_WITHIN
    while running:
        try:
            left = calls.run(lambda client: _is_there(client, running), deadline=5)
        except EngineError:
            return  # an engine that does not answer has lost the connection to its builder as well
        if not left:
            return
        if time.monotonic() >= ends:
            raise DeadlineExceeded("The build was asked to end, and its last step still runs.")
        time.sleep(0.2)


def _is_there(client: Client, short_id: str) -> bool:
    listed = items(client.containers(all=True, filters={"id": [short_id]}))
    return any(str(item.get("Id")).startswith(short_id) for item in listed)
