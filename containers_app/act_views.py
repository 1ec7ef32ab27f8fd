"""What can be done about containers: one, with a question first where something is lost, or several at once."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext, ngettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Denied, actor_of, require, requires
from containers_app import drift, many_plans, operations, plans, present, vanished
from containers_app.forms import KillForm, PolicyForm, RenameForm, StopForm
from containers_app.models import Container
from containers_app.notice import seen
from engine.errors import EngineError
from operations.models import Operation
from operations.plans import preview
from operations.services import Refused
from operations.web import answers, came_from, dialog, submitted, toast, uuids, why

BULK = ("start", "stop", "restart", "kill", "pause", "unpause", "update", "remove", "seen")
ASKED_FIRST = ("stop", "restart", "pause")
"""What is done at a click where nobody else is cut off by it."""
MOST_AT_ONCE = 200
_BULK_FORMS: dict[str, Any] = {"kill": KillForm, "update": PolicyForm}
_DOING: dict[str, Any] = {
    "start": ngettext_lazy("Starting %(n)s container", "Starting %(n)s containers", "n"),
    "stop": ngettext_lazy("Stopping %(n)s container", "Stopping %(n)s containers", "n"),
    "restart": ngettext_lazy("Restarting %(n)s container", "Restarting %(n)s containers", "n"),
    "pause": ngettext_lazy("Pausing %(n)s container", "Pausing %(n)s containers", "n"),
    "unpause": ngettext_lazy("Resuming %(n)s container", "Resuming %(n)s containers", "n"),
    "remove": ngettext_lazy("Removing %(n)s container", "Removing %(n)s containers", "n"),
    "seen": ngettext_lazy("Taken note of %(n)s container", "Taken note of %(n)s containers", "n"),
    "kill": ngettext_lazy("Killing %(n)s container", "Killing %(n)s containers", "n"),
    "update": ngettext_lazy(
        "Changing the restart policy of %(n)s container",
        "Changing the restart policy of %(n)s containers",
        "n",
    ),
}
_QUESTIONS = {
    "start": (_lazy("Start %(name)s?"), _lazy("Start container")),
    "stop": (_lazy("Stop %(name)s?"), _lazy("Stop container")),
    "restart": (_lazy("Restart %(name)s?"), _lazy("Restart container")),
    "pause": (_lazy("Pause %(name)s?"), _lazy("Pause container")),
}
"""A question's title, and the button that answers it."""
_QUESTIONS_OF_MANY: dict[str, tuple[Any, Any]] = {
    "stop": (
        ngettext_lazy("Stop %(n)s container?", "Stop %(n)s containers?", "n"),
        ngettext_lazy("Stop %(n)s container", "Stop %(n)s containers", "n"),
    ),
    "restart": (
        ngettext_lazy("Restart %(n)s container?", "Restart %(n)s containers?", "n"),
        ngettext_lazy("Restart %(n)s container", "Restart %(n)s containers", "n"),
    ),
    "pause": (
        ngettext_lazy("Pause %(n)s container?", "Pause %(n)s containers?", "n"),
        ngettext_lazy("Pause %(n)s container", "Pause %(n)s containers", "n"),
    ),
}


@require_POST
@requires("container.read")
@answers
def act(request: HttpRequest, pk: UUID, action: str) -> HttpResponse:
    """Asks for a change, and goes back to where it was asked; a removed container has no page to go back to.

    What would cut off others, or lose something, is asked first.
    """
    container = _get(request, pk)
    if action == "seen":
        seen([container], actor=actor_of(request))
        return toast(
            request,
            _("%(container)s needs no attention until its next incident") % {"container": container},
            to=came_from(request),
        )
    if action == "accept":
        drift.accept(container, actor=actor_of(request))
        return toast(
            request,
            _("%(container)s counts as asked for as it is now") % {"container": container},
            to=came_from(request),
        )
    if (
        action in ASKED_FIRST
        and not request.POST.get("sure")
        and plans.reaches_others(container, actor_of(request))
    ):
        return _question(request, reverse("containers:ask", args=[pk, action]))
    if action in ("start", "restart") and not request.POST.get("force") and vanished.of(container):
        return _question(request, reverse("containers:ask", args=[pk, action]))
    operation = _ask(request, container, action, _params(action, request.POST))
    return submitted(request, operation, to=reverse("containers:list") if action == "remove" else "")


