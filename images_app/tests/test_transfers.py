"""Images as files: what is taken, what is told before, whose they are; out of an engine and into it."""

from __future__ import annotations

import gzip
import io
import json
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import Team, User
from engine.base import Engine as EngineBackend
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app import image_files, sync, transfers
from images_app.models import Image, Tag, TagMove
from images_app.tests.test_operations import Bench, bench
from operations.models import Operation
from tests.rows import make_container, make_engine, make_image
from tests.saved import oci, parts, saved, tar

__all__ = ["bench"]
TWO = {"shop/one:1": b"one", "shop/two:1": b"two"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, settings: Any) -> None:
    settings.HOME = tmp_path


def left() -> list[str]:
    return [path.name for path in image_files.file_of("x").parent.iterdir()]


def listed(**other: Any) -> bytes:
    files, found = parts({"shop/one:1": b"one"})
    return tar({**files, "manifest.json": json.dumps([{**found[0], **other}]).encode()})


def link(name: str, target: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        archive.addfile(entry)
    return out.getvalue()


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "tar"), (b"no tar at all" * 100, "whole tar"), (b"PK\x03\x04zip", "zip"),
        (saved(TWO)[:3000], "whole tar"), (tar({"etc/passwd": b"x"}), "no manifest.json"),
        (tar({"index.json": b"{}", "oci-layout": b"{}"}), "no list"), (tar({"index.json": b"["}), "no JSON"),
        (tar({"index.json": b'{"manifests": [{"digest": "sha256:../../x"}]}'}), "makes no sense"),
        (tar({"index.json": b'{"manifests": [{"digest": "sha256:%s"}]}' % (b"0" * 64)}), "not in it"),
        (tar({"manifest.json": b"{"}), "no JSON"), (tar({"manifest.json": b"[" * 100_000}), "no JSON"),
        (tar({"manifest.json": b"[]"}), "no list"), (tar({"manifest.json": b'["x"]'}), "make sense"),
        (tar({"manifest.json": json.dumps([{"Config": "x"}] * 201).encode()}), "no list"),
        (listed(Config="../../etc/shadow"), "not in it"), (listed(Config="manifest.json"), "no settings"),
        (listed(Layers=["gone/layer.tar"]), "missing"), (listed(Layers=[]), "not whole"),
        (listed(RepoTags=["Not A Name"]), "cannot be one"), (listed(RepoTags=["x:1"] * 201), "names"),
        (listed(RepoTags="x:1"), "make sense"),
        (tar({"../manifest.json": b"[]"}), "not a path"), (tar({"/manifest.json": b"[]"}), "not a path"),
        (link("layer.tar", "../../../etc/shadow"), "leaves"), (link("manifest.json", "x"), "no file"),
        (gzip.compress(bytes(50_000_000)), "tar|hundredfold"),
    ],
)  # fmt: skip
def test_what_holds_no_images_is_refused_and_leaves_nothing(file: bytes, why: str) -> None:
    with pytest.raises(SpecError) as refused:
        image_files.spool(io.BytesIO(file))
    (said,) = refused.value.errors["archive"]
    assert any(one in said for one in why.split("|")), said
    assert "shadow" not in said or "named in" in said or "link" in said
    assert left() == []


def test_what_is_in_a_file_is_told_with_the_ids_that_engines_will_know() -> None:
    for file in (saved(TWO), gzip.compress(saved(TWO))):
        found = image_files.spool(io.BytesIO(file))
        assert found.tags == ["shop/one:1", "shop/two:1"]
        assert len({image.native_id for image in found.images}) == 2


def test_an_oci_archive_holds_the_same_images_as_what_docker_saves() -> None:
    wanted = image_files.spool(io.BytesIO(saved(TWO))).images
    for file in (oci(TWO), oci(TWO, {"shop/two:1": ("linux/arm64", "linux/amd64", "unknown/unknown")})):
        assert image_files.spool(io.BytesIO(file)).images == wanted


