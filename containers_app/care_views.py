"""Switching on and off what Slipway does by itself: for a container, a team, the site."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.access import actor_of, requires
from accounts.models import Team
from accounts.querysets import visible_teams
from containers_app import care, care_page, present
from operations import channels
from operations.web import answers, came_from, toast

VALUES: dict[str, bool | None] = {"1": True, "0": False, "": None}
SAID = {
    ("heal", True): _lazy("%(name)s is restarted when it is unhealthy"),
    ("heal", False): _lazy("%(name)s is left alone when it is unhealthy"),
    ("end_loops", True): _lazy("%(name)s is stopped when it is in a crash loop"),
    ("end_loops", False): _lazy("%(name)s is left alone in a crash loop"),
}


@require_safe
@requires("container.read")
def rules(request: HttpRequest) -> HttpResponse:
    """The defaults of the site and of the reader's teams, and the containers that have a rule of their own."""
    actor = actor_of(request)
    own = care_page.rules(actor).exclude(engine=None).order_by("name")[:500]
    context = {
        "defaults": care_page.defaults(actor),
        "own": own,
        "most": len(care.BACK_OFF),
        "ends": care.ENDS,
    }
    return render(request, "care/rules.html", context)


@require_POST
@requires("care.container")
@answers
def switch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``what`` heal or end_loops, ``on`` 1 or 0."""
    container = get_object_or_404(present.one(actor_of(request)), pk=pk)
    what, value = _wish(request)
    care.switch(container, actor=actor_of(request), **{what: value})
    words = str(SAID[(what, bool(value))] % {"name": container})
    return toast(request, words, to=came_from(request, default=reverse("containers:detail", args=[pk])))


@require_POST
@requires("webhook.mute")
@answers
def mute(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``hours``: no messages about it for so long; 0 ends that."""
    container = get_object_or_404(present.one(actor_of(request)), pk=pk)
    hours = request.POST.get("hours", "")
    found = channels.mute(container, int(hours) if hours.isdecimal() else -1, actor=actor_of(request))
    words = (
        _("No messages about %(container)s for now") % {"container": container}
        if found
        else _("Messages about %(container)s are sent again") % {"container": container}
    )
    return toast(request, words, to=came_from(request, default=reverse("containers:detail", args=[pk])))


@require_POST
@requires("care.team")
@answers
def switch_all(request: HttpRequest) -> HttpResponse:
    """The same for a team (``team``, its id) or, without one, for the site; an empty ``on`` says nothing any more."""
    actor, id_ = actor_of(request), request.POST.get("team", "")
    team: Team | None = None
    if id_:
        try:
            team = get_object_or_404(visible_teams(actor), pk=UUID(id_))
        except ValueError:
            raise Http404 from None
    what, value = _wish(request)
    care.switch(team, actor=actor, **{what: value})
    return toast(request, _("Saved"), to=reverse("care:rules"))


def _wish(request: HttpRequest) -> tuple[str, bool | None]:
    what, on = request.POST.get("what", ""), request.POST.get("on", "")
    if what not in care.WORDS or on not in VALUES:
        raise Http404(_("No such switch."))
    return what, VALUES[on]
