"""What is kept of logs: switching it on and off, which containers it means, and what goes because of age or size."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q, QuerySet, Sum
from django.http import Http404

from accounts import audit
from accounts.access import Actor, Denied, can, require
from accounts.models import Team
from accounts.querysets import visible_to
from containers_app.models import Container, KeptLog, LogBlock, LogGap, LogRule

PERMISSION = {"container": "logs.keep", "team": "logs.keep_team"}
RUNS = ("running", "paused", "restarting")
_AT_ONCE = 500


def rules(actor: Actor) -> QuerySet[LogRule]:
    """Those of teams that this actor may look at."""
    return visible_to(actor, LogRule.objects.select_related("team", "engine"))


def logs(actor: Actor) -> QuerySet[KeptLog]:
    """Kept logs that this actor may read: those of what their teams own now, or owned in the end."""
    return visible_to(actor, KeptLog.objects.select_related("team", "engine"))


def rule_of(container: Container) -> LogRule | None:
    """The container's own rule, else its team's."""
    own = Q(engine=container.engine_id, name=container.name, team=container.team_id)
    if container.team_id is None:
        own = Q(engine=container.engine_id, name=container.name, team__isnull=True)
    found = list(LogRule.objects.filter(own | _of_team(container.team_id)))
    return min(found, key=lambda rule: rule.engine_id is None, default=None)


def kept_of(container: Container, actor: Actor) -> dict[str, Any]:
    """What the Logs tab says of the history: the rule at work, the log as far as it is kept, and one's rights."""
    rule = rule_of(container)
    kept = logs(actor).filter(engine=container.engine_id, native_id=container.native_id).first()
    return {"rule": rule, "log": kept, "may": can(actor, "logs.keep", container)}


def _of_team(team_id: UUID | None) -> Q:
    return Q(team=team_id, engine__isnull=True) if team_id else Q(pk__in=[])


def switch(what: Container | Team, *, on: bool, actor: Actor) -> LogRule | None:
    """Begins or ends keeping what this container, or all of this team's, write. Raises `Denied` or Http404.

    What is kept already stays until its age or size takes it.
    """
    kind = "team" if isinstance(what, Team) else "container"
    verb = PERMISSION[kind]
    team_id = what.pk if isinstance(what, Team) else what.team_id
    said: dict[str, Any] = {
        "target_type": kind, "target_id": what.pk, "target_name": what.name, "team_id": team_id,
    }  # fmt: skip
    _require(verb, what, actor, said)
    wish: dict[str, Any] = {"team_id": team_id, "engine": None, "name": ""}
    if isinstance(what, Container):
        wish |= {"engine": what.engine, "name": what.name}
    with transaction.atomic():
        found = LogRule.objects.filter(**_found_by(wish)).first()
        if (found is not None) == on:
            return found
        made = LogRule.objects.create(**wish) if on else None
        if found:
            found.delete()
        audit.record(verb, actor, detail={"on": on}, **said)
    return made


def _found_by(wish: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{name}__isnull" if value is None else name: value or value is None for name, value in wish.items()
    }


def remove(rule: LogRule, *, actor: Actor) -> None:
    """Takes a rule away, also of a container that is gone. Raises `Denied` or Http404."""
    kind = "container" if rule.engine_id else "team"
    said: dict[str, Any] = {"target_type": kind, "target_name": str(rule), "team_id": rule.team_id}
    _require(PERMISSION[kind], rule, actor, said)
    with transaction.atomic():
        rule.delete()
        audit.record(PERMISSION[kind], actor, detail={"on": False}, **said)


def _require(verb: str, what: Any, actor: Actor, said: dict[str, Any]) -> None:
    try:
        require(actor, verb, what)
    except (Denied, Http404) as error:
        audit.record(verb, actor, outcome="denied", **said)
        if isinstance(error, Denied):
            error.noted = True
        raise


