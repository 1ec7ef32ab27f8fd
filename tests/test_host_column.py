"""With several engines every list says on which one a thing is, and can be narrowed to one; with one it is no word."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from accounts.models import User
from operations.models import Engine
from tests.rows import make_container, make_engine, make_image, make_network, make_operation, make_volume

LISTS = {
    "/containers/": "c-host",
    "/images/": "i-host",
    "/volumes/": "v-host",
    "/networks/": "w-host",
    "/stacks/": "k-engine",
}
HEAD = '<span class="own"><svg[^>]*>.{{0,80}}</svg>{}</span>'
HEADS = ("container", "image", "volume", "network")


def fill(engine: Engine) -> dict[str, str]:
    """One of each, with names that tell the engine; and the addresses of their pages."""
    things = {
        "container": make_container(engine, None, f"web-{engine.name}", stack="shop"),
        "image": make_image(engine, None, f"image-{engine.name}:1"),
        "volume": make_volume(engine, None, f"volume-{engine.name}"),
        "network": make_network(engine, None, f"network-{engine.name}"),
    }
    make_operation(engine, None, target_name=f"target-{engine.name}")
    return {kind: f"/{kind}s/{row.pk}/" for kind, row in things.items()}


@pytest.fixture
def near(db: None) -> Engine:
    return make_engine("near")


@pytest.fixture
def reader(client_for: Callable[..., Client], alice: User) -> Client:
    return client_for(alice)


def hosts(page: str, cell: str) -> list[str]:
    return re.findall(rf'<td role="cell" class="{cell}">(\w+)</td>', page)


def test_with_one_engine_nothing_is_said_of_it(near: Engine, reader: Client) -> None:
    pages = fill(near)
    for path, cell in LISTS.items():
        page = reader.get(path).content.decode()
        assert cell not in page, path
        assert 'name="engine"' not in page, path
    for path in pages.values():
        assert not re.search(HEAD.format("near"), reader.get(path).content.decode()), path
    found = reader.get("/search/", {"q": "web-near"}).content.decode()
    assert "web-near" in found
    assert " · near" not in found


@pytest.mark.parametrize(("path", "cell"), LISTS.items())
def test_with_several_each_row_says_its_own(path: str, cell: str, near: Engine, reader: Client) -> None:
    far = make_engine("far", status=Engine.Status.UNREACHABLE)
    for engine in (near, far):
        fill(engine)
    page = reader.get(path).content.decode()
    assert sorted(hosts(page, cell)) == ["far", "near"]
    assert f'<option value="{far.pk}">far</option>' in page
    narrowed = reader.get(path, {"engine": str(far.pk)}).content.decode()
    assert hosts(narrowed, cell) == ["far"]
    assert f'<option value="{far.pk}" selected>far</option>' in narrowed
    assert sorted(hosts(reader.get(path, {"engine": "nonsense"}).content.decode(), cell)) == ["far", "near"]


@pytest.mark.parametrize(
    ("path", "cell", "by"),
    [
        ("/containers/?group=none", "c-host", "engine"),
        ("/images/?x=", "i-host", "host"),
        ("/volumes/?x=", "v-host", "engine"),
    ],
)
def test_lists_are_sorted_by_engine(path: str, cell: str, by: str, near: Engine, reader: Client) -> None:
    fill(near)
    fill(make_engine("far"))
    assert hosts(reader.get(f"{path}&ordering={by}").content.decode(), cell) == ["far", "near"]
    assert hosts(reader.get(f"{path}&ordering=-{by}").content.decode(), cell) == ["near", "far"]


def test_pages_the_row_and_the_palette_say_it_too(near: Engine, reader: Client) -> None:
    far = make_engine("far")
    fill(near)
    pages = fill(far)
    for kind in HEADS:
        head = reader.get(pages[kind]).content.decode()
        assert re.search(HEAD.format("far"), head), kind
    assert hosts(reader.get(f"{pages['container']}row/").content.decode(), "c-host") == ["far"]
    for word in (
        "web-far",
        "image-far",
        "volume-far",
        "network-far",
        "target-far",
        "restart web-far",
        "shop",
    ):
        assert "far" in reader.get("/search/", {"q": word}).content.decode().replace(word, ""), word


def test_operations_and_the_frame_name_engines_where_there_are_several(near: Engine, reader: Client) -> None:
    fill(near)
    page = reader.get("/operations/").content.decode()
    assert '<span class="dim">on near' not in page
    assert re.search("<title>.* · near · Slipway</title>", page)
    fill(make_engine("far", status=Engine.Status.UNREACHABLE))
    page = reader.get("/operations/").content.decode()
    assert {"on near", "on far"} <= set(re.findall(r'<span class="dim">(on \w+)</span>', page))
    assert "2 engines<small>" in page
    assert "1 unreachable" in page
    assert "near · Slipway</title>" not in page


def test_what_is_loose_stands_together_and_stacks_apart(near: Engine, reader: Client) -> None:
    for engine in (near, make_engine("far")):
        make_container(engine, None, f"loose-{engine.name}")
        fill(engine)
    page = reader.get("/containers/").content.decode()
    assert page.count('class="fold"') == 3
    assert page.count("No stack") == 1
    assert {"near", "far"} == set(re.findall(r'<span>shop <small class="dim">(\w+)</small>', page))


def test_the_run_form_begins_with_the_engine_that_was_looked_at(near: Engine, reader: Client) -> None:
    far = make_engine("zfar")
    make_image(far, None, "only-there:1")
    page = reader.get("/containers/run/", {"engine": str(far.pk)}).content.decode()
    assert f'<option value="{far.pk}" selected>' in page
    assert "only-there:1" in page
    assert "only-there:1" not in reader.get("/containers/run/").content.decode()


def test_a_narrowed_list_says_to_which_engine_and_the_way_back(near: Engine, reader: Client) -> None:
    far = make_engine("far")
    fill(near)
    page = reader.get("/containers/", {"engine": str(far.pk)}).content.decode()
    assert '<span class="chip"><span>Engine</span><b class="cv">far</b>' in page
    assert "No container matches" in page
    for path in ("/networks/", "/stacks/", "/volumes/", "/images/"):
        assert "matches" in reader.get(path, {"engine": str(far.pk)}).content.decode(), path


def test_what_starts_from_a_row_stays_on_its_engine(near: Engine, reader: Client) -> None:
    far = make_engine("zfar")
    image = make_image(far, None, "only-there:1")
    for engine in (near, far):
        make_container(engine, None, f"one-{engine.name}", stack="shop")
    run = f"/containers/run/?image=only-there%3A1&amp;engine={far.pk}"
    for path in ("/images/", f"/images/{image.pk}/"):
        assert run in reader.get(path).content.decode(), path
    logs = f"/logs/?stack=shop&amp;engine={far.pk}"
    for path in ("/containers/", f"/stacks/{far.pk}/shop/"):
        assert logs in reader.get(path).content.decode(), path
    page = reader.get("/logs/", {"stack": "shop", "engine": str(far.pk)})
    assert [row.name for row in page.context["sources"].chosen] == ["one-zfar"]
    # The field says where it will run; a second word beside it would stay when another is chosen.
    form = reader.get("/containers/run/", {"engine": str(far.pk)}).content.decode()
    assert '<span class="dim">on ' not in form


def test_the_run_form_knows_what_is_on_the_engine_that_is_chosen_in_it(near: Engine, reader: Client) -> None:
    plain = reader.post("/containers/run/check/", {"image": "x"}).content.decode()
    assert "datalist" not in plain, "with one engine nothing can change"
    far = make_engine("zfar")
    make_image(far, None, "only-there:1")
    holder = [{"host": 8080, "container": 80, "protocol": "tcp", "host_ip": ""}]
    make_container(far, None, "holder", ports=holder)
    chosen = reader.post("/containers/run/check/", {"image": "x", "engine": str(far.pk)}).content.decode()
    assert '<datalist id="images" hx-swap-oob="true"><option value="only-there:1"' in chosen
    assert "Taken on zfar" in chosen
    wish = {"image": "x", "engine": str(far.pk), "known": str(far.pk)}
    again = reader.post("/containers/run/check/", wish).content.decode()
    assert "datalist" not in again, "what the page knows is not sent with every letter"
    assert (
        "only-there:1" not in reader.post("/containers/run/check/", {"engine": str(near.pk)}).content.decode()
    )


def test_logs_of_several_engines_name_them(near: Engine, reader: Client) -> None:
    of_near, of_far = make_container(near, None, "web"), make_container(make_engine("far"), None, "web")
    page = reader.get("/logs/", {"container": [str(of_near.pk), str(of_far.pk)]}).content.decode()
    assert re.findall(r'data-engine="(\w+)".*?<small class="dim">(\w+)<', page) == [
        ("near", "near"),
        ("far", "far"),
    ]
    assert re.search(r'web</span><span class="opt-n">far<', reader.get("/logs/").content.decode())


def test_lines_of_the_log_history_name_their_engine() -> None:
    log = SimpleNamespace(pk=uuid4(), name="web", engine=SimpleNamespace(name="far"))
    line = {"log": log, "ns": 1, "at": timezone.now(), "stream": 1, "pieces": [("hello", False)]}
    for several, said in ((True, 'web <small class="dim">far</small>'), (False, ">web</span>")):
        context = {"rows": [line], "names": True, "frame": SimpleNamespace(several=several)}
        assert said in render_to_string("loghistory/_lines.html", context)
