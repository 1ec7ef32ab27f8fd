"""A worker killed at any point of a push: the next one ends it, and the registry has the image under its name."""

from __future__ import annotations

import io

import pytest

from conftest import BUSYBOX
from engine import registries as remote
from images_app import operations as images
from images_app import registries
from images_app.models import Image
from tests.faults.conftest import Start
from tests.faults.points import POINTS
from tests.faults.site import Site
from tests.faults.test_kill_matrix import all_died
from tests.registry import PASSWORD, USER, registry


@pytest.mark.parametrize(
    "points",
    [("sending",), pytest.param(("sending", *POINTS), marks=pytest.mark.long)],
    ids=["amid", "anywhere"],
)
def test_a_worker_killed_while_it_pushes_is_followed_by_one_that_ends_it(
    points: tuple[str, ...], site: Site, start: Start, settings: object
) -> None:
    settings.REGISTRY_HOSTS = ["127.0.0.1"]
    start("nursery", SLIPWAY_REGISTRY_HOSTS="127.0.0.1")
    text = f"FROM {BUSYBOX}\nRUN head -c 3000000 /dev/urandom > /a\nRUN head -c 3000000 /dev/urandom > /b\n"
    native_id = site.docker.images.build(fileobj=io.BytesIO(text.encode()), tag="faults/pushed:1", rm=True)[
        0
    ].id
    site.look()
    image = Image.objects.select_related("engine", "team").get(native_id=native_id)
    with registry() as place:
        wish = {"name": "Ours", "host": place.host, "tls": False, "username": USER, "password": PASSWORD}
        row = registries.add(wish, actor=site.actor, owner=site.team)
        named = {point: f"{place.host}/shop/{point}:1" for point in points}
        died = {point: site.plan.put("image.push", name, point) for point, name in named.items()}
        asked = [
            images.request_push(image, f"shop/{point}:1", actor=site.actor, registry=row) for point in points
        ]
        ended = dict(zip(points, site.wait(asked), strict=True))
        all_died(died)
        told = {point: (one.state, one.error_message, one.attempt) for point, one in ended.items()}
        assert told == dict.fromkeys(points, ("succeeded", "", 2)) | (
            {"after-commit": ("succeeded", "", 1)} if "after-commit" in points else {}
        )
        asking: remote.Registry = registries.at(row)
        there = {point: asking.digest(f"shop/{point}", "1") for point in points}
    assert there == {point: (one.result or {})["digest"] for point, one in ended.items()}
    assert all(there.values())
    assert {tag for tag in site.docker.images.get(native_id).tags if "/shop/" in tag} == {*named.values()}
    site.holds()
    site.docker.images.remove(native_id, force=True)
