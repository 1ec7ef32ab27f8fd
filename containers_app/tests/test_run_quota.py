"""The form that runs a container says what is left of the team's quotas, and what this run would take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, PermissionSet, Role, Team, User
from operations.models import Engine, Operation
from operations.policy import Policy
from tests import rows

MB = 2**20
CHECK = {"image": "blue/app:1", "start": "1", "restart": "no", "pull": "missing"}


@pytest.fixture
def engine(team: Team) -> Engine:
    """Team blue has one container that runs, with 300 MB and half a core."""
    engine = rows.make_engine()
    rows.make_container(engine, team, "web", memory_limit=300 * MB, cpu_limit=0.5)
    return engine


@pytest.fixture
def quota(team: Team) -> Callable[..., None]:
    """``quota(memory=…)``: what blue may have."""

    def say(**quota: float) -> None:
        Policy.objects.update_or_create(team=team, defaults={"quota": quota})

    return say


def told(answer: Any) -> str:
    """The part about quotas, as text."""
    html = answer.content.decode()
    assert answer.status_code == 200
    part = html[html.index('id="run-quota"') :]
    part = part[: part.index("<details") if "<details" in part else len(part)]
    return re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", part, flags=re.DOTALL)).strip()


def check(client: Client, **typed: str) -> Any:
    return client.post("/containers/run/check/", {**CHECK, **typed})


def test_where_no_quota_is_set_nothing_is_said(
    engine: Engine, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    for say in (lambda: None, lambda: quota(volumes=3, builds=1)):  # of which a run takes nothing
        say()
        client = client_for(bob)
        for answer in (client.get("/containers/run/"), check(client, memory="900000")):
            assert told(answer).rpartition(">")[2].strip() == ""


def test_what_is_left_is_said_at_once_and_follows_what_is_typed(
    engine: Engine, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    quota(memory=1024 * MB, cpus=2, containers=5)
    client = client_for(bob)
    fresh = told(client.get("/containers/run/"))
    assert "Quotas of Blue" in fresh
    assert "Containers 1 used, 1 for this run, of 5 4 left" in fresh
    assert "Memory limits 300 MB used, no limit for this run, of 1 GB 724 MB left" in fresh
    assert "Memory limits: give it a limit, or it could take all of it." in fresh
    fits = told(check(client, memory="512", cpus="1"))
    assert "Memory limits 300 MB used, 512 MB for this run, of 1 GB 724 MB left" in fits
    assert "CPU limits 0.5 cores used, 1 core for this run, of 2 cores 1.5 cores left" in fits
    assert "refused" not in fits
    over = told(check(client, memory="1g", cpus="1"))
    assert (
        "This run would be refused. Memory limits: this run would be 300 MB over the limit of 1 GB." in over
    )
    assert not Operation.objects.exists()


def test_ports_running_ones_and_what_guard_rails_give_are_counted_as_the_wish_is(
    engine: Engine, team: Team, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    quota(memory=1024 * MB, running=1, ports=1)
    Policy.objects.filter(team=team).update(rules={"memory": 128 * MB})
    client = client_for(bob)
    said = told(
        check(client, port_host=["8080", "8081"], port_container=["80", "81"], port_protocol=["tcp", "tcp"])
    )
    assert "300 MB used, 128 MB for this run" in said
    assert "Running containers: this run would be 1 over the limit of 1." in said
    assert "Published ports: this run would be 1 over the limit of 1." in said
    without = told(client.post("/containers/run/check/", {"image": "blue/app:1"}))
    assert "Running containers 1 used, 0 for this run, of 1 0 left" in without
    assert "refused" not in without


def test_what_is_said_is_what_the_wish_is_refused_for(
    engine: Engine, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    quota(memory=1024 * MB)
    client = client_for(bob)
    for memory, refused in (("724", False), ("725", True), ("", True)):
        assert ("refused" in told(check(client, memory=memory))) is refused, memory
        client.post("/containers/run/", {**CHECK, "memory": memory})
        assert Operation.objects.exists() is not refused, memory
        Operation.objects.all().delete()


def test_a_number_that_is_none_yet_breaks_nothing(
    engine: Engine, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    quota(memory=1024 * MB, cpus=2)
    client = client_for(bob)
    for odd in ("-1", "x", "1e999", "nan", "9" * 400, "0.0000001"):
        told(check(client, memory=odd, cpus=odd))
        told(client.post("/containers/run/", {"memory": odd, "cpus": odd}))
    line = {"line": "docker run --memory 512m --cpus 0.5 blue/app:1"}
    assert "300 MB used, 512 MB for this run" in told(client.post("/containers/run/paste/", line))


def test_it_is_of_the_chosen_team_and_for_those_who_may_see_it(
    engine: Engine, team: Team, other_team: Team, alice: User, bob: User, person: Callable[..., User],
    client_for: Callable[..., Client], quota: Callable[..., None],
) -> None:  # fmt: skip
    """S-22."""
    quota(containers=5)
    Policy.objects.create(team=other_team, quota={"containers": 7})
    admin = client_for(alice)
    assert "used" not in told(admin.get("/containers/run/"))  # nobody's
    assert "Quotas of Red" in told(check(admin, team=str(other_team.pk)))
    assert "Quotas of Blue" in told(check(admin, team=str(team.pk)))
    assert "Red" not in told(check(client_for(bob), team=str(other_team.pk)))
    few = PermissionSet.objects.create(
        team=team, name="Runs", permissions=["container.read", "container.run", "image.read"]
    )
    ron = person("ron", team, Role.OPERATOR)
    Membership.objects.filter(user=ron).update(role=Role.CUSTOM, permission_set=few)
    assert "used" not in told(check(client_for(ron)))


def test_it_is_said_in_german(
    engine: Engine, bob: User, client_for: Callable[..., Client], quota: Callable[..., None]
) -> None:
    quota(cpus=1)
    answer = client_for(bob).post(
        "/containers/run/check/", {**CHECK, "cpus": "1"}, headers={"Accept-Language": "de"}
    )
    said = told(answer)
    assert "0.5 Kerne" in said
    assert "used" not in said
    assert "would be" not in said
