"""The pages of webhooks that come in: of a container, and of a stack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import Actor, actor_of, require, requires
from accounts.api.links import absolute
from accounts.pages import sure
from accounts.querysets import visible_to
from containers_app import hooks, present, stacks
from containers_app.models import DeployHook, HookCall
from operations.models import Operation
from operations.web import answers, toast

SHOWN = 5
"""Calls of each."""


@require_http_methods(["GET", "HEAD", "POST"])
@requires("hook.manage")
@answers
def container_hooks(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Those there are with their last calls; a POST (``style``, ``branch``) makes one, its secret shown this once."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor), pk=pk)
    require(actor, hooks.PERMISSION, container)
    context = {"container": container, "place": reverse("containers:hooks", args=[pk])}
    return _page(request, "containers/hooks.html", context, [hooks.container(container)])


@require_http_methods(["GET", "HEAD", "POST"])
@requires("hook.manage")
@answers
def forget(request: HttpRequest, pk: UUID, other: UUID) -> HttpResponse:
    """Asks, then one ends."""
    things = [hooks.container(get_object_or_404(present.one(actor_of(request)), pk=pk))]
    return _forget(request, things, other, to=reverse("containers:hooks", args=[pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("hook.manage")
@answers
def stack_hooks(request: HttpRequest, engine: UUID, name: str) -> HttpResponse:
    """The same for a stack; a POST has a ``team``, too, where several own containers in it."""
    actor = actor_of(request)
    stack = stacks.one(actor, engine, name)
    context = {"stack": stack, "place": reverse("stacks:hooks", args=[engine, name])}
    return _page(request, "stacks/hooks.html", context, hooks.parts(stack, actor))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("hook.manage")
@answers
def stack_forget(request: HttpRequest, engine: UUID, name: str, other: UUID) -> HttpResponse:
    """Asks, then one ends."""
    actor = actor_of(request)
    things = hooks.parts(stacks.one(actor, engine, name), actor)
    return _forget(request, things, other, to=reverse("stacks:hooks", args=[engine, name]))


def _page(
    request: HttpRequest, template: str, context: dict[str, Any], things: Sequence[hooks.Thing]
) -> HttpResponse:
    actor = actor_of(request)
    if request.method == "POST":
        said = request.POST
        thing = hooks.part(things, said.dict())
        made, secret = hooks.add(thing, said.get("style", ""), branch=said.get("branch", ""), actor=actor)
        context |= {"made": made, "secret": secret}
    context |= {
        "rows": _rows(things, actor), "things": things, "styles": DeployHook.Style.choices,
        "base": absolute(request, "/api/v1/hooks/"), "fresh": hooks.FRESH // 60,
    }  # fmt: skip
    return render(request, template, context)


def _rows(
    things: Sequence[hooks.Thing], actor: Actor
) -> list[tuple[DeployHook, list[tuple[HookCall, list[Operation]]]]]:
    """Each with its last calls, and with the operations of each of these, in their order."""
    calls = HookCall.objects.select_related("operation").order_by("-id")[:SHOWN]
    rows = list(hooks.of(*things).prefetch_related(Prefetch("calls", queryset=calls, to_attr="last")))
    asked = {call.batch for row in rows for call in row.last if call.batch}
    of_batch = defaultdict(list)
    if asked:
        wanted = Operation.objects.filter(batch__in=asked).order_by("step", "target_name")
        for operation in visible_to(actor, wanted):
            of_batch[operation.batch].append(operation)

    def began(call: HookCall) -> list[Operation]:
        return [call.operation] if call.operation else of_batch[call.batch]

    return [(row, [(call, began(call)) for call in row.last]) for row in rows]


def _forget(request: HttpRequest, things: Sequence[hooks.Thing], pk: UUID, *, to: str) -> HttpResponse:
    row = get_object_or_404(hooks.of(*things), pk=pk)
    if request.method != "POST":
        hooks.may_drop(things, row, actor=actor_of(request))
        return sure(
            request, _("Close this address?"), absolute(request, f"/api/v1/hooks/{row.pk}/"),
            _("Who calls it is refused at once, and its secret is forgotten. Nothing brings it back: another one has"
              " another address and another secret, and has to be put in where it is called."),
            button=_("Close address"), back=(to, _("Redeploy on push")),
        )  # fmt: skip
    hooks.drop(things, row, actor=actor_of(request))
    return toast(request, _("Its address is closed"), to=to)
