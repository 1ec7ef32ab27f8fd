"""Pages of registries: which there are, one with what is in it, and naming them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, Owner, actor_of, can, requires
from engine.errors import EngineError
from engine.specs import SpecError
from images_app import registries, remote_tags
from images_app.models import Image, Registry
from images_app.registry_forms import RegistryForm
from operations import reads
from operations.models import Operation
from operations.plans import preview
from operations.web import answers, submitted, toast

REPOSITORIES, TAGS = 100, 25
ORDERS = {"version": _lazy("Version"), "age": _lazy("Age"), "name": _lazy("Name")}


@require_safe
@requires("registry.read")
def registry_list(request: HttpRequest) -> HttpResponse:
    """Those that one's teams keep or use."""
    actor = actor_of(request)
    context = {"rows": registries.visible(actor), "may_add": can(actor, "registry.manage")}
    return render(request, "registries/list.html", context)


@require_safe
@requires("registry.read")
def registry_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One, with its repositories, or the tags of ``?repository=``; those a part of the page asks for, as they take a
    while.
    """
    actor, row = actor_of(request), _one(request, pk)
    repository, after = (request.GET.get(name, "").strip()[:255] for name in ("repository", "after"))
    context: dict[str, Any] = {
        "row": row, "repository": repository, "after": after, "may_manage": _may(actor, row),
        "may_pull": can(actor, "image.pull"), "hub": row.host == "docker.io",
    }  # fmt: skip
    context["may_untag"] = can(actor, "registry.untag", Owner(row.owner_id))
    if request.headers.get("HX-Target") == "reg-state":
        return render(request, "registries/_state.html", context)
    if request.headers.get("HX-Target") == "remote":
        order = request.GET.get("order", "version")
        order = order if order in ORDERS else "version"
        context |= (
            _tags(actor, row, repository, after, order) if repository else _repositories(actor, row, after)
        )
        return render(request, "registries/_remote.html", context)
    return render(request, "registries/detail.html", context)


def _repositories(actor: Actor, row: Registry, after: str) -> dict[str, Any]:
    params = {"most": REPOSITORIES, "after": after}
    try:
        found = reads.read("registry.repositories", row, actor=actor, params=params, deadline=registries.LOOK)
    except EngineError as error:
        return {"problem": error.message, "closed": error.code == "conflict"}
    return {"names": found["names"], "more": found["more"]}


def _tags(actor: Actor, row: Registry, repository: str, after: str, order: str) -> dict[str, Any]:
    params = {"most": TAGS, "after": after, "repository": repository, "order": order}
    try:
        found = reads.read("registry.tags", row, actor=actor, params=params, deadline=registries.LOOK)
    except EngineError as error:
        return {"problem": error.message}
    here = _here(actor, row, repository)
    for tag in found["tags"]:
        tag["at"] = _moment(tag["created"])
        tag["reference"] = f"{row.host}/{repository}:{tag['tag']}"
        tag["image"] = here.get(tag["digest"])
    return {"tags": found["tags"], "more": found["more"], "order": found["order"], "orders": ORDERS}


def _here(actor: Actor, row: Registry, repository: str) -> dict[str, Image]:
    """Digest → image of those of this repository that are on an engine here."""
    from images_app import queries

    name = f"{'' if row.host == 'docker.io' else row.host + '/'}{repository}"
    rows = queries.images(actor).filter(tags__repository=name).distinct()
    return {digest.rpartition("@")[2]: image for image in rows for digest in image.digests}


def _moment(text: str) -> Any:
    try:
        return parse_datetime(text)
    except ValueError:
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@requires("registry.manage")
@answers
def registry_new(request: HttpRequest) -> HttpResponse:
    """Names one, and goes on at its page, which says whether it answers."""
    actor = actor_of(request)
    form = RegistryForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            row = registries.add(form.wish(), actor=actor, owner=form.owning())
        except SpecError as error:
            _refuse(form, error)
        else:
            registries.look(row, actor=actor)
            return redirect("registries:detail", row.pk)
    return render(request, "registries/form.html", {"form": form, "to": reverse("registries:new")})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("registry.manage")
@answers
def registry_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Changes one. The password stays as it is where none is typed."""
    actor, row = actor_of(request), _one(request, pk)
    registries.may_manage(row, actor=actor)
    form = RegistryForm(request.POST or None, actor=actor, row=row)
    if request.method == "POST" and form.is_valid():
        try:
            changed = registries.change(row, form.wish(), actor=actor)
        except SpecError as error:
            row = _one(request, pk)
            _refuse(form, error)
        else:
            registries.look(changed, actor=actor)
            return redirect("registries:detail", pk)
    context = {"form": form, "row": row, "to": reverse("registries:edit", args=[pk])}
    return render(request, "registries/form.html", context)


@require_POST
@requires("image.pull")
@answers
def registry_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Looks now whether it answers."""
    registries.look(_one(request, pk), actor=actor_of(request))
    return redirect("registries:detail", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("registry.manage")
@answers
def registry_forget(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks, then forgets it with its password; what is in it stays there."""
    row = _one(request, pk)
    registries.may_manage(row, actor=actor_of(request))
    if request.method == "POST":
        registries.drop(row, actor=actor_of(request))
        if "HX-Request" in request.headers:
            return HttpResponse(status=204, headers={"HX-Redirect": reverse("registries:list")})
        words = _("%(name)s is forgotten; what is in it stays") % {"name": row}
        return toast(request, words, to=reverse("registries:list"))
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"registries/forget.html{part}", {"row": row})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("registry.untag")
@answers
def remote_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows which tags would go with ``tag`` of ``repository``, then asks for it."""
    actor, row = actor_of(request), _one(request, pk)
    asked = request.POST if request.method == "POST" else request.GET
    repository, tag, digest = (asked.get(name, "")[:255] for name in ("repository", "tag", "digest"))
    back = f"{reverse('registries:detail', args=[pk])}?{urlencode({'repository': repository})}"

    def ask() -> Operation:
        return remote_tags.request_untag(row, repository, tag, digest=digest, actor=actor)

    if request.method == "POST":
        return submitted(request, ask(), to=back)
    context = {
        "row": row, "repository": repository, "tag": tag, "digest": digest, "back": back,
        "plan": preview(ask, actor=actor),
    }  # fmt: skip
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"registries/untag.html{part}", context)


def _one(request: HttpRequest, pk: UUID) -> Registry:
    return get_object_or_404(registries.visible(actor_of(request)), pk=pk)


def _may(actor: Actor, row: Registry) -> bool:
    return can(actor, "registry.manage", Owner(row.owner_id))


def _refuse(form: RegistryForm, error: SpecError) -> None:
    for name, messages in error.errors.items():
        key = "plain" if name == "tls" else name.partition(".")[0]
        form.add_error(key if key in form.fields else None, [*messages])