def test_a_tag_alone_is_no_name_of_an_image() -> None:
    (image,) = image_files.spool(io.BytesIO(oci({"latest": b"one"}))).images
    assert image.tags == ()


def test_of_several_platforms_that_of_this_machine_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    several = oci({"shop/one:1": b"one"}, {"shop/one:1": ("linux/s390x", "linux/riscv64")}, whole=True)
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert image_files.spool(io.BytesIO(several)).tags == ["shop/one:1"]
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(SpecError) as refused:
        image_files.spool(io.BytesIO(several))
    assert 'several platforms ("linux/riscv64", "linux/s390x")' in refused.value.errors["archive"][0]


def send(api: APIClient, file: bytes, query: str = "") -> Any:
    upload = SimpleUploadedFile("images.tar", file)
    return api.post(f"/api/v1/images/import/{query}", {"archive": upload}, format="multipart")


def test_the_plan_tells_which_names_move_and_foreign_ones_do_not(
    bob: User, vic: User, team: Team, other_team: Team, api_for: Callable[..., APIClient]
) -> None:
    engine = make_engine()
    old = make_image(engine, team, "shop/one:1")
    make_container(engine, team, image=old)
    plan = send(api_for(bob), saved(TWO), "?dry_run=1").json()
    assert [item["what"] for item in plan["affected"]] == ["shop/one:1"]
    assert plan["affected"][0]["detail"].startswith(f"moves from {old.short_id} to ")
    assert "1 container" in plan["affected"][0]["detail"]
    assert "shop/two:1" in [item["what"] for item in plan["made"]]
    assert left() == [], "a plan keeps no file"
    answer = send(api_for(bob), saved(TWO))
    assert (answer.status_code, answer.json()["kind"]) == (202, "image.import")
    assert send(api_for(bob), saved(TWO)).json()["id"] == answer.json()["id"], "the same file joins"
    assert len(left()) == 1
    make_image(engine, other_team, "red/app:1")
    refused = send(api_for(bob), saved({"red/app:1": b"x"}))
    assert (refused.status_code, refused.json()["code"]) == (403, "policy_denied")
    assert send(api_for(vic), saved(TWO)).status_code == 403
    assert send(api_for(bob), b"nothing").json()["errors"].keys() == {"archive"}
    assert len(left()) == 1


def test_a_page_shows_the_plan_and_a_second_yes_is_needed_from_the_same_person(
    bob: User, tara: User, team: Team, client_for: Callable[..., Client]
) -> None:
    make_image(make_engine(), team, "shop/one:1")
    client = client_for(bob)
    page = client.post("/images/import/", {"archive": SimpleUploadedFile("x.tar", saved(TWO))})
    assert "moves from" in page.content.decode()
    assert not Operation.objects.exists()
    ticket = page.context["ticket"]
    for who, text in ((client_for(tara), ticket), (client, "forged")):
        answer = who.post("/images/import/", {"ticket": text}, headers={"HX-Request": "true"})
        assert "send it again" in answer.headers["HX-Trigger"]
    assert not Operation.objects.exists()
    assert client.post("/images/import/", {"ticket": ticket}).status_code == 302
    operation = Operation.objects.get()
    assert (operation.kind, operation.team) == ("image.import", team)
    assert (
        client.post("/images/import/", {"archive": SimpleUploadedFile("x.tar", b"no")}).context["form"].errors
    )


def test_only_what_one_may_see_is_exported(bob: User, charlie: User, team: Team, other_team: Team) -> None:
    engine = make_engine()
    image, foreign = make_image(engine, team, "shop/one:1"), make_image(engine, other_team, "red/app:1")
    actor = Actor(user=bob)
    operation = transfers.request_export(image, ["shop/one:1", image.native_id], actor=actor)
    assert operation.params["references"] == ["shop/one:1", image.native_id]
    for wrong in ("red/app:1", foreign.native_id, "gone:1", "../etc", "", "-x"):
        with pytest.raises(SpecError):
            transfers.request_export(image, [wrong], actor=actor)


