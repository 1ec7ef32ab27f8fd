"""No parameter and no body of any address breaks it, whatever it holds: 4xx is an answer, 500 is a mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiToken, Team, User
from tests.rows import (
    make_build,
    make_container,
    make_engine,
    make_image,
    make_network,
    make_operation,
    make_volume,
)

DOCUMENT = json.loads(Path(__file__).with_name("openapi.json").read_text())
ENGINE_NEEDED = (
    "processes/",
    "changes/",
    "logs/",
    "logs/search/",
    "stats/",
    "sync/",
)  # they would wait for a worker
VALUES = [
    "",
    "-1",
    "%",
    "%s",
    "'\"",
    "a\u202eb😀",
    "x" * 3000,
    "9999-99-99T00:00:00Z",
    "=",
    "__in=1",
    "9" * 25,
    "a\0",
]
BODIES: list[Any] = [
    None,
    [],
    "x",
    {"name": None},
    {"name": {}},
    {"name": "x" * 5000},
    {"image": {}},
    {"image": "a", "ports": [1], "labels": [], "mounts": {}},
    {"image": "a", "labels": {"a": 1}, "team": {}, "engine": []},
    {"reference": 1},
    {"reference": "é"},
    {"ids": [None], "action": {}},
    {"dockerfile": 1, "tags": "a", "build_args": {"a": {}}},
    {"timeout": 1.5},
    {"timeout": 10**30},
    {"signal": "\u202e"},
]


@pytest.fixture
def address(db: None, alice: User, team: Team) -> Callable[[str], str]:
    """``address(path)``: with the id of something that is there."""
    engine = make_engine()
    web, image = make_container(engine, team), make_image(engine, team, "a:1")
    rows = {
        "engines": engine,
        "containers": web,
        "images": image,
        "tags": image.tags.get(),
        "volumes": make_volume(engine, team, "data", web),
        "networks": make_network(engine, team),
        "operations": make_operation(engine, team),
        "builds": make_build(engine, team),
        "teams": team,
        "users": alice,
    }

    def fill(path: str) -> str:
        kind = path.split("/")[3]
        row = ApiToken.objects.get() if kind == "tokens" else rows.get(kind)
        return path.replace("{id}", str(row.pk)) if row else path

    return fill


def paths(method: str) -> list[str]:
    """Addresses that know the method and need no engine."""
    return [
        path
        for path, known in DOCUMENT["paths"].items()
        if method in known
        and not path.endswith(ENGINE_NEEDED)
        and not (method == "get" and path.endswith("files/"))  # test_api_files.py has a worker for these
    ]


def test_no_parameter_breaks_anything(
    api_for: Callable[..., APIClient], alice: User, address: Callable[[str], str]
) -> None:
    api, broken = api_for(alice), []
    for path in paths("get"):
        known = DOCUMENT["paths"][path]["get"].get("parameters", [])
        for name in [one["name"] for one in known if one["in"] == "query"]:
            for value in VALUES:
                answer = api.get(address(path), {name: value})
                if answer.status_code >= 500:
                    broken.append(f"{path} {name}={value!r}")
    assert not broken, broken


def test_no_body_breaks_anything(
    api_for: Callable[..., APIClient], alice: User, address: Callable[[str], str]
) -> None:
    api, broken = api_for(alice), []
    for path in paths("post"):
        for body in BODIES:
            answer = api.generic("POST", address(path), json.dumps(body), content_type="application/json")
            if answer.status_code >= 500:
                broken.append(f"{path} {body!r}")
    assert not broken, broken
