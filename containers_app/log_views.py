"""The logs of several containers on one page, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import Actor, actor_of, can, requires
from containers_app.consumers import MOST_CONTAINERS
from containers_app.models import Container
from containers_app.queries import containers
from operations.models import Engine
from operations.queries import engine_asked

CHOICES = 200
"""Containers that are offered to be added."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a page of logs shows: ``chosen`` in their order, ``more`` were too many, ``missing`` cannot be read."""

    chosen: list[Container]
    missing: int
    more: int


@require_safe
@requires("container.logs")
def many(request: HttpRequest) -> HttpResponse:
    """``?container=<id>``, up to 20 times, and ``?stack=<name>``, all of a stack, of one ``?engine=`` if given."""
    actor = actor_of(request)
    sources = _sources(
        actor, request.GET.getlist("container"), request.GET.getlist("stack"), engine_asked(request.GET)
    )
    shown = {row.pk for row in sources.chosen}
    rest = containers(actor).exclude(pk__in=shown).order_by("stack", "name")[:CHOICES]
    context: dict[str, Any] = {
        "sources": sources, "others": _readable(actor, rest), "most": MOST_CONTAINERS,
        "stack": _common(sources.chosen), "full": len(sources.chosen) >= MOST_CONTAINERS,
    }  # fmt: skip
    return render(request, "containers/logs_many.html", context)


def _sources(actor: Actor, ids: list[str], stacks: list[str], engine: Engine | None) -> Sources:
    wanted = list(dict.fromkeys(filter(None, map(_uuid, ids[:100]))))
    found = {row.pk: row for row in _readable(actor, containers(actor).filter(pk__in=wanted))}
    rows = [found[pk] for pk in wanted if pk in found]
    if stacks:
        of_stack = containers(actor).filter(stack__in=stacks[:20]).exclude(stack="").order_by("stack", "name")
        of_stack = of_stack.filter(engine=engine) if engine else of_stack
        rows += [row for row in _readable(actor, of_stack[:100]) if row.pk not in found]
    missing = len(set(ids)) - len(found)
    return Sources(rows[:MOST_CONTAINERS], missing, max(0, len(rows) - MOST_CONTAINERS))


def _readable(actor: Actor, rows: QuerySet[Container]) -> list[Container]:
    return [row for row in rows if can(actor, "container.logs", row)]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _common(rows: list[Container]) -> str:
    """The stack that all of them belong to, or nothing."""
    stacks = {row.stack for row in rows}
    return stacks.pop() if len(stacks) == 1 else ""
