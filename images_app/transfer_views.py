"""Pages of images as files: what is exported, and what an import would move before it does."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import actor_of, require, requires
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app import image_files, queries, transfers
from images_app.forms import ExportForm, ImportForm
from images_app.views import image_of
from operations import queries as operation_queries
from operations import services
from operations.plans import preview
from operations.services import Refused
from operations.web import answers, dialog, toast, uuids


@require_http_methods(["GET", "HEAD", "POST"])
@requires(transfers.EXPORT)
@answers
def image_export(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Which names go along, and what else; goes on at the operation, where the file is fetched."""
    actor = actor_of(request)
    image = image_of(request, pk)
    require(actor, transfers.EXPORT, image)
    form = ExportForm(request.POST or None, image=image, more=request.GET.get("more", "")[:4000])
    if request.method == "POST" and form.is_valid():
        try:
            operation = transfers.request_export(image, form.wanted(), actor=actor)
            return redirect("operations:detail", operation.pk)
        except SpecError as error:
            form.add_error("more", [text for texts in error.errors.values() for text in texts])
    return dialog(request, "images/export.html", {"form": form, "image": image})


@require_safe
@requires(transfers.EXPORT)
def export_some(request: HttpRequest) -> HttpResponse:
    """Goes to the export of those that are selected in the list, into one file."""
    ids = uuids(request.GET.getlist("image"), image_files.MOST_IMAGES)
    rows = queries.images(actor_of(request)).prefetch_related("tags").filter(pk__in=ids)
    found = sorted(rows, key=lambda image: (not image.tags.all(), image.name))
    if not found:
        return redirect("images:list")
    first, rest = found[0], found[1:]
    if any(image.engine_id != first.engine_id for image in rest):
        words = _("These images are on different engines: one file holds those of one.")
        return toast(request, words, "bad", to=reverse("images:list"))
    names = [name for image in rest for name in sorted(t.name for t in image.tags.all()) or [image.native_id]]
    more = f"?{urlencode({'more': ' '.join(names)})}" if names else ""
    return redirect(f"{reverse('images:export', args=[first.pk])}{more}")


@require_safe
@requires(transfers.EXPORT)
def download(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The tar that this operation made."""
    actor = actor_of(request)
    done = operation_queries.operations(actor).filter(kind=transfers.EXPORT, state="succeeded")
    operation = get_object_or_404(done, pk=pk)
    require(actor, transfers.EXPORT, operation)
    return transfers.fetched(operation, actor=actor)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(transfers.IMPORT)
@answers
def image_import(request: HttpRequest) -> HttpResponse:
    """Takes a file and shows what it would do; a second yes hands it to the engine."""
    actor = actor_of(request)
    if ticket := request.POST.get("ticket"):
        archive, engine, team = transfers.redeem(ticket, actor)
        operation = transfers.request_import(archive, actor=actor, engine=engine, team=team)
        return redirect("operations:detail", operation.pk)
    form = ImportForm(request.POST or None, request.FILES or None, actor=actor)
    context: dict[str, object] = {"form": form, "most": image_files.most_bytes()}
    if request.method == "POST" and form.is_valid():
        try:
            context |= _looked_into(request, form)
        except SpecError as error:
            form.refuse(error.errors)
        except (PolicyDenied, Refused) as error:
            form.refuse({"archive": [str(error)]})
    return dialog(request, "images/import.html", context)


def _looked_into(request: HttpRequest, form: ImportForm) -> dict[str, object]:
    """The plan, and the ticket for it; the file stays for a day."""
    actor, wish = actor_of(request), form.cleaned_data
    engine = services.chosen_engine(wish["engine"])
    team = services.chosen_team(actor, wish["team"])
    transfers.may_import(actor, team)
    archive = image_files.spool(wish["archive"].file)
    plan = preview(
        lambda: transfers.request_import(archive, actor=actor, engine=engine, team=team), actor=actor
    )
    ticket = transfers.ticket(archive, actor, engine, team)
    return {"plan": plan, "ticket": ticket, "archive": archive, "engine": engine}
