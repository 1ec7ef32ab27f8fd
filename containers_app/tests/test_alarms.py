"""What incidents and policies tell other systems, and to whom."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Team
from containers_app import incidents
from containers_app.models import Container, EngineEvent
from operations import endings, engines
from operations.channel import EVENTS
from operations.models import Channel, Delivery, Operation
from tests import rows


@pytest.fixture
def web(team: Team) -> Container:
    """A container of team blue that runs."""
    return rows.make_container(rows.make_engine(), team, "web", state="running")


@pytest.fixture
def blue(team: Team) -> Channel:
    """A channel of theirs that tells each thing at once."""
    return Channel.objects.create(team=team, name="ops", events=list(EVENTS), cooldown=0)


def happened(container: Container, action: str, second: int, **fields: Any) -> None:
    """The gateway hears this."""
    at = timezone.now() - timedelta(minutes=5) + timedelta(seconds=second)
    row = EngineEvent.objects.create(
        engine=container.engine, type="container", action=action, native_id=container.native_id, name=container.name,
        container=container, team=container.team, at=at, time_ns=int(at.timestamp() * 10**9), origin="engine", **fields,
    )  # fmt: skip
    incidents.note([row])


def told(channel: Channel) -> list[str]:
    """Events, oldest first."""
    return list(channel.deliveries.order_by("created_at", "title").values_list("event", flat=True))


def test_each_end_is_told_once_and_a_loop_once_more(web: Container, blue: Channel) -> None:
    for number in range(6):
        happened(web, "start", number * 3)
        happened(web, "die", number * 3 + 1, exit_code=3)
    found = told(blue)
    assert (found.count("container.exited"), found.count("container.crash_loop"), len(found)) == (6, 1, 7)
    said = blue.deliveries.filter(event="container.exited").first()
    assert said is not None
    assert said.title == "web ended with exit code 3"
    assert said.payload["facts"]["exit_code"] == 3


def test_running_out_of_memory_is_told_once_whether_it_ends_by_that_or_not(
    web: Container, blue: Channel
) -> None:
    happened(web, "oom", 1)
    assert told(blue) == ["container.oom"]
    happened(web, "die", 2, exit_code=137)
    assert told(blue) == ["container.oom"]


def test_what_somebody_asked_for_and_what_went_well_is_not_told(web: Container, blue: Channel) -> None:
    happened(web, "die", 1, exit_code=0)
    happened(web, "health_status", 3, detail="healthy")
    assert told(blue) == []
    happened(web, "health_status", 5, detail="unhealthy")
    assert told(blue) == ["container.unhealthy"]


def test_whoever_owns_it_today_is_told(web: Container, blue: Channel, other_team: Team) -> None:
    """S-22: also where its incident began under somebody else."""
    red = Channel.objects.create(team=other_team, name="ops", events=list(EVENTS), cooldown=0)
    happened(web, "die", 1, exit_code=3)
    Container.objects.update(team=other_team)
    happened(web, "die", 3, exit_code=3)
    assert (len(told(blue)), len(told(red))) == (1, 1)


def test_an_operation_that_fails_and_a_policy_that_has_run_are_told(
    web: Container, blue: Channel, team: Team
) -> None:
    failed = rows.make_operation(
        web.engine, team, kind="container.stop", target_id=str(web.pk), target_name="web"
    )
    endings._tell(failed, endings.Outcome("failed", code="timeout", message="It took too long."))
    backup = rows.make_operation(web.engine, team, kind="volume.backup", target_name="data")
    endings._tell(backup, endings.Outcome("failed", message="The store is full."))
    pruned = rows.make_operation(web.engine, team, kind="engine.prune", params={"policy": "Nightly"})
    pruned.result = {"freed": 7, "skipped": [{"name": "others"}]}
    endings._tell_of_policy(pruned)
    assert told(blue) == ["operation.failed", "backup.failed", "policy.run"]
    assert blue.deliveries.get(event="policy.run").payload["facts"]["result"] == {"freed": 7}
    assert Operation.objects.count() == 3


def test_an_engine_that_goes_away_and_comes_back_is_told_to_every_team(web: Container, blue: Channel) -> None:
    engine = web.engine
    engines.mark_unreachable(engine, "No answer.")
    engines.mark_unreachable(engine, "No answer still.")
    assert told(blue) == ["engine.away"]
    assert Delivery.objects.get().payload["text"] == "No answer."
