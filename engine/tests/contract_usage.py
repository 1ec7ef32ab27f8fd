"""What every engine counts: part of the suite of `engine.tests.contract`, on the fake engine and on a real one."""

from __future__ import annotations

import io
import uuid

from engine.base import Engine
from engine.specs import VolumeSpec
from engine.tests.conftest import BUSYBOX, Create, unused_name
from engine.tests.contract import ENDS, built, volume_tar


def test_what_everything_takes_is_counted(engine: Engine, create: Create) -> None:
    before = engine.disk_usage()
    name = unused_name()
    engine.create_volume(VolumeSpec.parse({"name": name}))
    engine.write_volume(name, io.BytesIO(volume_tar()), operation_id=str(uuid.uuid4()))
    native_id = create(ENDS, mounts=[{"type": "volume", "source": name, "target": "/data"}])
    image = engine.container(native_id).image_id
    usage = engine.disk_usage()
    assert usage.containers[native_id] == 0
    assert usage.volumes[name] >= 4
    assert usage.images[image].size == engine.image(image).size
    assert usage.images[image].shared <= usage.images[image].size
    assert usage.layers == before.layers, "neither a container nor a volume is a layer"
    assert usage.total - before.total == usage.volumes[name]
    engine.remove(native_id)
    engine.remove_volume(name)
    assert engine.disk_usage().total == before.total


def test_images_in_between_are_told_by_their_children(engine: Engine) -> None:
    dockerfile = f"FROM {BUSYBOX}\nENV ONE=1\nENV TWO=2\n"
    native_id, _ = built(engine, dockerfile)
    base = engine.resolve_image(BUSYBOX)
    assert base
    parents, line = engine.disk_usage().parents, [native_id]
    while line[-1] in parents:
        line.append(parents[line[-1]])
    assert line[-1] == base.native_id
    engine.untag("slipway-test/built:1")
