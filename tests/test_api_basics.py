"""What holds for every REST address: who may call, how it refuses, what it does not take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIClient

from accounts import tokens
from accounts.api.rates import Sustained
from accounts.models import AuditEntry, Team, User
from accounts.permissions import SCOPES
from operations.models import Operation
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]
PROBLEM = "application/problem+json"


def problem(response: object, status: int, code: str) -> dict[str, object]:
    """The problem that was answered, checked for its shape."""
    assert response.status_code == status, response.content  # type: ignore[attr-defined]
    assert response["Content-Type"] == PROBLEM  # type: ignore[index]
    found: dict[str, object] = json.loads(response.content)  # type: ignore[attr-defined]
    assert {"type", "title", "status", "detail", "code"} <= set(found)
    assert (found["status"], found["code"]) == (status, code)
    return found


def test_nobody_is_told_to_sign_in(client: Client, db: None) -> None:
    response = client.get("/api/v1/containers/")
    problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_session_reads(client_for: ClientFor, vic: User) -> None:
    response = client_for(vic).get("/api/v1/containers/")
    assert response.status_code == 200
    assert response.json() == {"next": None, "previous": None, "results": []}
    assert response["Cache-Control"] == "no-store"


def test_a_session_changes_nothing_without_the_csrf_token(
    client_for: ClientFor, bob: User, team: Team
) -> None:
    """S-66."""
    row = make_container(make_engine(), team)
    client = client_for(bob, enforce_csrf_checks=True)
    response = client.post(f"/api/v1/containers/{row.pk}/stop/", content_type="application/json")
    problem(response, 403, "permission_denied")


def test_a_token_ignores_the_session_beside_it(client_for: ClientFor, alice: User, vic: User) -> None:
    """Alice's cookie must not lend her rights to a token of Vic's."""
    client = client_for(alice)
    _, secret = tokens.make(vic, "test", ["read"])
    response = client.get("/api/v1/users/", headers={"Authorization": f"Bearer {secret}"})
    problem(response, 403, "permission_denied")
    response = client.get("/api/v1/users/", headers={"Authorization": "Bearer slp_no"})
    problem(response, 401, "not_authenticated")


@pytest.mark.parametrize(
    "header", ["Basic YWxpY2U6eA==", "Token x", "Bearer", "Bearer ", "slp_x", "Bearer slp_a.b"]
)
def test_other_credentials_are_refused_even_beside_a_session(
    client_for: ClientFor, alice: User, header: str
) -> None:
    """S-16."""
    response = client_for(alice).get("/api/v1/containers/", headers={"Authorization": header})
    problem(response, 401, "not_authenticated")


@pytest.mark.parametrize("name", ["token", "api_key", "access_token"])
def test_a_credential_in_the_address_is_refused_even_where_it_is_right(
    client_for: ClientFor, alice: User, name: str
) -> None:
    """S-16."""
    _, secret = tokens.make(alice, "test", SCOPES)
    response = client_for(alice).get("/api/v1/containers/", {name: secret})
    found = problem(response, 401, "not_authenticated")
    assert secret not in json.dumps(found)


def test_wrong_tokens_are_counted_by_address(client: Client, db: None) -> None:
    """S-05."""
    answers = [
        client.get("/api/v1/containers/", headers={"Authorization": f"Bearer slp_{'a' * 12}.{'b' * 40}"})
        for _ in range(101)
    ]
    assert {answer.status_code for answer in answers[:100]} == {401}
    problem(answers[100], 429, "rate_limited")
    assert int(answers[100]["Retry-After"]) > 0
    assert AuditEntry.objects.filter(verb="auth.locked").count() == 1


def test_unknown_addresses_are_problems_too(client: Client, db: None) -> None:
    for path in ("/api/", "/api", "/api/v1/nothing/", "/api/v2/containers/", "/api/v1/containers/1/"):
        problem(client.get(path), 404, "not_found")


def test_a_missing_last_slash_changes_nothing(api_for: ApiFor, bob: User, team: Team) -> None:
    row = make_container(make_engine(), team)
    api = api_for(bob)
    assert api.get("/api/v1/containers").json()["results"][0]["id"] == str(row.pk)
    problem(api.post("/api/v1/containers", {}, format="json"), 400, "invalid")
    problem(api.post("/api/v1/nothing", {}, format="json"), 404, "not_found")


def test_an_unknown_parameter_is_refused(api_for: ApiFor, bob: User) -> None:
    """A filter with a slip of the pen would else answer, or change, everything."""
    found = problem(api_for(bob).get("/api/v1/containers/?sate=running"), 400, "unknown_parameter")
    assert found["errors"] == {"sate": ["Unknown parameter."]}


@pytest.mark.parametrize(
    "path", ["containers/?name=a%00", "search/?q=%00", "operations/?kind=%00", "audit/?q=a%00"]
)
def test_a_zero_byte_is_refused(api_for: ApiFor, alice: User, path: str) -> None:
    problem(api_for(alice).get(f"/api/v1/{path}"), 400, "invalid")


def test_a_value_that_is_none_of_a_filters_words_is_refused(api_for: ApiFor, bob: User) -> None:
    found = problem(api_for(bob).get("/api/v1/containers/?state=runing&engine=1"), 400, "invalid")
    assert set(found["errors"]) == {"state", "engine"}  # type: ignore[call-overload]


@pytest.mark.parametrize("method", ["put", "patch", "options", "trace"])
def test_other_methods_are_refused(api_for: ApiFor, bob: User, method: str) -> None:
    problem(api_for(bob).generic(method.upper(), "/api/v1/containers/"), 405, "method_not_allowed")


def test_a_method_in_a_header_or_a_parameter_has_no_effect(api_for: ApiFor, bob: User, team: Team) -> None:
    row = make_container(make_engine(), team)
    answer = api_for(bob).get(f"/api/v1/containers/{row.pk}/", headers={"X-HTTP-Method-Override": "DELETE"})
    assert answer.status_code == 200
    problem(api_for(bob).get(f"/api/v1/containers/{row.pk}/?_method=DELETE"), 400, "unknown_parameter")


def test_a_form_is_the_wrong_media_type(api_for: ApiFor, bob: User) -> None:
    answer = api_for(bob).post(
        "/api/v1/containers/", "image=x", content_type="application/x-www-form-urlencoded"
    )
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"image": "a", "image": "b"}',
        '{"resources": {"memory": NaN}}',
        "[" * 100_000,
        '{"image": "a\\u0000"}',
        '{"image": ["\\ud800"]}',
        "\xff",
        '"x"',
        "[]",
    ],
)
def test_a_body_that_cannot_be_read_is_refused(api_for: ApiFor, bob: User, body: str) -> None:
    raw = body.encode("latin-1")
    problem(
        api_for(bob).generic("POST", "/api/v1/containers/", raw, content_type="application/json"),
        400,
        "invalid",
    )


def test_a_body_of_more_than_a_mebibyte_is_too_large(api_for: ApiFor, bob: User) -> None:
    raw = b'{"image": "' + b"a" * 1024 * 1024 + b'"}'
    answer = api_for(bob).generic("POST", "/api/v1/containers/", raw, content_type="application/json")
    problem(answer, 413, "too_large")


def test_a_plan_is_shown_and_nothing_is_done(api_for: ApiFor, bob: User, vic: User, team: Team) -> None:
    row = make_container(make_engine(), team)
    stop, remove = (
        f"/api/v1/containers/{row.pk}/stop/?dry_run=1",
        f"/api/v1/containers/{row.pk}/?force=1&dry_run=1",
    )
    answer = api_for(bob).post(stop)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["kind"], answer.json()["would_run"]) == ("container.stop", True)
    assert [item["what"] for item in answer.json()["stopped"]] == [row.name]
    plan = api_for(bob).delete(remove).json()
    assert [item["what"] for item in plan["lost"]] == ["Files it wrote", "Its logs"]
    assert plan["unknown"] == ["which files it wrote"]
    assert plan["undo_hours"] == 24
    assert api_for(bob).delete(f"{remove}&forever=1").json()["undo_hours"] == 0
    problem(api_for(vic).post(stop), 403, "permission_denied")
    assert not Operation.objects.exists()


def test_a_plan_says_what_would_be_refused(api_for: ApiFor, bob: User, team: Team) -> None:
    make_container(make_engine(), team)
    api = api_for(bob)

    def plan(**wish: object) -> dict[str, object]:
        answer = api.post("/api/v1/containers/?dry_run=1", {"image": "busybox:1", **wish}, format="json")
        assert answer.status_code == 200, answer.content
        return dict(answer.json()["refused"] or {})

    assert plan(name="web")["code"] == "name_in_use"
    assert plan(privileged=True)["rule"] == "no_privileged"
    assert plan(name="other") == {}
    problem(api.post("/api/v1/containers/?dry_run=1", {"image": "UPPER"}, format="json"), 400, "invalid")
    assert not Operation.objects.exists()
    assert not AuditEntry.objects.filter(outcome="denied").exists()


def test_what_has_no_plan_does_nothing_when_asked_for_one(api_for: ApiFor, bob: User) -> None:
    api = api_for(bob)
    body = {"name": "x", "scopes": ["read"]}
    problem(api.post("/api/v1/tokens/?dry_run=1", body, format="json"), 400, "not_supported")
    assert not bob.tokens.filter(name="x").exists()


def test_who_sends_too_many_waits(api_for: ApiFor, bob: User, vic: User, settings: object) -> None:
    settings.API_RATE = 3  # type: ignore[attr-defined]
    Sustained.buckets.clear()
    api = api_for(bob)
    assert [api.get("/api/v1/containers/").status_code for _ in range(3)] == [200] * 3
    answer = api.get("/api/v1/containers/")
    problem(answer, 429, "rate_limited")
    assert 1 <= int(answer["Retry-After"]) <= 20
    assert api_for(vic).get("/api/v1/containers/").status_code == 200


def test_a_fault_of_ours_is_a_problem_without_a_trace(
    api_for: ApiFor, bob: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S-72."""
    from containers_app.api.views import ContainerList

    def broken(self: object) -> None:
        raise RuntimeError("/var/lib/secret/path")

    monkeypatch.setattr(ContainerList, "get_queryset", broken)
    found = problem(api_for(bob).get("/api/v1/containers/"), 500, "internal_error")
    assert "secret" not in json.dumps(found)
    assert "/var/lib/secret/path" in caplog.text


