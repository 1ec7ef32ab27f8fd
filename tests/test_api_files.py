"""REST of files: listings, bodies as they come, what is refused, and plans. Without an engine."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient

from accounts.models import Team, User
from containers_app import files
from containers_app.models import Container, Volume
from engine import errors
from operations import reads
from operations.models import Operation
from tests.rows import make_container, make_engine, make_volume

ApiFor = Callable[..., APIClient]


@pytest.fixture
def things(db: None, team: Team) -> list[tuple[str, Container | Volume, str]]:
    """A container and a volume of team blue, each with the address of its files."""
    engine = make_engine()
    web, data = make_container(engine, team), make_volume(engine, team)
    return [
        ("container", web, f"/api/v1/containers/{web.pk}/files/"),
        ("volume", data, f"/api/v1/volumes/{data.pk}/files/"),
    ]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    stand_in = SimpleNamespace(answer={"path": "/", "entries": [], "complete": True}, asked=[])

    def read(kind: str, obj: Any, **options: Any) -> Any:
        stand_in.asked.append((kind, options["params"]["path"]))
        if isinstance(stand_in.answer, Exception):
            raise stand_in.answer
        return stand_in.answer

    monkeypatch.setattr(reads, "read", read)
    return stand_in


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Any:
    yield
    for path in files.spooled("x").parent.iterdir():
        path.unlink()


def test_a_folder_is_listed(api_for: ApiFor, tara: User, things: Any, worker: Any) -> None:
    for kind, _, url in things:
        assert api_for(tara).get(f"{url}?path=/etc//").json() == worker.answer
        assert worker.asked.pop() == (f"{kind}.files", "/etc")
        assert api_for(tara).get(url).status_code == 200
        assert worker.asked.pop() == (f"{kind}.files", "/")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotFound("None."), 404, "not_found"),
        (errors.Conflict("This is no folder."), 409, "conflict"),
        (errors.PolicyDenied("Shut.", rule="files.closed", field="path"), 403, "policy_denied"),
        (errors.DeadlineExceeded("Late."), 504, "engine_timeout"),
    ],
)
def test_what_an_engine_says_has_its_own_code(
    api_for: ApiFor, tara: User, things: Any, worker: Any, error: Exception, status: int, code: str
) -> None:
    worker.answer = error
    for _, _, url in things:
        answer = api_for(tara).get(url)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "value", ["", "%", "a\u202eb😀", "x" * 5000, "/" * 5000, "/a\0", "/..", "/./", "\\", "9" * 25]
)
def test_no_parameter_breaks_it(api_for: ApiFor, tara: User, things: Any, worker: Any, value: str) -> None:
    for _, _, url in things:
        for name in ("path", "replace", "dry_run", "find"):
            assert api_for(tara).get(url, {name: value}).status_code in (200, 400)
        assert api_for(tara).delete(f"{url}?{urlencode({'path': value, 'dry_run': 1})}").status_code in (
            200,
            400,
        )


def test_a_body_is_taken_as_it_comes_whatever_it_says_that_it_is(
    api_for: ApiFor, tara: User, things: Any
) -> None:
    for kind, row, url in things:
        for i, (body, content_type) in enumerate(
            [(b"\0\xff raw", "application/octet-stream"), (b"{broken", "application/json"), (b"", "text/plain"),
             (b"a=1&b=2", "application/x-www-form-urlencoded"), (b"--x", "multipart/form-data; boundary=x")]
        ):  # fmt: skip
            answer = api_for(tara).put(f"{url}?path=/made/{i}", body, content_type=content_type)
            assert answer.status_code == 202, answer.json()
            found = Operation.objects.get(pk=answer.json()["id"])
            assert (found.kind, found.target_id) == (f"{kind}.put", str(row.pk))
            assert (found.params["path"], found.params["replace"]) == (f"/made/{i}", False)
            assert files.spooled(found.params["spool"]).read_bytes() == body


def test_the_same_key_with_the_same_body_is_the_same_operation(
    api_for: ApiFor, tara: User, things: Any
) -> None:
    _, _, url = things[0]

    def put(body: bytes) -> Any:
        headers = {"Idempotency-Key": "k1"}
        return api_for(tara).put(f"{url}?path=/a", body, content_type="text/plain", headers=headers)

    first = put(b"one")
    assert put(b"one").json()["id"] == first.json()["id"]
    assert put(b"two").status_code == 422


def test_what_was_seen_is_all_that_is_written_over(api_for: ApiFor, tara: User, things: Any) -> None:
    _, _, url = things[0]
    headers = {"If-Match": f'"{"a" * 64}"'}
    answer = api_for(tara).put(f"{url}?path=/a", b"x", content_type="text/plain", headers=headers)
    params = Operation.objects.get(pk=answer.json()["id"]).params
    assert (params["digest"], params["replace"]) == ("a" * 64, True)
    bad = api_for(tara).put(f"{url}?path=/a", b"x", content_type="text/plain", headers={"If-Match": "*"})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid")


def test_files_are_renamed_and_deleted_and_a_plan_changes_nothing(
    api_for: ApiFor, tara: User, things: Any
) -> None:
    for kind, _, url in things:
        api = api_for(tara)
        plan = api.delete(f"{url}?path=/a&dry_run=1")
        assert plan.status_code == 200
        assert plan.json()["lost"][0]["what"] == "/a"
        assert not Operation.objects.filter(target_type=kind).exists()
        assert api.delete(f"{url}?path=/a").json()["kind"] == f"{kind}.erase"
        moved = api.post(url, {"path": "/b", "name": "c"}, format="json")
        assert (moved.status_code, moved.json()["kind"]) == (202, f"{kind}.move")
        for wish in (
            {"path": "/b", "name": "../c"},
            {"path": "b", "name": "c"},
            {"path": "/b", "name": "c", "x": 1},
        ):
            assert api.post(url, wish, format="json").status_code == 400
        assert api.delete(f"{url}?path=/").status_code == 400
        assert api.delete(f"{url}?path=/../etc").status_code == 400
        assert api.delete(f"{url}?path=/a&folder=/b").json()["code"] == "unknown_parameter"


def test_scopes_and_roles_hold(
    api_for: ApiFor, tara: User, bob: User, charlie: User, things: Any, worker: Any
) -> None:
    for _, _, url in things:
        assert api_for(tara, "read").get(url).status_code == 403
        assert api_for(tara, "operate").get(url).status_code == 200
        assert api_for(tara, "operate").delete(f"{url}?path=/a").status_code == 403
        for method in ("get", "delete"):
            assert getattr(api_for(bob), method)(f"{url}?path=/a").status_code == 403
            assert getattr(api_for(charlie), method)(f"{url}?path=/a").status_code in (403, 404)
        assert api_for(bob).put(f"{url}?path=/a", b"x", content_type="text/plain").status_code == 403
    assert not Operation.objects.exists()
