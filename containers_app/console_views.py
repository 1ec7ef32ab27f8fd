"""The console of a container: its page, the end of a session, and recordings to replay or to keep."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any
from uuid import UUID

from csp.constants import NONCE
from csp.decorators import csp_update
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import translation
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Actor, Denied, actor_of, require, requires
from containers_app import consoles, present, views
from containers_app.console_session import ring_name
from containers_app.models import ConsoleSession, Container
from containers_app.queries import span
from containers_app.recording import recording_of
from operations.web import answers, leaves_when_gone, toast, uuids
from streams import inlet


@require_safe
@requires("container.console")
# The terminal makes style elements of its own: they carry this answer's nonce, and no others work.
@csp_update({"style-src": [NONCE]})  # type: ignore[arg-type]  # its types know views without arguments only
@leaves_when_gone
def console(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A terminal, and who has one open here; ``?session=`` joins one, ``?replay=`` shows a recording."""
    actor, container = _container(request, pk)
    found = consoles.of_container(container, actor)
    wanted = uuids([request.GET.get("session", "")], 1)
    replayed = uuids([request.GET.get("replay", "")], 1)
    context = {
        "sessions": [_line(one, actor) for one in found["open"]],
        "finished": [_line(one, actor) for one in found["finished"]],
        "joined": next((one for one in found["open"] if one.pk in wanted), None),
        "replayed": _line(_recorded(container, actor, replayed[0]), actor) if replayed else None,
        "takes_input": consoles.takes_input(container),
        "input_once": consoles.input_once(container),
        "record": settings.CONSOLE_RECORD,
        "idle": settings.CONSOLE_IDLE_MINUTES,
        "first_process": shlex.join(consoles.shown([*container.entrypoint, *container.command])),
    }
    return views.tab_of(request, container, "console", context)


@require_POST
@requires("container.console")
@answers
def end(request: HttpRequest, pk: UUID, session: UUID) -> HttpResponse:
    """Ends a session: one's own, or for those who lead the team anybody's."""
    actor, container = _container(request, pk)
    found = get_object_or_404(consoles.sessions(actor), pk=session, container=container)
    if not consoles.may_end(found, actor):
        raise Denied("Only who has opened this console, or a team admin, ends it.")
    page = reverse("containers:console", args=[pk])
    if found.state == ConsoleSession.State.ENDED:
        return toast(request, _("It has ended already."), to=page)
    consoles.note(found, actor, "console.end")
    words = f"{actor.name} ended it."
    if not inlet.tell(ring_name(found.pk), inlet.END, words.encode()):
        return toast(request, _("Slipway's own Redis does not answer: try again."), "bad", to=page)
    consoles.finish(found.pk, outcome="cancelled", reason=words, only_asked=True)
    return toast(
        request, _("Ended the console of %(actor_name)s") % {"actor_name": found.actor_name}, to=page
    )


@require_safe
@requires("container.console")
def recording(request: HttpRequest, pk: UUID, session: UUID) -> HttpResponse:
    """The asciicast of a session; ``?download=1`` to keep it. Who takes it is written down."""
    actor, container = _container(request, pk)
    found = _recorded(container, actor, session)
    path = recording_of(found.pk)
    if request.method == "GET":
        consoles.note(found, actor, "console.replay")
    name = f"{found.container_name}-{found.created_at:%Y%m%d-%H%M%S}.cast"
    keep = bool(request.GET.get("download"))
    headers = {"Content-Disposition": content_disposition_header(keep, name) or "inline"}
    return HttpResponse(path.read_bytes(), content_type="application/x-asciicast", headers=headers)


def _container(request: HttpRequest, pk: UUID) -> tuple[Actor, Container]:
    actor = actor_of(request)
    # With its inspection: that says what its input is.
    container = get_object_or_404(present.one(actor).defer(None), pk=pk)
    require(actor, consoles.PERMISSION, container)
    return actor, container


def _recorded(container: Container, actor: Actor, session: UUID) -> ConsoleSession:
    rows = consoles.sessions_of(container, actor).filter(recorded=True, state="ended")
    found = get_object_or_404(rows, pk=session)
    if not recording_of(found.pk).exists():
        raise Http404(_("This recording is gone: it was kept for a while."))
    return found


def _line(session: ConsoleSession, actor: Actor) -> dict[str, Any]:
    """A session as the page lists it."""
    return {
        "it": session,
        "command": shlex.join(session.command),
        "mine": consoles.is_owner(session, actor),
        "may_end": consoles.may_end(session, actor),
        "lasted": span(timedelta(seconds=consoles.seconds(session))),
        "reason": translation.gettext(session.reason).removesuffix(".") if session.reason else "",
        "recording": session.recorded and recording_of(session.pk).exists(),
    }
