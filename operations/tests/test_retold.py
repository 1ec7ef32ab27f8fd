"""What is kept in English is told in the reader's language, and stays English where it is kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from accounts.models import Team, User
from operations import retold
from operations.models import Operation
from scripts import catalogues
from tests import rows

Browser = Callable[..., Client]
LOCALE = Path(__file__).parents[2] / "locale" / "de" / "LC_MESSAGES" / "django.po"
PLACE = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


def filled(text: str) -> str:
    """With a name as each value."""
    return PLACE.sub(lambda place: f"«{place[1] or place[2]}»", text).replace("%%", "%")


KEPT = [text for text in catalogues.read(LOCALE).texts.values() if text.context == retold.CONTEXT]


def test_every_sentence_that_is_kept_is_told_in_german_with_its_values() -> None:
    assert len(KEPT) > 300
    with translation.override("de"):
        told = [(filled(text.strings[0]), retold.retold(filled(text.id))) for text in KEPT]
    wrong = [f"{have} instead of {want}" for want, have in told if want != have]
    assert not wrong, "\n".join(wrong)


def test_sentences_within_sentences_are_told_too_and_names_stay_what_they_are() -> None:
    with translation.override("de"):
        for kept, told in (
            ("Cancelled. No volume was made.", "Abgebrochen. Es wurde kein Volume angelegt."),
            (
                "web did not start: The engine's disk is full.",
                "web ist nicht gestartet: Die Platte der Engine ist voll.",
            ),
            # Somebody has called a container so.
            (
                "It was not started: Stop, which it needs, is gone.",
                "Er wurde nicht gestartet: Stop, das er braucht, gibt es nicht mehr.",
            ),
            (
                "web is unhealthy after 9 s; the new one was removed, and the old one is back and runs.",
                "web ist nach 9 s ungesund; der neue wurde entfernt, und der alte ist zurück und läuft.",
            ),
            ("crash loop: exit 2, 12 times in 3 min", "Absturzschleife: Exit-Code 2, 12-mal in 3 min"),
            ("OCI runtime create failed: unknown", "OCI runtime create failed: unknown"),
            ("", ""),
        ):
            assert retold.retold(kept) == told
        for piece in ("x ", ": of s", ", which it needs,  within  s", " ended within  s and", "a: "):
            hostile = (piece * 600)[: retold.LONGEST]
            began = time.monotonic()
            retold.retold(hostile)
            assert time.monotonic() - began < 1, piece
    for language in ("en", None):
        with translation.override(language):
            assert retold.retold("No file was made.") == "No file was made."


@pytest.mark.django_db
def test_a_page_tells_in_german_what_rest_and_the_trail_keep_in_english(
    client_for: Browser, api_for: Any, bob: User, team: Team
) -> None:
    User.objects.filter(pk=bob.pk).update(language="de")
    operation = rows.make_operation(
        rows.make_engine(), team, kind="container.stop", actor=bob, state="queued"
    )
    browser = client_for(bob)
    assert browser.post(f"/operations/{operation.pk}/cancel/").status_code in (302, 200, 204)
    kept = "Cancelled by bob before it started."
    assert Operation.objects.get(pk=operation.pk).error_message == kept
    page = browser.get(f"/operations/{operation.pk}/").text
    assert "Abgebrochen von bob, bevor es begann." in page
    assert kept not in page
    found = api_for(bob).get(f"/api/v1/operations/{operation.pk}/", headers={"Accept-Language": "de"}).json()
    assert found["error"] == {"code": "cancelled", "message": kept}
