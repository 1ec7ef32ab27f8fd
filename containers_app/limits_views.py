"""Changing limits in place: the form as it is set now, the plan of what was changed in it, and the wish."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.access import Actor, actor_of, require, requires
from containers_app import operations, present
from containers_app.limits_form import LimitsForm
from containers_app.models import Container
from operations.plans import Plan, preview
from operations.web import answers, submitted


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.update")
@answers
def update(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows the plan anew whenever the form changes (``look`` asks for it without JavaScript); then asks for it."""
    actor = actor_of(request)
    container = get_object_or_404(present.one(actor).defer(None), pk=pk)
    require(actor, "container.update", container)
    asked = request.POST if request.method == "POST" else request.GET if "memory" in request.GET else None
    form = LimitsForm(asked, container=container)
    wish = form.wish() if form.is_bound and form.is_valid() else {}
    if request.method == "POST" and not request.POST.get("look") and form.is_valid():
        if wish:
            operation = operations.request(container, "update", actor=actor, params=wish)
            return submitted(request, operation, to=reverse("containers:detail", args=[pk]))
        form.add_error(None, _("Nothing is changed yet: this is how it is set now."))
    context = {"container": container, "form": form, "plan": _plan(container, wish, actor)}
    part = {"limits-plan": "#plan"}.get(request.headers.get("HX-Target", ""), "#dialog")
    if "HX-Request" not in request.headers:
        part = ""
    return render(request, f"containers/update.html{part}", context)


def _plan(container: Container, wish: dict[str, object], actor: Actor) -> Plan | None:
    """``None`` as long as nothing is changed, or what is typed is no wish."""
    if not wish:
        return None
    return preview(lambda: operations.request(container, "update", actor=actor, params=wish), actor=actor)
