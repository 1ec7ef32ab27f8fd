"""Guard rails and quotas by REST: who may change them, what a denial says, and that many wishes at once stay within."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import setup
from accounts.access import Actor
from accounts.models import AuditEntry, Team, User
from containers_app import operations
from operations.models import Engine, Operation
from operations.policy import Policy, PolicyException
from operations.services import Refused
from tests.rows import make_container, make_engine, make_volume

ApiFor = Callable[..., APIClient]
POLICIES, RUN = "/api/v1/policies/", "/api/v1/containers/"


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


def test_a_denial_says_whose_rule_it_is_and_who_can_change_it(
    api_for: ApiFor, alice: User, bob: User, engine: Engine, team: Team
) -> None:
    site, blue = {"registries": ["a.example"]}, {"team": "blue", "rules": {"lowest_port": 8000}}
    assert api_for(alice).post(POLICIES, {"rules": site}, format="json").status_code == 200
    assert api_for(alice).post(POLICIES, blue, format="json").json()["rules"]["registries"] == ["a.example"]
    api = api_for(bob)
    no = api.post(RUN, {"image": "nginx"}, format="json").json()
    assert (no["code"], no["rule"], no["field"], no["source"]) == (
        "policy_denied", "known_registries_only", "image", "site",
    )  # fmt: skip
    assert "The site's guard rails say so" in no["detail"]
    assert "a site administrator can change them" in no["detail"]
    body = {"image": "a.example/web", "ports": [{"container": 80, "host": 4000}]}
    plan = api.post(f"{RUN}?dry_run=1", body, format="json").json()
    assert (plan["would_run"], plan["refused"]["rule"]) == (False, "no_low_ports")
    assert plan["refused"]["source"] == "team blue"
    assert api.post("/api/v1/images/pull/", {"reference": "nginx"}, format="json").json()["source"] == "site"
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(verb="container.run", outcome="denied").exists()
    assert AuditEntry.objects.filter(verb="policy.manage", outcome="succeeded").count() == 2
    # Site administrators may all the same, until the site binds them too.
    assert api_for(alice).post(f"{RUN}?dry_run=1", {"image": "nginx"}, format="json").json()["would_run"]
    api_for(alice).post(POLICIES, {"binds_site": True}, format="json")
    assert not api_for(alice).post(f"{RUN}?dry_run=1", {"image": "nginx"}, format="json").json()["would_run"]


def test_who_sees_and_who_changes(
    api_for: ApiFor, alice: User, tara: User, charlie: User, team: Team, other_team: Team
) -> None:
    body = {"team": "blue", "rules": {"privileged": True}}
    assert api_for(tara).post(POLICIES, body, format="json").status_code == 403
    assert api_for(charlie).post(POLICIES, body, format="json").status_code == 403
    assert [row["team"] for row in api_for(tara).get(POLICIES).json()["results"]] == [None, "blue"]
    assert api_for(charlie).get(f"{POLICIES}findings/?team=blue").status_code == 404
    wrong = api_for(alice).post(POLICIES, {"rules": {"privileges": True}, "quota": {}}, format="json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["privileges"])


def test_findings_name_rule_reason_and_owner_until_somebody_allows_it(
    api_for: ApiFor, alice: User, bob: User, engine: Engine, team: Team
) -> None:
    """S-47."""
    host = {"Privileged": True, "LogConfig": {"Type": "syslog"}}
    old = make_container(engine, team, "old", inspect={"HostConfig": host}, pids_limit=5, memory_limit=2**20)
    make_container(engine, team, "fine", inspect={}, pids_limit=5, memory_limit=2**20)
    make_container(engine, None, "nobodys", inspect={"HostConfig": host})
    api = api_for(bob)
    found = api.get(f"{POLICIES}findings/").json()
    assert [(row["name"], row["rule"], row["by"], row["team"]) for row in found["results"]] == [
        ("old", "no_privileged", "site", "blue"), ("old", "known_log_drivers_only", "site", "blue"),
    ]  # fmt: skip
    assert (found["looked_at"], found["counts"]["no_privileged"]) == (2, 1)
    again = api.post(f"{RUN}{old.pk}/recreate/", {}, format="json").json()
    assert again["rule"] == "no_privileged"
    end = (timezone.now() + timedelta(days=2)).isoformat()
    wish: dict[str, Any] = {"team": "blue", "name": "old", "reason": "moves in May", "expires_at": end}
    assert (
        api.post(f"{POLICIES}exceptions/", {**wish, "rule": "no_privileged"}, format="json").status_code
        == 403
    )
    for rule in ("no_privileged", "known_log_drivers_only"):
        made = api_for(alice).post(f"{POLICIES}exceptions/", {**wish, "rule": rule}, format="json")
        assert made.status_code == 201, made.content
    assert {row["excepted"] for row in api.get(f"{POLICIES}findings/").json()["results"]} == {"moves in May"}
    assert api.post(f"{RUN}{old.pk}/recreate/?dry_run=1", {}, format="json").json()["would_run"]
    one = PolicyException.objects.filter(rule="no_privileged").get()
    assert api_for(alice).delete(f"{POLICIES}exceptions/{one.pk}/").status_code == 204
    assert api.post(f"{RUN}{old.pk}/recreate/", {}, format="json").json()["rule"] == "no_privileged"
    assert AuditEntry.objects.filter(verb="policy.except", outcome="succeeded").count() == 3
    far = {**wish, "rule": "no_privileged", "expires_at": (timezone.now() + timedelta(days=999)).isoformat()}
    assert "expires_at" in api_for(alice).post(f"{POLICIES}exceptions/", far, format="json").json()["errors"]


def test_a_volume_of_another_team_is_nobodys_to_mount(
    api_for: ApiFor, bob: User, engine: Engine, team: Team, other_team: Team
) -> None:
    """S-38."""
    make_volume(engine, other_team, "theirs")
    body = {"image": "nginx", "mounts": [{"type": "volume", "source": "theirs", "target": "/x"}]}
    assert api_for(bob).post(RUN, body, format="json").json()["rule"] == "not_your_volume"


def test_defaults_are_part_of_what_is_asked(
    api_for: ApiFor, alice: User, bob: User, engine: Engine, team: Team
) -> None:
    api_for(alice).post(POLICIES, {"rules": {"pids": 100, "init": True}}, format="json")
    assert api_for(bob).post(RUN, {"image": "nginx"}, format="json").status_code == 202
    params = Operation.objects.get().params
    assert (params["resources"]["pids"], params["init"]) == (100, True)


def test_each_quota_is_counted_and_named(
    api_for: ApiFor, alice: User, bob: User, engine: Engine, team: Team
) -> None:
    port = {"container": 80, "host": 8080, "protocol": "tcp", "host_ip": ""}
    make_container(
        engine, team, "a", memory_limit=2**30, cpu_limit=1, ports=[port, {**port, "host_ip": "::"}]
    )
    off = make_container(engine, team, "b", state="exited")
    quota = {"containers": 3, "running": 1, "memory": 2**31, "cpus": 2, "ports": 1, "builds": 0, "volumes": 0}
    for left in (*quota, ""):
        said = {key: value for key, value in quota.items() if key == left}
        api_for(alice).post(POLICIES, {"team": "blue", "quota": said}, format="json")
        body = {"image": "nginx", "ports": [{"container": 80}], "resources": {"memory": 2**31, "cpus": 1.5}}
        answer = api_for(bob).post(f"{RUN}?dry_run=1", body, format="json").json()
        over = left in ("running", "memory", "cpus", "ports")
        assert answer["would_run"] is not over, (left, answer)
        if over:
            assert (answer["refused"]["code"], answer["refused"]["quota"]) == ("quota_exceeded", left)
    api_for(alice).post(POLICIES, {"quota": quota}, format="json")
    api = api_for(bob)
    no = api.post(f"{RUN}{off.pk}/start/", {}, format="json")
    assert (no.status_code, no.json()["code"], no.json()["used"], no.json()["limit"]) == (
        409,
        "quota_exceeded",
        1,
        1,
    )
    unlimited = api.post(RUN, {"image": "nginx", "start": False}, format="json").json()
    assert (unlimited["quota"], unlimited["asked"]) == ("cpus", None) or unlimited["quota"] == "memory"
    built = api.post("/api/v1/images/build/", {"tags": ["x:1"], "dockerfile": "FROM scratch"}, format="json")
    assert built.json()["quota"] == "builds"
    usage = api.get(f"{POLICIES}usage/?team=blue").json()
    assert usage["memory"] == {"used": 2**30, "limit": 2**31}
    assert (usage["ports"]["used"], usage["containers"]["used"]) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_fifty_wishes_at_once_end_with_exactly_as_many_as_are_allowed(
    api_for: ApiFor, alice: User, bob: User, team: Team
) -> None:
    """S-44."""
    engine = make_engine()
    make_container(engine, team, "there")
    api_for(alice).post(POLICIES, {"team": "blue", "quota": {"containers": 8}}, format="json")

    def ask(number: int) -> str:
        try:
            body = {"image": "nginx", "name": f"n{number}"}
            operations.request_run(body, actor=Actor(bob), engine=engine, team=team)
        except Refused as error:
            return error.code
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(50) as pool:
        ends = list(pool.map(ask, range(50)))
    assert (ends.count(""), ends.count("quota_exceeded")) == (7, 43)
    assert Operation.objects.count() == 7


def test_a_new_site_limits_processes_and_one_that_is_there_stays_as_it_is(db: None) -> None:
    """S-42."""
    assert not Policy.objects.exists()
    setup.set_up(username="root", password="a long password of hers")
    assert Policy.objects.get().rules == {"pids": 4096}
