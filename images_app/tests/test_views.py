"""Pages of images and builds: what they say, to whom, and what they ask for."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.access import Actor
from accounts.models import Team, User
from images_app import operations, plans, queries
from images_app.lineage import lineage
from images_app.models import Build, Image, Layer, TagMove
from operations.models import Engine, Operation
from operations.plans import preview
from tests import rows

Browser = Callable[..., Client]


@pytest.fixture
def engine(db: None) -> Engine:
    return rows.make_engine()


@pytest.fixture
def image(engine: Engine, team: Team) -> Image:
    return rows.make_image(engine, team, "shop/web:1.2", "shop/web:latest", config={"Cmd": ["sh"]})


def toast(answer: Any) -> dict[str, Any]:
    """What the page is told to show."""
    found: dict[str, Any] = json.loads(answer.headers["HX-Trigger"])["slipway:toast"]
    return found


# The list


def test_list_groups_names_by_repository(
    client_for: Browser, vic: User, image: Image, engine: Engine, team: Team
) -> None:
    rows.make_image(engine, team, "redis:7")
    listing = client_for(vic).get("/images/").context["listing"]
    assert [(g.repository, len(g.rows), g.images) for g in listing.groups] == [
        ("redis", 1, 1),
        ("shop/web", 2, 1),
    ]
    assert [row.same for row in listing.groups[1].rows] == [False, True]


def test_list_hides_what_is_another_teams(client_for: Browser, charlie: User, image: Image) -> None:
    answer = client_for(charlie).get("/images/")
    assert answer.context["listing"].shown == 0
    assert "No image here yet" in answer.content.decode()
    assert client_for(charlie).get(f"/images/{image.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?view=used", ["shop/web:1.2", "shop/web:latest"]),
        ("?view=unused", ["redis:7", ""]),
        ("?view=dangling", [""]),
        ("?q=REDIS", ["redis:7"]),
        ("?q=web+lat", ["shop/web:latest"]),
        ("?q=nothing", []),
        ("?ordering=-size", ["redis:7", "shop/web:1.2", "shop/web:latest", ""]),
        ("?ordering=created", ["redis:7", "shop/web:1.2", "shop/web:latest", ""]),
        ("?ordering=-name&view=used", ["shop/web:latest", "shop/web:1.2"]),
        ("?ordering=sql&view=dangling", [""]),
    ],
)
def test_list_filters_and_sorts(
    client_for: Browser, vic: User, image: Image, engine: Engine, team: Team, query: str, names: list[str]
) -> None:
    rows.make_container(engine, team, image=image)
    redis = rows.make_image(engine, team, "redis:7")
    rows.make_image(engine, team)
    Image.objects.filter(pk=redis.pk).update(size=9_000_000, created_at=timezone.now() - timedelta(days=9))
    Image.objects.exclude(pk=redis.pk).update(created_at=timezone.now())
    listing = client_for(vic).get(f"/images/{query}").context["listing"]
    assert [row.tag.name if row.tag else "" for group in listing.groups for row in group.rows] == names


def test_list_answers_htmx_with_its_rows_and_the_counts(client_for: Browser, vic: User, image: Image) -> None:
    text = client_for(vic).get("/images/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text
    assert 'id="images"' in text
    assert 'hx-swap-oob="morph"' in text


def test_what_an_image_says_is_never_markup(
    client_for: Browser, vic: User, engine: Engine, team: Team
) -> None:
    image = rows.make_image(engine, team, "shop/web:1", labels={"<b>x</b>": "<script>alert(1)</script>"},
                            config={"Env": ["X=<img src=x onerror=alert(1)>"]})  # fmt: skip
    Layer.objects.filter(image=image, index=0).update(command="RUN echo '<script>alert(2)</script>'")
    text = client_for(vic).get(f"/images/{image.pk}/").content.decode()
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(2)" in text


# One image


def test_detail_tells_tags_users_and_moves(
    client_for: Browser, vic: User, image: Image, engine: Engine, team: Team, other_team: Team
) -> None:
    rows.make_container(engine, team, "web-1", image=image)
    rows.make_container(engine, other_team, "theirs", image=image)
    operation = rows.make_operation(engine, team, kind="image.tag", actor_name="bob")
    TagMove.objects.create(engine=engine, name="shop/web:latest", from_native_id="sha256:" + "ab" * 32,
                           to_native_id=image.native_id, operation=operation)  # fmt: skip
    text = client_for(vic).get(f"/images/{image.pk}/").content.decode()
    assert "web-1" in text
    assert "theirs" not in text
    assert "1 of other teams" in text
    assert "abababababab" in text
    assert str(operation.pk) in text
    assert "from outside" in text


def test_a_viewer_is_offered_nothing_to_change(
    client_for: Browser, vic: User, tara: User, image: Image
) -> None:
    assert "images:remove" not in (text := client_for(vic).get(f"/images/{image.pk}/").content.decode())
    remove = reverse("images:remove", args=[image.pk])
    assert remove not in text
    assert "Add tag" not in text
    text = client_for(tara).get(f"/images/{image.pk}/").content.decode()
    assert remove in text
    assert "Add tag" in text


def test_lineage_is_told_from_histories_that_begin_alike(engine: Engine, team: Team, alice: User) -> None:
    base = rows.make_image(engine, team, "base:1", layers=2)
    child = rows.make_image(engine, team, "app:1", layers=0)
    shared = list(base.layers.all())
    child.layers.all().delete()
    Layer.objects.bulk_create(
        [
            Layer(
                image=child, index=r.index, digest=r.digest, command=r.command, size=r.size,
                created_at=r.created_at, empty=r.empty,
            )
            for r in shared
        ]
        + [Layer(image=child, index=3, digest="sha256:own", command="COPY . /app", size=300)]
    )  # fmt: skip
    line = lineage(child, Actor(user=alice))
    assert [(p.name, p.own, p.shade, p.shared) for p in line.parts] == [
        ("base:1", False, "l3", 1),
        ("app:1", True, "l4", 0),
    ]
    assert (line.own, line.shared) == (300, 1500)
    assert [piece.biggest for part in line.parts for piece in part.pieces] == [True, True, True, False]
    # A base that is not the reader's keeps its name to itself.
    base.team = None
    base.save()
    line = lineage(child, Actor(user=None))
    assert [p.name for p in line.parts] == ["base that is not here", "app:1"]


def test_lineage_of_an_image_without_history_is_empty(engine: Engine, team: Team, alice: User) -> None:
    image = rows.make_image(engine, team, "a:1", layers=0)
    image.layers.all().delete()
    assert lineage(image, Actor(user=alice)).parts == []


# Removing


def test_removal_says_what_goes_who_is_affected_and_what_stays(
    engine: Engine, team: Team, tara: User, image: Image
) -> None:
    rows.make_container(engine, team, "old", image=image, state="exited")
    fate = plans.removal(image, Actor(user=tara))
    assert [item.what for item in fate.lost] == [f"Image {image.short_id}", "shop/web:1.2", "shop/web:latest"]
    assert [item.what for item in fate.affected] == ["old"]
    assert fate.needs_yes == "Remove it although 1 stopped container uses it"
    assert not fate.blocked
    assert fate.button == "Remove image and 2 tags"


def test_removal_is_blocked_by_what_runs(
    engine: Engine, team: Team, other_team: Team, tara: User, image: Image
) -> None:
    rows.make_container(engine, team, "web-1", image=image)
    rows.make_container(engine, other_team, "theirs", image=image)
    fate = plans.removal(image, Actor(user=tara))
    assert fate.blocked == "web-1, 1 container of another team run from it. Stop and remove them first."


def test_the_last_tag_takes_the_image_along(engine: Engine, team: Team, tara: User, image: Image) -> None:
    first, last = image.tags.order_by("name")
    actor = Actor(user=tara)

    def button() -> str:
        return preview(lambda: operations.request_untag(first, actor=actor), actor=actor).button

    assert button() == "Remove tag"
    last.delete()
    assert button() == "Remove tag and image"


@pytest.mark.parametrize("who", ["vic", "bob"])
def test_removal_needs_a_team_admin(
    request: pytest.FixtureRequest, client_for: Browser, who: str, image: Image
) -> None:
    client = client_for(request.getfixturevalue(who))
    assert client.get(f"/images/{image.pk}/remove/").status_code == 403
    assert client.post(f"/images/{image.pk}/remove/").status_code in (302, 403)
    assert not Operation.objects.exists()


def test_removal_of_another_teams_image_is_not_found(
    client_for: Browser, person: Any, other_team: Team, image: Image
) -> None:
    from accounts.models import Role

    client = client_for(person("rita", other_team, Role.ADMIN))
    assert client.post(f"/images/{image.pk}/remove/").status_code == 404


def test_removal_is_asked_for_and_goes_on_at_the_list(client_for: Browser, tara: User, image: Image) -> None:
    client = client_for(tara)
    dialog = client.get(f"/images/{image.pk}/remove/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in dialog
    assert "Remove image and 2 tags" in dialog
    answer = client.post(f"/images/{image.pk}/remove/", {"force": "1"})
    operation = Operation.objects.get()
    assert (operation.kind, operation.params["force"]) == ("image.remove", True)
    assert answer.url == "/images/"


def test_empty_lists_offer_what_one_may_do(client_for: Browser, vic: User, bob: User, engine: Engine) -> None:
    offers = {
        "/images/": ('href="/images/pull/"', 'href="/builds/new/"'), "/builds/": ('href="/builds/new/"',),
        "/operations/": ('href="/containers/run/"', 'href="/builds/new/"'),
    }  # fmt: skip
    for path, links in offers.items():
        for user, may in ((vic, False), (bob, True)):
            page = client_for(user).get(path).content.decode()
            empty = page.partition('<div class="empty">')[2].partition("</main>")[0]
            assert [link in empty for link in links] == [may] * len(links), (path, user)


def test_an_engine_without_images_is_not_a_site_without_them(
    client_for: Browser, vic: User, image: Image
) -> None:
    other = rows.make_engine("other")
    page = client_for(vic).get(f"/images/?engine={other.pk}").content.decode()
    assert ("This engine has none." in page, "No image here yet" in page) == (True, False)


def test_untagging_answers_htmx_with_a_toast(client_for: Browser, tara: User, image: Image) -> None:
    tag = image.tags.first()
    answer = client_for(tara).post(f"/tags/{tag.pk}/remove/", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    operation = Operation.objects.get(kind="image.untag")
    assert toast(answer) == {
        "text": f"Removing tag {tag.name}",
        "tone": "busy",
        "operation": str(operation.pk),
        "done": f"Removed tag {tag.name}",
        "failed": f"Removing tag {tag.name} failed",
    }


# Tagging and pulling


def test_a_tag_is_added(client_for: Browser, bob: User, image: Image) -> None:
    answer = client_for(bob).post(
        f"/images/{image.pk}/tag/", {"reference": "shop/web:stable"}, headers={"HX-Request": "true"}
    )
    assert toast(answer)["tone"] == "busy"
    assert Operation.objects.get().params["reference"] == "shop/web:stable"


@pytest.mark.parametrize("reference", ["", "Shop/Web:1", "a b", "x@sha256:" + "0" * 64])
def test_a_wrong_tag_is_refused_with_a_sentence(
    client_for: Browser, bob: User, image: Image, reference: str
) -> None:
    answer = client_for(bob).post(
        f"/images/{image.pk}/tag/", {"reference": reference}, headers={"HX-Request": "true"}
    )
    assert toast(answer)["tone"] == "bad"
    assert not Operation.objects.exists()


def test_a_viewer_may_not_pull(client_for: Browser, vic: User, engine: Engine) -> None:
    assert client_for(vic).get("/images/pull/").status_code == 403


def test_a_pull_goes_on_at_its_operation(client_for: Browser, bob: User, engine: Engine, team: Team) -> None:
    answer = client_for(bob).post("/images/pull/", {"reference": " nginx "})
    operation = Operation.objects.get()
    assert (operation.params["reference"], operation.team, operation.engine) == ("nginx:latest", team, engine)
    assert answer.url == f"/operations/{operation.pk}/"


def test_a_wrong_reference_is_told_at_the_field_with_a_fix(
    client_for: Browser, bob: User, engine: Engine
) -> None:
    answer = client_for(bob).post("/images/pull/", {"reference": "Nginx:1.27"})
    text = answer.content.decode()
    assert 'aria-invalid="true"' in text
    assert 'data-fix="nginx:1.27"' in text
    assert not Operation.objects.exists()


def test_pulling_without_any_engine_says_so(client_for: Browser, alice: User) -> None:
    answer = client_for(alice).post("/images/pull/", {"reference": "nginx:1"}, follow=True)
    assert [str(m) for m in answer.context["messages"]] or "engine" in answer.content.decode()
    assert not Operation.objects.exists()


# Building


def tar_of(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_the_form_starts_from_what_is_asked_for(
    client_for: Browser, bob: User, image: Image, engine: Engine, team: Team
) -> None:
    client = client_for(bob)
    assert "FROM shop/web:1.2" in client.get("/builds/new/?example=clock").content.decode()
    earlier = rows.make_build(engine, team)
    assert "FROM scratch" in client.get(f"/builds/new/?from={earlier.pk}").content.decode()
    assert client.get("/builds/new/?from=nonsense").status_code == 200


def test_a_dockerfile_is_built_with_the_files_beside_it(
    client_for: Browser, bob: User, engine: Engine, team: Team
) -> None:
    answer = client_for(bob).post("/builds/new/", {
        "source": "editor", "tags": "hello:1, hello:latest", "dockerfile": "FROM scratch\r\nCOPY a.txt /\r\n",
        "arg_name": ["A", ""], "arg_value": ["1", ""], "no_cache": "on",
        "beside": SimpleUploadedFile("../a.txt", b"hi"),
    })  # fmt: skip
    build = Build.objects.get()
    assert answer.url == f"/builds/{build.pk}/"
    assert build.tags == ["hello:1", "hello:latest"]
    assert build.dockerfile == "FROM scratch\nCOPY a.txt /\n"
    assert (build.build_args, build.no_cache, build.pull, build.team) == ({"A": "1"}, True, False, team)


def test_an_archive_is_built(client_for: Browser, bob: User, engine: Engine) -> None:
    file = SimpleUploadedFile("context.tar.gz", tar_of(Dockerfile="FROM scratch\n"))
    client_for(bob).post("/builds/new/", {"source": "upload", "tags": "hello:1", "context": file})
    assert Build.objects.get().dockerfile == "FROM scratch\n"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"tags": "", "dockerfile": "FROM a:1"}, "tags"),
        ({"tags": "Hello", "dockerfile": "FROM a:1"}, "tags"),
        ({"tags": "hello:1", "dockerfile": " \n"}, "dockerfile"),
        ({"tags": "hello:1", "source": "upload"}, "context"),
        ({"tags": "hello:1", "source": "upload", "context": SimpleUploadedFile("a.zip", b"PK")}, "context"),
        ({"tags": "hello:1", "dockerfile": "FROM a:1", "arg_name": "1A", "arg_value": "x"}, "__all__"),
        ({"tags": "hello:1", "dockerfile": "FROM a:1", "arg_name": ["A", "A"], "arg_value": ["1", "2"]}, "__all__"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_and_what_was_typed_stays(
    client_for: Browser, bob: User, engine: Engine, wish: dict[str, Any], field: str
) -> None:
    answer = client_for(bob).post("/builds/new/", {"source": "editor", **wish})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert str(wish.get("dockerfile", "")).strip() in answer.content.decode()
    assert not Build.objects.exists()


def test_a_wrong_build_keeps_the_ids_of_its_secrets_and_names_its_fields(
    client_for: Browser, bob: User, engine: Engine
) -> None:
    wish = {
        "source": "editor", "tags": "hello:1", "dockerfile": "FROM a:1", "then": "run", "then_ports": "eighty",
        "secret_id": ["npm", "key", ""], "secret_value": ["hunter2", "", ""],
    }  # fmt: skip
    page = client_for(bob).post("/builds/new/", wish).content.decode()
    assert re.findall(r'name="secret_id" value="([^"]*)"', page) == ["npm", "key", ""]
    assert "hunter2" not in page
    assert "<b>Ports</b> Write ports as 8080:80" in page
    assert "Build secret key has no value" in page


def test_a_viewer_may_not_build(client_for: Browser, vic: User, engine: Engine) -> None:
    assert client_for(vic).get("/builds/new/").status_code == 403


def test_hints_are_answered_as_one_types(client_for: Browser, bob: User, image: Image) -> None:
    text = client_for(bob).post("/builds/hints/", {"dockerfile": "FROM shop/web\nCOPY a b"}).content.decode()
    assert 'data-fix="FROM shop/web:1.2"' in text
    assert 'data-line="2"' in text


def test_a_build_shows_its_steps_and_where_it_failed(
    client_for: Browser, vic: User, engine: Engine, team: Team
) -> None:
    build = rows.make_build(engine, team)
    start = timezone.now() - timedelta(seconds=9)
    Operation.objects.filter(pk=build.operation_id).update(
        state="failed",
        started_at=start,
        error_code="build_failed",
        error_message="Step 2 ended with exit code 1.",
    )
    known: dict[str, Any] = {"started_at": start.isoformat(), "seconds": 1, "cached": False}
    build.steps = [
        {**known, "n": 1, "instruction": "FROM scratch", "cached": True, "state": "done"},
        {**known, "n": 2, "instruction": "RUN <b>x</b>", "state": "failed"},
    ]
    build.save()
    text = client_for(vic).get(f"/builds/{build.pk}/").content.decode()
    assert "Step 2 ended with exit code 1." in text
    assert 'class="st failed"' in text
    assert "RUN &lt;b&gt;x&lt;/b&gt;" in text
    assert "line 5" in text
    for part in ("build-head", "build-steps"):
        answer = client_for(vic).get(
            f"/builds/{build.pk}/", headers={"HX-Request": "true", "HX-Target": part}
        )
        assert answer.content.decode().strip().startswith(f'<div id="{part}"')


def test_builds_are_listed_by_outcome(
    client_for: Browser, vic: User, charlie: User, engine: Engine, team: Team
) -> None:
    rows.make_build(engine, team)
    assert len(client_for(vic).get("/builds/?view=done").context["rows"]) == 1
    assert len(client_for(vic).get("/builds/?view=failed").context["rows"]) == 0
    assert len(client_for(vic).get("/builds/?q=app").context["rows"]) == 1
    assert len(client_for(charlie).get("/builds/").context["rows"]) == 0


def test_bases_are_known_by_their_shell(engine: Engine, team: Team, alice: User) -> None:
    rows.make_image(engine, team, "tool:1", layers=0, config={"Entrypoint": ["/tool"]})
    shell = rows.make_image(engine, team, "base:1", layers=0, config={"Cmd": ["sh"]})
    ran = rows.make_image(engine, team, "ran:1", layers=0, config={"Cmd": ["/app"]})
    Layer.objects.filter(image=ran).update(command="/bin/sh -c make")
    rows.make_image(engine, team, config={"Cmd": ["sh"]})
    assert [(b.tag, b.shell) for b in queries.bases(Actor(user=alice))] == [
        (shell.name, True), (ran.name, True), ("tool:1", False),
    ]  # fmt: skip


def test_a_page_of_one_image_asks_no_oftener_for_more_around_it(
    client_for: Browser, vic: User, engine: Engine, team: Team, image: Image
) -> None:
    client = client_for(vic)

    def grow(number: int) -> None:
        child = rows.make_image(engine, team, f"shop/web:{number}", f"other:{number}")
        child.layers.all().delete()
        Layer.objects.bulk_create(
            Layer(image=child, index=r.index, digest=r.digest, command=r.command, size=r.size, created_at=r.created_at)
            for r in image.layers.all()
        )  # fmt: skip
        rows.make_container(engine, team, f"web-{number}", image=image)
        TagMove.objects.create(
            engine=engine, name="shop/web:1.2", from_native_id=child.native_id, to_native_id=image.native_id
        )

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/images/{image.pk}/").status_code == 200
        return len(queries)

    grow(1)
    client.get(f"/images/{image.pk}/")
    few = count()
    for number in range(2, 12):
        grow(number)
    assert count() == few


def test_commands_of_a_history_hide_and_turn_nothing(client_for: Any, bob: User, team: Team) -> None:
    """S-60: on the page of the image; those of layers are tried in a browser."""
    image = rows.make_image(rows.make_engine(), team, "a:1")
    Layer.objects.update(command="RUN echo \u202etxt.exe \u200b\x07 \\\n  && true # <b>")
    found = client_for(bob).get(f"/images/{image.pk}/").content.decode()
    assert not {"\u202e", "\u200b", "\x07"} & set(found)
    assert "echo \\u202etxt.exe \\u200b\\x07 \\ &amp;&amp; true # &lt;b&gt;" in found
