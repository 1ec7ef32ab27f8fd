"""REST of images, tags and builds, without an engine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import Team, User
from images_app.models import Build, Image, Tag, TagMove
from operations.models import Engine, Operation
from tests.rows import make_build, make_container, make_engine, make_image

ApiFor = Callable[..., APIClient]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def app(engine: Engine, team: Team) -> Image:
    """Team blue's."""
    return make_image(
        engine, team, "team/app:1", "team/app:latest", labels={"a": "b"}, config={"Env": ["A=1"]}
    )


def tar(**files: str) -> bytes:
    """A plain tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def test_an_image_shows_what_the_contract_names(
    api_for: ApiFor, vic: User, app: Image, team: Team, other_team: Team
) -> None:
    make_container(app.engine, team, image=app)
    make_container(app.engine, other_team, "foreign", image=app)
    found = api_for(vic, "read").get(f"/api/v1/images/{app.pk}/").json()
    assert {
        "id", "engine", "engine_id", "name", "labels", "team", "created_at", "url", "tags", "digests", "size",
        "layers", "containers", "parent", "config",
    } <= set(found)  # fmt: skip
    assert found["tags"] == ["team/app:1", "team/app:latest"]
    assert (found["layers"], found["containers"]) == (2, 1)
    assert found["engine_id"] == app.native_id


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=TEAM/app", {"app"}),
        ("dangling=true", {"bare"}),
        ("dangling=false", {"app"}),
        ("used=true", {"app"}),
        ("used=false", {"bare"}),
        ("team=red", set()),
        ("q=nope", set()),
    ],
)
def test_filters(api_for: ApiFor, bob: User, app: Image, query: str, found: set[str]) -> None:
    bare = make_image(app.engine, app.team)
    for number in (1, 2):
        make_container(app.engine, app.team, f"web-{number}", image=app)
    rows = api_for(bob).get(f"/api/v1/images/?{query}").json()["results"]
    names = {str(app.pk): "app", str(bare.pk): "bare"}
    assert sorted(names[row["id"]] for row in rows) == sorted(found)


def test_an_image_is_found_by_the_beginning_of_its_digest(api_for: ApiFor, bob: User, app: Image) -> None:
    for text in (app.native_id, app.native_id.removeprefix("sha256:")[:60]):
        assert len(api_for(bob).get("/api/v1/images/", {"q": text}).json()["results"]) == 1


def test_history_has_every_line_and_layers_those_with_files(api_for: ApiFor, vic: User, app: Image) -> None:
    history = api_for(vic).get(f"/api/v1/images/{app.pk}/history/").json()
    assert [line["index"] for line in history] == [0, 1, 2]
    layers = api_for(vic).get(f"/api/v1/images/{app.pk}/layers/").json()
    assert [line["index"] for line in layers] == [0, 1]


def test_a_tag_and_where_it_pointed(api_for: ApiFor, vic: User, app: Image, other_team: Team) -> None:
    tag = Tag.objects.get(name="team/app:1")
    gone = f"sha256:{'9' * 64}"
    foreign = make_image(app.engine, other_team)
    TagMove.objects.create(
        engine=app.engine, name=tag.name, from_native_id=foreign.native_id, to_native_id=gone
    )
    shown = api_for(vic).get(f"/api/v1/tags/{tag.pk}/").json()
    assert (shown["name"], shown["image"], shown["team"]) == ("team/app:1", str(app.pk), "blue")
    newest, first = api_for(vic).get(f"/api/v1/tags/{tag.pk}/history/").json()
    assert (newest["from_engine_id"], newest["to_engine_id"]) == (None, gone)
    assert first["to_engine_id"] == app.native_id


def test_a_build_shows_its_steps_and_its_log(api_for: ApiFor, vic: User, engine: Engine, team: Team) -> None:
    build = make_build(engine, team, steps=[{"n": 1, "instruction": "FROM scratch", "cached": True}])
    row = api_for(vic).get("/api/v1/builds/?state=succeeded").json()["results"][0]
    assert (row["id"], row["state"], row["tags"], row["actor"]) == (
        str(build.pk),
        "succeeded",
        ["app:1"],
        "bob",
    )
    shown = api_for(vic).get(f"/api/v1/builds/{build.pk}/").json()
    assert (shown["dockerfile"], shown["steps"]) == ("FROM scratch", build.steps)
    log = api_for(vic).get(f"/api/v1/builds/{build.pk}/log/?after=2")
    assert (log.getvalue().decode(), log["Slipway-Last-Seq"]) == ("line 3\nline 5\n", "5")


@pytest.mark.parametrize("what", ["images", "tags", "builds"])
def test_a_stranger_finds_nothing(
    api_for: ApiFor, charlie: User, app: Image, engine: Engine, team: Team, what: str
) -> None:
    rows: dict[str, Any] = {"images": app, "tags": app.tags.first(), "builds": make_build(engine, team)}
    api = api_for(charlie)
    assert api.get(f"/api/v1/{what}/").json()["results"] == []
    assert api.get(f"/api/v1/{what}/{rows[what].pk}/").status_code == 404
    assert api.delete(f"/api/v1/{what}/{rows[what].pk}/").status_code in (403, 404, 405)


def test_pulling(api_for: ApiFor, bob: User, vic: User, engine: Engine) -> None:
    answer = api_for(bob).post("/api/v1/images/pull/", {"reference": "nginx"}, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "image.pull"), answer.content
    for wrong in ({}, {"reference": "../x"}, {"reference": "a b"}, {"reference": "x", "registry": "y"}):
        assert api_for(bob).post("/api/v1/images/pull/", wrong, format="json").status_code == 400, wrong
    assert api_for(vic).post("/api/v1/images/pull/", {"reference": "nginx"}, format="json").status_code == 403


@pytest.mark.parametrize("body", [{"reference": "team/app:2"}, {"repository": "team/app", "tag": "2"}])
def test_tagging(api_for: ApiFor, bob: User, app: Image, body: dict[str, str]) -> None:
    answer = api_for(bob).post(f"/api/v1/images/{app.pk}/tag/", body, format="json")
    assert answer.status_code == 202, answer.content
    assert Operation.objects.get().kind == "image.tag"


@pytest.mark.parametrize("body", [{}, {"tag": "2"}, {"reference": "a:1", "tag": "2"}, {"reference": "A B"}])
def test_a_tag_that_is_none_is_refused(api_for: ApiFor, bob: User, app: Image, body: dict[str, str]) -> None:
    assert api_for(bob).post(f"/api/v1/images/{app.pk}/tag/", body, format="json").status_code == 400


def test_only_team_admins_remove(api_for: ApiFor, tara: User, bob: User, app: Image) -> None:
    tag = Tag.objects.get(name="team/app:1")
    for path in (f"images/{app.pk}", f"tags/{tag.pk}"):
        assert api_for(bob).delete(f"/api/v1/{path}/").status_code == 403
    assert api_for(tara).delete(f"/api/v1/tags/{tag.pk}/").json()["kind"] == "image.untag"
    Operation.objects.all().update(state="succeeded")
    answer = api_for(tara).delete(f"/api/v1/images/{app.pk}/?force=1")
    assert (answer.status_code, answer.json()["kind"]) == (202, "image.remove"), answer.content


def test_building_from_text(api_for: ApiFor, bob: User, engine: Engine) -> None:
    body = {
        "dockerfile": "FROM scratch\n",
        "tags": ["team/app:3"],
        "build_args": {"A": "1"},
        "no_cache": True,
    }
    answer = api_for(bob).post("/api/v1/images/build/", body, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "image.build"), answer.content
    build = Build.objects.get()
    assert (build.dockerfile, build.tags, build.build_args, build.no_cache) == (
        "FROM scratch\n", ["team/app:3"], {"A": "1"}, True,
    )  # fmt: skip


def test_a_build_with_secrets_and_what_follows_shows_neither_and_is_made_again_only_without(
    api_for: ApiFor, bob: User, vic: User, engine: Engine
) -> None:
    body = {"dockerfile": "FROM scratch\n", "tags": ["team/app:3"], "builder": "buildkit"}
    follows = {"then": {"run": {"name": "web", "environment": {"API_TOKEN": "canary"}}}}
    api = api_for(bob)
    answer = api.post("/api/v1/images/build/", {**body, "secrets": {"k": "canary"}, **follows}, format="json")
    assert answer.status_code == 202, answer.content
    build, plain = Build.objects.get(), f"{answer.content!r}"
    waits = Operation.objects.get(kind="container.run")
    assert (waits.state, waits.batch, waits.step) == ("queued", build.operation.batch, 1)
    for path in (f"builds/{build.pk}", f"operations/{build.operation_id}", f"operations/{waits.pk}"):
        plain += api.get(f"/api/v1/{path}/").content.decode()
    assert "canary" not in plain
    Operation.objects.update(state="succeeded")
    assert api.post(f"/api/v1/builds/{build.pk}/again/").status_code == 409
    api.post("/api/v1/images/build/", {**body, "tags": ["team/app:4"]}, format="json")
    newest = Build.objects.latest("created_at")
    Operation.objects.update(state="succeeded")
    assert api_for(vic).post(f"/api/v1/builds/{newest.pk}/again/").status_code == 403
    assert api.post(f"/api/v1/builds/{newest.pk}/again/").status_code == 202
    wrong = api.post("/api/v1/images/build/", {**body, "then": {"recreate": "x"}}, format="json")
    assert (wrong.status_code, "then.recreate.container" in wrong.content.decode()) == (400, True)


@pytest.mark.parametrize("session", [False, True])
def test_building_from_an_upload(
    api_for: ApiFor, client_for: Callable[..., Client], bob: User, engine: Engine, session: bool
) -> None:
    context = tar(Dockerfile="FROM scratch\n", hello="there")
    form = {
        "context": SimpleUploadedFile("context.tar", context),
        "dockerfile": SimpleUploadedFile("Dockerfile", b"FROM scratch\nCOPY hello /\n"),
        "tags": ["team/app:4", "team/app:5"],
        "labels": '{"a": "b"}',
        "pull": "false",
    }
    client = client_for(bob) if session else api_for(bob)
    options = {} if session else {"format": "multipart"}
    answer = client.post("/api/v1/images/build/", form, **options)
    assert answer.status_code == 202, answer.content
    build = Build.objects.get()
    assert (build.tags, build.labels, build.pull) == (["team/app:4", "team/app:5"], {"a": "b"}, False)
    assert build.context_size > 0


def test_an_upload_from_a_session_needs_the_csrf_token(
    client_for: Callable[..., Client], bob: User, engine: Engine
) -> None:
    client = client_for(bob, enforce_csrf_checks=True)
    form = {"context": SimpleUploadedFile("context.tar", tar(Dockerfile="FROM scratch\n"))}
    assert client.post("/api/v1/images/build/", form).status_code == 403
    assert not Build.objects.exists()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "dockerfile"),
        ({"dockerfile": "FROM scratch", "labels": "{"}, "labels"),
        ({"dockerfile": "FROM scratch", "pull": "perhaps"}, "pull"),
        ({"dockerfile": "FROM scratch", "remote": "x"}, "remote"),
        ({"dockerfile": "FROM scratch", "context": "text"}, "context"),
        ({"dockerfile": "FROM scratch", "tags": "A B"}, "tags.0"),
        ({"dockerfile": SimpleUploadedFile("D", b"\xff\xfe")}, "dockerfile"),
    ],
)
def test_a_build_form_that_is_not_valid_is_refused(
    api_for: ApiFor, bob: User, engine: Engine, form: dict[str, Any], field: str
) -> None:
    answer = api_for(bob).post("/api/v1/images/build/", form, format="multipart")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not Build.objects.exists()


def test_a_build_from_git_keeps_its_password_to_itself(api_for: ApiFor, bob: User, engine: Engine) -> None:
    api = api_for(bob)
    source = {"url": "https://git.example/app.git#v1:api", "username": "robot", "password": "correct horse"}
    answer = api.post("/api/v1/images/build/", {"git": source, "tags": ["app:1"]}, format="json")
    assert answer.status_code == 202, answer.json()
    build = Build.objects.get()
    assert build.operation is not None
    assert build.operation.sealed
    page = api.get(f"/api/v1/builds/{build.pk}/")
    assert page.json()["source"] == {
        "kind": "git",
        "url": "https://git.example/app.git",
        "ref": "v1",
        "dir": "api",
    }
    operation = api.get(f"/api/v1/operations/{build.operation.pk}/")
    for text in (page.content, operation.content, repr(build.operation.params).encode()):
        assert b"correct horse" not in text
    for git, field in (
        ("https://10.0.0.1/x", "git"),
        ({"url": "https://h.example/x", "ref": ".."}, "git_ref"),
    ):
        refused = api.post("/api/v1/images/build/", {"git": git, "tags": ["app:2"]}, format="json")
        assert refused.status_code in (400, 422), refused.json()
        assert field in refused.json()["errors"]


def test_a_viewer_may_not_build(api_for: ApiFor, vic: User, engine: Engine) -> None:
    body = {"dockerfile": "FROM scratch", "tags": ["a:1"]}
    assert api_for(vic).post("/api/v1/images/build/", body, format="json").status_code == 403
