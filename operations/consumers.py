"""/ws/live/: bells for pages, every event of an operation in order, figures for the rows in view.

The client sends ``{"subscribe": [topic, …], "after": {topic: seq}, "rows": [container id, …]}`` and
``{"unsubscribe": [topic, …]}``. The server answers ``{"subscribed": {topic: seq now}}`` and then sends
``{"topic", "seq"}`` when something changed since ``after``, for ``operation:<id>`` with ``"events"``: every event
after that number. ``rows`` says whose figures the topic ``stats`` brings: ``{"topic": "stats", "rows": […]}``.
What cannot be subscribed is answered with ``{"type": "error", "code", "detail", "topic"}``.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar
from uuid import UUID

from channels.db import database_sync_to_async
from django.apps import apps

from accounts import audit
from accounts.access import SIGNED_IN, Actor, can, rank, why_not
from accounts.querysets import visible_to
from operations import registry
from operations.models import Engine, Operation, OperationEvent
from operations.queries import event_dict
from operations.sockets import Malformed, Socket
from streams import hub, stats

LISTS = {
    "containers": "container.read",
    "images": "image.read",
    "tags": "image.read",
    "builds": "image.read",
    "volumes": "volume.read",
    "registries": "registry.read",
    "networks": "network.read",
    "operations": "operation.read",
    "trash": "operation.read",
    "engines": "engine.read",
    "prune": "prune.manage",
    "events": "engine.read",
    "stats": "container.read",
    "webhooks": "webhook.read",
}
OBJECTS = {
    "container": "container.read",
    "image": "image.read",
    "build": "image.read",
    "volume": "volume.read",
    "network": "network.read",
    "operation": "operation.read",
}
MOST_TOPICS = 200
MOST_ROWS = 1000
MOST_REFUSED = 100
EVENTS_AT_ONCE = 500
_TOPIC = re.compile(r"[a-z]{1,20}(:[0-9a-f-]{36})?", re.ASCII)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def refusals(actor: Actor, topics: list[str]) -> dict[str, tuple[str, str] | None]:
    """For each topic ``None`` where the actor may hear it, else code and sentence. Blocking; one query a kind.

    What exists and is not theirs is answered as what does not exist, and kept in the audit trail.
    """
    asked: dict[str, list[str]] = {}
    for topic in topics:
        kind, _, id_ = topic.partition(":")
        if kind in OBJECTS and _ID.fullmatch(id_):
            asked.setdefault(kind, []).append(id_)
    rows = {f"{kind}:{id_}": row for kind, ids in asked.items() for id_, row in _found(kind, ids).items()}
    return {topic: _refusal(actor, topic, rows.get(topic)) for topic in topics}


def _found(kind: str, ids: list[str]) -> dict[str, Any]:
    if kind == "operation":
        return {str(pk): row for pk, row in Operation.objects.in_bulk(ids).items()}
    return registry.find_targets(kind, ids)


def _refusal(actor: Actor, topic: str, row: Any) -> tuple[str, str] | None:
    kind, _, id_ = topic.partition(":")
    if not id_ and kind in LISTS:
        reason = why_not(actor, LISTS[kind])
        return ("forbidden", reason) if reason else None
    if not id_ or kind not in OBJECTS:
        return "invalid", "There is no such topic."
    if row is None:
        return "not_found", "No such object."
    reason = why_not(actor, OBJECTS[kind], row)
    if reason is None:
        return None
    audit.record(OBJECTS[kind], actor, outcome="denied", target_type=kind, target_id=id_, team_id=row.team_id)
    return ("forbidden", reason) if rank(actor, row.team_id) else ("not_found", "No such object.")


def visible_containers(actor: Actor, rows: set[str] | None) -> set[str]:
    """Of these containers and engines, or of all that run, those whose figures this actor may see. Blocking."""
    found = visible_to(actor, apps.get_model("containers", "Container").objects.all())
    found = found.filter(pk__in=rows) if rows is not None else found.filter(state="running")
    ids = {str(pk) for pk in found.values_list("pk", flat=True)[:MOST_ROWS]}
    if rows and can(actor, "engine.read"):
        ids |= {str(pk) for pk in Engine.objects.filter(pk__in=rows).values_list("pk", flat=True)}
    return ids


def events_after(operation_id: str, seq: int) -> list[dict[str, Any]]:
    """Some events after that number, in order. Blocking."""
    events = OperationEvent.objects.filter(operation_id=operation_id, seq__gt=seq).order_by("seq")
    return [event_dict(event) for event in events[:EVENTS_AT_ONCE]]


class LiveConsumer(Socket):
    """One a page."""

    permission: ClassVar[str] = SIGNED_IN

    async def opened(self) -> None:
        self._listener = hub.Listener()
        self._stats: hub.StatsListener | None = None
        self._rows: set[str] | None = None
        self._seen: dict[str, int] = {}
        self._refused = 0
        self.go(self._bells())

    async def left(self) -> None:
        if hasattr(self, "_listener"):
            hub.get().unlisten(self._listener)
            self._watch_no_stats()

    async def received(self, frame: dict[str, Any]) -> None:
        if not frame.keys() <= {"subscribe", "unsubscribe", "after", "rows"}:
            raise Malformed("A frame has subscribe, unsubscribe, after and rows, nothing else.")
        after = _numbers(frame.get("after", {}))
        if "rows" in frame:
            self._rows = set(_ids(frame["rows"]))
        gone = _topics(frame.get("unsubscribe", []))
        self._drop(gone)
        topics = _topics(frame.get("subscribe", []))
        if len(self._listener.topics | set(topics)) > MOST_TOPICS:
            raise Malformed(f"A socket hears {MOST_TOPICS} topics at most.")
        if "subscribe" in frame:
            # Answered even where it is empty: that is how a page asks whether anybody is there.
            await self._subscribe(topics, after)
        elif "rows" in frame and self._stats is not None:
            await self._watch_stats()

    async def _subscribe(self, topics: list[str], after: dict[str, int]) -> None:
        answers = await database_sync_to_async(refusals)(self.actor, topics)
        for topic, refused in answers.items():
            if refused:
                self._refused += 1
                await self.error(refused[0], refused[1], topic=topic)
        if self._refused > MOST_REFUSED:
            # Each of them stands in the audit trail: nobody needs to guess that often.
            await self.end(4429)
            return
        wanted = [topic for topic in topics if answers[topic] is None]
        bells = {t: n for t, n in after.items() if t in wanted and not t.startswith("operation:")}
        numbers = await hub.get().listen(self._listener, wanted, bells)
        await self.say({"subscribed": numbers})
        for topic in wanted:
            if topic.startswith("operation:"):
                # Heard first and read now: nothing falls in between.
                self._seen[topic] = after.get(topic, 0)
                self._listener.put(topic, numbers[topic])
        if "stats" in wanted:
            await self._watch_stats()

    def _drop(self, topics: list[str]) -> None:
        hub.get().unlisten(self._listener, topics)
        for topic in topics:
            self._seen.pop(topic, None)
        if "stats" in topics:
            self._watch_no_stats()

    async def rechecked(self) -> None:
        topics = sorted(self._listener.topics)
        refused = {t: r for t, r in (await database_sync_to_async(refusals)(self.actor, topics)).items() if r}
        if refused:
            self._drop(list(refused))
        listener = self._stats  # the page may unsubscribe while the database is asked
        if listener is not None:
            listener.ids = await database_sync_to_async(visible_containers)(self.actor, self._rows)
        for topic, (code, detail) in refused.items():
            await self.refuse(code, detail, topic=topic)

    async def _bells(self) -> None:
        while True:
            for topic, number in (await self._listener.next()).items():
                if topic not in self._listener.topics:
                    continue
                if topic in self._seen:
                    await self._events(topic)
                else:
                    await self.say({"topic": topic, "seq": number})

    async def _events(self, topic: str) -> None:
        id_ = topic.partition(":")[2]
        while events := await database_sync_to_async(events_after)(id_, self._seen.get(topic, 0)):
            if topic not in self._seen:
                return
            self._seen[topic] = events[-1]["seq"]
            await self.say({"topic": topic, "seq": self._seen[topic], "events": events})

    async def _watch_stats(self) -> None:
        self._watch_no_stats()
        ids = await database_sync_to_async(visible_containers)(self.actor, self._rows)
        listener = hub.StatsListener(ids)
        self._stats, self._stats_task = listener, self.go(self._figures(listener))
        await hub.get().watch_stats(listener)
        listener.put(await stats.alatest(ids))

    def _watch_no_stats(self) -> None:
        if self._stats is not None:
            hub.get().unwatch_stats(self._stats)
            self._stats_task.cancel()
            self._stats = None

    async def _figures(self, listener: hub.StatsListener) -> None:
        while True:
            rows = [
                row[:3] for row in await listener.next() if row[0] in listener.ids and not stats.is_end(row)
            ]
            if rows:
                await self.say({"topic": "stats", "rows": rows})


def _topics(found: object) -> list[str]:
    if not isinstance(found, list) or len(found) > MOST_TOPICS:
        raise Malformed(f"subscribe and unsubscribe are lists of at most {MOST_TOPICS} topics.")
    for topic in found:
        if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
            raise Malformed("A topic is written containers or container:<id>.")
    return list(dict.fromkeys(found))


def _numbers(found: object) -> dict[str, int]:
    if not isinstance(found, dict) or len(found) > MOST_TOPICS:
        raise Malformed("after is an object of topic: number.")
    for number in found.values():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
            raise Malformed("Numbers in after are whole and not negative.")
    return found


def _ids(found: object) -> list[str]:
    if not isinstance(found, list) or len(found) > MOST_ROWS:
        raise Malformed(f"rows is a list of at most {MOST_ROWS} container ids.")
    try:
        return [str(UUID(one)) for one in found]
    except (ValueError, AttributeError, TypeError):
        raise Malformed("rows is a list of container ids.") from None
