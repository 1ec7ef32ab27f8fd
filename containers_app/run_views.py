"""Running a container: the form with what it needs to know of the engine, what is wrong as one types, and the wish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import Actor, actor_of, requires
from accounts.querysets import visible_to
from containers_app import operations, present, run_quota, run_typed
from containers_app.models import Network, Volume
from containers_app.run_form import RunForm
from engine import docker_run
from engine.docker_text import is_secret_name
from engine.errors import Invalid, PolicyDenied
from engine.specs import SpecError
from images_app.models import Tag
from operations import variables
from operations.models import Engine, Operation
from operations.previews import Previewed, is_preview, previewing
from operations.queries import engine_asked
from operations.services import Refused
from operations.web import answers, submitted

MOST_NAMES = 500
START = {
    "mode": "run",
    "title": _("Run a container"),
    "button": _("Run container"),
    "action": reverse_lazy("containers:run"),
    "check": reverse_lazy("containers:run-check"),
}
_OWN_NETWORKS = ("bridge", "host", "none")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.run")
@answers
def run(request: HttpRequest) -> HttpResponse:
    """The form (``?image=`` fills it in), and the wish; goes on at the operation."""
    actor = actor_of(request)
    form = RunForm(request.POST or None, actor=actor, initial=_initial(request))
    if request.method == "POST" and form.is_valid() and (operation := _asked(form, actor)):
        return submitted(request, operation, to=reverse("operations:detail", args=[operation.pk]))
    return _page(request, form, actor)


@require_POST
@requires("container.run")
def check(request: HttpRequest) -> HttpResponse:
    """What is wrong with what is typed so far: by the way of the wish itself, which is not carried out."""
    actor = actor_of(request)
    form = RunForm(request.POST, actor=actor)
    if form.is_valid():
        try:
            with previewing():
                _asked(form, actor)
        except Previewed:
            pass
    elif engine := form.cleaned_data.get("engine"):  # what can be said already is not held up by the rest
        form.check_ports(present.holders(actor, engine.pk))
        if words := operations.name_taken(engine, form.cleaned_data.get("name")):
            form.refuse({"name": [words]})
    # With several engines another may have been chosen since: then there are other images, and other ports are taken.
    engine = form.cleaned_data.get("engine")
    anew = engine and len(form.engines) > 1 and request.POST.get("known") != str(engine.pk)
    chosen = known(actor, engine) if anew else {}
    quota = {"with_quota": True, "quota": run_quota.left(form, actor)}
    return render(request, "containers/_run_judged.html", {"form": form, **quota, **chosen})


@require_POST
@requires("container.run")
def paste(request: HttpRequest) -> HttpResponse:
    """The form as a ``docker run`` line fills it in, and what of the line it has no place for."""
    actor = actor_of(request)
    line = request.POST.get("line", "")
    try:
        body, unmapped = docker_run.parse(line)
    except Invalid as error:
        form = RunForm(request.POST, actor=actor)
        form.errors.clear()
        return _page(request, form, actor, {"line": line, "line_error": error.message})
    initial = {**_initial(request), **run_typed.typed(body)}
    for variable in initial["envs"]:
        variable["secret"] = is_secret_name(variable["name"])
    return _page(
        request, RunForm(actor=actor, initial=initial), actor, {"pasted": True, "unmapped": unmapped}
    )


def _asked(form: RunForm, actor: Actor) -> Operation | None:
    """The accepted wish of a valid form; ``None`` where the form has something to say now."""
    engine = form.cleaned_data["engine"]
    free = form.check_ports(present.holders(actor, engine.pk)) if engine else True
    if not free and not is_preview():
        return None
    try:
        return operations.request_run(form.body(), actor=actor, engine=engine, team=form.cleaned_data["team"])
    except SpecError as error:
        form.refuse(error.errors)
    except PolicyDenied as error:
        form.refuse({str(error.details.get("field", "")): [error.message]})
    except Refused as error:
        form.refuse({"name" if error.code == "name_in_use" else "": [error.message]})
    return None


def _page(
    request: HttpRequest, form: RunForm, actor: Actor, more: Mapping[str, Any] | None = None
) -> HttpResponse:
    template = "containers/run.html#dialog" if "HX-Request" in request.headers else "containers/run.html"
    return render(
        request,
        template,
        {
            "form": form,
            "quota": run_quota.left(form, actor),
            **START,
            **known(actor, _engine(request)),
            **(more or {}),
        },
    )


def known(actor: Actor, engine: Engine | None) -> dict[str, Any]:
    """What the form knows of the engine: images that are here, ports in use, volumes, what there is of it all."""
    tags = visible_to(actor, Tag.objects.filter(engine=engine), "image__team").select_related("image")
    volumes = visible_to(actor, Volume.objects.filter(engine=engine, anonymous=False))
    networks = visible_to(actor, Network.objects.filter(engine=engine).exclude(name="bridge"))
    return {
        "engine": engine,
        "images": {tag.name: tag.image.size for tag in tags.order_by("name")[:MOST_NAMES]},
        "volumes": list(volumes.values_list("native_id", flat=True)[:MOST_NAMES]),
        "networks": list(dict.fromkeys(networks.values_list("name", flat=True)[:MOST_NAMES])),
        "holders": present.holders(actor, engine.pk) if engine else {},
        "references": variables.references(actor),
    }


def _initial(request: HttpRequest) -> dict[str, Any]:
    """What the form begins with."""
    return {"image": request.GET.get("image", "")[:512], "engine": _engine(request)}


def _engine(request: HttpRequest) -> Engine | None:
    """The one that is chosen, else the first."""
    return engine_asked(request.POST or request.GET) or Engine.objects.first()
