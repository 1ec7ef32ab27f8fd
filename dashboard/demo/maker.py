"""Makes the demo on an engine and takes it away again: not by operations, since nobody asked for a change."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from dashboard.demo import content, rootfs
from engine.base import Engine
from engine.errors import Conflict, EngineError, NotFound
from engine.specs import BuildSpec, ContainerSpec, VolumeSpec
from engine.types import ContainerInfo, Progress

IMAGES = Path(__file__).parent / "images"
Say = Callable[[str], None]


def make(engine: Engine, redis_server: Path, say: Say) -> None:
    """All of it, as far as it is not there already. Raises `rootfs.Missing` and `EngineError`."""
    for image in content.IMAGES:
        if all(engine.resolve_image(reference) for reference in image.references):
            continue
        _build(engine, image, redis_server)
        say(f"Built {image.references[0]}")
    known = {volume.name for volume in engine.volumes()}
    for name in content.VOLUMES:
        if name not in known:
            engine.create_volume(VolumeSpec(name, labels={content.MARK: "1"}))
            say(f"Made the volume {name}")
    for container in content.CONTAINERS:
        found = engine.find_container(container.name)
        if found is None:
            _run(engine, container)
            say(f"Made {container.name}")
        elif content.MARK not in found.labels:
            say(f"Left {container.name} alone: somebody else's container has that name")


def remove(engine: Engine, say: Say) -> None:
    """Takes away what carries the demo's label and what is called ``demo/…``; nothing else."""
    for container in content.CONTAINERS:
        found = engine.find_container(container.name)
        if found is not None and content.MARK in found.labels:
            engine.remove(found.native_id, force=True, volumes=True)
            say(f"Removed {found.name}")
    for volume in engine.volumes():
        if volume.name in content.VOLUMES and content.MARK in volume.labels:
            _remove_unless_used(engine.remove_volume, volume.name, say)
    for reference in _references():
        if engine.resolve_image(reference) is not None:
            _remove_unless_used(engine.untag, reference, say)
    _remove_leftovers(engine)


def _references() -> Iterator[str]:
    """Every tag, images before those they are built from."""
    for image in reversed(content.IMAGES):
        yield from image.references


def _remove_unless_used(remove: Callable[[str], None], name: str, say: Say) -> None:
    try:
        remove(name)
    except NotFound:
        return
    except Conflict as error:
        say(f"Left {name} alone: {error.message}")
    else:
        say(f"Removed {name}")


def _remove_leftovers(engine: Engine) -> None:
    """What is left without a name of a build with several stages."""
    for image in engine.images():
        if not image.tags and content.MARK in image.labels:
            try:
                engine.remove_image(image.native_id)
            except (Conflict, NotFound):
                continue


def _build(engine: Engine, image: content.Image, redis_server: Path) -> None:
    spec = BuildSpec(tags=image.references, build_args=image.build_args, labels={content.MARK: "1"})
    with tempfile.TemporaryFile() as context:
        context.write(_context(image.folder, redis_server))
        context.seek(0)
        engine.build(spec, context, emit=_ignore, deadline=300)


def _context(folder: str, redis_server: Path) -> bytes:
    def fill(made: rootfs.Tree) -> None:
        for path in sorted((IMAGES / folder).iterdir()):
            made.file(path.name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
        if folder == "base":
            made.file("rootfs.tar", rootfs.tree(rootfs.busybox))
        elif folder == "redis":
            made.file(
                "redis.tar",
                rootfs.tree(lambda tree: rootfs.with_libraries(tree, redis_server, "redis-server")),
            )

    return rootfs.tree(fill)


def _ignore(_progress: Progress) -> None:
    """Nobody watches these builds."""


def _run(engine: Engine, container: content.Container) -> ContainerInfo:
    spec = ContainerSpec.parse(container.body)
    native_id = engine.create(spec, operation_id=str(uuid.uuid4()))
    if spec.start:
        try:
            engine.start(native_id)
        except EngineError:
            engine.remove(native_id, force=True)
            raise
    if container.then == "pause":
        engine.pause(native_id)
    elif container.then == "stop":
        _wait_for_output(engine, native_id)
        engine.stop(native_id, timeout=5)
    return engine.container(native_id)


def _wait_for_output(engine: Engine, native_id: str) -> None:
    """A shell that has not come to its trap yet would not hear the request to end."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends and not list(engine.logs(native_id, tail=1)):
        time.sleep(0.05)