def test_a_wrong_host_is_a_problem_too(client: Client, db: None) -> None:
    problem(client.get("/api/v1/containers/", headers={"Host": "evil.example"}), 400, "invalid")


def test_no_answer_allows_other_origins(client_for: ClientFor, vic: User) -> None:
    answer = client_for(vic).get("/api/v1/containers/", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_what_was_denied_is_in_the_trail(api_for: ApiFor, vic: User, team: Team) -> None:
    """S-84."""
    row = make_container(make_engine(), team)
    found = problem(api_for(vic).post(f"/api/v1/containers/{row.pk}/stop/"), 403, "permission_denied")
    assert "operator" in str(found["detail"])
    entry = AuditEntry.objects.get(outcome="denied")
    assert (entry.actor, entry.verb, entry.target_id, entry.source) == (
        vic,
        "container.stop",
        str(row.pk),
        "api",
    )
    assert entry.ip == "127.0.0.1"


def _nameless(answer: Any) -> bytes:
    return bytes(answer.content.replace(answer.headers["X-Request-ID"].encode(), b""))


def test_a_strangers_thing_does_not_exist(api_for: ApiFor, charlie: User, team: Team) -> None:
    row = make_container(make_engine(), team)
    unknown = "11111111-1111-4111-8111-111111111111"
    api = api_for(charlie)
    hidden = api.post(f"/api/v1/containers/{row.pk}/stop/")
    missing = api.post(f"/api/v1/containers/{unknown}/stop/")
    # Each request has a name of its own; nothing else may tell one from the other.
    assert _nameless(hidden) == _nameless(missing)
    problem(hidden, 404, "not_found")
    problem(api.get(f"/api/v1/containers/{row.pk}/"), 404, "not_found")
    assert AuditEntry.objects.filter(outcome="denied", target_id=str(row.pk)).count() == 1


def test_a_token_needs_the_scope(api_for: ApiFor, bob: User, team: Team) -> None:
    row = make_container(make_engine(), team)
    found = problem(api_for(bob, "read").post(f"/api/v1/containers/{row.pk}/stop/"), 403, "permission_denied")
    assert "operate" in str(found["detail"])
    problem(api_for(bob, "operate").delete(f"/api/v1/containers/{row.pk}/"), 403, "permission_denied")
    assert api_for(bob, "operate").get(f"/api/v1/containers/{row.pk}/").status_code == 200


def test_a_database_that_is_away_is_a_problem(
    api_for: ApiFor, bob: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from containers_app.api.views import ContainerList

    def away(self: object) -> None:
        raise OperationalError("connection to 10.0.0.7 refused")

    monkeypatch.setattr(ContainerList, "get_queryset", away)
    assert "10.0.0.7" not in str(problem(api_for(bob).get("/api/v1/containers/"), 503, "unavailable"))
