"""REST of messages to other systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from accounts.models import Team, User
from operations import posting
from operations.models import Channel, Delivery
from tests.receiver import Receiver, receiver
from tests.rows import make_container, make_engine


@pytest.fixture
def hook(settings: Any) -> Iterator[Receiver]:
    """A receiver that the site has named."""
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    with receiver() as found:
        yield found


def test_the_life_of_a_webhook(
    api_for: Callable[..., APIClient], tara: User, team: Team, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_for(tara)
    made = api.post("/api/v1/webhooks/", {"name": "ops", "address": hook.url, "events": ["container.oom"]})
    assert made.status_code == 201, made.data
    assert len(made.data["secret"]) > 40
    place = f"/api/v1/webhooks/{made.data['id']}/"
    shown = api.get(place).data
    assert "secret" not in shown
    assert shown["address"] == f"{hook.url.partition('/hook')[0]}/…"
    assert (shown["team"], shown["events"], shown["state"]) == ("blue", ["container.oom"], "new")
    changed = api.patch(place, {"events": ["engine.away"], "mute_hours": 2, "pattern": "web*"})
    assert changed.data["state"] == "muted", changed.data

    monkeypatch.setattr("operations.channels.WAIT", 0)
    hook.mood = 503
    tested = api.post(f"{place}test/")
    assert tested.status_code == 200
    assert tested.data["state"] == "waiting"
    posting.send_due(Channel.objects.get().pk)
    (row,) = api.get(f"{place}deliveries/?state=dead").data["results"]
    assert (row["status"], row["problem"], row["attempts"]) == (503, "It answered 503.", 1)
    again = api.post(f"{place}deliveries/{row['id']}/retry/")
    assert again.status_code == 200
    assert again.data["state"] == "waiting"
    hook.mood = 204
    posting.send_due(Channel.objects.get().pk)
    assert [got.json["id"] for got in hook.got] == [row["event_id"]] * 2
    assert api.post(f"{place}deliveries/{row['id']}/retry/").data["code"] == "conflict"
    assert api.delete(place).status_code == 204
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"address": "http://10.0.0.1/x"}, "address"), ({"events": ["container.lost"]}, "events"),
        ({"secret": "short"}, "secret"), ({"kind": "mail", "address": "ops@example.com"}, "address"),
        ({"teams": ["red"]}, "teams"), ({"cooldown": -1}, "cooldown"), ({"engines": ["x"]}, "engines"),
        ({"kind": "slack", "secret": "0123456789abcdef"}, "secret"), ({"name": "<b>"}, "name"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_is_refused_at_its_field(
    wish: dict[str, Any], field: str, api_for: Callable[..., APIClient], tara: User, hook: Receiver
) -> None:
    answer = api_for(tara).post("/api/v1/webhooks/", {"name": "ops", "address": hook.url, **wish})
    assert answer.status_code in (400, 422), answer.data
    assert field in answer.data["errors"]
    assert not Channel.objects.exists()


def test_a_container_is_muted_for_a_while_and_no_longer(
    api_for: Callable[..., APIClient], bob: User, vic: User, charlie: User, team: Team
) -> None:
    place = f"/api/v1/containers/{make_container(make_engine(), team).pk}/mute/"
    api = api_for(bob)
    assert api.get(place).data == {"muted_until": None}
    until = api.post(place, {"hours": 2}).data["muted_until"]
    assert timedelta(minutes=119) < parse_datetime(until) - timezone.now() <= timedelta(hours=2)
    assert api_for(vic).get(place).data["muted_until"] == until
    assert api_for(vic).post(place, {"hours": 0}).status_code == 403
    assert api_for(charlie).get(place).status_code == 404
    for hours in (-1, 721, "2", None):
        answer = api.post(place, {"hours": hours})
        assert answer.status_code in (400, 422), hours
        assert "hours" in answer.data["errors"]
    assert api.post(place, {"hours": 0}).data == {"muted_until": None}


def test_others_find_nothing(
    api_for: Callable[..., APIClient], tara: User, bob: User, charlie: User, alice: User, hook: Receiver
) -> None:
    """S-22."""
    made = api_for(tara).post("/api/v1/webhooks/", {"name": "ops", "address": hook.url}).data
    api_for(alice).post("/api/v1/webhooks/", {"name": "all", "address": hook.url, "team": None})
    place = f"/api/v1/webhooks/{made['id']}/"
    assert api_for(bob).get("/api/v1/webhooks/").status_code == 403
    assert api_for(charlie).get(place).status_code in (403, 404)
    assert [row["name"] for row in api_for(tara).get("/api/v1/webhooks/").data["results"]] == ["ops"]
    assert [row["name"] for row in api_for(alice).get("/api/v1/webhooks/").data["results"]] == ["all", "ops"]
    weak = api_for(tara, "read", "operate", "write")
    assert weak.patch(place, {"name": "x"}).status_code == 403
    assert weak.get(place).status_code == 200
    assert api_for(bob).post(f"{place}test/").status_code == 403
