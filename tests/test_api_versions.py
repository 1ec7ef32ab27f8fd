"""Versions of objects: `ETag`, `If-None-Match` and `If-Match`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver
from rest_framework.test import APIClient

from accounts.api.versions import Versioned
from accounts.models import AuditEntry, Team, User
from containers_app.models import Container
from operations.models import Engine, Operation
from tests.rows import make_container, make_engine, make_volume

ApiFor = Callable[..., APIClient]
STALE = '"0123456789abcdef0123456789abcdef"'


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def container(engine: Engine, team: Team) -> Container:
    """One that runs."""
    return make_container(engine, team)


def test_every_object_has_versions() -> None:
    api = next(p for p in get_resolver().url_patterns if getattr(p, "namespace", None) == "api")
    objects = {
        str(p.pattern): p.callback.cls
        for p in api.url_patterns
        if re.search(r"(?<!compare/)<(uuid:pk|anything:name)>/$", str(p.pattern))
        and hasattr(p.callback.cls, "get")
    }
    assert len(objects) > 15
    assert not [path for path, view in objects.items() if not issubclass(view, Versioned)]


def test_what_has_not_changed_is_not_sent_again(api_for: ApiFor, vic: User, container: Container) -> None:
    api, address = api_for(vic), f"/api/v1/containers/{container.pk}/"
    tag = api.get(address)["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    for asked in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = api.get(address, headers={"If-None-Match": asked})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag), asked
    assert api.get(address, headers={"If-None-Match": STALE}).status_code == 200
    assert api.get(address, headers={"If-None-Match": tag.strip('"')}).status_code == 200
    Container.objects.update(name="other")
    changed = api.get(address, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["name"]) == (200, "other")
    assert changed["ETag"] != tag


def test_what_is_only_measured_is_no_other_version(
    api_for: ApiFor, vic: User, engine: Engine, team: Team
) -> None:
    volume = make_volume(engine, team)
    api, address = api_for(vic), f"/api/v1/volumes/{volume.pk}/"
    tag = api.get(address)["ETag"]
    volume.sized_at = volume.created_at
    volume.save()
    assert api.get(address)["ETag"] == tag
    volume.size = 7
    volume.save()
    assert api.get(address)["ETag"] != tag


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("patch", "", {"resources": {"memory": 64 << 20}}),
        ("delete", "?force=1", None),
        ("post", "stop/", None),
    ],
)
def test_a_change_of_what_has_changed_since_is_refused(
    api_for: ApiFor, bob: User, container: Container, method: str, below: str, body: Any
) -> None:
    api, address = api_for(bob), f"/api/v1/containers/{container.pk}/"
    tag = api.get(address)["ETag"]
    refused = api.generic(method.upper(), address + below, headers={"If-Match": STALE})
    assert (refused.status_code, refused["Content-Type"]) == (412, "application/problem+json")
    assert refused.json()["code"] == "precondition_failed"
    assert not Operation.objects.exists()
    done = getattr(api, method)(address + below, body, headers={"If-Match": f"{STALE}, W/{tag}"})
    assert done.status_code == 202, done.content


def test_the_address_may_lack_its_last_slash_and_any_version_may_do(
    api_for: ApiFor, bob: User, container: Container
) -> None:
    address = f"/api/v1/containers/{container.pk}/stop"
    assert api_for(bob).post(address, headers={"If-Match": STALE}).status_code == 412
    assert api_for(bob).post(address, headers={"If-Match": "*"}).status_code == 202


def test_what_one_may_not_know_of_stays_unknown_and_is_noted_once(
    api_for: ApiFor, charlie: User, container: Container
) -> None:
    answer = api_for(charlie).post(f"/api/v1/containers/{container.pk}/stop/", headers={"If-Match": STALE})
    assert answer.status_code == 404
    assert AuditEntry.objects.filter(outcome="denied").count() == 1


def test_the_version_of_a_file_is_its_own_digest(api_for: ApiFor, tara: User, container: Container) -> None:
    """Written over is the file, whatever has become of the container since."""
    answer = api_for(tara).put(
        f"/api/v1/containers/{container.pk}/files/?path=/x&replace=1&dry_run=1", b"x",
        content_type="application/octet-stream", headers={"If-Match": f'"{"0" * 64}"'},
    )  # fmt: skip
    assert answer.status_code == 200, answer.content


def test_a_viewer_is_refused_before_versions_are_looked_at(
    api_for: ApiFor, vic: User, container: Container
) -> None:
    answer = api_for(vic).post(f"/api/v1/containers/{container.pk}/stop/", headers={"If-Match": STALE})
    assert answer.status_code == 403


def test_where_nothing_has_versions_if_match_is_no_empty_promise(api_for: ApiFor, bob: User) -> None:
    answer = api_for(bob).post("/api/v1/containers/", {}, headers={"If-Match": STALE})
    assert (answer.status_code, answer.json()["code"]) == (400, "not_supported")


def test_an_answer_that_was_compressed_has_a_tag_that_can_be_used(
    client_for: Callable[..., Client], alice: User, engine: Engine
) -> None:
    client, address = client_for(alice), f"/api/v1/engines/{engine.pk}/"
    tag = client.get(address, headers={"Accept-Encoding": "gzip"})["ETag"]
    assert tag.startswith('W/"')
    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
