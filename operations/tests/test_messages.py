"""Messages to other systems: what is written, to whom, what a receiver gets, and what a bad one does to others."""

from __future__ import annotations

import hashlib
import hmac
import queue
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from accounts.access import Actor, person
from accounts.models import Team, User
from engine.specs import SpecError
from operations import channels, outbox, posting, services
from operations.models import Channel, Delivery, Engine, Mute
from tests.receiver import Receiver, receiver
from tests.smtp import server
from tests.tls import Authority

SECRET = "a secret of sixteen and more"


@pytest.fixture
def hook(settings: Any) -> Iterator[Receiver]:
    """A receiver that the site has named."""
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    with receiver() as found:
        yield found


@pytest.fixture
def channel(hook: Receiver, team: Team, tara: User) -> Callable[..., Channel]:
    """``channel(**fields)``: one of team blue's, or of ``team``."""

    def make(
        name: str = "ops", *, team: Team | None = team, by: Actor | None = None, **fields: Any
    ) -> Channel:
        body = {"name": name, "address": hook.url, "secret": SECRET, **fields}
        if body.get("kind", "webhook") != "webhook":
            del body["secret"]
        return channels.add(body, actor=by or person(tara, source="ui"), team=team)[0]

    return make


@pytest.fixture
def site(alice: User) -> Actor:
    """Who administers the site."""
    return person(alice, source="ui")


@pytest.fixture
def told(engine: Engine, team: Team) -> Callable[..., int]:
    """``told(key, …)``: something happened to the container ``web`` of team blue; for how many it was new."""

    def tell(key: str, **fields: Any) -> int:
        facts: dict[str, Any] = {
            "event": "container.exited", "type": "container", "id": "1", "name": "web", "engine": engine,
            "team_id": team.pk, "title": "web ended", "path": "/containers/1/",
        }  # fmt: skip
        return outbox.tell(outbox.Told(key=key, **{**facts, **fields}))

    return tell


def send(row: Channel) -> list[Delivery]:
    """What a worker's thread does; all messages of the channel, oldest first."""
    posting.send_due(row.pk)
    row.refresh_from_db()
    return list(row.deliveries.order_by("created_at"))


def due_now(**fields: Any) -> None:
    """Nothing has to wait any more."""
    Channel.objects.update(wait_until=None)
    Delivery.objects.filter(state="waiting").update(due_at=timezone.now(), lease_until=None, **fields)


