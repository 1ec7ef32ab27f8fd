"""Pages of networks: the list, one of them, and what can be done about it."""

from __future__ import annotations

from itertools import zip_longest
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import Actor, actor_of, can, require, requires
from accounts.querysets import visible_to
from containers_app import attachments, operations, queries
from containers_app.filters import NetworkFilter
from containers_app.listing import ports_of, rows_of
from containers_app.models import Container, Network
from containers_app.network_forms import ConnectForm, NetworkForm
from containers_app.network_map import Shown, picture
from containers_app.queries import status_of
from containers_app.views import host_of
from engine.errors import PolicyDenied
from engine.specs import SpecError
from operations.models import Engine
from operations.plans import Plan, preview
from operations.services import Refused
from operations.web import Told, answers, dialog, leaves_when_gone, submitted

PAGE = 100
MOST_DRAWN = 500
"""Containers in one picture: more lines nobody reads."""


@require_safe
@requires("network.read")
def network_list(request: HttpRequest) -> HttpResponse:
    """Networks, and how many containers each connects."""
    actor = actor_of(request)
    everything = queries.networks(actor)
    found = NetworkFilter(request.GET, everything).qs.order_by("name")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    there = visible_to(actor, Container.objects.exclude(networks=[]).only("networks", "engine_id"))
    users = attachments.by_network(list(page.object_list), there)
    rows = [(network, len(users[network.pk])) for network in page.object_list]
    template = "networks/_listing.html" if "HX-Request" in request.headers else "networks/list.html"
    return render(request, template, {"page": page, "rows": rows, "q": request.GET.get("q", "")})


