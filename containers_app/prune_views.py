"""The page that cleans up: what nobody uses, how much of it, and exactly what goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from accounts.access import actor_of, requires
from containers_app import operations, prune_plans
from containers_app.models import PrunePlan
from containers_app.unused import KINDS, MOST_SHOWN, Unused
from operations.models import Engine
from operations.services import Refused
from operations.web import answers, submitted, toast

USUAL = ("containers", "images")
"""Kinds that are on until somebody says otherwise: those that can be made again."""
LABELS = {
    "containers": (_lazy("Stopped containers"), _lazy("Exited, created or dead")),
    "images": (_lazy("Untagged images"), _lazy("No name points at them")),
    "unused_images": (_lazy("All unused images"), _lazy("Those with a name too")),
    "volumes": (_lazy("Anonymous volumes"), _lazy("No container mounts them")),
    "named_volumes": (_lazy("Named volumes"), _lazy("No container mounts them now")),
    "build_cache": (_lazy("Build cache"), _lazy("Steps that builders keep")),
    "networks": (_lazy("Unused networks"), _lazy("No container is on them")),
    "trash": (_lazy("Trash"), _lazy("Cannot be taken back any more")),
}
PAGES = {
    "containers": "containers:detail",
    "images": "images:detail",
    "unused_images": "images:detail",
    "volumes": "volumes:detail",
    "named_volumes": "volumes:detail",
    "networks": "networks:detail",
}
GAP = 0.3
"""Per cent between two parts of the bar."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One kind to choose: how many there are, and the bytes that go with them."""

    kind: str
    label: str
    hint: str
    on: bool
    count: int
    size: int
    counted: bool


@dataclass(slots=True)
class Group:
    """What goes of one kind. ``x`` and ``width``: its part of the bar, in per cent; ``more`` are not shown."""

    kind: str
    title: str
    note: str
    size: int
    counted: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0
    x: float = 0
    width: float = 0


@require_http_methods(["GET", "HEAD", "POST"])
@requires(prune_plans.KIND)
@answers
def prune(request: HttpRequest) -> HttpResponse:
    """Shows what would go, frozen; then asks for exactly that."""
    if request.method == "POST":
        return _go(request)
    engine = engine_of(request)
    context: dict[str, Any] = {"engine": engine}
    if engine:
        actor = actor_of(request)
        found, kinds = prune_plans.look(engine, actor=actor), _kinds(request)
        plan = prune_plans.freeze(found, kinds, actor=actor)
        groups = groups_of(plan)
        context |= {
            "plan": plan, "words": prune_plans.told(plan), "groups": groups, "switches": _switches(found, kinds),
            "things": prune_plans.things(len(plan.items)), "bar": [group for group in groups if group.width],
        }  # fmt: skip
    return render(
        request, "prune/_found.html" if "HX-Request" in request.headers else "prune/page.html", context
    )


def _go(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    try:
        pk = UUID(request.POST.get("plan", ""))
    except ValueError:
        raise Http404("No such plan.") from None
    try:
        operation = operations.request_prune(pk, actor=actor)
    except Refused as why:
        plan = prune_plans.own(pk, actor=actor)
        text = str(why)
        if why.code == "plan_expired":
            text = _("The list was older than an hour, so nothing was removed. Here is a new one.")
        again = urlencode({"engine": plan.engine_id, "chosen": 1, "kinds": plan.kinds}, doseq=True)
        return toast(request, text, "bad", to=f"{reverse('prune:prune')}?{again}")
    return submitted(request, operation, to=reverse("operations:detail", args=[operation.pk]))


def engine_of(request: HttpRequest) -> Engine | None:
    """The one that the address names, else the first that answers."""
    engines = list(Engine.objects.all())
    asked = [engine for engine in engines if str(engine.pk) == request.GET.get("engine")]
    online = [engine for engine in engines if engine.status == Engine.Status.ONLINE]
    return next(iter([*asked, *online, *engines]), None)


def _kinds(request: HttpRequest) -> list[str]:
    """What is switched on: nothing at all is a choice too."""
    asked = request.GET.getlist("kinds")
    if not asked and not request.GET.get("chosen"):
        return list(USUAL)
    return [kind for kind in KINDS if kind in asked]


def _switches(found: Unused, kinds: list[str]) -> list[Switch]:
    switches = []
    for kind, (label, hint) in LABELS.items():
        items = found.items([kind])
        sizes = [item["size"] for item in items]
        switches.append(
            Switch(
                kind,
                str(label),
                str(hint),
                kind in kinds,
                len(items),
                sum(s or 0 for s in sizes),
                None not in sizes,
            )
        )
    return switches


def groups_of(plan: PrunePlan) -> list[Group]:
    """What goes, kind by kind, with its part of the bar."""
    found, x = [], 0.0
    for kind, items in prune_plans.by_kind(plan):
        sizes = [item["size"] for item in items]
        title, size = prune_plans.counted(kind, len(items)), sum(size or 0 for size in sizes)
        group = Group(kind, title, KINDS[kind][1], size, None not in sizes)
        group.rows = [_row(item) for item in items[:MOST_SHOWN]]
        group.more = len(items) - len(group.rows)
        if plan.frees and group.size:
            part = 100 * group.size / plan.frees
            group.x, group.width = round(x, 2), round(max(0.4, part - GAP), 2)
            x += part
        found.append(group)
    return found


def _row(item: dict[str, Any]) -> dict[str, Any]:
    """One line of the list: a name, an address, other names."""
    page, tags = PAGES.get(item["kind"]), item.get("tags", [])
    return {
        "name": item["name"][:12] if item["kind"] == "volumes" and len(item["name"]) == 64 else item["name"],
        "title": item["name"], "size": item["size"], "tagged": bool(tags), "also": tags[1:],
        "mono": item["kind"] in ("images", "unused_images", "volumes"), "what": item.get("what", ""),
        "url": reverse(page, args=[item["id"]]) if page else "",
    }  # fmt: skip
