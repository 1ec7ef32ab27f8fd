"""Pages of containers: the list, one container in four tabs, and what can be done about one or several."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Denied, actor_of, require, requires
from containers_app import listing, operations, plans, present
from containers_app.document import document
from containers_app.forms import KillForm, RenameForm
from containers_app.models import Container
from engine.errors import EngineError
from operations.services import Refused
from operations.web import answers, submitted, toast, why

BULK = ("start", "stop", "restart", "pause", "unpause", "remove")
MOST_AT_ONCE = 200
_DOING = {
    "start": "Starting", "stop": "Stopping", "restart": "Restarting", "pause": "Pausing", "unpause": "Resuming",
    "remove": "Removing",
}  # fmt: skip


@require_safe
@requires("container.read")
def container_list(request: HttpRequest) -> HttpResponse:
    """Containers by stack, as the address asks for them."""
    actor, wanted = actor_of(request), listing.Wanted.of(request.GET)
    context = {
        "wanted": wanted,
        "listing": listing.listing(actor, wanted, host=_host(request)),
        "counts": listing.view_counts(actor),
    }
    if request.headers.get("HX-Request"):
        return render(request, "containers/_listing.html", {**context, "oob": True})
    return render(request, "containers/list.html", {**context, "choices": listing.choices(actor)})


@require_safe
@requires("container.read")
def overview(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What one container is, and how it does."""
    actor, container = actor_of(request), _get(request, pk)
    row = next(listing.rows_of([container], actor, host=_host(request)))
    shown, more = present.labels(container)
    context = {
        "row": row, "facts": present.facts(container), "variables": present.environment(container),
        "mounts": present.mounts(container), "networks": present.networks(container, actor),
        "checks": present.checks(container), "labels": shown, "more_labels": more,
        "made_by": present.made_by(container, actor),
    }  # fmt: skip
    return _tab(request, container, "overview", context, row)


