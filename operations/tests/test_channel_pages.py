"""Pages of channels, as forms send them and as they are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Team, User
from operations import channel_page, messages
from operations.channel import EVENTS
from operations.models import Channel, Delivery, Engine


@pytest.fixture
def channel(team: Team) -> Channel:
    """One of team blue's."""
    return Channel.objects.create(
        team=team, name="ops", shown="https://hooks.example/…", events=["container.oom"]
    )


def test_a_form_makes_changes_and_forgets_a_channel(
    client_for: Callable[..., Client], tara: User, engine: Engine, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_for(tara)
    wish: dict[str, Any] = {
        "name": "chat", "kind": "slack", "address": "https://hooks.example/T1", "events": ["container.oom"],
        "cooldown": "60", "pattern": "web*", "enabled": "on", "kinds": ["container.stop"],
    }  # fmt: skip
    wrong = client.post("/notifications/new/", {**wish, "address": "https://10.0.0.1/"})
    assert "network of its own" in wrong.content.decode()
    assert client.post("/notifications/new/", wish).status_code == 302
    row = Channel.objects.get()
    assert (row.team, row.cooldown, row.pattern, row.kinds) == (team, 60, "web*", ["container.stop"])
    del wish["kind"], wish["enabled"]
    assert client.post(f"/notifications/{row.pk}/edit/", {**wish, "address": ""}).status_code == 302
    row.refresh_from_db()
    assert (row.enabled, row.shown) == (False, "https://hooks.example/…")
    monkeypatch.setattr("operations.channels.WAIT", 0)
    assert client.post(f"/notifications/{row.pk}/test/").status_code == 302
    assert client.post(f"/notifications/{row.pk}/mute/", {"hours": "4"}).status_code == 302
    assert client.get(f"/notifications/{row.pk}/").content.decode().count("A test of chat") > 0
    assert client.post(f"/notifications/{row.pk}/forget/").status_code == 302
    assert not Channel.objects.exists()


def test_pages_of_others_are_not_there(
    client_for: Callable[..., Client], channel: Channel, bob: User, charlie: User, tara: User
) -> None:
    place = f"/notifications/{channel.pk}/"
    assert client_for(bob).get("/notifications/").status_code == 403
    assert client_for(charlie).get(place).status_code == 403
    assert client_for(tara).get(place).status_code == 200


def test_the_days_of_the_plot_hold_what_ended_on_each(channel: Channel) -> None:
    from datetime import timedelta
    from uuid import uuid4

    from django.utils import timezone

    now = timezone.now()
    for state, ago in (("sent", 0), ("sent", 0), ("dead", 0), ("dead", 3), ("sent", 20), ("waiting", 0)):
        at, id_ = now - timedelta(days=ago), uuid4()
        Delivery.objects.create(
            channel=channel, event_id=id_, last_id=id_, event="container.oom", subject="x", title="x", at=at,
            due_at=at, expires_at=at, state=state, ended_at=None if state == "waiting" else at,
        )  # fmt: skip
    (line,) = channel_page.lines([channel])
    assert [(day.sent, day.dead) for day in line.days if day.sent or day.dead] == [(0, 1), (2, 1)]
    assert (line.days[-1].y, line.dead, line.tells) == (2, 2, EVENTS["container.oom"])


def test_slack_takes_no_markup_of_ours_or_anybody_s(channel: Channel) -> None:
    row = Delivery(
        channel=channel, event="container.exited", title="<!channel> *web* & co", count=3,
        payload={"text": "<https://evil.example|click>", "url": "https://slipway.example/x", "team": "blue"},
    )  # fmt: skip
    said = messages.slack(row)
    words = str(said)
    assert "<!channel>" not in words
    assert "<https://evil" not in words
    title = "&lt;!channel&gt; ∗web∗ &amp; co (3 times since the last message)"
    assert said["text"] == f":red_circle: {title}"
    assert said["blocks"][0]["text"]["text"] == f":red_circle: *<https://slipway.example/x|{title}>*"