def test_a_message_is_signed_and_says_what_happened(
    channel: Callable[..., Channel], told: Callable[..., int], hook: Receiver, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://slipway.example"
    row = channel()
    assert told("a", facts={"exit_code": 3}, text="line\u202e\nbreak") == 1
    (sent,) = send(row)
    (got,) = hook.got
    assert (sent.state, sent.status, row.state) == ("sent", 204, "ok")
    stamp, _, digest = got.headers["Slipway-Signature"].partition(",")
    at = stamp.removeprefix("t=")
    expected = hmac.new(SECRET.encode(), f"{at}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert digest == f"v1={expected}"
    assert abs(int(at) - time.time()) < 60
    assert got.json["id"] == str(sent.event_id) == got.headers["Slipway-Delivery"]
    assert got.json["facts"] == {"exit_code": 3}
    assert got.json["text"] == "line break"
    assert got.json["url"] == "https://slipway.example/containers/1/"
    assert (got.json["team"], got.json["engine"]["name"], got.json["object"]["name"]) == (
        "blue",
        "nowhere",
        "web",
    )


def test_a_channel_hears_of_its_own_team_alone_and_of_what_it_asked_for(
    channel: Callable[..., Channel], told: Callable[..., int], other_team: Team, site: Actor, engine: Engine
) -> None:
    blue = channel()
    everything = channel("site", team=None, by=site)
    picky = channel("picky", team=None, by=site, teams=["red"], events=["container.oom"], pattern="db*")
    assert told("a") == 2
    assert told("b", team_id=None) == 1
    assert told("c", team_id=other_team.pk) == 1
    assert told("d", event="container.oom", team_id=other_team.pk, name="db1") == 2
    assert told("e", event="container.oom", name="db1") == 2  # of blue: not for red's
    assert told("f", event="container.oom", team_id=other_team.pk, name="web") == 1
    assert told("g", event="engine.away", everybody=True, team_id=None, type="engine", name="nowhere") == 2
    channels.change(
        blue, {"engines": [str(Engine.objects.create(name="other", endpoint="unix:///o").pk)]}, actor=site
    )
    channels.change(everything, {"kinds": ["container.stop"]}, actor=site)
    assert told("h", id="2") == 1  # no kind is asked of what is no operation
    assert told("i", event="operation.failed", kind="container.start") == 0
    assert told("j", event="operation.failed", kind="container.stop") == 1
    channels.change(everything, {"enabled": False}, actor=site)
    assert told("k", id="3") == 0
    assert {d.payload["team"] for d in blue.deliveries.all()} == {"blue", None}
    assert set(picky.deliveries.values_list("title", flat=True)) == {"web ended"}
    assert picky.deliveries.count() == 1


def test_two_writers_of_one_event_write_one_message_and_none_is_left_of_what_was_undone(
    channel: Callable[..., Channel], told: Callable[..., int]
) -> None:
    row = channel()
    assert (told("a"), told("a")) == (1, 0)
    with transaction.atomic():
        assert told("b") == 1
        transaction.set_rollback(True)
    assert row.deliveries.count() == 1


def test_what_comes_again_within_the_cool_down_is_one_message_that_counts(
    channel: Callable[..., Channel], told: Callable[..., int], hook: Receiver
) -> None:
    row = channel(cooldown=10)
    for number in range(6):
        assert told(f"loop:{number}") == 1
    assert told("loop:5") == 0
    assert told("other", id="2", name="api") == 1
    first, held, other = send(row)
    assert [(d.state, d.count) for d in (first, held, other)] == [("sent", 1), ("waiting", 5), ("sent", 1)]
    assert timedelta(minutes=9) < held.due_at - timezone.now() < timedelta(minutes=10)
    Delivery.objects.filter(pk=held.pk).update(at=timezone.now())
    due_now()
    send(row)
    assert [got.json["count"] for got in hook.got] == [1, 1, 5]
    told("loop:6")
    assert row.deliveries.get(state="waiting").due_at > timezone.now() + timedelta(minutes=9)


def test_a_muted_channel_and_a_muted_container_are_quiet_until_the_time_is_up(
    channel: Callable[..., Channel],
    told: Callable[..., int],
    engine: Engine,
    team: Team,
    bob: User,
    site: Actor,
) -> None:
    row = channel(cooldown=0)
    web = Mute(engine=engine, team=team, name="web")  # as a container's row: engine, team and name
    found = channels.mute(web, 2, actor=person(bob, source="ui"))
    assert found is not None
    assert channels.muted(web) == found
    assert told("a") == 0
    assert told("b", name="api") == 1
    channels.mute(web, 0, actor=person(bob, source="ui"))
    assert told("c") == 1
    channels.change(row, {"mute_hours": 1}, actor=site)
    assert row.state == "muted"
    assert told("d") == 0
    Channel.objects.update(muted_until=timezone.now())
    assert told("e") == 1


@pytest.mark.parametrize(
    ("mood", "status", "words"),
    [
        (500, 500, "It answered 500."), ("redirect", 302, "do not follow"), ("close", None, "No answer"),
        ("hang", None, "No answer"), ("drip", None, "No answer"),
    ],
)  # fmt: skip
def test_a_bad_receiver_is_tried_again_later_and_then_given_up(
    mood: int | str, status: int | None, words: str, channel: Callable[..., Channel], told: Callable[..., int],
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, site: Actor,
) -> None:  # fmt: skip
    monkeypatch.setattr(posting, "WITHIN", 0.5)
    row, hook.mood, hook.elsewhere = channel(), mood, f"{hook.url}/elsewhere"
    told("a")
    (tried,) = send(row)
    assert (tried.state, tried.attempts, tried.status) == ("waiting", 1, status)
    assert words in tried.problem
    assert (row.state, row.wait_until is None) == ("failing", status is not None)
    assert tried.due_at > timezone.now() + timedelta(seconds=5)
    assert posting.send_due(row.pk) == 0
    due_now(expires_at=timezone.now())
    (dead,) = send(row)
    assert (dead.state, dead.attempts) == ("dead", 2)
    assert "internal" not in dead.problem
    assert len({got.body for got in hook.got}) == 1
    assert all(got.path.endswith("address") for got in hook.got)
    hook.mood = 200
    channels.send_again(dead, actor=site)
    (sent,) = send(row)
    assert (sent.state, row.failures, row.state) == ("sent", 0, "ok")
    assert len({got.json["id"] for got in hook.got}) == 1
    assert len(hook.got) == 3
    with pytest.raises(services.Refused, match="nothing to send again"):
        channels.send_again(sent, actor=site)


def test_a_worker_that_died_in_the_middle_leaves_a_message_that_is_sent_again(
    channel: Callable[..., Channel], told: Callable[..., int], hook: Receiver
) -> None:
    """R-30: at least once, with one id, and whoever was first does not overwrite what the second has found."""
    row = channel()
    told("a")
    dead = row.deliveries.get()
    assert posting._claim(dead)
    assert posting.send_due(row.pk) == 0
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (sent,) = send(row)
    assert sent.state == "sent"
    posting._ended(dead, posting.Came(problem="too late"))
    row.refresh_from_db()
    assert (row.deliveries.get().state, row.failures) == ("sent", 0)


def test_each_channel_has_a_thread_of_its_own_while_something_is_due_for_it(
    channel: Callable[..., Channel], told: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(posting, "_busy", set())
    monkeypatch.setattr(posting, "_in_thread", sent.put)
    rows = {channel("one").pk, channel("two").pk}
    assert posting.wake() == 0
    told("a")
    assert (posting.wake(), posting.wake()) == (2, 0)  # whoever is busy is left alone
    assert {sent.get(timeout=5), sent.get(timeout=5)} == rows


def test_nobody_is_led_into_a_network_of_ones_own(
    channel: Callable[..., Channel], told: Callable[..., int], settings: Any, hook: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """S-73: neither by the address, nor by what its host leads to when it is sent."""
    settings.WEBHOOK_HOSTS = []
    for address in (
        hook.url, "https://127.0.0.1/x", "https://[::1]/", "https://10.0.0.1/", "https://169.254.169.254/latest",
        "https://[2002:7f00:1::]/", "https://[64:ff9b::7f00:1]/", "https://hooks.example:22/", "ftp://hooks.example/",
        "https://user:pass@hooks.example/", "https://hooks.example/#x", "https://hooks.example/a b",
    ):  # fmt: skip
        with pytest.raises(SpecError):
            channel(address=address)
    row = channel(address="https://hooks.example/x?key=1")
    assert row.shown == "https://hooks.example/…"
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.0.1", 443))])
    told("a")
    (tried,) = send(row)
    assert tried.status is None
    assert "leads into a network of its own" in tried.problem
    assert not hook.got


def test_address_and_secret_are_sealed_and_shown_nowhere(
    channel: Callable[..., Channel], hook: Receiver, site: Actor, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """S-55, S-58."""
    monkeypatch.setattr(channels, "WAIT", 0)
    from accounts.models import AuditEntry

    row = channel()
    hook.mood = 500
    channels.try_out(row, actor=site)
    (tried,) = send(row)
    assert tried.state == "dead"
    told = [
        str(list(AuditEntry.objects.values())),
        str(Channel.objects.values()),
        str(Delivery.objects.values()),
    ]
    assert not [text for text in (*told, caplog.text) if "canary" in text or SECRET in text]
    Channel.objects.filter(pk=row.pk).update(sealed=channel("other").sealed)
    row.refresh_from_db()
    channels.try_out(row, actor=site)
    assert "another key" in send(row)[-1].problem


def test_a_mail_goes_to_all_addresses_and_shows_none_of_them(
    channel: Callable[..., Channel], told: Callable[..., int], settings: Any
) -> None:
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example", "https://slipway.example"
    row = channel(kind="mail", address="ops@example.com, night@example.org")
    assert row.shown == "o…@example.com, n…@example.org"
    told("a", title="web ended\r\nBcc: evil@example.com", text="Exit code 3.")
    (sent,) = send(row)
    (got,) = mail.outbox
    assert (sent.state, got.to, got.bcc) == ("sent", [], ["ops@example.com", "night@example.org"])
    assert got.subject == "[Slipway] web ended Bcc: evil@example.com"
    assert got.extra_headers["Message-ID"] == f"<{sent.event_id}@localhost>"
    assert "Exit code 3." in got.body
    assert "https://slipway.example/containers/1/" in got.body


def test_a_mail_is_handed_in_by_tls_with_an_account(
    channel: Callable[..., Channel], told: Callable[..., int], settings: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """By real SMTP: to a server that is trusted and wants an account; what it refuses is tried again."""
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "127.0.0.1", True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "slipway", "of the mail's"
    with server(tmp_path, authority, account="slipway:of the mail's") as post:
        settings.EMAIL_PORT, post.refuse = post.port, "450 later"
        row = channel(kind="mail", address="ops@example.com, night@example.org")
        told("a", title="web ended")
        (sent,) = send(row)
        assert (sent.state, bool(sent.problem), post.mails) == ("waiting", True, [])
        post.refuse = ""
        due_now()
        (sent,) = send(row)
    assert (sent.state, post.sealed) == ("sent", [True])
    assert post.recipients[-1] == ["ops@example.com", "night@example.org"]
    (got,) = post.mails
    assert (got["Subject"], got["To"], got["Bcc"]) == ("[Slipway] web ended", None, None)


def test_who_may_see_and_change_channels(
    channel: Callable[..., Channel],
    bob: User,
    charlie: User,
    tara: User,
    alice: User,
    site: Actor,
    team: Team,
) -> None:
    from django.http import Http404

    from accounts.access import Denied

    blue, all_ = channel(), channel("site", team=None, by=site)
    seen = {
        user.username: list(channels.visible(person(user, source="ui")))
        for user in (bob, charlie, tara, alice)
    }
    assert seen == {"bob": [], "charlie": [], "tara": [blue], "alice": [blue, all_]}
    for user, refusal in ((bob, Denied), (charlie, Http404)):
        actor = person(user, source="ui")
        for ask in (
            lambda actor=actor: channels.change(blue, {"name": "x"}, actor=actor),
            lambda actor=actor: channels.drop(blue, actor=actor),
            lambda actor=actor: channels.try_out(blue, actor=actor),
            lambda actor=actor: channels.add({"name": "x"}, actor=actor, team=team),
        ):
            with pytest.raises(refusal):
                ask()
    with pytest.raises(Http404):
        channels.add({"name": "x"}, actor=person(tara, source="ui"), team=None)
    assert blue.deliveries.count() == 0
