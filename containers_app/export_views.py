"""A container for other tools: its text to read, copy and download."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.access import actor_of, requires
from containers_app import bodies, interop, present

TITLES = {"run": "docker run", "compose": "Compose", "kubernetes": "Kubernetes"}


@require_safe
@requires("container.read")
def export(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``?as=`` one of `interop.KINDS`; ``?download=1`` as a file."""
    container = get_object_or_404(present.one(actor_of(request)).defer(None), pk=pk)
    kind = request.GET.get("as", "run")
    if kind not in interop.KINDS:
        raise Http404("There is no such export.")
    text = interop.text(bodies.of(container), kind)
    if request.GET.get("download"):
        return as_file(text, container.name, kind)
    context = {"container": container, "text": text, "kind": kind, "titles": TITLES}
    template = (
        "containers/export.html#dialog" if "HX-Request" in request.headers else "containers/export.html"
    )
    return render(request, template, context)


def as_file(text: str, name: str, kind: str) -> HttpResponse:
    """Plain text under a name of its own. Container names hold nothing that a header could trip over."""
    headers = {"Content-Disposition": f'attachment; filename="{interop.FILE_NAMES[kind].format(name)}"'}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)
