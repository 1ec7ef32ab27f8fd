"""A container in words, and what needs a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.access import person
from accounts.models import Team, User
from containers_app import queries
from containers_app.models import Container
from operations.models import Engine

NOW = timezone.now()


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


@pytest.mark.parametrize(
    ("fields", "glyph", "said", "tone", "loud"),
    [
        ({"state": "running", "started_at": ago(hours=3)}, "running", "Up 3 h", "", "text"),
        (
            {"state": "running", "started_at": ago(hours=3), "health": "healthy"},
            "healthy",
            "Up 3 h · healthy",
            "",
            "text",
        ),
        (
            {"state": "running", "started_at": ago(hours=3), "health": "unhealthy", "failing_streak": 3},
            "unhealthy",
            "Up 3 h · unhealthy, 3 checks failed",
            "bad",
            "note",
        ),
        (
            {"state": "running", "started_at": ago(seconds=24), "health": "starting"},
            "starting",
            "Up 24 s · health check starting",
            "",
            "note",
        ),
        (
            {"state": "exited", "exit_code": 137, "oom_killed": True, "finished_at": ago(minutes=14)},
            "failed",
            "Exited 137 · out of memory, 14 min ago",
            "bad",
            "text",
        ),
        (
            {"state": "exited", "exit_code": 0, "finished_at": ago(hours=2)},
            "exited",
            "Exited 0 · finished 2 h ago",
            "",
            "text",
        ),
        (
            {"state": "exited", "exit_code": 143, "finished_at": ago(days=2)},
            "exited",
            "Exited 143 · stopped 2 d ago",
            "",
            "text",
        ),
        (
            {"state": "exited", "exit_code": 1, "finished_at": ago(minutes=9)},
            "failed",
            "Exited 1 · 9 min ago",
            "bad",
            "text",
        ),
        (
            {"state": "restarting", "exit_code": 1, "restart_count": 4},
            "restarting",
            "Restarting · exit 1, 4 restarts",
            "warn",
            "text",
        ),
        (
            {"state": "created", "created_at": ago(hours=1)},
            "created",
            "Created · not started, 1 h ago",
            "",
            "text",
        ),
        (
            {"state": "created", "error": "port 80 is taken"},
            "failed",
            "Not started · port 80 is taken",
            "bad",
            "text",
        ),
        ({"state": "paused"}, "paused", "Paused", "", "text"),
        ({"state": "dead"}, "dead", "Dead · could not be removed", "bad", "text"),
        ({"state": "removing"}, "busy", "Removing", "", "text"),
    ],
)
def test_a_container_is_told_in_words(
    fields: dict[str, Any], glyph: str, said: str, tone: str, loud: str
) -> None:
    status = queries.status_of(Container(**fields), NOW)
    assert (status.glyph, str(status), status.tone, status.loud) == (glyph, said, tone, loud)


@pytest.fixture
def many(team: Team) -> None:
    engine = Engine.objects.create(name="quiet", endpoint="unix:///nowhere.sock")
    for name, stack, fields in (
        ("good", "shop", {"state": "running", "health": "healthy"}),
        ("sick", "shop", {"state": "running", "health": "unhealthy"}),
        ("loop", "", {"state": "restarting"}),
        ("done", "", {"state": "exited", "exit_code": 0}),
        ("stopped", "", {"state": "exited", "exit_code": 137}),
        ("killed", "", {"state": "exited", "exit_code": 137, "oom_killed": True}),
        ("child-killed", "", {"state": "exited", "exit_code": 0, "oom_killed": True}),
        ("crashed", "", {"state": "exited", "exit_code": 2}),
        ("stuck", "", {"state": "created", "error": "no such file"}),
        ("new", "", {"state": "created"}),
    ):
        Container.objects.create(engine=engine, native_id=name, name=name, team=team, stack=stack, **fields)
    Container.objects.create(engine=engine, native_id="theirs", name="theirs", state="dead")


@pytest.mark.usefixtures("many")
def test_what_needs_a_person_is_found_and_nothing_else(bob: User) -> None:
    rows = queries.containers(person(bob, source="ui")).filter(queries.needs_attention())
    assert {row.name for row in rows} == {"sick", "loop", "killed", "crashed", "stuck"}


@pytest.mark.usefixtures("many")
def test_counts_are_one_query_and_of_ones_own(bob: User, django_assert_num_queries: Any) -> None:
    actor = person(bob, source="ui")
    with django_assert_num_queries(1):
        found = queries.view_counts(actor)
    assert {key: found[key] for key in ("all", "attention", "running", "stopped")} == {
        "all": 10, "attention": 5, "running": 3, "stopped": 7,
    }  # fmt: skip


@pytest.mark.usefixtures("many")
def test_stacks_tell_their_worst_and_how_many(bob: User) -> None:
    shop, none = queries.stacks(queries.containers(person(bob, source="ui")))
    assert (shop.name, shop.glyph, shop.summary) == ("shop", "unhealthy", "1 up, 1 unhealthy")
    assert (none.name, none.glyph) == ("", "failed")
