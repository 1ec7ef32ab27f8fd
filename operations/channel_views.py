"""Pages of messages to other systems: the channels, one with what came of its messages, and naming one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import actor_of, can, requires
from engine.specs import SpecError
from operations import channel_page, channels
from operations.channel import EVENTS
from operations.channel_form import MUTES, ChannelForm
from operations.models import Channel, Delivery
from operations.web import answers, leaves_when_gone, toast

PAGE = 50
VIEWS = (("", _lazy("All")), ("waiting", _lazy("On their way")), ("dead", _lazy("Given up")))


@require_safe
@requires("webhook.read")
def channel_list(request: HttpRequest) -> HttpResponse:
    """Where messages go, and how each channel is."""
    actor = actor_of(request)
    context = {"lines": channel_page.lines(channels.visible(actor)), "may_add": can(actor, "webhook.manage")}
    part = "#rows" if "HX-Request" in request.headers else ""
    return render(request, f"notifications/list.html{part}", context)


@require_safe
@requires("webhook.read")
@leaves_when_gone
def channel_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One channel with its messages; ``?view=dead`` are those that were given up."""
    part = "#body" if "HX-Request" in request.headers else ""
    return render(request, f"notifications/detail.html{part}", _of(request, _one(request, pk)))


def _of(request: HttpRequest, row: Channel, **more: Any) -> dict[str, Any]:
    view = request.GET.get("view", "")
    view = view if view in dict(VIEWS) else ""
    found = row.deliveries.filter(state=view) if view else row.deliveries.all()
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    return {
        "row": row, "line": channel_page.lines([row])[0], "facts": channel_page.facts(row), "page": page,
        "views": VIEWS, "view": view, "may": can(actor_of(request), "webhook.manage", row), "mutes": MUTES,
        "events": [(words, name in row.events) for name, words in EVENTS.items()], **more,
    }  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@requires("webhook.manage")
@answers
def channel_new(request: HttpRequest) -> HttpResponse:
    """Names one; a webhook's secret is shown this once."""
    actor = actor_of(request)
    form = ChannelForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            row, secret = channels.add(form.wish(), actor=actor, team=form.owning())
        except SpecError as error:
            form.refuse(error.errors)
        else:
            if secret:
                return render(request, "notifications/detail.html", _of(request, row, secret=secret))
            return redirect("notifications:detail", row.pk)
    return render(request, "notifications/form.html", {"form": form, "row": None})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("webhook.manage")
@answers
def channel_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Changes what it says."""
    actor, row = actor_of(request), _one(request, pk)
    channels.may_manage(actor, row.team_id)
    form = ChannelForm(request.POST or None, actor=actor, row=row)
    if request.method == "POST" and form.is_valid():
        try:
            channels.change(row, form.wish(), actor=actor)
        except SpecError as error:
            form.refuse(error.errors)
        else:
            return redirect("notifications:detail", row.pk)
    return render(request, "notifications/form.html", {"form": form, "row": row})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("webhook.manage")
@answers
def channel_forget(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks, then forgets it."""
    row = _one(request, pk)
    if request.method == "POST":
        channels.drop(row, actor=actor_of(request))
        return redirect("notifications:list")
    waiting = row.deliveries.filter(state=Delivery.State.WAITING).count()
    part = "#dialog" if "HX-Request" in request.headers else ""
    return render(request, f"notifications/forget.html{part}", {"row": row, "waiting": waiting})


@require_POST
@requires("webhook.manage")
@answers
def channel_test(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Sends a real message, and says what came back."""
    row = _one(request, pk)
    sent = channels.try_out(row, actor=actor_of(request))
    if sent.state == Delivery.State.SENT:
        took = _("%(row)s took it and answered %(status)s") % {"row": row, "status": sent.status}
        if sent.channel.kind == Channel.Kind.MAIL:
            took = _("%(row)s took it") % {"row": row}
        return toast(request, took, to=_page(row))
    if sent.state == Delivery.State.DEAD:
        return toast(request, f"{row}: {sent.problem}", "bad", to=_page(row))
    return toast(request, _("%(row)s has not answered yet") % {"row": row}, "busy", to=_page(row))


@require_POST
@requires("webhook.manage")
@answers
def channel_mute(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``hours``: quiet for so long; 0 ends it."""
    row, hours = _one(request, pk), request.POST.get("hours", "")
    channels.change(row, {"mute_hours": int(hours) if hours.isdecimal() else -1}, actor=actor_of(request))
    return toast(
        request,
        _("%(row)s is quiet") % {"row": row}
        if row.state == "muted"
        else _("%(row)s tells again") % {"row": row},
        to=_page(row),
    )


@require_POST
@requires("webhook.manage")
@answers
def send_again(request: HttpRequest, pk: UUID, delivery: UUID) -> HttpResponse:
    """One message, with the same id."""
    row = _one(request, pk)
    found = get_object_or_404(row.deliveries.select_related("channel"), pk=delivery)
    channels.send_again(found, actor=actor_of(request))
    return toast(request, _("It is on its way again"), to=_page(row))


def _one(request: HttpRequest, pk: UUID) -> Channel:
    return get_object_or_404(channels.visible(actor_of(request)), pk=pk)


def _page(row: Channel) -> str:
    return reverse("notifications:detail", args=[row.pk])
