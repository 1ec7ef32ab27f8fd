"""How a page answers: what was accepted, and what was refused.

With htmx the answer is 204 and one ``HX-Trigger`` event, ``slipway:toast`` with
``{"text": str, "tone": "ok" | "bad" | "busy", "operation": uuid | null}``; the page stays where it is and turns
the toast of a running operation into its result. Without JavaScript the same sentence becomes a Django message
(its ``extra_tags`` is the tone) and the browser is sent back to the page it came from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import wraps
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import reasons
from accounts.access import Actor, Denied, actor_of, note
from accounts.members import Kept
from engine.errors import Invalid, PolicyDenied, SelfProtected
from engine.specs import SpecError
from operations import registry, undoable
from operations.models import Operation
from operations.retold import retold
from operations.services import Refused

PIECE = 256 * 1024
F = TypeVar("F", bound=Callable[..., HttpResponseBase])
_LEVELS = {"ok": messages.SUCCESS, "bad": messages.ERROR, "busy": messages.INFO}


class Download(FileResponse):
    """A file from our own disk, piece by piece as it is taken. Under ASGI, Django alone would read it whole before."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file = self.file_to_stream
        while file and (piece := await asyncio.to_thread(file.read, PIECE)):
            yield piece


def dialog(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """A question: the part ``dialog`` of the template for htmx, else a page of its own."""
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"{template}{part}", dict(context))


class Told(NamedTuple):
    """What is said of a change while it runs, when it has ended well, and when it has not: whole sentences."""

    doing: str
    done: str
    failed: str


def submitted(
    request: HttpRequest, operation: Operation, *, told: Told | None = None, to: str = ""
) -> HttpResponse:
    """The answer to an accepted change: "Stopping web", with the operation for the page to follow.

    ``to`` is where a browser without htmx goes on; without it, back to the page it came from, or to the operation.
    """
    told = told or told_of(operation)
    to = to or came_from(request, default=reverse("operations:detail", args=[operation.pk]))
    if "HX-Request" in request.headers:
        ends = {"operation": str(operation.pk), "done": told.done, "failed": told.failed}
        return _event({"text": told.doing, "tone": "busy", **ends})
    return toast(request, told.doing, "busy", to=to)


def toast(request: HttpRequest, text: str, tone: str = "ok", *, to: str = "") -> HttpResponse:
    """One sentence for the person: a toast for htmx, else a message and a redirect to ``to``."""
    if "HX-Request" in request.headers:
        return _event({"text": text, "tone": tone, "operation": None})
    messages.add_message(request, _LEVELS[tone], text, extra_tags=tone)
    return HttpResponseRedirect(to or came_from(request))


def _event(said: Mapping[str, str | None]) -> HttpResponse:
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"slipway:toast": said})})


def answers(view: F) -> F:
    """Turns what a change may be refused for into its sentence. Reads raise: their pages are those of 403 and 400."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (Denied, Refused, Kept, PolicyDenied, SelfProtected, Invalid) as error:
            if request.method in ("GET", "HEAD"):
                if isinstance(error, Invalid):
                    raise BadRequest(why(error)) from error
                raise
            if isinstance(error, Denied):
                note(request, error)
                return toast(request, reasons.sentence(error, actor_of(request)), "bad")
            return toast(request, why(error), "bad")

    return inner  # type: ignore[return-value]


def leaves_when_gone(view: F) -> F:
    """A page that fetches itself again after its object is gone hears `slipway:gone` and goes where that says.

    No error: it is what the page was waiting for. Whoever may not see the object is told the same. The event's
    ``undo`` is the operation that put it into the trash, for those who can take it back.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Http404:
            if "HX-Request" not in request.headers:
                raise
            event = {"slipway:gone": {"undo": _undo_of(actor_of(request), kwargs.get("pk"))}}
            return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(event)})

    return inner  # type: ignore[return-value]


def _undo_of(actor: Actor, pk: object) -> str | None:
    item = undoable.kept(actor).filter(target_id=str(pk)).first()
    return str(item.operation_id) if item and undoable.by(actor, item.operation) else None


def why(error: Exception) -> str:
    """The sentence of a refusal; for a wish that is not valid, the first message of each field."""
    if isinstance(error, SpecError):
        return " ".join(
            _with_field(field, found[0]) for field, found in error.errors.items() if found
        ) or str(error)
    return retold(str(error))


def told_of(operation: Operation) -> Told:
    """ "Stopping web", "Stopped web", "Stopping web failed"."""
    try:
        kind = registry.get(operation.kind)
        doing, done = kind.doing, kind.done
    except LookupError:
        doing = done = operation.kind
    about = {"name": operation.target_name or "–"}
    texts = (f"{doing} %(name)s", f"{done} %(name)s", f"{doing} %(name)s failed")
    return Told(*(translation.gettext(text) % about for text in texts))


def came_from(request: HttpRequest, *, default: str = "/") -> str:
    """The page to go back to: the form's ``next``, else the referrer; never another site."""
    for url in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if url and url_has_allowed_host_and_scheme(
            url, {request.get_host()}, require_https=request.is_secure()
        ):
            return url
    return default


def _with_field(field: str, message: str) -> str:
    return f"{field.replace('_', ' ').capitalize()}: {message}" if field else message


def uuids(texts: Iterable[str], most: int) -> list[UUID]:
    """Those of the first so many texts that are ids; a page can send anything."""
    found = []
    for text in islice(texts, most):
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
