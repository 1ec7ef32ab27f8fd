"""Two hundred operations of every kind, while workers, web, Redis, the engine and the way to it fail at random."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.access import person
from accounts.models import Team, User
from tests.faults import tally
from tests.faults.conftest import processes
from tests.faults.mortal import MortalRedis, mortal_site
from tests.faults.storm import DECK, Storm

SEED = int(os.environ.get("FAULTS_SEED", "1"))
"""The order of wishes and faults, and the pauses between them."""
MAY_FAIL = {
    "engine_unreachable", "engine_timeout",  # the engine was away before anything had been asked of it
    "engine_answer_lost",  # it does not show any trace
    "lost",  # not begun again
    "conflict", "gate_failed",  # the engine had killed the container
}  # fmt: skip
LONGEST = 30
"""Seconds until what a killed worker held is claimed again, with the product's own leases."""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_operations_of_every_kind_come_through_a_storm(
    transactional_db: None, team: Team, tara: User, alice: User, own_redis: MortalRedis, tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    dice = random.Random(SEED)  # noqa: S311 - the same each time is what is wanted
    deck = list(DECK)
    dice.shuffle(deck)
    with (
        mortal_site(team, tara, tmp_path / "plan") as (engine, site),
        processes(site, own_redis.url) as begin,
    ):
        storm = Storm(site, engine, own_redis, person(alice, source="ui"), dice)
        storm.prepare()
        storm.begin(begin)
        try:
            each = -(-len(storm.wishes) // len(deck))
            for card in deck:
                storm.strike(card, each)
            rows = storm.settle(300)
        finally:
            storm.recoveries.stop()
        numbers = tally.storm(SEED, rows, storm.strikes, storm.recoveries.seconds, storm.unanswered)
        record_property(tally.STORM, numbers)
        assert len(rows) >= 200
        assert storm.unanswered[0] > 0, "a web process was killed with requests under way"
        assert len({row.kind for row in rows}) >= 36
        assert {row.state for row in rows} <= {"succeeded", "failed"}
        odd = [(row.kind, row.error_code, row.error_message) for row in rows if row.state != "succeeded"]
        assert [one for one in odd if one[1] not in MAY_FAIL] == []
        assert list(storm.twice(rows)) == []
        assert list(storm.left_over(rows)) == []
        assert max(numbers["recovered"]) <= LONGEST
        site.holds()
