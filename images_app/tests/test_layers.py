"""The files of an image's layers: read by the worker from a real engine, kept once a layer, shown to who may."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import docker
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import Team, User
from engine.base import Engine as EngineBackend
from engine.layers import LayerFiles, Row
from images_app import layer_index, layer_reads, layer_stack, sync
from images_app.layer_verb import request_index
from images_app.models import Image, LayerIndex, LayerPiece, LayerStack
from operations.models import Engine, Operation

Carry = Callable[[], list[Operation]]
DOCKERFILE = """\
FROM {base}
RUN mkdir -p /data/deep /data/old && echo one >/data/one && echo two >/data/deep/two && echo old >/data/old/file \\
    && head -c 50000 /dev/zero >/data/big
RUN echo changed, and longer >/data/one && rm -r /data/deep && chmod 600 /data/big && rm -r /data/old \\
    && mkdir /data/old && echo new >/data/old/new
"""


@pytest.fixture
def built(docker_client: docker.DockerClient, busybox: str) -> Iterator[Callable[..., str]]:
    """Images of a Dockerfile, by id; gone afterwards."""
    made: list[str] = []

    def build(text: str = DOCKERFILE, tag: str = "shop/layers:1") -> str:
        image, _ = docker_client.images.build(
            fileobj=io.BytesIO(text.format(base=busybox).encode()), tag=tag, rm=True, forcerm=True
        )
        made.append(tag)
        return str(image.id)

    yield build
    for tag in made:
        docker_client.images.remove(tag, force=True)


@pytest.fixture
def image(built: Callable[..., str], engine_row: Engine, engine_backend: EngineBackend, team: Team) -> Image:
    """One of team blue whose two top layers add, change and remove files."""
    native_id = built()
    sync.reconcile(engine_row, engine_backend)
    Image.objects.filter(native_id=native_id).update(team=team)
    return Image.objects.get(native_id=native_id)


def read(image: Image, who: User, carry_out: Carry) -> Operation:
    request_index(image, actor=person(who, source="ui"))
    operation = carry_out()[-1]
    assert operation.state == "succeeded", operation.error_message
    return operation


def names(layer: layer_reads.One, path: str, kind: str = "") -> dict[str, str]:
    return {one.name: one.change for one in layer_reads.folder(layer, path, kind)}


def test_files_of_each_layer_are_added_changed_or_removed(
    image: Image, tara: User, run_operations: Carry
) -> None:
    operation = read(image, tara, run_operations)
    assert operation.result is not None
    assert operation.result["read"] == operation.result["layers"] == len(image.stack)
    layers = layer_reads.stack_of(image)
    assert layer_reads.is_read(layers)
    first, second = layers[-2:]
    assert first.step is not None
    assert "mkdir" in first.step.command
    assert names(first, "/") == {"data": "added"}
    assert names(first, "/data") == {"big": "added", "deep": "added", "old": "added", "one": "added"}
    # A folder that was emptied and made again is opaque, or its files are named, as the engine likes.
    found = names(second, "/data")
    assert found.pop("old") in ("", "changed")
    assert found == {"big": "changed", "deep": "removed", "one": "changed"}
    assert names(second, "/data", "removed").keys() >= {"deep"}
    big = next(one for one in layer_reads.folder(second, "/data") if one.name == "big")
    assert (big.size, big.before, big.same_content, big.mode) == (50000, 50000, True, 0o600)
    old = {one.change for one in layer_reads.folder(second, "/data/old")}
    assert old == {"added", "removed"}
    root = next(one for one in layer_reads.folder(second, "/") if one.name == "data")
    assert root.change == ""
    assert root.counts[2] == 2
    waste = layer_reads.waste(layers)
    assert (waste.wasters[0].path, waste.wasters[0].size, waste.wasters[0].layers) == (
        "/data/big",
        50000,
        [second.n],
    )
    assert waste.hidden == 50000 + len("one\n") + len("two\n") + len("old\n")
    assert 0 < waste.efficiency < 100
    hits = [found.path for _, found in layer_reads.search(layers, "data o", "changed")]
    assert hits == ["/data/one"]


def test_a_layer_is_read_once_for_all_images_that_have_it(
    image: Image, built: Callable[..., str], engine_row: Engine, engine_backend: EngineBackend, tara: User,
    run_operations: Carry,
) -> None:  # fmt: skip
    read(image, tara, run_operations)
    pieces, stacks = LayerPiece.objects.count(), LayerStack.objects.count()
    again = read(image, tara, run_operations)
    assert again.result is not None
    assert again.result["read"] == 0
    native_id = built(DOCKERFILE + "RUN echo more >/more\n", "shop/layers:2")
    sync.reconcile(engine_row, engine_backend)
    other = Image.objects.get(native_id=native_id)
    Image.objects.filter(pk=other.pk).update(team=image.team)
    other.refresh_from_db()
    done = read(other, tara, run_operations)
    assert done.result is not None
    assert done.result["read"] == 1
    assert (LayerPiece.objects.count(), LayerStack.objects.count()) == (pieces + 1, stacks + 1)


def test_an_index_goes_when_no_image_has_its_layer(image: Image, tara: User, run_operations: Carry) -> None:
    read(image, tara, run_operations)
    kept = LayerIndex.objects.count()
    lost = layer_index.keep(LayerFiles("sha256:" + "1" * 64, [Row("/", "a", "f", 0, 0, 0, 0, 0, "", "")]))
    assert layer_index.drop_unused() == 0
    LayerIndex.objects.update(read_at=lost.read_at - timedelta(days=1))
    assert layer_index.drop_unused() == 1
    assert LayerIndex.objects.count() == kept


def test_pages_and_rest_show_them_to_who_may(
    image: Image, tara: User, vic: User, charlie: User, client_for: Callable[..., Client],
    api_for: Callable[..., APIClient], run_operations: Carry,
) -> None:  # fmt: skip
    page, rest = f"/images/{image.pk}/layers/", f"/api/v1/images/{image.pk}/"
    before = client_for(vic).get(page).content.decode()
    assert "not read yet" in before
    assert "Read the files" not in before
    assert api_for(vic).post(f"{rest}files/").status_code == 403
    assert api_for(vic).get(f"{rest}files/").json()["code"] == "not_read"
    assert {row["read"] for row in api_for(vic).get(f"{rest}layers/").json()} == {False}
    assert client_for(tara).post(f"{page}read/").status_code == 302
    assert "Waiting" in client_for(tara).get(page).content.decode()
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message

    top = len(image.stack)
    shown = client_for(vic).get(f"{page}?layer={top}&path=/data&change=removed").content.decode()
    assert "deep" in shown
    assert ">big<" not in shown
    rows = client_for(vic).get(f"{page}?rows=1&layer={top}&path=/data", headers={"HX-Request": "true"})
    assert ">big<" in rows.content.decode()
    assert "<html" not in rows.content.decode()
    assert ">/data/deep/two<" in client_for(vic).get(f"{page}?q=DEEP two").content.decode()
    for odd in (
        "layer=0",
        "layer=99",
        "path=/../..",
        "path=%00",
        "after=9999999999",
        "change=x",
        "q=%25",
        "from=x",
    ):
        assert client_for(vic).get(f"{page}?{odd}").status_code == 200, odd

    _rest_shows(api_for(vic), rest, top)
    assert client_for(charlie).get(page).status_code == 404
    for part in ("layers/", "files/", "waste/"):
        assert api_for(charlie).get(f"{rest}{part}").status_code == 404


def _rest_shows(api: APIClient, rest: str, top: int) -> None:
    row = api.get(f"{rest}layers/").json()[-1]
    assert (row["n"], row["read"], row["problem"]) == (top, True, "")
    assert row["hidden"] > 50000
    files = api.get(f"{rest}files/", {"path": "/data"}).json()["results"]
    assert {one["path"]: one["change"] for one in files}["/data/one"] == "changed"
    assert next(one for one in files if one["path"] == "/data/big")["mode"] == "0600"
    first = api.get(f"{rest}files/", {"q": "data", "limit": 2}).json()
    assert [one["layer"] for one in first["results"]] == [top - 1] * 2
    seen = [one["path"] for one in first["results"]]
    while first["next"]:
        first = api.get(first["next"]).json()
        seen += [one["path"] for one in first["results"]]
    assert len(seen) == len(api.get(f"{rest}files/", {"q": "data"}).json()["results"])
    assert api.get(f"{rest}waste/").json()["wasters"][0]["path"] == "/data/big"
    for wrong in ({"layer": 99}, {"change": "x"}, {"cursor": "!"}, {"limit": 0}):
        assert api.get(f"{rest}files/", wrong).status_code == 400, wrong


# What one layer does to those below


def row(path: str, kind: str = "f", size: int = 1, mode: int = 0o644, digest: str = "1") -> Row:
    folder, _, name = path.rpartition("/")
    return Row(folder or "/", name, kind, mode, 0, 0, size if kind == "f" else 0, 0, "", digest)


@pytest.fixture
def judged(db: None) -> Callable[..., list[Any]]:
    """``judged(layer, layer, …)``: letters by path of each, and what it hides."""

    def judge(*layers: list[Row]) -> list[Any]:
        digests = [f"sha256:{n:064x}" for n in range(len(layers))]
        for digest, rows in zip(digests, layers, strict=True):
            layer_index.keep(LayerFiles(digest, sorted(rows, key=lambda r: (r.folder, r.name))))
        found = []
        for digest, stack in zip(digests, layer_stack.judge(digests), strict=True):
            rows = layer_index.rows(LayerIndex.objects.get(digest=digest))
            letters = layer_stack.verdict(stack).letters
            by = {f"{r.folder.rstrip('/')}/{r.name}": letter for r, letter in zip(rows, letters, strict=True)}
            found.append(SimpleNamespace(letters=by, hidden=stack.hidden, wasters=stack.wasters))
        return found

    return judge


def test_what_comes_back_after_it_was_removed_is_added(judged: Callable[..., list[Any]]) -> None:
    _, removed, back = judged([row("/a", size=10)], [row("/a", "w")], [row("/a", size=3)])
    assert (removed.letters, removed.hidden) == ({"/a": "D"}, 10)
    assert (back.letters, back.hidden) == ({"/a": "A"}, 0)


def test_a_removed_folder_takes_all_below_with_it(judged: Callable[..., list[Any]]) -> None:
    below = [row("/d", "d"), row("/d/e", "d"), row("/d/a", size=5), row("/d/e/b", size=7)]
    _, top = judged(below, [row("/d", "w")])
    assert (top.hidden, top.wasters) == (12, [[12, "/d", "D"]])


def test_an_opaque_folder_hides_what_was_in_it_and_nothing_of_its_own(
    judged: Callable[..., list[Any]],
) -> None:
    below = [
        row("/d", "d"),
        row("/d/a", size=5),
        row("/d/b", size=7),
        row("/d/e", "d"),
        row("/d/e/c", size=2),
    ]
    top = [
        row("/d", "d"),
        row("/d/", "q"),
        row("/d/a", size=6, digest="2"),
        row("/d/e", "d"),
        row("/d/e/new"),
    ]
    _, top, after = judged(below, top, [row("/d/b")])
    assert top.letters == {"/d": ".", "/d/": "D", "/d/a": "M", "/d/e": ".", "/d/e/new": "A"}
    assert top.hidden == 5 + 7 + 2
    assert after.letters == {"/d/b": "A"}


def test_a_file_in_the_place_of_a_folder_hides_what_was_in_it(judged: Callable[..., list[Any]]) -> None:
    below = [row("/d", "d"), row("/d/a", size=5)]
    _, top, after = judged(below, [row("/d", size=1)], [row("/d", "d"), row("/d/a")])
    assert (top.letters, top.hidden) == ({"/d": "M"}, 5)
    assert (after.letters, after.hidden) == ({"/d": "M", "/d/a": "A"}, 1)


def test_a_file_of_the_same_content_was_only_touched(judged: Callable[..., list[Any]]) -> None:
    _, top = judged([row("/a", size=9)], [row("/a", size=9, mode=0o600)])
    assert (top.letters, top.hidden) == ({"/a": "C"}, 9)


def test_the_same_layer_twice_hides_itself(judged: Callable[..., list[Any]], db: None) -> None:
    layer_index.keep(LayerFiles("sha256:" + "a" * 64, [row("/a", size=4)]))
    one, two = layer_stack.judge(["sha256:" + "a" * 64] * 2)
    assert (one.hidden, two.hidden) == (0, 4)
