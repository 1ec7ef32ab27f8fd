"""Making a container anew: the question with image, gate and plan; then the page of the operation."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import Actor, actor_of, require, requires
from containers_app import operations, present, recreate_plan, vanished
from containers_app.forms import RecreateForm
from containers_app.models import Container
from operations.plans import Plan, preview
from operations.web import answers


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.recreate")
@answers
def recreate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what it would do, anew whenever the wish changes; then asks for it and goes on to how far it is."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor), pk=pk)
    require(actor, "container.recreate", container)
    here = recreate_plan.image_in(container, container.image_ref, actor)
    asked = request.POST if request.method == "POST" else request.GET if "image" in request.GET else None
    form = RecreateForm(asked, container=container, pull=bool(here and here.digests))
    if request.method == "POST" and form.is_valid():
        operation = operations.request(container, "recreate", actor=actor, params=form.wish())
        return redirect("operations:detail", operation.pk)
    context = {
        "container": container, "form": form, "plan": _plan(container, form, actor), "gone": vanished.of(container),
    }  # fmt: skip
    part = {"recreate-plan": "#plan", "": ""}.get(request.headers.get("HX-Target", ""), "#dialog")
    if "HX-Request" not in request.headers:
        part = ""
    return render(request, f"containers/recreate.html{part}", context)


def _plan(container: Container, form: RecreateForm, actor: Actor) -> Plan | None:
    """``None`` as long as what is typed is no wish."""
    if form.is_bound and not form.is_valid():
        return None
    return preview(
        lambda: operations.request(container, "recreate", actor=actor, params=form.wish()), actor=actor
    )
