"""What Slipway does by itself, where it was told to: restarts what is unhealthy, ends crash loops.

Each is an ordinary operation of the system, with its line in the audit trail. How often it was tried stands in the
container's row, so that a restart of Slipway forgets nothing; each step is one conditional update, so that of several
processes one alone takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from accounts import audit
from accounts.access import SYSTEM, Actor, require
from accounts.models import Team
from containers_app import alarms
from containers_app.models import CareRule, Container, EngineEvent
from containers_app.queries import span
from engine.errors import SelfProtected
from engine.words import kept
from operations import registry, services
from operations.models import Engine, Operation
from operations.services import Refused, Target, denials
from streams import bell

log = logging.getLogger(__name__)

BACK_OFF = (10.0, 30.0, 120.0, 600.0, 600.0)
"""Seconds before each restart of what is unhealthy; after the last one it is given up."""
AFTER_LAST = 600.0
"""Seconds that the last restart has before it is given up."""
STEADY = timedelta(minutes=10)
"""A container that is healthy so long after the next restart would have been due begins anew."""
ENDS, WITHIN = 10, timedelta(minutes=10)
"""So many ends that nobody asked for, within so long, are a crash loop."""
TOLD = timedelta(days=7)
"""How long a person should look at what was stopped or given up."""
WORDS = ("heal", "end_loops")
PERMISSION = {"container": "care.container", "team": "care.team", "site": "care.site"}


@dataclass(frozen=True, slots=True)
class Care:
    """What holds for one container, and by which rule: its own, its team's, the site's, or none."""

    heal: bool = False
    end_loops: bool = False
    heal_by: str = ""
    end_loops_by: str = ""


class Rules:
    """All rules, read once."""

    def __init__(self, rows: Iterable[CareRule] | None = None) -> None:
        found = CareRule.objects.all() if rows is None else rows
        self._rows = {(row.engine_id, row.name, row.team_id): row for row in found}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def any(self, word: str) -> bool:
        """Whether one of them turns this on."""
        return any(getattr(row, word) for row in self._rows.values())

    def of(self, container: Container) -> Care:
        """The nearest rule that says anything, for each of the two."""
        engine, name, team = container.engine_id, container.name, container.team_id
        places = [("own", (engine, name, team)), ("site", (None, "", None))]
        if team:
            places.insert(1, ("team", (None, "", team)))
        said: dict[str, Any] = {}
        for where, key in places:
            row = self._rows.get(key)
            for word in WORDS:
                value = getattr(row, word) if row else None
                if value is not None and word not in said:
                    said |= {word: value, f"{word}_by": where}
        return Care(**said)


def of(container: Container) -> Care:
    """The same for one. One query."""
    key = Q(engine=container.engine_id, name=container.name) | Q(engine=None)
    return Rules(CareRule.objects.filter(key)).of(container)


def switch(what: Container | Team | None, *, actor: Actor, **wish: bool | None) -> CareRule:
    """Says what is done by itself for a container, a team's, or (``None``) all; null leaves it to the rule behind.

    Raises `accounts.access.Denied` or Http404. No change of an engine, so no operation; but a line in the audit trail.
    """
    kind = "container" if isinstance(what, Container) else "team" if what else "site"
    team_id = what.team_id if isinstance(what, Container) else what.pk if what else None
    target = Target(kind, str(what.pk) if what else "", what.name if what else "")
    key: dict[str, Any] = {"team_id": team_id, "engine": None, "name": ""}
    if isinstance(what, Container):
        key |= {"engine": what.engine, "name": what.name}
    with denials(PERMISSION[kind], actor=actor, target=target, team_id=team_id):
        require(actor, PERMISSION[kind], what)
    rule, _ = CareRule.objects.get_or_create(**key)
    for word in WORDS:
        if word in wish:
            setattr(rule, word, wish[word])
    rule.save()
    if isinstance(what, Container) and wish.get("heal"):
        Container.objects.filter(pk=what.pk).update(heal_tries=0, heal_at=None, heal_over=None)
    audit.record(
        PERMISSION[kind], actor, target_type=kind, target_id=target.id, target_name=target.name, team_id=team_id,
        detail=dict(wish),
    )  # fmt: skip
    bell.ring("containers", *([f"container:{what.pk}"] if isinstance(what, Container) else []))
    return rule


# What is done


def sweep() -> int:
    """Does what is due; how many operations were asked for. Called every few seconds; one query where nothing is on."""
    rules = Rules()
    if not rules:
        return 0
    return _heal(rules) + (_end_loops(rules) if rules.any("end_loops") else 0)


def _heal(rules: Rules) -> int:
    now, done = timezone.now(), 0
    noted = Q(heal_at__isnull=False) | Q(heal_over__isnull=False)
    well = Container.objects.filter(noted, health=Container.Health.HEALTHY, state="running")
    well.filter(heal_over__isnull=False).update(heal_over=None, trouble_until=None)
    well.filter(Q(heal_tries=0) | Q(heal_at__lt=now - STEADY)).update(heal_tries=0, heal_at=None)
    ill = Container.objects.filter(
        health=Container.Health.UNHEALTHY,
        state="running",
        heal_over=None,
        engine__status=Engine.Status.ONLINE,
    )
    for row in ill.select_related("engine", "team"):
        if rules.of(row).heal and (row.heal_at is None or row.heal_at <= now):
            done += _try(row, now)
    return done


def _try(row: Container, now: datetime) -> int:
    """The next step of one that is unhealthy: waits, restarts it, or gives up."""
    mine = Container.objects.filter(pk=row.pk, heal_at=row.heal_at, heal_tries=row.heal_tries)
    tries = row.heal_tries
    if row.heal_at is None:
        mine.update(heal_at=now + timedelta(seconds=BACK_OFF[0]))
        return 0
    if tries >= len(BACK_OFF):
        words = kept(f"unhealthy, and {tries} restarts by Slipway did not help")
        if mine.update(heal_over=now, heal_at=None, trouble=words, trouble_at=now, trouble_until=now + TOLD):
            bell.ring("containers", f"container:{row.pk}")
        return 0
    wait = BACK_OFF[tries + 1] if tries + 1 < len(BACK_OFF) else AFTER_LAST
    if not mine.update(heal_tries=tries + 1, heal_at=now + timedelta(seconds=wait)):
        return 0
    because = f"unhealthy, restart {tries + 1} of {len(BACK_OFF)}"
    if _ask("container.restart", row, because):
        return 1
    # Somebody is at it: not counted, and looked at again soon.
    Container.objects.filter(pk=row.pk).update(
        heal_tries=F("heal_tries") - 1, heal_at=now + timedelta(seconds=BACK_OFF[0])
    )
    return 0


def _end_loops(rules: Rules) -> int:
    now, done = timezone.now(), 0
    since = int((now - WITHIN).timestamp() * 10**9)  # by the time that has an index
    ends = EngineEvent.objects.filter(time_ns__gte=since, action="die", origin="engine")
    often = ends.exclude(container=None).values("container").annotate(ends=Count("id")).filter(ends__gte=ENDS)
    counts: dict[UUID, int] = dict(often.values_list("container", "ends"))
    if not counts:
        return 0
    rows = Container.objects.filter(
        pk__in=counts, state__in=("running", "restarting"), engine__status=Engine.Status.ONLINE
    ).exclude(restart_policy__in=("", "no"))
    for row in rows.select_related("engine", "team"):
        begun = ends.filter(container=row.pk).order_by("at").values_list("at", flat=True).first() or now
        words = kept(f"crash loop: {counts[row.pk]} ends in {span(now - begun)}")
        if not rules.of(row).end_loops or _looked_at(row, begun):
            continue
        if _ask("container.stop", row, words):
            done += 1
            Container.objects.filter(pk=row.pk).update(
                trouble=kept(f"{words}, stopped by Slipway"), trouble_at=now, trouble_until=now + TOLD
            )
    return done


def _looked_at(row: Container, since: datetime) -> bool:
    """Whether it was stopped for this loop already, and somebody has started it again knowingly."""
    asked = Operation.objects.filter(
        target_id=str(row.pk), kind="container.stop", source="system", created_at__gte=since
    )
    return asked.exists()


def _ask(kind: str, row: Container, because: str) -> bool:
    """Whether it was accepted. What Slipway runs in itself, or keeps what it has in, is left alone without a word."""
    target = Target("container", str(row.pk), row.name, services.lock("container", row.pk))
    try:
        registry.may_touch(kind, target.type, target.id, SYSTEM)
    except SelfProtected:
        return False
    params = {"timeout": 10, "native_id": row.native_id, "because": because}
    if row.stop_timeout is not None:
        params["timeout"] = min(row.stop_timeout, 300)
    try:
        with transaction.atomic():
            operation = services.submit(
                kind, actor=SYSTEM, engine=row.engine, target=target, team=row.team, params=params
            )
            mine = operation.source == Operation.Source.SYSTEM
            if mine:
                alarms.cared_for(
                    row, operation, f"Slipway asked to {kind.partition('.')[2]} {row.name}", because
                )
    except (Refused, SelfProtected) as error:
        log.info("%s of %s: %s", kind, row.name, error)
        return False
    return mine
