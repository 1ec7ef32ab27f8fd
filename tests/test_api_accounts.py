"""REST of people, teams, tokens and the audit trail."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import audit, tokens
from accounts.access import person as actor_for
from accounts.api import tables
from accounts.models import ApiToken, AuditEntry, Team, User

ApiFor = Callable[..., APIClient]
ClientFor = Callable[..., Client]


def make(client: Client, **body: Any) -> Any:
    """Asks for a token over the session."""
    return client.post(
        "/api/v1/tokens/", {"name": "ci", "scopes": ["read"], **body}, content_type="application/json"
    )


def test_a_token_is_shown_once(client_for: ClientFor, vic: User) -> None:
    """S-82."""
    client = client_for(vic)
    answer = make(client, team="blue")
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["name"], body["scopes"], body["team"], body["revoked_at"]) == ("ci", ["read"], "blue", None)
    listed = client.get("/api/v1/tokens/").json()["results"]
    assert [row["key"] for row in listed] == [body["key"]]
    assert "token" not in listed[0]
    secret = body["token"].partition(".")[2]
    assert secret not in client.get(f"/api/v1/tokens/{body['id']}/").content.decode()
    assert not ApiToken.objects.filter(digest__contains=secret).exists()
    opened = Client().get("/api/v1/containers/", headers={"Authorization": f"Bearer {body['token']}"})
    assert opened.status_code == 200
    assert AuditEntry.objects.get(verb="token.create").actor == vic


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes.0"),
        ({"name": ""}, "name"),
        ({"team": "red"}, "team"),
        ({"user": "alice"}, "user"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_a_token_that_is_not_valid_is_refused(
    client_for: ClientFor, vic: User, other_team: Team, body: dict[str, Any], field: str
) -> None:
    """S-83."""
    answer = make(client_for(vic), **body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"]
    assert not ApiToken.objects.exists()


def test_a_token_cannot_make_tokens(api_for: ApiFor, alice: User) -> None:
    """S-83."""
    answer = api_for(alice).post("/api/v1/tokens/", {"name": "x", "scopes": ["read"]}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert ApiToken.objects.count() == 1


def test_a_revoked_token_opens_nothing_at_once(client_for: ClientFor, vic: User) -> None:
    """S-83."""
    client = client_for(vic)
    body = make(client).json()
    head = {"Authorization": f"Bearer {body['token']}"}
    assert Client().get("/api/v1/containers/", headers=head).status_code == 200
    assert client.delete(f"/api/v1/tokens/{body['id']}/").status_code == 204
    assert Client().get("/api/v1/containers/", headers=head).status_code == 401
    assert client.delete(f"/api/v1/tokens/{body['id']}/").status_code == 204
    assert AuditEntry.objects.filter(verb="token.revoke").count() == 1


def test_a_token_ends_itself_and_no_other(api_for: ApiFor, client_for: ClientFor, vic: User) -> None:
    other = make(client_for(vic)).json()["id"]
    api = api_for(vic, "read")
    own = ApiToken.objects.get(name="test").pk
    assert api.delete(f"/api/v1/tokens/{other}/").status_code == 403
    assert api.delete(f"/api/v1/tokens/{own}/").status_code == 204
    assert api.get("/api/v1/tokens/").status_code == 401


def test_tokens_of_others_do_not_exist(api_for: ApiFor, client_for: ClientFor, vic: User, tara: User) -> None:
    other = make(client_for(vic)).json()["id"]
    assert api_for(tara).get(f"/api/v1/tokens/{other}/").status_code == 404
    assert api_for(tara).delete(f"/api/v1/tokens/{other}/").status_code == 404


def test_teams_are_ones_own(api_for: ApiFor, vic: User, alice: User, charlie: User, team: Team) -> None:
    assert [row["slug"] for row in api_for(vic).get("/api/v1/teams/").json()["results"]] == ["blue"]
    assert [row["slug"] for row in api_for(alice).get("/api/v1/teams/").json()["results"]] == ["blue", "red"]
    shown = api_for(vic).get(f"/api/v1/teams/{team.pk}/").json()
    assert shown["members"] == [{"username": "vic", "role": "viewer", "permission_set": None}]
    assert api_for(charlie).get(f"/api/v1/teams/{team.pk}/").status_code == 404


def test_people_are_for_site_administrators(api_for: ApiFor, vic: User, alice: User, tara: User) -> None:
    assert api_for(tara).get("/api/v1/users/").status_code == 403
    assert api_for(alice, "write").get("/api/v1/users/").status_code == 403
    rows = api_for(alice).get("/api/v1/users/").json()["results"]
    assert [row["username"] for row in rows] == ["alice", "tara", "vic"]
    assert "password" not in rows[0]
    shown = api_for(alice).get(f"/api/v1/users/{vic.pk}/").json()
    assert shown["teams"] == [{"team": "blue", "role": "viewer", "permission_set": None}]


def test_staff_alone_is_no_power(api_for: ApiFor, person: Callable[..., User]) -> None:
    assert api_for(person("staff", is_staff=True)).get("/api/v1/users/").status_code == 403


def test_the_trail_shows_ones_own_ones_teams_or_all(
    api_for: ApiFor,
    bob: User,
    tara: User,
    vic: User,
    alice: User,
    charlie: User,
    team: Team,
    other_team: Team,
) -> None:
    for user, theirs in ((bob, team), (tara, team), (charlie, other_team), (alice, None)):
        owner = theirs.pk if theirs else None
        audit.record("container.stop", actor_for(user, source="ui"), team_id=owner, target_name=f"of-{user}")
    for user, count in ((bob, 1), (tara, 2), (charlie, 1), (alice, 4)):
        rows = api_for(user).get("/api/v1/audit/?verb=container.stop").json()["results"]
        assert len(rows) == count, user
    assert api_for(vic).get("/api/v1/audit/").status_code == 403
    assert api_for(tara).post("/api/v1/audit/", {}, format="json").status_code == 405


def test_the_trail_can_be_filtered(api_for: ApiFor, alice: User, bob: User) -> None:
    audit.record("auth.login", actor_for(bob, source="ui"), outcome="failed")
    audit.record("container.stop", actor_for(bob, source="ui"), target_name="web")
    api = api_for(alice)
    for query, count in (
        ("outcome=failed", 1),
        ("actor=bob", 2),
        ("q=WEB", 1),
        ("target=web", 1),
        ("source=ui", 2),
        (f"until={(timezone.now() - timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}", 0),
    ):
        assert len(api.get(f"/api/v1/audit/?{query}").json()["results"]) == count, query


def test_the_trail_is_a_table_too(api_for: ApiFor, alice: User, bob: User, team: Team) -> None:
    audit.record(
        "container.stop", actor_for(bob, source="ui"), target_name='=HYPERLINK("x")', team_id=team.pk
    )
    audit.record("container.stop", actor_for(bob, source="ui"), target_name='two\nlines, "quoted"')
    answer = api_for(alice).get("/api/v1/audit/?format=csv&actor=bob")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="audit-[\d-]{10}\.csv"', answer["Content-Disposition"])
    assert answer["X-Content-Type-Options"] == "nosniff"
    head, second, first = csv.reader(io.StringIO(downloaded(answer)))
    assert head[:4] == ["seq", "at", "actor", "verb"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first[1])
    assert (first[7], first[8]) == ('\'=HYPERLINK("x")', "blue")
    assert second[7] == 'two\nlines, "quoted"'
    assert api_for(alice).get("/api/v1/audit/?format=xml").status_code == 400
    line = AuditEntry.objects.get(verb="audit.export")
    assert (line.actor, line.detail["actor"]) == (alice, "bob")


def downloaded(answer: Any) -> str:
    """All of a streamed answer, which the server gathers piece by piece."""

    async def gather() -> bytes:
        return b"".join([part async for part in answer])

    return async_to_sync(gather)().decode()


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_table_is_a_formula(api_for: ApiFor, alice: User, first: str) -> None:
    """S-65."""
    name = f'{first}1+1,"x"\r\ny'
    audit.record("auth.login", actor_for(alice, source="ui"), name=name, target_name=name, target_id=name)
    raw = downloaded(api_for(alice).get("/api/v1/audit/?format=csv&verb=auth.login"))
    _, row = csv.reader(io.StringIO(raw, newline=""))
    assert (row[2], row[6], row[7]) == (f"'{name}",) * 3
    assert raw.endswith("\r\n")


def test_the_table_holds_what_the_caller_may_see_newest_first(
    api_for: ApiFor, tara: User, charlie: User, team: Team, other_team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PIECE", 2)
    for number in range(5):
        audit.record(
            "container.stop", actor_for(tara, source="ui"), team_id=team.pk, target_name=f"web-{number}"
        )
        audit.record(
            "container.stop", actor_for(charlie, source="ui"), team_id=other_team.pk, target_name="red's"
        )
    rows = list(
        csv.reader(
            io.StringIO(downloaded(api_for(tara).get("/api/v1/audit/?format=csv&verb=container.stop")))
        )
    )
    assert [row[7] for row in rows[1:]] == [f"web-{number}" for number in (4, 3, 2, 1, 0)]
    monkeypatch.setattr(tables, "MOST", 3)
    assert downloaded(api_for(tara).get("/api/v1/audit/?format=csv&verb=container.*")).count("\r\n") == 4


def test_a_day_lasts_until_its_end(api_for: ApiFor, alice: User) -> None:
    audit.record("container.stop", actor_for(alice, source="ui"))
    today = timezone.now().date()
    for query, count in (
        (f"since={today}&until={today}", 1),
        (f"until={today - timedelta(days=1)}", 0),
        (f"since={today + timedelta(days=1)}", 0),
        ("verb=container.*", 1),
        ("verb=contain.*", 0),
    ):
        assert len(api_for(alice).get(f"/api/v1/audit/?{query}").json()["results"]) == count, query
    for bad in ("until=9999-12-31", "since=0001-01-01T00:00:00%2B14:00", "since=soon"):
        assert api_for(alice).get(f"/api/v1/audit/?{bad}").status_code == 400, bad


@pytest.mark.security
def test_a_token_from_elsewhere_is_as_wrong_as_one_that_never_was(api_for: ApiFor, vic: User) -> None:
    """S-06, S-83."""
    _, secret = tokens.make(vic, "ci", ["read"], networks=["192.0.2.0/24"])
    api = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert api.get("/api/v1/tokens/", REMOTE_ADDR="192.0.2.9").status_code == 200
    # Nobody's word is taken for where they are.
    elsewhere = api.get("/api/v1/tokens/", REMOTE_ADDR="198.51.100.1", HTTP_X_FORWARDED_FOR="192.0.2.9")
    unknown = APIClient(HTTP_AUTHORIZATION=f"Bearer slp_{'a' * 12}.{'b' * 40}").get("/api/v1/tokens/")
    assert elsewhere.status_code == unknown.status_code == 401
    assert elsewhere.json() | {"request": ""} == unknown.json() | {"request": ""}


@pytest.mark.security
def test_a_token_may_have_fewer_requests_and_is_told_how_many_are_left(vic: User) -> None:
    """S-79."""
    _, secret = tokens.make(vic, "ci", ["read"], rate=2)
    api = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")
    answers = [api.get("/api/v1/tokens/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["RateLimit-Policy"] == '"caller";q=2;w=60'
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]
    assert int(answers[2]["Retry-After"]) > 0


def test_a_token_rotates_itself_and_no_other_one(api_for: ApiFor, vic: User) -> None:
    mine, secret = tokens.make(vic, "ci", ["read"])
    other, _ = tokens.make(vic, "other", ["read"])
    api = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert api.post(f"/api/v1/tokens/{other.pk}/rotate/").status_code == 403
    answer = api.post(f"/api/v1/tokens/{mine.pk}/rotate/")
    assert (answer.status_code, answer.json()["key"], answer.json()["rate"]) == (200, mine.key, None)
    assert api.get("/api/v1/tokens/").status_code == 401
    renewed = APIClient(HTTP_AUTHORIZATION=f"Bearer {answer.json()['token']}")
    assert renewed.get("/api/v1/tokens/").status_code == 200
    assert AuditEntry.objects.filter(verb="token.rotate", target_id=str(mine.pk)).count() == 1


@pytest.mark.security
def test_site_administrators_see_and_end_everybodys_tokens(
    api_for: ApiFor, alice: User, tara: User, vic: User
) -> None:
    token, secret = tokens.make(vic, "ci", ["read"])
    address = f"/api/v1/tokens/{token.pk}/"
    assert api_for(tara).get("/api/v1/tokens/?everyone=1").status_code == 403
    assert api_for(tara).delete(address).status_code == 404
    assert api_for(alice, "read").get("/api/v1/tokens/?everyone=1").status_code == 403
    admin = api_for(alice)
    assert {row["user"] for row in admin.get("/api/v1/tokens/?everyone=1").json()["results"]} >= {
        "vic",
        "tara",
    }
    assert {row["user"] for row in admin.get("/api/v1/tokens/").json()["results"]} == {"alice"}
    assert admin.post(f"{address}rotate/").status_code == 404
    assert admin.delete(address).status_code == 204
    assert APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}").get("/api/v1/tokens/").status_code == 401
