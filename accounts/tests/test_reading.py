"""Language and time zone: the reader's own, on pages, in parts of pages, in REST; what is kept stays English."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.forms import DateInput
from django.template import Context, Template
from django.test import Client
from django.utils import translation

from accounts import access, tokens
from accounts.models import AuditEntry, Team, User
from scripts import catalogues
from scripts.catalogues import Catalogue, Text
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]
GERMAN = {
    "Language and time": "Sprache und Zeit",
    "Operations": "Vorgänge",
    "Sign in": "Anmelden",
    "No such address.": "Diese Adresse gibt es nicht.",
    "This needs the role %(role)s; yours is %(yours)s.": "Dazu braucht es die Rolle %(role)s, nicht %(yours)s.",
    "viewer": "Betrachter",
}


@pytest.fixture(autouse=True)
def german(tmp_path: Path, settings: Any) -> None:
    """Some German, whatever the catalogue of the product says today."""
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    texts = [Text(id_, strings=[string]) for id_, string in GERMAN.items()]
    (folder / "django.mo").write_bytes(catalogues.compiled(Catalogue({text.key: text for text in texts})))
    settings.LOCALE_PATHS = [tmp_path]
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]


def test_two_readers_of_one_page_get_it_in_their_languages(
    client_for: ClientFor, vic: User, charlie: User
) -> None:
    User.objects.filter(pk=vic.pk).update(language="de")
    for user, language, words in (
        (vic, "de", "Vorgänge"),
        (charlie, "en", "Operations"),
        (vic, "de", "Vorgänge"),
    ):
        client = client_for(user)
        page = client.get("/account/language/")
        assert f'<html lang="{language}">' in page.text
        assert (page["Content-Language"], page["Vary"].count("Accept-Language")) == (language, 1)
        # The part of every page that fetches itself again when something has changed.
        part = client.get("/frame/", headers={"HX-Request": "true"})
        assert words in part.text


def test_the_browser_decides_where_nobody_has_said_anything(client: Client, vic: User) -> None:
    page = client.get("/login/", headers={"Accept-Language": "fr, de-AT;q=0.8, en;q=0.5"})
    assert "Anmelden" in page.text
    assert '<html lang="de">' in page.text
    client.cookies["slipway_language"] = "en"
    assert '<html lang="en">' in client.get("/login/", headers={"Accept-Language": "de"}).text
    assert '<html lang="en">' in client.get("/login/", headers={"Accept-Language": "fr"}).text


def test_language_and_zone_are_kept_and_what_is_neither_is_not(client_for: ClientFor, vic: User) -> None:
    client = client_for(vic)
    for wrong in ({"language": "tlh"}, {"zone": "Europe/Atlantis"}):
        assert client.post("/account/language/", wrong).context["form"].errors
    vic.refresh_from_db()
    assert (vic.language, vic.zone) == ("", "")
    answer = client.post("/account/language/", {"language": "de", "zone": "Asia/Tokyo"})
    assert (answer.status_code, answer.cookies["slipway_language"].value) == (302, "de")
    page = client.get("/account/language/").text
    assert "Sprache und Zeit" in page
    assert 'data-zone="Asia/Tokyo"' in page
    assert "JST</time>" in page
    answer = client.post("/account/language/", {"language": "", "zone": ""})
    assert answer.cookies["slipway_language"].value == ""
    assert "data-zone" not in client.get("/account/language/").text


def test_numbers_and_dates_are_written_as_browsers_and_engines_read_them() -> None:
    with translation.override("de"):
        assert (
            Template("{{ n }} {{ m|floatformat:1 }}").render(Context({"n": 0.5, "m": 1234.56}))
            == "0.5 1234.6"
        )
        assert 'value="2026-11-24"' in DateInput().render("on", date(2026, 11, 24))


def test_rest_answers_in_the_language_it_is_asked_in_and_its_codes_and_times_stay(vic: User) -> None:
    User.objects.filter(pk=vic.pk).update(language="de", zone="Asia/Tokyo")
    made, secret = tokens.make(vic, "ci", ["read"])
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    assert client.get("/api/v1/nowhere/").json()["detail"] == "No such address."
    answer = client.get("/api/v1/nowhere/", headers={"Accept-Language": "de"})
    assert (answer.json()["detail"], answer.json()["code"]) == ("Diese Adresse gibt es nicht.", "not_found")
    assert answer["Content-Language"] == "de"
    found = client.get(f"/api/v1/tokens/{made.pk}/", headers={"Accept-Language": "de"}).json()
    assert found["created_at"].endswith("Z")


def test_a_refusal_is_told_in_the_readers_language_and_kept_in_english(vic: User, team: Team) -> None:
    with translation.override("de"):
        with pytest.raises(access.Denied) as caught:
            access.require(access.person(vic, source="ui"), "engine.manage")
        assert str(caught.value) == "Dazu braucht es die Rolle site administrator, nicht Betrachter."
        assert access.english(caught.value) == "This needs the role site administrator; yours is viewer."


def test_what_is_kept_of_a_refused_change_is_english(client_for: ClientFor, vic: User, team: Team) -> None:
    User.objects.filter(pk=vic.pk).update(language="de")
    container = make_container(make_engine(), team)
    refused = client_for(vic).post(f"/containers/{container.pk}/do/stop/", follow=True)
    assert "yours there is Betrachter" in refused.content.decode()
    (kept,) = AuditEntry.objects.filter(outcome="denied")
    assert kept.detail["reason"].endswith("yours there is viewer.")
