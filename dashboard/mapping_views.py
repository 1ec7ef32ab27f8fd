"""Pages of what groups of single sign-on give, for site administrators."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts import group_mappings, members
from accounts.access import actor_of, can, requires
from accounts.mapping_forms import MappingForm
from accounts.models import GroupMapping
from operations.web import answers, dialog, toast


@require_safe
@requires(group_mappings.READ)
def mapping_list(request: HttpRequest) -> HttpResponse:
    """Which group gives what, and to whom it did."""
    rows = [(row, group_mappings.holders(row)) for row in group_mappings.all_rows()]
    context = {
        "rows": rows, "may_change": can(actor_of(request), group_mappings.PERMISSION), "may_people": True,
        "provider": settings.OIDC.get("name"), "claim": settings.OIDC.get("groups"),
    }  # fmt: skip
    return render(request, "teams/mappings.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(group_mappings.PERMISSION)
@answers
def mapping_change(request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
    """A new mapping, or what one gives."""
    row = get_object_or_404(group_mappings.all_rows(), pk=pk) if pk else None
    form = MappingForm(request.POST or None, row=row)
    if form.is_valid():
        try:
            saved = group_mappings.save(
                row or GroupMapping(group=form.cleaned_data["group"], team=form.cleaned_data["team"]),
                actor=actor_of(request), **form.said(),
            )  # fmt: skip
        except members.Kept as error:
            form.add_error(None, error.message)
        else:
            said = _("Who is in %(group)s: %(gives)s") % {"group": saved.group, "gives": saved.called}
            return toast(request, said, to=reverse("teams:mappings"))
    held = group_mappings.holders(row) if row else []
    return dialog(request, "teams/mapping.html", {"form": form, "mapping": row, "holders": held})


@require_http_methods(["GET", "HEAD", "POST"])
@requires(group_mappings.PERMISSION)
@answers
def mapping_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows who loses what with it, and removes it."""
    row = get_object_or_404(group_mappings.all_rows(), pk=pk)
    if request.method == "POST":
        group_mappings.remove(row, actor=actor_of(request))
        return toast(request, _("%(name)s is gone") % {"name": row.group}, to=reverse("teams:mappings"))
    context = {"mapping": row, "holders": group_mappings.holders(row), "keeps": row.when_gone == "keep"}
    return dialog(request, "teams/mapping_remove.html", context)
