"""A copy of what a container wrote: the question with the list of files, and the tar itself."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import actor_of, require, requires
from containers_app import operations, plans, present
from containers_app.written import copy_of
from operations import queries
from operations.spooled import sent
from operations.web import answers


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.copy")
@answers
def copy(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows which files there are, then asks for their copy."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor), pk=pk)
    require(actor, "container.copy", container)
    if request.method == "POST":
        return redirect("operations:detail", operations.request_copy(container, actor=actor).pk)
    written = dict(plans.written_by(container, actor) or {}) or None
    if written:
        written["more"] = written["total"] - len(written["files"])
    template = "containers/copy.html#dialog" if "HX-Request" in request.headers else "containers/copy.html"
    return render(request, template, {"container": container, "written": written})


@require_safe
@requires("container.copy")
def download(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The tar that this operation made. Never shown in the page: its names and contents come from a container."""
    actor = actor_of(request)
    operation = get_object_or_404(queries.operations(actor), pk=pk, kind="container.copy", state="succeeded")
    require(actor, "container.copy", operation)
    path, name = copy_of(operation.pk), f"{operation.target_name}-files.tar"
    return sent(operation, path, name, actor=actor, gone=_("This copy is gone: it was kept for a day."))
