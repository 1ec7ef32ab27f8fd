"""Pages of engines: who sees what, and what a person does with them, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Team, User
from engine.disk import DiskUsage, ImageUsage
from engine.errors import Unreachable
from operations import engine_asks, reads
from operations.models import Engine
from tests.rows import make_container, make_engine, make_operation, make_volume

ClientFor = Callable[..., Client]


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine("near", version="20.10.24", cpus=4, memory=8 * 10**9, os="Debian 12")


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_the_list_tells_how_each_is_and_counts_what_one_may_see(
    client_for: ClientFor, vic: User, alice: User, engine: Engine, team: Team, other_team: Team
) -> None:
    make_engine("far", status="unreachable", status_detail="<b>nothing</b> listens there")
    make_container(engine, team)
    make_container(engine, other_team, "hidden")
    make_volume(engine, team, "data")
    seen = text(client_for(vic).get("/engines/"))
    assert "near" in seen
    assert "Docker 20.10.24, Debian 12" in seen
    assert "8 GB" in seen
    assert "&lt;b&gt;nothing&lt;/b&gt; listens there" in seen
    assert 'data-label="Containers">1<small' in seen
    assert "Add<span" not in seen
    everything = text(client_for(alice).get("/engines/", headers={"HX-Request": "true"}))
    assert 'data-label="Containers">2<small' in everything
    assert "<html" not in everything


def test_one_engine_shows_its_address_to_site_administrators_alone(
    client_for: ClientFor, vic: User, bob: User, alice: User, engine: Engine
) -> None:
    url = f"/engines/{engine.pk}/"
    for user, sees in (
        (vic, ()),
        (bob, ("Sync",)),
        (alice, ("Sync", "Edit…", "Forget…", engine.endpoint, "Disk")),
    ):
        seen = text(client_for(user).get(url))
        for words in ("Sync", "Edit…", "Forget…", engine.endpoint, ">Disk<"):
            assert (words in seen) is (words.strip("<>") in sees), (user, words)
    assert client_for().get(url).status_code == 302
    Engine.objects.update(status="unreachable", status_detail="It hung up.")
    assert "It hung up." in text(client_for(vic).get(url))


def test_only_site_administrators_reach_the_forms(
    client_for: ClientFor, tara: User, bob: User, vic: User, engine: Engine
) -> None:
    for user in (tara, bob, vic):
        for page in ("add/", f"{engine.pk}/edit/", f"{engine.pk}/remove/"):
            assert client_for(user).get(f"/engines/{page}").status_code == 403
            assert client_for(user).post(f"/engines/{page}", {"name": "x"}).status_code == 403
        assert client_for(user).get(f"/engines/{engine.pk}/disk/").status_code == 403
    assert client_for(vic).post(f"/engines/{engine.pk}/sync/").status_code == 403
    assert Engine.objects.get().name == "near"


def test_what_is_wrong_stands_beside_its_field_and_keys_are_kept_from_the_page(
    client_for: ClientFor, alice: User, engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    client, settings.ENGINE_SOCKETS = client_for(alice), ["/x", "/run/far.sock"]
    seen = text(client.post("/engines/add/", {"name": "NEAR", "endpoint": "tcp://10.0.0.7:2376"}))
    assert "Another engine has this name." in seen
    seen = text(client.post("/engines/add/", {"name": "far", "endpoint": "tcp://10.0.0.7:2376"}))
    assert "needs TLS" in seen
    seen = text(client.post("/engines/add/", {"name": "far", "endpoint": "unix:///x", "key": "secret-key"}))
    assert "All three are needed" in seen
    assert "secret-key" not in seen

    def away(*_: Any, **__: Any) -> None:
        raise Unreachable("Slipway's own queue is away.")

    monkeypatch.setattr(reads, "read", away)
    assert "could not be tried" in text(
        client.post("/engines/add/", {"name": "far", "endpoint": "unix:///x"})
    )
    assert Engine.objects.count() == 1


def test_a_name_is_changed_and_an_engine_added_and_forgotten(
    client_for: ClientFor, alice: User, engine: Engine, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    client, settings.ENGINE_SOCKETS = client_for(alice), ["/x", "/run/far.sock"]
    assert client.post(f"/engines/{engine.pk}/edit/", {"name": " shop  1 "}).status_code == 302
    assert Engine.objects.get().name == "shop 1"
    found = {"native_id": "ABC", "version": "28.0.1", "trouble": ""}
    monkeypatch.setattr(reads, "read", lambda *_, **__: found)
    answer = client.post("/engines/add/", {"name": "far", "endpoint": "unix:///run/far.sock"})
    far = Engine.objects.get(name="far")
    assert (answer.status_code, answer["Location"]) == (302, f"/engines/{far.pk}/")

    make_operation(far, None, state="running")
    assert "Operations run on this engine" in text(client.get(f"/engines/{far.pk}/remove/"))
    client.post(f"/engines/{far.pk}/remove/")
    assert Engine.objects.filter(pk=far.pk).exists()
    far.operations.all().delete()  # type: ignore[attr-defined]
    dialog = text(client.get(f"/engines/{far.pk}/remove/", headers={"HX-Request": "true"}))
    assert "all that is on it stays" in dialog
    assert "<html" not in dialog
    assert client.post(f"/engines/{far.pk}/remove/")["Location"] == "/engines/"
    assert [str(one) for one in Engine.objects.all()] == ["shop 1"]
    assert engine_asks.blocked(Engine(configured=True)).startswith("This engine is the one")


def test_the_disk_is_a_picture_or_the_reason_why_not(
    client_for: ClientFor, alice: User, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_volume(engine, None, "data")
    done = make_container(engine, None, "done", state="exited")
    usage = DiskUsage(750, {done.native_id: 50}, {"i": ImageUsage(750, 0)}, {"data": 150, "used": 50})
    monkeypatch.setattr("containers_app.prune_plans.usage", lambda *_, **__: usage)
    url = f"/engines/{engine.pk}/disk/"
    part = text(client_for(alice).get(url, headers={"HX-Request": "true"}))
    assert (
        "Images 750 B; Containers 50 B, 50 B of it unused; Volumes 200 B, 150 B of it unused; Build" in part
    )
    assert 'class="pk-containers" x="75.0%" width="4.7%"' in part
    assert 'class="free" x="84.7%" width="15.0%"' in part
    assert "<b>1 KB</b>" in part
    assert "200 B</span> of it unused" in part
    assert "<html" not in part

    def hung(*_: Any, **__: Any) -> DiskUsage:
        raise Unreachable("No answer in time.")

    monkeypatch.setattr("containers_app.prune_plans.usage", hung)
    assert "No answer in time." in text(client_for(alice).get(url))
