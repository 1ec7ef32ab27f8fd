"""Committing a container to an image, and exporting its file system: the questions, and the tar itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import Actor, actor_of, require, requires
from containers_app import commit, commit_asks, present
from containers_app.forms import PLAIN
from containers_app.models import Container
from engine.specs import SpecError
from operations import queries
from operations.models import Operation
from operations.spooled import sent
from operations.web import Download, answers, dialog

GONE = _lazy("This export is gone: it was kept for a day.")


class CommitForm(forms.Form):
    """The image's name, its tag and what to remember about it."""

    repository = forms.CharField(
        label=_lazy("Image name"), max_length=255, widget=forms.TextInput({**PLAIN, "autofocus": True})
    )
    tag = forms.CharField(
        label=_lazy("Tag"), max_length=128, required=False, initial="latest", widget=forms.TextInput(PLAIN)
    )
    message = forms.CharField(label=_lazy("Message"), max_length=commit.MOST_MESSAGE, required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        try:
            data["reference"] = commit_asks.reference_of(
                {key: data.get(key) for key in ("repository", "tag")}
            )
        except SpecError as error:
            for field, messages in error.errors.items():
                if field not in self.errors:
                    self.add_error(field, messages)
        return data


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.commit")
@answers
def commit_(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Says what is in it and what is not, then asks for it and goes on to how far it is."""
    actor, container = actor_of(request), _one(request, pk, "container.commit")
    form = CommitForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        wish = {key: form.cleaned_data[key] for key in commit_asks.FIELDS}
        operation = commit_asks.request_commit(container, wish, actor=actor)
        return redirect("operations:detail", operation.pk)
    reference = form.cleaned_data.get("reference", "") if form.is_bound else ""
    plan = commit.committed(container, reference, actor)
    return dialog(request, "containers/commit.html", {"container": container, "form": form, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.export")
@answers
def export(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Says what is in it and what is not, then asks for it."""
    container = _one(request, pk, "container.export")
    if request.method == "POST":
        return redirect(
            "operations:detail", commit_asks.request_export(container, actor=actor_of(request)).pk
        )
    plan = commit.exported(container)
    return dialog(request, "containers/filesystem.html", {"container": container, "plan": plan})


@require_safe
@requires("container.export")
def download(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The tar that this operation made. Never shown in the page: its names and contents come from a container."""
    actor = actor_of(request)
    operation = get_object_or_404(
        queries.operations(actor), pk=pk, kind="container.export", state="succeeded"
    )
    return served(operation, actor=actor)


def newest(container: Container, *, actor: Actor) -> Download:
    """The newest export of this container that is still there; Http404 where none is."""
    done = Operation.objects.filter(kind="container.export", state="succeeded", target_id=str(container.pk))
    for operation in done.order_by("-finished_at")[:20]:
        if commit.export_of(operation).exists():
            return served(operation, actor=actor)
    raise Http404(_("There is no export of it: they are kept for a day. Ask for a new one."))


def served(operation: Operation, *, actor: Actor) -> Download:
    """From our own disk, however slow whoever takes it; and written down."""
    require(actor, "container.export", operation)
    path, name = commit.export_of(operation), f"{operation.target_name}.tar"
    return sent(operation, path, name, actor=actor, gone=str(GONE))


def _one(request: HttpRequest, pk: UUID, permission: str) -> Container:
    container = get_object_or_404(present.one(actor_of(request)), pk=pk)
    require(actor_of(request), permission, container)
    return container
