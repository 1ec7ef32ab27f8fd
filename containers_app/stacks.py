"""Stacks: the containers of one compose project on one engine, by the labels that compose gives them.

Computed from rows, never stored. Labels say what is shown together, and in which order it is started and stopped;
never who owns it, nor who may: that is asked of each container.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext_lazy, npgettext

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app import many_plans, needs, plans, queries
from containers_app.facts import STACK_LABEL
from containers_app.models import Container, Network, Volume
from containers_app.queries import LIVE, Stack
from images_app.models import Image
from operations.plans import Item, Plan, listed

SERVICE = "com.docker.compose.service"
ONE_OFF = "com.docker.compose.oneoff"
FILES = "com.docker.compose.project.config_files"
FOLDER = "com.docker.compose.project.working_dir"
MOST = 500
"""Containers of one stack that are looked at."""
ACTIONS = ("start", "stop", "restart", "remove")
_FITS: dict[str, tuple[str, ...]] = {
    "start": ("created", "exited"),
    "stop": LIVE,
    "restart": LIVE,
    "remove": (*LIVE, "created", "exited", "dead"),
}
_BUTTONS = {
    "start": ngettext_lazy("Start %(n)s container", "Start %(n)s containers", "n"),
    "stop": ngettext_lazy("Stop %(n)s container", "Stop %(n)s containers", "n"),
    "restart": ngettext_lazy("Restart %(n)s container", "Restart %(n)s containers", "n"),
    "remove": ngettext_lazy("Remove %(n)s container", "Remove %(n)s containers", "n"),
}
_ONCE = {needs.HEALTHY: _lazy("%(name)s is healthy"), needs.DONE: _lazy("%(name)s has ended well")}
_BACKWARDS = ("stop", "remove")
"""Those that need others end before these do."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a compose file names: its containers, and the services of the stack that it needs."""

    name: str
    rows: list[Container]
    needs: list[str]


def every(actor: Actor, *, q: str = "", engine: UUID | None = None) -> list[Stack]:
    """The stacks that this actor may know of, by name. One query."""
    rows = visible_to(actor, Container.objects.exclude(stack="")).select_related("team", "engine")
    rows = rows.filter(stack__icontains=q) if q else rows
    rows = rows.filter(engine_id=engine) if engine else rows
    shown = ("stack", "name", "labels", "image_ref", "team__name", "engine__name", *queries.STATE_FIELDS)
    return queries.stacks(rows.only(*shown, "team__slug").order_by("stack", "name"))


def one(actor: Actor, engine: UUID, name: str) -> Stack:
    """A stack with the rows of it that this actor may know of; Http404 where there are none."""
    found = queries.containers(actor).filter(engine_id=engine, stack=name)
    rows = list(found.order_by("name", "pk")[:MOST])
    if not rows or not name:
        raise Http404("No such stack.")
    return Stack(name, rows, engine)


def services(rows: Iterable[Container]) -> list[Service]:
    """The rows by service, by name; what carries no service's name is one of its own."""
    found: dict[str, list[Container]] = {}
    for row in rows:
        found.setdefault(service_of(row), []).append(row)
    return [
        Service(name, mine, [need for need in needs.parsed(mine) if need in found and need != name])
        for name, mine in sorted(found.items())
    ]


def service_of(row: Container) -> str:
    """The service that it is of; its own name where no label says."""
    return str(row.labels.get(SERVICE) or row.name)


def is_one_off(row: Container) -> bool:
    """Whether somebody ran it beside the services (``compose run``): it is no part of what is to be up."""
    return str(row.labels.get(ONE_OFF, "")).lower() == "true"


def steps(rows: Iterable[Container]) -> list[list[Container]]:
    """In the order of a start: services after those that they need, others at once. Circles come last, at once."""
    left = {service.name: service for service in services(rows)}
    found = []
    while left:
        ready = [s for s in left.values() if not any(need in left for need in s.needs)] or list(left.values())
        found.append([row for service in ready for row in service.rows])
        for service in ready:
            del left[service.name]
    return found


def wanted(stack: Stack, action: str) -> list[list[Container]]:
    """Those of its containers that the action makes sense for, step by step."""
    fit = [
        row
        for row in stack.rows
        if row.state in _FITS[action] and not (action == "start" and is_one_off(row))
    ]
    found = steps(fit)
    return found[::-1] if action in _BACKWARDS else found