@require_safe
@requires("container.read")
def ask(request: HttpRequest, pk: UUID, action: str) -> HttpResponse:
    """What a stop, a restart or a pause would do to others, and the button that does it."""
    actor, container = actor_of(request), _get(request, pk)
    gone = vanished.of(container) if action in ("start", "restart") else []
    if action not in ASKED_FIRST and not gone:
        raise Http404(_("There is no such question."))
    require(actor, f"container.{action}", container)
    params = {"empty_volumes": True} if gone else {}
    plan = preview(lambda: operations.request(container, action, actor=actor, params=params), actor=actor)
    if gone:
        plan.lead = vanished.words(gone, f"{action}ing")
        plan.needs_yes = (
            ngettext("Start it with an empty volume", "Start it with empty volumes", len(gone))
            if action == "start"
            else ngettext("Restart it with an empty volume", "Restart it with empty volumes", len(gone))
        )
    title, button = _QUESTIONS[action]
    context = {
        "container": container, "plan": plan, "title": title % {"name": container}, "button": button,
        "action": reverse("containers:act", args=[pk, action]),
    }  # fmt: skip
    return dialog(request, "containers/ask.html", context)


@require_safe
@requires("container.remove")
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a removal would do, and the button that does it."""
    actor, container = actor_of(request), _get(request, pk)
    require(actor, "container.remove", container)
    params = {"force": True}
    plan = preview(lambda: operations.request(container, "remove", actor=actor, params=params), actor=actor)
    context = {
        "container": container, "plan": plan, "title": _("Remove %(name)s?") % {"name": container},
        "action": reverse("containers:act", args=[pk, "remove"]),
    }  # fmt: skip
    return dialog(request, "containers/remove.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.stop")
@answers
def stop(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks how long it may take to end by itself, then stops it."""
    actor, container = actor_of(request), _get(request, pk)
    form = StopForm(request.POST or None, initial={"timeout": operations.usual_stop(container)})
    require(actor, "container.stop", container)
    if form.is_valid():
        return submitted(request, _ask(request, container, "stop", form.cleaned_data), to=_page(pk))
    plan = preview(lambda: operations.request(container, "stop", actor=actor), actor=actor)
    return dialog(request, "containers/stop.html", {"container": container, "form": form, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.kill")
@answers
def kill(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks which signal, then sends it."""
    container, form = _get(request, pk), KillForm(request.POST or None)
    require(actor_of(request), "container.kill", container)
    if form.is_valid():
        return submitted(request, _ask(request, container, "kill", form.cleaned_data), to=_page(pk))
    actor = actor_of(request)
    plan = preview(lambda: operations.request(container, "kill", actor=actor), actor=actor)
    return dialog(request, "containers/kill.html", {"container": container, "form": form, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.rename")
@answers
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks for another name, then gives it."""
    container = _get(request, pk)
    require(actor_of(request), "container.rename", container)
    form = RenameForm(request.POST or None, container=container, initial={"name": container.name})
    if form.is_valid():
        return submitted(request, _ask(request, container, "rename", form.cleaned_data), to=_page(pk))
    plan = plans.renamed(container)
    return dialog(request, "containers/rename.html", {"container": container, "form": form, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.read")
@answers
def bulk(request: HttpRequest) -> HttpResponse:
    """The same change of several containers: one operation each.

    What loses or asks something, or cuts off others, shows that first.
    """
    asked = request.POST if request.method == "POST" else request.GET
    action, found = asked.get("action", ""), _several(request, asked.getlist("ids"))
    if action not in BULK or not found:
        return toast(
            request, _("Select containers first.") if action in BULK else _("No such action."), "bad"
        )
    form = _BULK_FORMS[action](asked if asked.get("sure") else None) if action in _BULK_FORMS else None
    sure = bool(asked.get("sure"))
    if action in ASKED_FIRST:
        asks = not sure and (
            request.method != "POST" or many_plans.reach_others(found, action, actor_of(request))
        )
    else:
        asks = bool(action == "remove" or form) and not (sure and (form is None or form.is_valid()))
    if asks:
        return _bulk_question(request, action, found, form)
    if request.method != "POST":
        return HttpResponseRedirect(reverse("containers:list"))
    params = form.wish() if form else {}
    if action == "remove":
        params = {"force": True, **removal_ticks(request.POST)}
    return _bulk_answer(request, action, *_ask_each(request, action, found, params))


def _bulk_question(request: HttpRequest, action: str, found: list[Container], form: Any) -> HttpResponse:
    if request.method == "POST" and form is None:
        query = QueryDict(mutable=True)
        query["action"] = action
        query.setlist("ids", [str(one.pk) for one in found])
        return _question(request, f"{reverse('containers:bulk')}?{query.urlencode()}")
    ids, n = [one.pk for one in found], {"n": len(found)}
    if form:
        title = (
            ngettext("Kill %(n)s container", "Kill %(n)s containers", len(found))
            if action == "kill"
            else ngettext(
                "Change the restart policy of %(n)s container",
                "Change the restart policy of %(n)s containers",
                len(found),
            )
        )
        context = {
            "form": form, "ids": ids, "bulk": action, "title": title % n,
            "plan": many_plans.killing_many(found) if action == "kill" else None, "action": reverse("containers:bulk"),
        }  # fmt: skip
        return dialog(request, "containers/bulk.html", context)
    if action in ASKED_FIRST:
        ask, button = _QUESTIONS_OF_MANY[action]
        plan = many_plans.stopping_many(found, action, actor_of(request))
        plan.button = button % n
        context = {
            "plan": plan, "ids": ids, "bulk": action, "title": ask % n, "action": reverse("containers:bulk"),
        }  # fmt: skip
        return dialog(request, "containers/bulk.html", context)
    title = ngettext("Remove %(n)s container?", "Remove %(n)s containers?", len(found)) % n
    context = {
        "plan": many_plans.removal_of_many(found), "ids": ids,
        "title": title, "action": reverse("containers:bulk"),
    }  # fmt: skip
    return dialog(request, "containers/remove.html", context)


def _ask_each(
    request: HttpRequest, action: str, found: list[Container], params: dict[str, Any]
) -> tuple[int, list[str]]:
    """``(how many were accepted, sentences of those that were not)``."""
    done, refusals = 0, []
    for container in found:
        try:
            if action == "seen":
                seen([container], actor=actor_of(request))
            else:
                _ask(request, container, action, params)
            done += 1
        except (Denied, Refused, EngineError) as error:
            refusals.append(f"{container.name}: {why(error)}")
    return done, refusals


def _bulk_answer(request: HttpRequest, action: str, done: int, refusals: list[str]) -> HttpResponse:
    text = str(_DOING[action] % {"n": done}) if done else ""
    if refusals:
        rest = [_("And %(number)s more.") % {"number": len(refusals) - 3}] if len(refusals) > 3 else []
        text = " ".join([*([f"{text}."] if text else []), *refusals[:3], *rest])
    return toast(request, text, "bad" if refusals else "ok", to=reverse("containers:list"))


def _ask(request: HttpRequest, container: Container, action: str, params: dict[str, Any]) -> Operation:
    return operations.request(container, action, actor=actor_of(request), params=params)


def _question(request: HttpRequest, url: str) -> HttpResponse:
    """Leads to a question: as a dialog over the page for htmx, else as a page of its own."""
    if "HX-Request" not in request.headers:
        return HttpResponseRedirect(url)
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"slipway:ask": {"url": url}})})


def _get(request: HttpRequest, pk: UUID) -> Container:
    return get_object_or_404(present.one(actor_of(request)), pk=pk)


def _several(request: HttpRequest, ids: list[str]) -> list[Container]:
    found = uuids(ids, MOST_AT_ONCE)
    return list(present.one(actor_of(request)).filter(pk__in=found).order_by("name"))


def _params(action: str, asked: QueryDict) -> dict[str, Any]:
    """What the form of this action sends."""
    if action == "remove":
        return {"force": bool(asked.get("force")), **removal_ticks(asked)}
    if action in ("start", "restart") and asked.get("force"):
        return {"empty_volumes": True}
    return {}


def removal_ticks(asked: QueryDict) -> dict[str, Any]:
    """The choices of a removal."""
    return {name: bool(asked.get(name)) for name in ("volumes", "forever")}


def _page(pk: UUID) -> str:
    return reverse("containers:detail", args=[pk])
