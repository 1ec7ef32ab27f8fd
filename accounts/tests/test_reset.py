"""A lost password: links by mail and by the command line."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts import factors, reset
from accounts.models import AuditEntry, User
from accounts.tests.test_second_factors import code_of
from accounts.tests.test_sign_in import sign_in

NEW = "another horse battery staple"


@pytest.fixture
def posted(settings: Any, vic: User) -> Callable[[], list[str]]:
    """Mails can be sent, and Vic has an address. ``posted()``: the links that were."""
    settings.EMAIL_HOST, settings.PUBLIC_URL = "mail.example", "https://slipway.example"
    User.objects.filter(pk=vic.pk).update(email="vic@slipway.example")

    def links() -> list[str]:
        for thread in threading.enumerate():
            if thread.name == "mail":
                thread.join(10)
        return [re.search(r"https?://\S+link=\S+", str(one.body))[0] for one in mail.outbox]  # type: ignore[index]

    return links


def ask(client: Client, name: str, **extra: Any) -> Any:
    """Fills in the form."""
    return client.post("/login/forgot/", {"name": name}, **extra)


def choose(client: Client, link: str, password: str = NEW) -> Any:
    """Follows the link and fills in the form there."""
    form = {"link": link.partition("link=")[2], "new": password, "new_again": password}
    return client.post("/login/reset/", form)


def test_s_15_a_link_changes_the_password_once(
    client: Client, client_for: Callable[..., Client], vic: User, posted: Callable[[], list[str]]
) -> None:
    """Its host is the configured one, whatever the request says; every session has ended then."""
    there = client_for(vic)
    ask(client, "vic", headers={"Host": "localhost"})
    (link,) = posted()
    assert link.startswith("https://slipway.example/login/reset/?link=")
    assert mail.outbox[0].to == ["vic@slipway.example"]
    page = client.get(link.removeprefix("https://slipway.example"))
    assert (page.status_code, page["Referrer-Policy"]) == (200, "strict-origin")
    assert choose(client, link, "short").context["form"].errors
    assert choose(client, link)["Location"] == "/login/"
    assert client.get("/account/").status_code == 302
    assert there.get("/account/").status_code == 302
    assert choose(client, link, "yet another horse battery").status_code == 403
    assert sign_in(client, "vic", NEW).status_code == 302
    trail = AuditEntry.objects.filter(verb="auth.reset").order_by("id")
    assert list(trail.values_list("outcome", "actor_name")) == [("accepted", "vic"), ("succeeded", "vic")]


def test_s_15_a_newer_link_ends_the_older_and_each_ends_by_itself(vic: User) -> None:
    older, newer = (reset.link(vic).partition("link=")[2] for _ in range(2))
    assert reset.owner(older) is None
    assert reset.owner(newer) == vic
    with time_machine.travel(timezone.now() + timedelta(minutes=20, seconds=1)):
        assert reset.owner(newer) is None
    User.objects.filter(pk=vic.pk).update(is_active=False)
    assert reset.owner(newer) is None
    assert reset.owner("") is None


def test_s_15_nobody_is_told_who_has_an_account(
    client: Client, vic: User, bob: User, posted: Callable[[], list[str]]
) -> None:
    pages = {
        ask(client, name).content for name in ("vic", "VIC@slipway.example", "bob", "nobody", "x@y.example")
    }
    assert len({re.sub(rb"csrf\S+ value=\"\w+\"", b"", page) for page in pages}) == 1
    assert len(posted()) == 2


def test_s_15_the_second_step_is_not_gone_round(
    client: Client, vic: User, posted: Callable[[], list[str]]
) -> None:
    secret = factors.new_secret()
    factors.add_app(vic, secret, code_of(secret))
    ask(client, "vic")
    choose(client, posted()[0])
    assert sign_in(client, "vic", NEW)["Location"] == "/login/code/"


def test_s_05_links_cannot_be_asked_for_without_end(client: Client, posted: Callable[[], list[str]]) -> None:
    """And who is locked out may still ask for one, from elsewhere."""
    answers = [ask(client, "vic").status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]
    assert sign_in(client).status_code == 302


def test_without_a_server_for_mails_the_page_says_how_else(client: Client, vic: User) -> None:
    page = client.get("/login/forgot/").content.decode()
    assert "manage.py person NAME --reset-link" in page
    ask(client, "vic")
    assert mail.outbox == []
    said = io.StringIO()
    call_command("person", "vic", "--reset-link", stdout=said)
    assert choose(client, said.getvalue().strip())["Location"] == "/login/"
    vic.refresh_from_db()
    assert vic.check_password(NEW)
