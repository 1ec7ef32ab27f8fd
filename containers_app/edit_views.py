"""A container edited or duplicated by the run form: filled in, judged while one types, and asked for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import Actor, actor_of, require, requires
from containers_app import operations, present
from containers_app.edit_form import DuplicateForm, EditForm
from containers_app.models import Container
from containers_app.run_views import known
from engine.errors import PolicyDenied
from engine.specs import SpecError
from operations import plans
from operations.models import Operation
from operations.previews import Previewed, is_preview, previewing
from operations.services import Refused
from operations.web import answers

_WORDS = {
    "edit": (_lazy("Edit %(name)s"), _lazy("Replace container")),
    "duplicate": (_lazy("Duplicate %(name)s"), _lazy("Duplicate container")),
}


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.recreate")
@answers
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The form, and the replacement behind the gate; goes on at the operation."""
    return _page(request, _one(request, pk, "container.recreate"), "edit")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("container.duplicate")
@answers
def duplicate(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The form under a new name, and another one beside it; goes on at the operation."""
    return _page(request, _one(request, pk, "container.duplicate"), "duplicate")


@require_POST
@requires("container.recreate")
def edit_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is wrong so far, and what the replacement would do."""
    return _check(request, _one(request, pk, "container.recreate"), "edit")


@require_POST
@requires("container.duplicate")
def duplicate_check(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is wrong so far."""
    return _check(request, _one(request, pk, "container.duplicate"), "duplicate")


def _one(request: HttpRequest, pk: UUID, permission: str) -> Container:
    container = get_object_or_404(present.one(actor_of(request)).defer(None), pk=pk)
    require(actor_of(request), permission, container)
    return container


def _form(request: HttpRequest, container: Container, mode: str) -> EditForm:
    kind = EditForm if mode == "edit" else DuplicateForm
    return kind(
        request.POST if request.method == "POST" else None, container=container, actor=actor_of(request)
    )


def _page(request: HttpRequest, container: Container, mode: str) -> HttpResponse:
    actor, form = actor_of(request), _form(request, container, mode)
    if request.method == "POST" and form.is_valid() and (operation := _asked(form, container, actor, mode)):
        return redirect("operations:detail", operation.pk)
    word, button = _WORDS[mode]
    context: dict[str, Any] = {
        "form": form, "mode": mode, "container": container, "title": word % {"name": container.name}, "button": button,
        "action": reverse(f"containers:{mode}", args=[container.pk]),
        "check": reverse(f"containers:{mode}-check", args=[container.pk]), **known(actor, container.engine),
        "holders": _held(container, actor, mode),
    }  # fmt: skip
    return render(request, "containers/run.html", context)


def _check(request: HttpRequest, container: Container, mode: str) -> HttpResponse:
    actor, form, plan = actor_of(request), _form(request, container, mode), None
    if form.is_valid():
        try:
            with previewing():
                _asked(form, container, actor, mode)
        except Previewed as found:
            # Another one beside it takes nothing away: the form itself says what will happen.
            plan = plans.told(found, actor) if mode == "edit" else None
    same = mode == "edit" and form.is_valid() and not plan
    return render(request, "containers/_run_judged.html", {"form": form, "plan": plan, "same": same})


def _held(container: Container, actor: Actor, mode: str) -> dict[tuple[int, str], str]:
    """Ports in use; those of a container that is edited are free for the one in its place."""
    held = present.holders(actor, container.engine_id)
    own = {(port.get("host"), port.get("protocol")) for port in container.ports} if mode == "edit" else set()
    return {key: name for key, name in held.items() if key not in own}


def _asked(form: EditForm, container: Container, actor: Actor, mode: str) -> Operation | None:
    """The accepted wish of a valid form; ``None`` where the form has something to say now."""
    if not form.check_ports(_held(container, actor, mode)) and not is_preview():
        return None
    try:
        if mode == "duplicate":
            return operations.request_duplicate(container, actor=actor, params=form.wish())
        wish = form.wish()
        if not {"changes", "image"} & set(wish) and not wish["pull"]:
            if not is_preview():
                form.refuse({"": [_("Nothing is changed yet.")]})
            return None
        return operations.request(container, "recreate", actor=actor, params=wish)
    except SpecError as error:
        form.refuse({path.removeprefix("changes."): found for path, found in error.errors.items()})
    except PolicyDenied as error:
        form.refuse({str(error.details.get("field", "")): [error.message]})
    except Refused as error:
        form.refuse({"name" if error.code == "name_in_use" else "": [error.message]})
    return None