@require_safe
@requires("network.read")
@leaves_when_gone
def network_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One network, and who is on it at which address."""
    actor, network = actor_of(request), _get(request, pk)
    seen, hidden = attachments.visible(network, actor)
    found = queries.containers(actor).filter(pk__in=[row.pk for row, _ in seen])
    rows = {row.container.pk: row for row in rows_of(list(found), actor, host="")}
    own = attachments.is_own(network)
    may_leave = can(actor, "network.disconnect", network) and network.name not in ("host", "none")
    context = {
        "network": network, "own": own, "hidden": hidden,
        "on_it": [
            (
                rows[row.pk], one, attachments.aliases(row.name, row.native_id, one),
                may_leave and can(actor, "network.disconnect", row),
            )
            for row, one in seen if row.pk in rows
        ],
        "ranges": list(zip_longest(network.subnets, network.gateways, fillvalue="")),
        "removable": not own and can(actor, "network.remove", network),
        "connectable": network.name not in ("host", "none") and can(actor, "network.connect", network),
    }  # fmt: skip
    template = "networks/_detail.html" if "HX-Request" in request.headers else "networks/detail.html"
    return render(request, template, context)


@require_safe
@requires("network.read")
def network_map(request: HttpRequest) -> HttpResponse:
    """Containers, networks and published ports of one engine in a picture, or in a table."""
    actor, engines = actor_of(request), list(Engine.objects.order_by("name"))
    engine = next(
        (one for one in engines if str(one.pk) == request.GET.get("engine")), next(iter(engines), None)
    )
    rows = queries.containers(actor).filter(engine=engine).order_by("name")
    shown = [
        Shown(
            row, status_of(row).glyph, [port for port in ports_of(row, host_of(request)) if ":" in port.text]
        )
        for row in rows[:MOST_DRAWN]
    ]
    networks = list(queries.networks(actor).filter(engine=engine).order_by("name"))
    drawn = picture(networks, shown)
    context = {
        "engine": engine, "engines": engines, "picture": drawn, "more": max(0, rows.count() - len(shown)),
        "view": "table" if request.GET.get("view") == "table" else "map",
        "counts": {
            "networks": len(drawn.lanes), "containers": len(shown), "ports": sum(len(one.ports) for one in shown),
        },
    }  # fmt: skip
    template = "networks/_map.html" if "HX-Request" in request.headers else "networks/map.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("network.create")
@answers
def network_create(request: HttpRequest) -> HttpResponse:
    """Asks for a name, and for addresses where somebody wants to choose them; then makes it."""
    actor = actor_of(request)
    form = NetworkForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            operation = operations.request_network_create(
                form.wish(), actor=actor, engine=form.cleaned_data["engine"], team=form.cleaned_data["team"]
            )
            return submitted(request, operation, to=reverse("networks:list"))
        except SpecError as error:
            form.refuse(error.errors)
        except PolicyDenied as error:
            form.refuse(error.details.get("errors") or {"name": [str(error)]})
        except Refused as error:
            form.refuse({"subnets" if error.code == "subnet_in_use" else "name": [str(error)]})
    return dialog(request, "networks/create.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("network.remove")
@answers
def network_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows who would lose what connection, then asks for it."""
    actor, network = actor_of(request), _get(request, pk)
    require(actor, "network.remove", network)
    if request.method == "POST":
        force, forever = bool(request.POST.get("force")), bool(request.POST.get("forever"))
        operation = operations.request_network_remove(network, actor=actor, force=force, forever=forever)
        return submitted(request, operation, to=reverse("networks:list"))
    plan = preview(lambda: operations.request_network_remove(network, actor=actor, force=True), actor=actor)
    return dialog(request, "networks/remove.html", {"network": network, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("network.connect")
@answers
def network_connect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks which container, shows whom it will reach whenever that changes, and puts it on the network."""
    actor, network = actor_of(request), _get(request, pk)
    require(actor, "network.connect", network)
    asked = request.POST or (request.GET if request.GET.get("container") else None)
    form = ConnectForm(asked, network=network, actor=actor)
    if request.method == "POST" and form.is_valid():
        container = form.cleaned_data["container"]
        try:
            operation = operations.request_network_connect(network, container, form.wish(), actor=actor)
            about = {"name": container, "network": network}
            told = Told(
                _("Connecting %(name)s to %(network)s") % about, _("Connected %(name)s to %(network)s") % about,
                _("Connecting %(name)s to %(network)s failed") % about,
            )  # fmt: skip
            return submitted(request, operation, told=told, to=_page(network))
        except SpecError as error:
            form.refuse(error.errors)
        except Refused as error:
            form.refuse({"container": [str(error)]})
    context = {"network": network, "form": form, "plan": _connecting(network, form, actor)}
    if request.headers.get("HX-Target") == "connect-plan":
        return render(request, "networks/connect.html#plan", context)
    return dialog(request, "networks/connect.html", context)


def _connecting(network: Network, form: ConnectForm, actor: Actor) -> Plan | None:
    """``None`` as long as what is typed is no wish."""
    if not form.is_bound or not form.is_valid():
        return None
    container = form.cleaned_data["container"]
    try:
        return preview(
            lambda: operations.request_network_connect(network, container, form.wish(), actor=actor),
            actor=actor,
        )
    except SpecError as error:
        form.refuse(error.errors)
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@requires("network.disconnect")
@answers
def network_disconnect(request: HttpRequest, pk: UUID, container: UUID) -> HttpResponse:
    """Shows who would not reach it any more, then takes it off the network."""
    actor, network = actor_of(request), _get(request, pk)
    row = get_object_or_404(queries.containers(actor), pk=container)
    require(actor, "network.disconnect", network)
    require(actor, "network.disconnect", row)
    if request.method == "POST":
        operation = operations.request_network_disconnect(network, row, actor=actor)
        about = {"name": row, "network": network}
        told = Told(
            _("Disconnecting %(name)s from %(network)s") % about,
            _("Disconnected %(name)s from %(network)s") % about,
            _("Disconnecting %(name)s from %(network)s failed") % about,
        )
        return submitted(request, operation, told=told, to=_page(network))
    plan = preview(lambda: operations.request_network_disconnect(network, row, actor=actor), actor=actor)
    context = {"network": network, "container": row, "plan": plan}
    return dialog(request, "networks/disconnect.html", context)


def _get(request: HttpRequest, pk: UUID) -> Network:
    return get_object_or_404(queries.networks(actor_of(request)), pk=pk)


def _page(network: Network) -> str:
    return reverse("networks:detail", args=[network.pk])
