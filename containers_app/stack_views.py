"""Pages of stacks: the list, one stack, and what can be done with all of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import Actor, actor_of, can, requires
from containers_app import hooks, listing, many, stacks
from containers_app.act_views import removal_ticks
from containers_app.queries import Stack, containers
from containers_app.views import host_of
from operations.queries import engine_asked
from operations.web import answers, came_from, leaves_when_gone, toast, why

TITLES = {
    "start": _lazy("Start all of %(stack)s?"),
    "stop": _lazy("Stop all of %(stack)s?"),
    "restart": _lazy("Restart all of %(stack)s?"),
    "remove": _lazy("Remove all of %(stack)s?"),
}
NOTHING = {
    "start": _lazy("There is nothing to start in %(stack)s now."),
    "stop": _lazy("There is nothing to stop in %(stack)s now."),
    "restart": _lazy("There is nothing to restart in %(stack)s now."),
    "remove": _lazy("There is nothing to remove in %(stack)s now."),
}
UNDER_WAY = {
    "start": ngettext_lazy(
        "Starting %(n)s container of %(stack)s", "Starting %(n)s containers of %(stack)s", "n"
    ),
    "stop": ngettext_lazy(
        "Stopping %(n)s container of %(stack)s", "Stopping %(n)s containers of %(stack)s", "n"
    ),
    "restart": ngettext_lazy(
        "Restarting %(n)s container of %(stack)s", "Restarting %(n)s containers of %(stack)s", "n"
    ),
    "remove": ngettext_lazy(
        "Removing %(n)s container of %(stack)s", "Removing %(n)s containers of %(stack)s", "n"
    ),
}


@require_safe
@requires("container.read")
def stack_list(request: HttpRequest) -> HttpResponse:
    """Compose projects, each with its state in a line."""
    actor, q = actor_of(request), request.GET.get("q", "").strip()[:200]
    engine = engine_asked(request.GET)
    found = stacks.every(actor, q=q, engine=engine.pk if engine else None)
    context = {
        "rows": [(stack, stacks.services(stack.rows), stacks.teams(stack), stacks.compose(stack)) for stack in found],
        "q": q,
    }  # fmt: skip
    template = "stacks/_listing.html" if "HX-Request" in request.headers else "stacks/list.html"
    return render(request, template, context)


@require_safe
@requires("container.read")
@leaves_when_gone
def stack_detail(request: HttpRequest, engine: UUID, name: str) -> HttpResponse:
    """One stack: its services, its file, what it uses."""
    actor = actor_of(request)
    stack = stacks.one(actor, engine, name)
    rows = {row.container.pk: row for row in listing.rows_of(stack.rows, actor, host=host_of(request))}
    found = stacks.services(stack.rows)
    context: dict[str, Any] = {
        "stack": stack, "compose": stacks.compose(stack), "teams": stacks.teams(stack), "engine": stack.rows[0].engine,
        "services": [(service, [rows[row.pk] for row in service.rows]) for service in found],
        "volumes": stacks.volumes(stack, actor), "networks": stacks.networks(stack, actor),
        "images": stacks.images(stack, actor),
        "actions": _offered(stack, actor), "may_hook": any(can(actor, hooks.PERMISSION, row) for row in stack.rows),
    }  # fmt: skip
    template = "stacks/_detail.html" if "HX-Request" in request.headers else "stacks/detail.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.read")
@answers
def stack_act(request: HttpRequest, engine: UUID, name: str, action: str) -> HttpResponse:
    """Asks first what it would do, in its order; then for one operation a container."""
    if action not in stacks.ACTIONS:
        raise Http404("No such action.")
    actor, stack = actor_of(request), stacks.one(actor_of(request), engine, name)
    if request.method == "POST":
        return _do(request, stack, action)
    context = {
        "stack": stack, "plan": stacks.plan(stack, action, actor), "title": TITLES[action] % {"stack": stack.name},
        "action": reverse("stacks:act", args=[engine, name, action]), "removal": action == "remove",
    }  # fmt: skip
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"stacks/ask.html{part}", context)


def _do(request: HttpRequest, stack: Stack, action: str) -> HttpResponse:
    actor, order = actor_of(request), stacks.wanted(stack, action)
    if not order:
        return toast(request, NOTHING[action] % {"stack": stack.name}, "bad", to=stack.url)
    params = {"force": True, **removal_ticks(request.POST)} if action == "remove" else None
    found = many.ask_in_steps(
        order, action, actor=actor, params=params, needs=stacks.conditions(stack, action)
    )
    refusals = [f"{one.container.name}: {why(one.refused)}" for one in found if one.refused]
    done = len(found) - len(refusals)
    text = UNDER_WAY[action] % {"n": done, "stack": stack.name} if done else ""
    if refusals:
        rest = [_("And %(n)s more.") % {"n": len(refusals) - 3}] if len(refusals) > 3 else []
        text = " ".join([*([f"{text}."] if text else []), *refusals[:3], *rest])
    there = containers(actor).filter(engine_id=stack.engine_id, stack=stack.name).exists()
    to = came_from(request, default=stack.url) if there else reverse("stacks:list")
    return toast(request, text, "bad" if refusals else "ok", to=to)


def _offered(stack: Stack, actor: Actor) -> list[str]:
    """What the reader may do to at least one of those that it makes sense for."""
    return [
        action
        for action in stacks.ACTIONS
        if any(
            can(actor, f"container.{action}", row) for step in stacks.wanted(stack, action) for row in step
        )
    ]