def wanted(engine_id: UUID) -> list[Container] | None:
    """Whose log is to be followed on this engine: who runs, and who has ended and was not read to the end.

    ``None`` where nothing is to be kept here at all.
    """
    teams = set(LogRule.objects.filter(engine__isnull=True).values_list("team_id", flat=True))
    names = set(LogRule.objects.filter(engine=engine_id).values_list("name", "team_id"))
    if not teams and not names:
        return None
    meant = Q(team__in=teams) | Q(name__in={name for name, _ in names})
    rows = Container.objects.filter(meant, engine_id=engine_id).exclude(state="created")
    rows = rows.only("pk", "engine", "native_id", "name", "team", "image_ref", "state", "finished_at")
    found = [row for row in rows if row.team_id in teams or (row.name, row.team_id) in names]
    ended = [row.native_id for row in found if row.state not in RUNS]
    read = dict(
        KeptLog.objects.filter(engine_id=engine_id, native_id__in=ended, open=False).values_list(
            "native_id", "read_to"
        )
    )
    return [
        row for row in found
        if row.state in RUNS or row.native_id not in read or read[row.native_id] != row.finished_at
    ]  # fmt: skip


def close_gone(engine_id: UUID, followed: Iterable[str]) -> None:
    """Marks the end of what was not read to its end and is not there any more. ``followed``: native ids."""
    there = Container.objects.filter(engine_id=engine_id).values("native_id")
    gone = KeptLog.objects.filter(engine_id=engine_id, open=True).exclude(native_id__in=list(followed))
    for log in gone.exclude(native_id__in=there):
        with transaction.atomic():
            if KeptLog.objects.filter(pk=log.pk, open=True).update(open=False) and log.last_ns:
                LogGap.objects.create(
                    log=log, from_ns=log.last_ns, to_ns=max(time.time_ns(), log.last_ns), cause="removed"
                )


def purge() -> int:
    """Removes what is too old, then the oldest until the rest is not too much. Returns the blocks that went."""
    horizon = time.time_ns() - settings.LOG_HISTORY_DAYS * 86400 * 10**9
    gone = 0
    while True:
        old = LogBlock.objects.filter(last_ns__lt=horizon).order_by("last_ns")[:_AT_ONCE]
        if not (took := _take_away(list(old.values_list("pk", "log_id", "lines", "size")))):
            break
        gone += took
    over = (LogBlock.objects.aggregate(size=Sum("size"))["size"] or 0) - settings.LOG_HISTORY_MB * 1_000_000
    while over > 0:
        some: list[tuple[int, UUID, int, int]] = []
        freed = 0
        oldest = LogBlock.objects.order_by("last_ns", "id").values_list("pk", "log_id", "lines", "size")
        for row in oldest[:_AT_ONCE]:
            if freed >= over:
                break
            some.append(row)
            freed += row[3]
        if not some:
            break
        gone += _take_away(some)
        over -= freed
    LogGap.objects.filter(to_ns__lt=horizon).delete()
    KeptLog.objects.filter(blocks__isnull=True, open=False, last_ns__lt=horizon).delete()
    return gone


def _take_away(rows: list[tuple[int, UUID, int, int]]) -> int:
    if not rows:
        return 0
    less: dict[UUID, list[int]] = defaultdict(lambda: [0, 0])
    for _, log_id, lines, size in rows:
        less[log_id][0] += lines
        less[log_id][1] += size
    with transaction.atomic():
        LogBlock.objects.filter(pk__in=[row[0] for row in rows]).delete()
        for log_id, (lines, size) in less.items():
            first = LogBlock.objects.filter(log=log_id).aggregate(first=Min("first_ns"))["first"] or 0
            KeptLog.objects.filter(pk=log_id).update(
                lines=F("lines") - lines, size=F("size") - size, first_ns=first
            )
            LogGap.objects.filter(log=log_id, to_ns__lt=first).delete()
    return len(rows)
