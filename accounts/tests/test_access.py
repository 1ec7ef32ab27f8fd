"""Who may what: the table, row by row, for everybody."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.apps import apps
from django.core.exceptions import PermissionDenied
from django.http import Http404
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.access import SYSTEM, Actor, can, person, require, why_not
from accounts.models import Membership, PermissionSet, Role, Team, User
from accounts.permissions import ADMIN, ALWAYS, FOR_TEAMS, OPERATOR, PERMISSIONS, SITE, VIEWER
from accounts.querysets import team_ids, visible_teams, visible_to
from tests.rows import make_container, make_engine

PEOPLE = {"vic": VIEWER, "bob": OPERATOR, "tara": ADMIN, "alice": SITE, "charlie": 0, "nobody": 0, "gone": 0}


@pytest.fixture
def actors(
    alice: User, tara: User, bob: User, vic: User, charlie: User, person: Callable[..., User], team: Team
) -> dict[str, Actor]:
    """Everybody, signed in; ``gone`` was team admin and is disabled."""
    gone = person("gone", team, Role.ADMIN, is_active=False, is_superuser=True)
    people = [alice, tara, bob, vic, charlie, person("nobody"), gone]
    return {user.username: by_session(user) for user in people}


def by_session(user: User) -> Actor:
    return person(user, source="ui")


def test_everybody_may_exactly_what_their_role_may(actors: dict[str, Actor], team: Team) -> None:
    for (name, rank), (permission, (need, _)) in itertools.product(PEOPLE.items(), PERMISSIONS.items()):
        assert can(actors[name], permission, team) == (rank >= need), (name, permission)


def test_a_matrix_of_the_security_paper(actors: dict[str, Actor], team: Team) -> None:
    """Written out once more by hand, so that a slip in the table is seen."""
    viewer = {
        "container.read",
        "container.logs",
        "operation.read",
        "image.read",
        "volume.read",
        "network.read",
    }
    operator = {
        "container.stop",
        "container.run",
        "container.remove",
        "image.pull",
        "image.build",
        "image.tag",
    }
    admin = {"image.remove", "image.untag", "volume.create", "volume.remove"}
    site = {"engine.manage", "team.manage", "user.read"}
    for name, allowed in (
        ("vic", viewer), ("bob", viewer | operator), ("tara", viewer | operator | admin),
        ("alice", viewer | operator | admin | site), ("charlie", set()), ("gone", set()),
    ):  # fmt: skip
        assert {p for p in viewer | operator | admin | site if can(actors[name], p, team)} == allowed, name


def test_a_permission_set_allows_exactly_what_it_holds_whatever_that_is(
    alice: User, person: Callable[..., User], team: Team, other_team: Team
) -> None:
    """What comes along only shows what the others are about."""
    sue = person("sue")
    held = PermissionSet.objects.create(name="hers")
    Membership.objects.create(user=sue, team=team, role=Role.CUSTOM, permission_set=held)
    actor = by_session(sue)
    member = actor.user.memberships.all()[0]  # type: ignore[union-attr]
    bound = replace(actor, scopes=frozenset({"read"}), source="api")

    @given(st.sets(st.sampled_from(sorted(PERMISSIONS))))
    @settings(max_examples=60, deadline=None, database=None)
    def exactly(names: set[str]) -> None:
        member.permission_set = PermissionSet(name="hers", permissions=sorted(names))
        allowed = {name for name in PERMISSIONS if can(actor, name, team)}
        assert names & FOR_TEAMS <= allowed <= names | COMES_ALONG
        assert allowed == {name for name in PERMISSIONS if can(actor, name)}
        assert {name for name in PERMISSIONS if can(bound, name, team)} == {
            name for name in allowed if PERMISSIONS[name][1] == "read"
        }
        assert not any(can(actor, name, other_team) for name in PERMISSIONS)

    exactly()


COMES_ALONG = {name for name in FOR_TEAMS if name.endswith(".read")} | ALWAYS | {"container.logs"}


def test_whatever_belongs_to_a_team_says_by_what_it_is_seen() -> None:
    """`visible_to` asks for it; what is never read by it needs none."""
    owned = [
        model for model in apps.get_models()
        if model._meta.app_label not in ("accounts", "admin")
        and any(field.related_model is Team for field in model._meta.concrete_fields)
    ]  # fmt: skip
    assert len(owned) > 15
    wrong = {m.__name__ for m in owned if getattr(m, "read_permission", "") not in FOR_TEAMS}
    assert not wrong


def test_what_nobody_owns_is_for_site_administrators(actors: dict[str, Actor], team: Team) -> None:
    row = make_container(make_engine(), None)
    assert [name for name in PEOPLE if can(actors[name], "container.read", row)] == ["alice"]


def test_a_role_that_was_taken_away_is_gone_with_the_next_request(bob: User, team: Team) -> None:
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)
    assert not can(by_session(User.objects.get(pk=bob.pk)), "container.stop", team)


def test_who_may_not_see_it_is_told_that_there_is_none(actors: dict[str, Actor], team: Team) -> None:
    with pytest.raises(Http404):
        require(actors["charlie"], "container.stop", team)
    with pytest.raises(PermissionDenied, match="operator"):
        require(actors["vic"], "container.stop", team)
    require(actors["bob"], "container.stop", team)


def test_anybody_signed_in_may_ask_to_see_and_sees_what_is_theirs(actors: dict[str, Actor]) -> None:
    assert why_not(actors["nobody"], "container.read") is None
    assert why_not(actors["nobody"], "container.stop")
    assert why_not(Actor(user=None), "container.read") == "Sign in first."
    assert why_not(actors["gone"], "container.read") == "Sign in first."


def test_a_permission_that_is_not_in_the_table_is_a_mistake(actors: dict[str, Actor]) -> None:
    with pytest.raises(LookupError):
        can(actors["alice"], "container.fly")


def test_the_system_may_everything_and_an_anonymous_api_call_nothing() -> None:
    assert can(SYSTEM, "engine.manage")
    assert not can(Actor(user=None, source="api"), "container.read")
    assert not Actor(user=None, source="ui").is_site_admin


def test_a_token_of_a_team_ends_at_its_border(actors: dict[str, Actor], team: Team, other_team: Team) -> None:
    everything = frozenset({"admin"})
    bound = replace(actors["alice"], scopes=everything, token_team_id=team.pk)
    assert can(bound, "image.remove", team)
    assert not can(bound, "container.read", other_team)
    assert not can(bound, "user.read")
    assert list(visible_teams(bound)) == [team]
    assert team_ids(bound) == [team.pk]


def test_reads_begin_with_what_is_visible(actors: dict[str, Actor], team: Team, other_team: Team) -> None:
    engine = make_engine()
    rows = {
        "blue": make_container(engine, team, "blue"),
        "red": make_container(engine, other_team, "red"),
        "nobodys": make_container(engine, None, "nobodys"),
    }
    everything = type(rows["blue"]).objects.all()
    wanted = {
        "alice": {"blue", "red", "nobodys"},
        "vic": {"blue"},
        "charlie": {"red"},
        "nobody": set(),
        "gone": set(),
    }
    for name, seen in wanted.items():
        assert {row.name for row in visible_to(actors[name], everything)} == seen, name
    assert visible_to(SYSTEM, everything).count() == 3
    assert not visible_to(Actor(user=None), everything).exists()
