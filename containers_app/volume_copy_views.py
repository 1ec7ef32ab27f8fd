"""Pages that copy volumes: into another one, into a file, and out of one."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import actor_of, require, requires
from containers_app import exports, operations, queries
from containers_app.forms import CloneForm, ImportForm
from engine.errors import PolicyDenied
from engine.specs import SpecError
from operations import queries as operation_queries
from operations.plans import preview
from operations.services import Refused
from operations.web import answers, submitted


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.clone")
@answers
def volume_clone(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks what the copy is called, then makes it."""
    actor = actor_of(request)
    volume = get_object_or_404(queries.volumes(actor), pk=pk)
    require(actor, "volume.clone", volume)
    name = f"{volume.name[:110]}-copy"
    form = CloneForm(request.POST or None, initial={"name": name})
    if request.method == "POST" and form.is_valid():
        try:
            operation = operations.request_volume_clone(volume, form.cleaned_data, actor=actor)
            return submitted(request, operation, to=reverse("volumes:list"))
        except SpecError as error:
            form.add_error("name", [text for texts in error.errors.values() for text in texts])
        except Refused as error:
            form.add_error("name", str(error))
    plan = preview(lambda: operations.request_volume_clone(volume, {"name": name}, actor=actor), actor=actor)
    context = {"volume": volume, "form": form, "plan": plan}
    template = "volumes/clone.html#dialog" if "HX-Request" in request.headers else "volumes/clone.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.export")
@answers
def volume_export(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Says what it makes, then goes on to how far it is: the file is fetched there."""
    actor = actor_of(request)
    volume = get_object_or_404(queries.volumes(actor), pk=pk)
    require(actor, "volume.export", volume)
    if request.method == "POST":
        return redirect("operations:detail", operations.request_volume_export(volume, actor=actor).pk)
    plan = preview(lambda: operations.request_volume_export(volume, actor=actor), actor=actor)
    context = {"volume": volume, "plan": plan}
    template = "volumes/export.html#dialog" if "HX-Request" in request.headers else "volumes/export.html"
    return render(request, template, context)


@require_safe
@requires("volume.export")
def download(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The tar that this operation made."""
    actor = actor_of(request)
    done = operation_queries.operations(actor).filter(kind="volume.export", state="succeeded")
    operation = get_object_or_404(done, pk=pk)
    require(actor, "volume.export", operation)
    return exports.of(operation, actor=actor)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.import")
@answers
def volume_import(request: HttpRequest) -> HttpResponse:
    """Takes an archive, then goes on to how far the volume is that is made of it."""
    actor = actor_of(request)
    form = ImportForm(request.POST or None, request.FILES or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        wish = form.cleaned_data
        try:
            operation = operations.request_volume_import(
                {"name": wish["name"]},
                wish["archive"].file,
                actor=actor,
                engine=wish["engine"],
                team=wish["team"],
            )
            return redirect("operations:detail", operation.pk)
        except SpecError as error:
            form.refuse(error.errors)
        except (PolicyDenied, Refused) as error:
            form.refuse({"name": [str(error)]})
    template = "volumes/import.html#dialog" if "HX-Request" in request.headers else "volumes/import.html"
    return render(request, template, {"form": form})