def conditions(stack: Stack, action: str) -> dict[Any, list[needs.Need]]:
    """What each of its containers waits for before it is started, by id; nothing where the action starts nothing."""
    if action in _BACKWARDS:
        return {}
    by_name = {
        service.name: service for service in services(row for row in stack.rows if not is_one_off(row))
    }
    found: dict[Any, list[needs.Need]] = {}
    for service in by_name.values():
        wanted_ = [
            {"container": row.native_id, "name": row.name, "condition": condition}
            for name, condition in needs.parsed(service.rows).items()
            if condition in needs.WORDS and name in service.needs and service.name not in by_name[name].needs
            for row in by_name[name].rows
        ]
        found |= {row.pk: wanted_ for row in service.rows if wanted_}
    return found


def compose(stack: Stack) -> dict[str, str]:
    """Where its file lies, as the labels say: ``files`` and ``folder``, empty where they do not."""
    labels: dict[str, Any] = next((row.labels for row in stack.rows if row.labels.get(FILES)), {})
    return {"files": str(labels.get(FILES, "")), "folder": str(labels.get(FOLDER, ""))}


def teams(stack: Stack) -> list[Any]:
    """The teams that own containers in it, by name."""
    return sorted({row.team for row in stack.rows if row.team}, key=lambda team: team.name)


def volumes(stack: Stack, actor: Actor) -> list[Volume]:
    """Volumes that its containers mount, or that carry its label; as far as the actor may know."""
    own = Q(mounts__container__in=[row.pk for row in stack.rows]) | Q(project=stack.name)
    return list(
        _labelled(visible_to(actor, Volume.objects.filter(engine_id=stack.engine_id))).filter(own).distinct()
    )


def images(stack: Stack, actor: Actor) -> set[Any]:
    """Ids of the images of its containers that the actor may know of."""
    found = Image.objects.filter(pk__in={row.image_id for row in stack.rows})
    return set(visible_to(actor, found).values_list("pk", flat=True))


def networks(stack: Stack, actor: Actor) -> list[Network]:
    """Networks that its containers are attached to, or that carry its label; as far as the actor may know."""
    names = {str(network.get("name", "")) for row in stack.rows for network in row.networks}
    own = Q(name__in=names) | Q(project=stack.name)
    return list(_labelled(visible_to(actor, Network.objects.filter(engine_id=stack.engine_id))).filter(own))


def plan(stack: Stack, action: str, actor: Actor) -> Plan:
    """What the action would do to all of it, in its order."""
    order = wanted(stack, action)
    rows = [row for step in order for row in step]
    if action == "remove":
        found = many_plans.removal_of_many(rows)
        found.button = str(_BUTTONS[action] % {"n": len(rows)})
        held, on = volumes(stack, actor), networks(stack, actor)
        found.kept = [
            *_kept(_("Volume") if len(held) == 1 else _("Volumes"), [volume.name for volume in held]),
            *_kept(_("Network") if len(on) == 1 else _("Networks"), [network.name for network in on]),
            Item(_("Images"), "", _("and the compose file")),
        ]
        return found
    found = Plan(button=str(_BUTTONS[action] % {"n": len(rows)}))
    word = {"start": _("is started"), "stop": _("is stopped"), "restart": _("is stopped and started")}[action]
    waits = conditions(stack, action)
    for number, step in enumerate(order, 1):
        at = {"step": number, "steps": len(order)}
        for row in step:
            once = [str(_ONCE[need["condition"]]) % need for need in waits.get(row.pk, ())]
            found.changed.append(Item(row.name, word, _place(at, listed(once[:6]))))
    found.stopped = [Item(row.name, word) for row in rows if action != "start"]
    served = list(dict.fromkeys(port for row in rows for port in plans.serving(row)))
    if served and action != "start":
        word = npgettext(
            "of a stack",
            "does not answer until it runs again",
            "do not answer until they run again",
            len(served),
        )
        found.affected.append(Item(listed(served[:12]), word))
    if action != "start":
        found.kept.append(Item(_("What they wrote"), _("and their volumes, networks and settings")))
    return found


def _place(at: Mapping[str, int], once: str) -> str:
    """In which step, and after what."""
    if at["steps"] == 1:
        return once
    text = _("step %(step)s of %(steps)s, once %(once)s") if once else _("step %(step)s of %(steps)s")
    return text % {**at, "once": once}


def _kept(word: str, names: Sequence[str]) -> list[Item]:
    shown = listed(list(names))
    if len(names) > 8:
        shown = _("%(names)s and %(n)s more") % {"names": ", ".join(names[:8]), "n": len(names) - 8}
    return [Item(word, shown)] if names else []


def _labelled(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.alias(project=KeyTransform(STACK_LABEL, "labels"))
