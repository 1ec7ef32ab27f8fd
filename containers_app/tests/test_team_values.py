"""Variables and secrets of a team: given by name, hidden everywhere, and known where they are older than today's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import docker
import pytest
from django.core.serializers import serialize
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import Denied, person
from accounts.models import AuditEntry, Team, User
from containers_app import operations, team_values
from containers_app.models import Container
from containers_app.tests.test_edits import bench as bench  # noqa: PLC0414 - a fixture
from containers_app.tests.test_edits import variables as environment_of
from containers_app.tests.test_operations import SLEEP, Bench
from engine.specs import SpecError
from images_app import operations as image_operations
from operations import variables
from operations.models import Operation, Variable
from operations.secrets import Unreadable, unseal
from tests.rows import make_container, make_engine

ApiFor = Callable[..., APIClient]
CANARY = "canary-5b2-hush"
URL = "/api/v1/variables/"


def put(team: Team, user: User, name: str, value: str, **more: Any) -> Variable:
    return variables.put(team, name, actor=person(user, source="ui"), value=value, **more)


def test_s_57_a_secret_is_kept_changed_and_never_shown(
    api_for: ApiFor, client_for: Callable[..., Client], alice: User, tara: User, vic: User, team: Team
) -> None:
    body = {"team": "blue", "name": "DB_PASSWORD", "value": CANARY, "note": "of the shop"}
    made = api_for(tara).post(URL, body, format="json")
    assert made.status_code == 201, made.content
    row = made.json()
    assert (row["secret"], row["value"]) == (True, "********")  # by what its name suggests
    one = f"{URL}{row['id']}/"
    same = api_for(tara).patch(one, {"value": "********", "note": "still"}, format="json")
    assert (same.json()["note"], same.json()["value"]) == ("still", "********")
    kept = Variable.objects.get()
    assert unseal(kept.pk, kept.sealed) == {"value": CANARY}
    assert "value" in api_for(tara).patch(one, {"secret": False}, format="json").json()["errors"]
    pages = [
        client_for(user).get(address, follow=True).content.decode()
        for user in (alice, tara, vic)
        for address in (
            "/variables/",
            f"/variables/{kept.pk}/",
            f"/admin/operations/variable/{kept.pk}/change/",
        )
    ]
    told = [*pages, api_for(vic).get(one).content.decode(), api_for(vic).get(URL).content.decode()]
    assert all(CANARY not in text for text in told)
    assert CANARY not in serialize("json", [kept, *AuditEntry.objects.all()])
    opened = api_for(tara).patch(one, {"secret": False, "value": "plain"}, format="json").json()
    assert (opened["secret"], opened["value"]) == (False, "plain")
    assert api_for(tara).delete(one).status_code == 204
    assert list(AuditEntry.objects.filter(verb="variable.manage").values_list("target_name", flat=True)) == (
        ["DB_PASSWORD"] * 4
    )


def test_a_sealed_value_opens_in_its_own_row_alone_and_goes_with_its_team(tara: User, team: Team) -> None:
    one, other = put(team, tara, "A_TOKEN", CANARY), put(team, tara, "B_TOKEN", "another-one")
    with pytest.raises(Unreadable):
        unseal(other.pk, one.sealed)
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed, value FROM operations_variable")
        assert CANARY not in str(cursor.fetchall())
    team.delete()
    assert not Variable.objects.exists()


def test_who_may_see_and_who_may_change(
    api_for: ApiFor, tara: User, bob: User, charlie: User, team: Team
) -> None:
    row = put(team, tara, "MODE", "quiet", secret=False)
    assert api_for(bob).get(f"{URL}{row.pk}/").json()["value"] == "quiet"
    assert api_for(charlie).get(f"{URL}{row.pk}/").status_code == 404
    assert api_for(charlie).get(URL).json()["results"] == []
    assert api_for(bob).patch(f"{URL}{row.pk}/", {"value": "x"}, format="json").status_code == 403
    body = {"team": "blue", "name": "X", "value": "1"}
    assert api_for(charlie).post(URL, body, format="json").status_code == 403
    with pytest.raises(Denied):
        variables.remove(row, actor=person(bob, source="ui"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "1X", "value": "a"}, "name"), ({"name": "A-B", "value": "a"}, "name"),
        ({"name": "X", "value": "${{ Y }}"}, "value"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_said_at_its_field(
    api_for: ApiFor, tara: User, team: Team, wrong: dict[str, str], field: str
) -> None:
    answer = api_for(tara).post(URL, {"team": "blue", **wrong}, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert not Variable.objects.exists()


def test_names_are_filled_in_where_they_stand_and_what_hides_one_is_a_secret(tara: User, team: Team) -> None:
    put(team, tara, "HOST", "db.example", secret=False)
    secret = put(team, tara, "PASSWORD", CANARY)
    wish = {
        "image": "a", "environment": {"DB": "${{HOST}}", "URL": "pg://me:${{ PASSWORD }}@${{ HOST }}/x", "N": "1"},
        "secrets": {"HUSH": "${{ PASSWORD }}"},
    }  # fmt: skip
    found = variables.fill(wish, team_id=team.pk)
    assert found.body["environment"] == {"DB": "db.example", "N": "1"}
    assert found.body["secrets"] == {"HUSH": CANARY, "URL": f"pg://me:{CANARY}@db.example/x"}
    assert found.uses["HUSH"] == {"names": {"PASSWORD": secret.version}, "value": "${{ PASSWORD }}"}
    assert set(found.uses) == {"DB", "URL", "HUSH"}
    hidden = {"environment": {"API_TOKEN": "typed-in-${{ HOST }}"}}
    assert variables.fill(hidden, team_id=team.pk).uses["API_TOKEN"]["value"] == ""
    with pytest.raises(SpecError) as refused:
        variables.fill({"environment": {"A": "${{ NOPE }}"}}, team_id=team.pk)
    assert refused.value.errors == {"environment.A": ["The team has no variable NOPE."]}
    with pytest.raises(SpecError):
        variables.fill({"environment": {"A": "${{ HOST }}"}}, team_id=None)


def test_s_52_a_secret_of_the_team_is_no_build_argument(tara: User, bob: User, team: Team) -> None:
    put(team, tara, "PASSWORD", CANARY)
    put(team, tara, "BASE", "alpine:3", secret=False)
    engine = make_engine()
    for value in ("${{ PASSWORD }}", CANARY):
        with pytest.raises(SpecError) as refused:
            image_operations.request_build(
                actor=person(bob, source="ui"), engine=engine, team=team, tags=["a:1"],
                dockerfile="FROM scratch\n", build_args={"P": value},
            )  # fmt: skip
        assert "hand it over as a secret of the build" in refused.value.errors["build_args.P"][0]
        assert CANARY not in str(refused.value.errors)
    assert not Operation.objects.exists()
    operation = image_operations.request_build(
        actor=person(bob, source="ui"), engine=engine, team=team, tags=["a:1"], builder="buildkit",
        dockerfile="FROM scratch\n", build_args={"B": "${{ BASE }}"}, secrets={"p": "${{ PASSWORD }}"},
    )  # fmt: skip
    assert operation.params["build_args"] == {"B": "alpine:3"}
    assert CANARY not in json.dumps(operation.params)


def test_another_teams_names_are_unknown(tara: User, charlie: User, team: Team, other_team: Team) -> None:
    put(team, tara, "PASSWORD", CANARY)
    engine = make_engine()
    body = {"image": "a", "environment": {"A": "${{ PASSWORD }}"}}
    with pytest.raises(SpecError):
        operations.request_run(body, actor=person(charlie, source="ui"), engine=engine, team=other_team)
    assert not Operation.objects.exists()


def test_the_list_counts_who_has_an_older_value(
    client_for: Callable[..., Client], tara: User, team: Team
) -> None:
    row = put(team, tara, "MODE", "quiet", secret=False)
    engine = make_engine()
    for name, version in (("new", row.version), ("old", "before")):
        uses = {"M": {"names": {"MODE": version}, "value": "${{ MODE }}"}}
        make_container(engine, team, name, variables=uses)
    actor = person(tara, source="ui")
    assert team_values.counts([row], actor) == {row.pk: (2, 1)}
    assert [one.container.name for one in team_values.users(row, actor)] == ["old", "new"]
    page = client_for(tara).get("/variables/").content.decode()
    assert "2 containers" in page
    assert "1 with an older value" in page


def test_a_container_is_given_a_secret_and_made_anew_with_the_next(
    bench: Bench,
    tara: User,
    team: Team,
    docker_client: docker.DockerClient,
    client_for: Callable[..., Client],
) -> None:
    row = put(team, tara, "PASSWORD", CANARY)
    put(team, tara, "MODE", "quiet", secret=False)
    web = bench.container(
        name="web", command=SLEEP,
        environment={"DB": "${{ PASSWORD }}", "MODE": "${{ MODE }}", "KEEP": "1"}, secrets={"OTHER": "mine-alone"},
    )  # fmt: skip
    has = environment_of(docker_client, "web")
    assert (has["DB"], has["MODE"], has["OTHER"]) == (CANARY, "quiet", "mine-alone")
    assert web.environment["DB"] == "********"
    assert set(web.variables) == {"DB", "MODE"}
    actor = person(tara, source="ui")
    assert not team_values.users(row, actor)[0].older
    variables.put(team, "PASSWORD", actor=actor, value="canary-next", row=row)
    (user,) = team_values.users(row, actor)
    assert (user.older, user.renews, user.into) == (True, True, ("DB",))
    page = client_for(tara).post(f"/variables/{row.pk}/renew/", {"ids": [str(web.pk)]})
    assert page.status_code == 302
    bench.carry_out()
    operation = Operation.objects.filter(kind="container.recreate").get()
    assert operation.state == "succeeded", operation.error_message
    has = environment_of(docker_client, "web")
    assert (has["DB"], has["MODE"], has["OTHER"], has["KEEP"]) == ("canary-next", "quiet", "mine-alone", "1")
    now = Container.objects.get(name="web")
    assert now.environment["DB"] == now.environment["OTHER"] == "********"
    assert not team_values.users(row, actor)[0].older
    told = serialize("json", [*Operation.objects.all(), *AuditEntry.objects.all(), now])
    assert CANARY not in told
    assert "canary-next" not in told
    # A copy beside it has the same; what is typed in its place is no longer the team's.
    operations.request_duplicate(now, actor=actor, params={"name": "web-2", "changes": {
        "environment": {"MODE": "loud", "KEEP": None, "PATH": None}}})  # fmt: skip
    bench.carry_out()
    assert set(Container.objects.get(name="web-2").variables) == {"DB"}
