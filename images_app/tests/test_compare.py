"""Two images side by side: what is laid on each other decides, not how many layers it took."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import Team, User
from engine.layers import LayerFiles, Row
from engine.packages import Package
from images_app import compare, layer_index, layer_reads, layer_stack
from images_app.layer_reads import One
from images_app.lineage import lineage
from images_app.models import Image, Layer, LayerIndex, Tag
from operations.models import Engine, Operation
from tests.rows import make_container

Make = Callable[..., Image]


def row(path: str, kind: str = "f", size: int = 1, mode: int = 0o644, digest: str = "1") -> Row:
    folder, _, name = path.rpartition("/")
    return Row(
        folder or "/",
        name,
        kind,
        mode,
        0,
        0,
        size if kind == "f" else 0,
        0,
        "",
        digest if kind == "f" else "",
    )


@pytest.fixture
def make(db: None, team: Team) -> Make:
    """``make(name, layer, …)``: an image of team blue, each layer a list of rows; with ``read`` they are kept."""
    engine = Engine.objects.create(name="quiet", endpoint="unix:///nowhere", status=Engine.Status.ONLINE)

    def one(
        name: str, *layers: list[Row], packages: dict[str, Any] | None = None, owner: Team | None = team,
        read: bool = True, **facts: Any,
    ) -> Image:  # fmt: skip
        stack = [f"sha256:{hashlib.sha256(repr(rows).encode()).hexdigest()}" for rows in layers]
        image = Image.objects.create(
            engine=engine, team=owner, name=name, stack=stack, os="linux", architecture="amd64",
            native_id=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}", **facts,
        )  # fmt: skip
        Tag.objects.create(engine=engine, image=image, name=name, repository=name.partition(":")[0], tag="1")
        for n, (digest, rows) in enumerate(zip(stack, layers, strict=True)):
            size = sum(one.size for one in rows)
            Layer.objects.create(image=image, index=n, digest=digest, command=f"RUN {n}", size=size)
            if read:
                kept = sorted(rows, key=lambda r: (r.folder, r.name))
                layer_index.keep(LayerFiles(digest, kept, databases=(packages or {}).get(n, {})))
        if read:
            layer_stack.judge(stack)
        return image

    return one


BASE = [
    row("/etc", "d", mode=0o755),
    row("/etc/conf", size=10),
    row("/bin", "d", mode=0o755),
    row("/bin/sh", size=100),
]


def changed(before: Image, after: Image, **options: Any) -> dict[str, compare.Change]:
    sides = [layer_reads.stack_of(image) for image in (before, after)]
    return {change.path: change for change in compare.files(compare.trees(*sides), **options)}


def test_files_are_compared_as_they_are_with_all_layers_on_each_other(make: Make) -> None:
    one = make("a:1", BASE, [row("/etc/conf", size=20, digest="2")], [row("/tmp", "d"), row("/tmp/x")])
    top = [
        row("/etc/conf", "w"),
        row("/bin/sh", size=100, mode=0o755),
        row("/opt", "d"),
        row("/opt/y", size=7),
    ]
    other = make("a:2", BASE, top)
    found = changed(one, other)
    assert {path: (c.kind, c.before, c.after) for path, c in found.items()} == {
        "/bin/sh": ("changed", 100, 100), "/etc/conf": ("removed", 20, None), "/opt": ("added", None, 7),
        "/tmp": ("removed", 1, None),
    }  # fmt: skip
    assert found["/bin/sh"].touched
    assert found["/opt"].entries == 2
    assert changed(one, other, whole=False).keys() == found.keys() | {"/opt/y", "/tmp/x"}
    assert {c.kind for c in changed(other, one).values()} == {"changed", "added", "removed"}


def test_the_same_files_in_other_layers_are_no_difference(make: Make) -> None:
    squashed = [*BASE[:1], row("/etc/conf", size=20, digest="2"), *BASE[2:]]
    assert changed(make("a:1", BASE, [row("/etc/conf", size=20, digest="2")]), make("a:2", squashed)) == {}


def test_a_file_of_the_same_size_and_another_content_is_changed(make: Make) -> None:
    found = changed(make("a:1", BASE), make("a:2", BASE, [row("/bin/sh", size=100, digest="evil")]))
    assert [(c.path, c.kind, c.touched) for c in found.values()] == [("/bin/sh", "changed", False)]


STATUS = [row("/var/lib/dpkg/status", size=9)]


def dpkg(**versions: str) -> dict[str, Any]:
    known = [Package(name, version, "amd64") for name, version in versions.items()]
    return {"/var/lib/dpkg/status": ("dpkg", known)}


def packages(before: Image, after: Image) -> compare.Packages:
    return compare.trees(layer_reads.stack_of(before), layer_reads.stack_of(after)).packages


def test_packages_that_were_added_removed_or_changed(make: Make) -> None:
    newer = [row("/var/lib/dpkg/status", size=11, digest="2")]
    one = make("a:1", STATUS, packages={0: dpkg(libc="1", curl="7", gone="1")})
    other = make("a:2", STATUS, newer, packages={1: dpkg(libc="1", curl="8", new="2")})
    found = packages(one, other)
    assert [(p.name, p.kind, p.before, p.after) for p in found.found] == [
        ("curl", "changed", "7", "8"), ("gone", "removed", "1", ""), ("new", "added", "", "2"),
    ]  # fmt: skip
    assert found.same == 1


def test_a_database_that_a_later_layer_removes_is_none(make: Make) -> None:
    one = make("a:1", STATUS, packages={0: dpkg(libc="1")})
    other = make("a:2", STATUS, [row("/var/lib/dpkg/status", "w")])
    assert [p.kind for p in packages(one, other).found] == ["removed"]
    assert not packages(make("b:1", BASE), make("b:2", BASE)).known


def test_settings_with_secrets_that_nobody_can_compare(make: Make) -> None:
    old = {"Cmd": ["sh"], "Env": ["A=1", "KEY=********", "TOKEN=********"], "ExposedPorts": {"80/tcp": {}}}
    new = {
        "Cmd": ["sh", "-x"],
        "Env": ["A=", "B=2", "KEY=********"],
        "ExposedPorts": {"81/tcp": {}},
        "User": "app",
    }
    found, secrets = compare.settings(
        make("a:1", BASE, config=old, labels={"v": "1"}), make("a:2", BASE, config=new, labels={"v": "2"})
    )
    assert {(s.name, s.kind): (s.before, s.after) for s in found} == {
        ("Command", "changed"): ("sh", "sh -x"), ("User", "changed"): ("root", "app"),
        ("80/tcp", "removed"): ("80/tcp", ""), ("81/tcp", "added"): ("", "81/tcp"), ("A", "changed"): ("1", "(empty)"),
        ("TOKEN", "removed"): ("********", ""), ("B", "added"): ("", "2"), ("v", "changed"): ("1", "2"),
    }  # fmt: skip
    assert secrets == 1


def test_pages_and_rest_for_who_may_see_both(
    make: Make, vic: User, tara: User, charlie: User, other_team: Team, client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
) -> None:  # fmt: skip
    now = timezone.now()
    one = make("a:1", BASE, created_at=now - timedelta(days=1))
    other = make("a:2", BASE, [row("/opt", "d"), row("/opt/<b>", size=7)], created_at=now)
    foreign = make("c:1", BASE, owner=other_team)
    page, client, api = f"/images/{one.pk}/compare/{other.pk}/", client_for(vic), api_for(vic)
    text = client.get(page).content.decode()
    assert "/opt" in text
    assert "2 entries" in text
    assert "/opt/&lt;b&gt;" in client.get(f"{page}?q=opt&change=added").content.decode()
    assert "<html" not in client.get(f"{page}?rows=1", headers={"HX-Request": "true"}).content.decode()
    rest = f"/api/v1{page}"
    found = api.get(rest).json()
    assert (found["shared_layers"], found["files"]) == (
        1,
        {"added": 1, "changed": 0, "removed": 0, "grown": 7},
    )
    assert found["packages"] is None
    files = api.get(f"{rest}files/").json()
    assert [(f["path"], f["change"], f["after"], f["entries"]) for f in files["results"]] == [
        ("/opt", "added", 7, 2)
    ]
    each = api.get(f"{rest}files/?q=opt&limit=1").json()
    assert api.get(each["next"]).json()["results"][0]["path"] == "/opt/<b>"
    for hidden in (f"/images/{one.pk}/compare/{foreign.pk}/", f"/images/{foreign.pk}/compare/{one.pk}/"):
        assert client.get(hidden).status_code == 404
        assert api.get(f"/api/v1{hidden}").status_code == 404
    choose = client.get(f"/images/{one.pk}/compare/").content.decode()
    assert "a:2" in choose
    assert "c:1" not in choose
    assert client.get(f"/images/compare/?image={one.pk}&image={other.pk}").url == page  # type: ignore[attr-defined]
    for odd in ("", "?image=x", f"?image={one.pk}", f"?image={foreign.pk}"):
        assert client.get(f"/images/compare/{odd}").status_code == 302, odd


def test_what_is_not_read_is_said_and_read_by_who_may(
    make: Make, vic: User, tara: User, client_for: Callable[..., Client], api_for: Callable[..., APIClient]
) -> None:
    one, other = make("a:1", BASE), make("a:2", BASE, [row("/new")], read=False)
    page = f"/images/{one.pk}/compare/{other.pk}/"
    assert "not read yet" in client_for(vic).get(page).content.decode()
    client_for(vic).post(page)
    assert not Operation.objects.exists()
    assert api_for(vic).get(f"/api/v1{page}").json()["files"] is None
    assert api_for(vic).get(f"/api/v1{page}files/").json()["code"] == "not_read"
    assert client_for(tara).post(page).status_code == 302
    assert [o.target_id for o in Operation.objects.filter(kind="image.index")] == [str(other.pk)]
    assert "Reading files" in client_for(tara).get(page).content.decode()


def test_a_comparison_is_told_once_and_anew_where_a_layer_was_read_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = [layer_reads.stack_of(make(name, [row(path)])) for name, path in (("a:1", "/a"), ("b:1", "/b"))]
    first = compare.difference(*sides)
    assert [change.path for change in first.changes] == ["/a", "/b"]
    monkeypatch.setattr(layer_index, "rows", lambda index: pytest.fail("read once more"))
    assert compare.difference(*sides) is first
    monkeypatch.undo()
    LayerIndex.objects.all().delete()
    layer_index.keep(LayerFiles(sides[1][0].digest, [row("/c")]))
    again = [One(one.n, one.digest, one.step, LayerIndex.objects.get(), None) for one in sides[1]]
    assert [change.path for change in compare.difference(sides[0], again).changes] == ["/c"]
    for name in range(compare.KEPT + 1):
        compare.difference(layer_reads.stack_of(make(f"c:{name}", [row(f"/{name}")])), again)
    assert len(compare._kept) == compare.KEPT


def test_lineage_goes_both_ways_and_shows_nobody_elses(
    make: Make,
    tara: User,
    other_team: Team,
    client_for: Callable[..., Client],
    api_for: Callable[..., APIClient],
) -> None:
    base = make("base:1", BASE)
    child = make("child:1", BASE, [row("/app")])
    make("grand:1", BASE, [row("/app")], [row("/more")])
    make("foreign:1", BASE, [row("/theirs")], owner=other_team)
    actor = person(tara, source="ui")
    assert [image.name for image in lineage(base, actor).children] == ["child:1", "grand:1"]
    line = lineage(child, actor)
    assert [part.name for part in line.parts] == ["base:1", "child:1"]
    assert [image.name for image in line.children] == ["grand:1"]
    text = client_for(tara).get(f"/images/{base.pk}/").content.decode()
    assert "grand:1" in text
    assert "foreign:1" not in text

    web = make_container(base.engine, base.team, "web", image=child)
    make_container(base.engine, other_team, "theirs", image=child)
    told = api_for(tara).get(f"/api/v1/images/{child.pk}/lineage/").json()
    assert [(part["name"], part["own"], part["layers"]) for part in told["parts"]] == [
        ("base:1", False, 1), ("child:1", True, 1),
    ]  # fmt: skip
    assert (told["id"], told["tags"], told["used"]) == (str(child.pk), ["child:1"], 2)
    assert [base_["tags"] for base_ in told["bases"]] == [["base:1"]]
    assert [(one["tags"], one["used"]) for one in told["children"]] == [(["grand:1"], 0)]
    assert told["containers"] == [{"id": str(web.pk), "name": "web", "state": web.state}]
    assert (told["own"], told["shared"]) == (line.own, line.shared)


def test_a_search_finds_words_that_reach_over_a_slash_and_odd_letters(make: Make) -> None:
    layers = layer_reads.stack_of(
        make("a:1", [row("/etc/Conf d/a\\x1b", size=1), row('/etc/"q"'), row("/etc/É")])
    )

    def found(words: str) -> list[str]:
        return [hit.path for _, hit in layer_reads.search(layers, words)]

    assert found("conf a\\X1B") == found("D/A") == ["/etc/Conf d/a\\x1b"]
    assert found('"Q"') == ['/etc/"q"']
    assert found("é") == ["/etc/É"]
    assert found("etc/nothing") == []