@require_safe
@requires("container.logs")
def logs(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What it writes. The lines come over the socket."""
    container = _get(request, pk)
    require(actor_of(request), "container.logs", container)
    return _tab(request, container, "logs", {})


@require_safe
@requires("container.read")
def history(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What was asked of it, by whom, and how that ended."""
    container = _get(request, pk)
    return _tab(request, container, "history", {"days": present.history(container, actor_of(request))})


@require_safe
@requires("container.read")
def inspect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the engine says of it, in its own words; ``?raw=1`` as a JSON file."""
    container = get_object_or_404(present.one(actor_of(request)).defer(None), pk=pk)
    if request.GET.get("raw"):
        headers = {"Content-Disposition": f'attachment; filename="{container.short_id}.json"'}
        return JsonResponse(container.inspect, json_dumps_params={"indent": 2}, headers=headers)
    section, find = request.GET.get("section", ""), request.GET.get("find", "")[:100]
    found = document(container.inspect, section=section, find=find)
    return _tab(request, container, "inspect", {"document": found, "section": section, "find": find})


@require_POST
@requires("container.read")
@answers
def act(request: HttpRequest, pk: UUID, action: str) -> HttpResponse:
    """Asks for a change, and goes back to where it was asked; a removed container has no page to go back to."""
    operation = operations.request(
        _get(request, pk), action, actor=actor_of(request), params=_params(action, request.POST)
    )
    return submitted(request, operation, to=reverse("containers:list") if action == "remove" else "")


@require_safe
@requires("container.remove")
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a removal would do, and the button that does it."""
    container = _get(request, pk)
    require(actor_of(request), "container.remove", container)
    context = {
        "container": container,
        "fate": plans.removal(container),
        "ids": [],
        "title": f"Remove {container}?",
    }
    context["action"] = reverse("containers:act", args=[pk, "remove"])
    return _dialog(request, "containers/remove.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.kill")
@answers
def kill(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks which signal, then sends it."""
    actor, container = actor_of(request), _get(request, pk)
    require(actor, "container.kill", container)
    form = KillForm(request.POST or None)
    if form.is_valid():
        return submitted(
            request,
            operations.request(container, "kill", actor=actor, params=form.cleaned_data),
            to=_page(pk),
        )
    return _dialog(request, "containers/kill.html", {"container": container, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.rename")
@answers
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks for another name, then gives it."""
    actor, container = actor_of(request), _get(request, pk)
    require(actor, "container.rename", container)
    form = RenameForm(request.POST or None, container=container, initial={"name": container.name})
    if form.is_valid():
        return submitted(
            request,
            operations.request(container, "rename", actor=actor, params=form.cleaned_data),
            to=_page(pk),
        )
    return _dialog(request, "containers/rename.html", {"container": container, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.read")
@answers
def bulk(request: HttpRequest) -> HttpResponse:
    """The same change of several containers: one operation each. A removal shows first what would go."""
    asked = request.POST if request.method == "POST" else request.GET
    action, found = asked.get("action", ""), _several(request, asked.getlist("ids"))
    if action not in BULK or not found:
        return toast(request, "Select containers first." if action in BULK else "No such action.", "bad")
    if action == "remove" and not asked.get("sure"):
        return _bulk_removal(request, found)
    if request.method != "POST":
        return HttpResponseRedirect(reverse("containers:list"))
    done, refusals = _ask_each(request, action, found)
    return _bulk_answer(request, action, done, refusals)


def _bulk_removal(request: HttpRequest, found: list[Container]) -> HttpResponse:
    if request.method == "POST":  # without JavaScript: the question is a page of its own
        query = QueryDict(mutable=True)
        query["action"] = "remove"
        query.setlist("ids", [str(one.pk) for one in found])
        return HttpResponseRedirect(f"{reverse('containers:bulk')}?{query.urlencode()}")
    count = f"{len(found)} container{'' if len(found) == 1 else 's'}"
    return _dialog(request, "containers/remove.html", {
        "fate": plans.removal_of_many(found), "ids": [one.pk for one in found], "title": f"Remove {count}?",
        "action": reverse("containers:bulk"),
    })  # fmt: skip


def _ask_each(request: HttpRequest, action: str, found: list[Container]) -> tuple[int, list[str]]:
    """``(how many were accepted, sentences of those that were not)``."""
    actor, done, refusals = actor_of(request), 0, []
    params = {"force": True, "volumes": bool(request.POST.get("volumes"))} if action == "remove" else {}
    for container in found:
        try:
            operations.request(container, action, actor=actor, params=params)
            done += 1
        except (Denied, Refused, EngineError) as error:
            refusals.append(f"{container.name}: {why(error)}")
    return done, refusals


def _bulk_answer(request: HttpRequest, action: str, done: int, refusals: list[str]) -> HttpResponse:
    text = f"{_DOING[action]} {done} container{'' if done == 1 else 's'}" if done else ""
    if refusals:
        rest = f" And {len(refusals) - 3} more." if len(refusals) > 3 else ""
        text = " ".join(filter(None, [f"{text}." if text else "", *refusals[:3]])) + rest
    return toast(request, text, "bad" if refusals else "ok", to=reverse("containers:list"))


def _tab(
    request: HttpRequest,
    container: Container,
    tab: str,
    context: dict[str, Any],
    row: listing.Row | None = None,
) -> HttpResponse:
    """One tab of a container's page; for htmx its head, or what the tab itself holds."""
    actor = actor_of(request)
    row = row or next(listing.rows_of([container], actor, host=_host(request)))
    context |= {
        "container": container,
        "row": row,
        "tab": tab,
        "neighbours": present.neighbours(container, actor),
    }
    if "HX-Request" not in request.headers:
        return render(request, f"containers/{tab}.html", context)
    part = (
        "containers/_head.html" if request.headers.get("HX-Target") == "head" else f"containers/_{tab}.html"
    )
    return render(request, part, context)


def _dialog(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A question: a part of the page for htmx, else a page of its own."""
    return render(request, f"{template}#dialog" if "HX-Request" in request.headers else template, context)


def _get(request: HttpRequest, pk: UUID) -> Container:
    return get_object_or_404(present.one(actor_of(request)), pk=pk)


def _several(request: HttpRequest, ids: list[str]) -> list[Container]:
    found = []
    for text in dict.fromkeys(ids[:MOST_AT_ONCE]):
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return list(present.one(actor_of(request)).filter(pk__in=found).order_by("name"))


def _params(action: str, asked: QueryDict) -> dict[str, Any]:
    """What the form of this action sends."""
    if action == "remove":
        return {"force": bool(asked.get("force")), "volumes": bool(asked.get("volumes"))}
    return {}


def _page(pk: UUID) -> str:
    return reverse("containers:detail", args=[pk])


def _host(request: HttpRequest) -> str:
    """The host that serves this page: ports of an engine beside us are found on it."""
    return urlsplit(f"//{request.get_host()}").hostname or "localhost"
