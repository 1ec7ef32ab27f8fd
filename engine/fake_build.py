"""Building on the fake engine: FROM, RUN, COPY, ADD, ENV, LABEL, CMD, ARG, EXPOSE, WORKDIR, USER, with a cache."""

from __future__ import annotations

import hashlib
import json
import tarfile
import time
from collections.abc import Mapping
from typing import IO

from engine import names
from engine.base import Emit, ShouldStop
from engine.errors import BuildFailed, Cancelled, DeadlineExceeded, ImageNotFound
from engine.fake_program import plan
from engine.fake_world import Image, World
from engine.specs import BuildSpec
from engine.types import LayerInfo, Progress

INSTRUCTIONS = ("FROM", "RUN", "COPY", "ADD", "ENV", "LABEL", "CMD", "ARG", "EXPOSE", "WORKDIR", "USER")


def build(
    world: World, spec: BuildSpec, context: IO[bytes], *, emit: Emit, should_stop: ShouldStop, deadline: float
) -> str:
    """Returns the image's id; the steps, errors and progress are those of a real builder."""
    files = _files(context)
    steps = _steps(files, spec.dockerfile)
    ends = time.monotonic() + deadline
    image: Image | None = None
    for number, (instruction, rest) in enumerate(steps, 1):
        said = f"{instruction} {rest}"
        step = _Step(world, number, len(steps), said, emit)
        step.tell(f"Step {number}/{len(steps)} : {said}")
        if instruction == "FROM":
            try:
                image = world.find_image(names.image_target(rest.split(" ")[0]))
            except ImageNotFound as error:
                raise BuildFailed(f"{error.message} ({said})", step=number, cause=error.code) from None
            continue
        if image is None:
            raise BuildFailed("no build stage in current context", step=0, line=None)
        image = step.layer(image, instruction, rest, files, spec, ends=ends, should_stop=should_stop)
    if image is None:
        raise BuildFailed("no build stage in current context", step=0, line=None)
    for tag in spec.tags:
        world.set_tag(image, str(names.tag_reference(tag)))
    image.labels.update(spec.labels)
    return image.native_id


def _files(context: IO[bytes]) -> dict[str, bytes]:
    with tarfile.open(fileobj=context, mode="r|") as archive:
        return {
            member.name.removeprefix("./"): (archive.extractfile(member) or context).read()
            for member in archive
            if member.isfile()
        }


def _steps(files: Mapping[str, bytes], dockerfile: str) -> list[tuple[str, str]]:
    if dockerfile not in files:
        raise BuildFailed(f"Cannot locate specified Dockerfile: {dockerfile}", step=0, line=None)
    found: list[tuple[str, str]] = []
    for number, line in enumerate(files[dockerfile].decode().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, _, rest = line.strip().partition(" ")
        if word.upper() not in INSTRUCTIONS:
            raise BuildFailed(
                f"dockerfile parse error line {number}: unknown instruction: {word.upper()}",
                step=0,
                line=number,
            )
        found.append((word.upper(), rest.strip()))
    if not found:
        raise BuildFailed(f"the Dockerfile ({dockerfile}) cannot be empty", step=0, line=None)
    return found


class _Step:
    def __init__(self, world: World, number: int, total: int, said: str, emit: Emit) -> None:
        self.world, self.number, self.total, self.said, self.emit = world, number, total, said, emit

    def tell(self, *lines: str, cached: bool = False) -> None:
        extra = {"step": self.number, "instruction": self.said, "cached": cached}
        self.emit(Progress(self.number, self.total, "steps", self.said, lines, extra))

    def layer(
        self,
        image: Image,
        instruction: str,
        rest: str,
        files: Mapping[str, bytes],
        spec: BuildSpec,
        *,
        ends: float,
        should_stop: ShouldStop,
    ) -> Image:
        """The image with this step, made or found in the cache."""
        content = b""
        if instruction in ("COPY", "ADD"):
            source = rest.split(" ", maxsplit=1)[0]
            if source not in files:
                message = f"COPY failed: file not found in build context: stat {source}: file does not exist"
                self.tell(message)
                raise BuildFailed(message, step=self.number, exit_code=None)
            content = files[source]
        key = json.dumps([image.native_id, self.said, dict(spec.build_args)]).encode() + content
        native_id = "sha256:" + hashlib.sha256(key).hexdigest()
        with self.world.lock:
            cached = self.world.images.get(native_id)
        if cached and not spec.no_cache:
            self.tell(" ---> Using cache", cached=True)
            return cached
        if instruction == "RUN":
            self._run(rest, ends, should_stop)
        empty = instruction not in ("COPY", "ADD")
        digest = "" if empty else "sha256:" + hashlib.sha256(content).hexdigest()
        layer = LayerInfo(len(image.layers), digest, self.said, len(content), None, empty)
        made = Image(native_id, set(), self.world.now(), dict(image.labels), dict(image.environment))
        made.command, made.parent_id = image.command, image.native_id
        made.layers = (*image.layers, layer)
        _configure(made, instruction, rest)
        with self.world.lock:
            self.world.images[native_id] = made
        self.tell(f" ---> {native_id[7:19]}")
        return made

    def _run(self, script: str, ends: float, should_stop: ShouldStop) -> None:
        program = plan(["sh", "-c", script])
        began, said = time.monotonic(), 0
        while True:
            age = time.monotonic() - began
            while said < len(program.output) and program.output[said].at <= age:
                self.tell(program.output[said].text)
                said += 1
            if program.ends_at is not None and program.ends_at <= age:
                break
            if should_stop():
                raise Cancelled("Cancelled on its way.")
            if time.monotonic() > ends:
                raise DeadlineExceeded("The build took too long, and was ended.")
            time.sleep(0.01)
        if program.exit_code:
            message = f"The command '/bin/sh -c {script}' returned a non-zero code: {program.exit_code}"
            self.tell(message)
            raise BuildFailed(message, step=self.number, exit_code=program.exit_code)


def _configure(image: Image, instruction: str, rest: str) -> None:
    if instruction == "CMD":
        image.command = tuple(json.loads(rest)) if rest.startswith("[") else ("sh", "-c", rest)
    elif instruction in ("ENV", "LABEL"):
        name, _, value = rest.partition("=")
        (image.environment if instruction == "ENV" else image.labels)[name] = value.strip('"')