def test_what_is_selected_in_the_list_is_exported_together(
    client_for: Callable[..., Client], bob: User, team: Team, other_team: Team
) -> None:
    engine, client = make_engine(), client_for(bob)
    one, two, bare = (
        make_image(engine, team, "a/a:1"),
        make_image(engine, team, "b:1", "b:2"),
        make_image(engine, team),
    )
    foreign, far = make_image(engine, other_team, "red:1"), make_image(make_engine("far"), team, "far:1")

    def goes(*images: Image) -> Any:
        return client.get("/images/export/", {"image": [str(image.pk) for image in images]})

    answer = goes(two, one, foreign)
    assert answer["Location"] == f"/images/{one.pk}/export/?more=b%3A1+b%3A2"
    assert 'value="b:1 b:2"' in client.get(answer["Location"]).content.decode()
    assert goes(one)["Location"] == f"/images/{one.pk}/export/"
    id_ = bare.native_id.replace(":", "%3A")
    assert goes(bare, one)["Location"] == f"/images/{one.pk}/export/?more={id_}"
    assert goes(foreign)["Location"] == goes()["Location"] == goes(one, far)["Location"] == "/images/"


# On a real engine


def test_out_of_an_engine_and_into_it_again(
    bench: Bench, docker_client: docker.DockerClient, engine_backend: EngineBackend, tara: User,
    client_for: Callable[..., Client],
) -> None:  # fmt: skip
    first = image_files.spool(io.BytesIO(oci(TWO)))
    operation = bench.done(transfers.request_import(first, actor=bench.actor))
    assert operation.state == "succeeded", operation.error_message
    assert {t.image.native_id for t in Tag.objects.filter(name__in=TWO)} == {
        i.native_id for i in first.images
    }
    assert set(Image.objects.filter(tags__name__in=TWO).values_list("team", flat=True)) == {bench.team.pk}
    assert {m.operation for m in TagMove.objects.filter(name__in=TWO)} == {operation}
    assert left() == []

    one = Tag.objects.get(name="shop/one:1").image
    out = bench.done(transfers.request_export(one, list(TWO), actor=bench.actor))
    assert out.state == "succeeded", out.error_message
    for name in TWO:
        docker_client.images.remove(name)
    sync.reconcile(bench.engine, engine_backend)
    got = b"".join(client_for(tara).get(out.result["download"]).streaming_content)
    assert len(got) == out.result["bytes"]
    again = image_files.spool(io.BytesIO(gzip.compress(got)))
    assert {image.native_id for image in again.images} == {image.native_id for image in first.images}
    bench.done(transfers.request_import(again, actor=bench.actor))
    assert docker_client.images.get("shop/two:1").id in {image.native_id for image in first.images}


def test_an_engine_that_does_not_take_it_says_why_and_the_file_goes(bench: Bench) -> None:
    files, found = parts({"shop/one:1": b"one"})
    broken = {name: b"no layer" if name.endswith("layer.tar") else data for name, data in files.items()}
    archive = image_files.spool(io.BytesIO(tar({**broken, "manifest.json": json.dumps(found).encode()})))
    operation = bench.done(transfers.request_import(archive, actor=bench.actor))
    assert (operation.state, left()) == ("failed", [])
    assert operation.error_message
    gone = image_files.spool(io.BytesIO(saved(TWO)))
    asked = transfers.request_import(gone, actor=bench.actor)
    for name in left():
        image_files.file_of(name).unlink()
    assert bench.done(asked).error_message == "The file with the images is gone: send it again."


def test_nobodys_name_is_taken_by_a_file(bench: Bench, other_team: Team) -> None:
    make_image(bench.engine, other_team, "red/app:1")
    with pytest.raises(PolicyDenied):
        transfers.request_import(
            image_files.spool(io.BytesIO(saved({"red/app:1": b"x"}))), actor=bench.actor, engine=bench.engine
        )
    assert left() == []
