"""The OpenAPI document: what it is today stands in `openapi.json`, so that a change of the contract is seen.

After a change that is meant: ``pytest tests/test_api_schema.py --write-baselines``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from accounts.models import User

SNAPSHOT = Path(__file__).with_name("openapi.json")
ROOT = Path(__file__).resolve().parent.parent
ClientFor = Callable[..., Client]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is made now."""
    GENERATOR_STATS.reset()
    found = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found, sort_keys=True, default=str))


def test_the_document_is_the_one_in_the_repository(
    document: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if pytestconfig.getoption("--write-baselines"):
        SNAPSHOT.write_text(text)
    assert SNAPSHOT.read_text() == text, "see the first lines of this file"


def test_it_was_made_without_a_guess(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert not GENERATOR_STATS._error_cache, GENERATOR_STATS._error_cache
    assert not GENERATOR_STATS._warn_cache, GENERATOR_STATS._warn_cache


def test_every_address_is_in_it(document: dict[str, Any]) -> None:
    api = next(p for p in get_resolver().url_patterns if getattr(p, "namespace", None) == "api")
    routes = {
        "/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(p.pattern)).replace("{pk}", "{id}")
        for p in api.url_patterns
        if p.name not in ("schema", "docs")
    }
    assert routes == set(document["paths"])


def test_each_address_stands_in_the_table_for_people(document: dict[str, Any]) -> None:
    """By its words: rows of docs/api.md shorten what they have said already."""
    table = (ROOT / "docs/api.md").read_text().partition("## Addresses")[2].partition("## Recipes")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `/")]
    missing = []
    for path in document["paths"]:
        words = [word for word in path.removeprefix("/api/v1/").split("/") if word and "{" not in word]
        about = [row for row in rows if f"/{words[0]}/" in row]
        said = {word for row in about for word in re.findall(r"[a-z-]+", row)}
        if not about or not said >= {part for word in words for part in re.findall(r"[a-z-]+", word)}:
            missing.append(path)
    assert not missing


def test_every_change_and_every_fault_is_told(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "default" in operation["responses"], (method, path)
            assert operation["description"], (method, path)
            assert "Permission: `" in operation["description"]


def test_the_document_and_its_page_are_for_those_signed_in(client_for: ClientFor, vic: User) -> None:
    nobody = Client()
    assert nobody.get("/api/v1/schema/").status_code == 401
    assert nobody.get("/api/v1/docs/")["Location"].startswith("/login/?next=")
    signed_in = client_for(vic)
    answer = signed_in.get("/api/v1/schema/")
    assert (answer.status_code, json.loads(answer.content)["openapi"]) == (200, "3.1.0")


def test_the_page_needs_no_inline_script_and_no_other_origin(client_for: ClientFor, vic: User) -> None:
    client = client_for(vic)
    page = client.get("/api/v1/docs/")
    html = page.content.decode()
    assert page["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert "<style" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html.count("<script") == html.count("<script src=") == 4
    script = client.get("/api/v1/docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/v1/schema/" in script.content.decode()
