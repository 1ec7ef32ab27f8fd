"""Pages of engines: all of them, one with what is on it, and adding, changing and forgetting one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, Owner, actor_of, can, requires
from accounts.querysets import visible_to
from containers_app import prune_plans
from containers_app.models import Container, Network, Volume
from containers_app.unused import Part as Taken
from containers_app.unused import unused
from engine.errors import EngineError
from engine.specs import SpecError
from images_app.models import Image
from operations import engine_asks
from operations.api.views import visible_engines
from operations.models import Engine
from operations.services import Refused
from operations.web import answers, leaves_when_gone, toast
from streams import want

KINDS = (("containers", Container), ("images", Image), ("volumes", Volume), ("networks", Network))
NAMES = {
    "containers": _lazy("containers"), "images": _lazy("images"), "volumes": _lazy("volumes"),
    "networks": _lazy("networks"),
}  # fmt: skip
PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


class Secret(forms.Textarea):
    """What is typed here is not sent back, also where something else is wrong."""

    def format_value(self, value: Any) -> str | None:
        return None


class EngineForm(forms.Form):
    """A name, and the certificates; the address stays as it is."""

    name = forms.CharField(
        label=_lazy("Name"),
        max_length=engine_asks.LONGEST_NAME,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "build-2"}),
    )
    ca = forms.CharField(label="CA", required=False, strip=False)
    cert = forms.CharField(label=_lazy("Certificate"), required=False, strip=False)
    key = forms.CharField(label=_lazy("Key of the certificate"), required=False, strip=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, what in (("ca", "CERTIFICATE"), ("cert", "CERTIFICATE"), ("key", "PRIVATE KEY")):
            shown = {**PLAIN, "rows": 4, "placeholder": f"-----BEGIN {what}-----"}
            self.fields[name].widget = (Secret if name == "key" else forms.Textarea)(attrs=shown)

    @property
    def certificates(self) -> list[forms.BoundField]:
        """The three texts."""
        return [self[name] for name in ("ca", "cert", "key")]

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        return {name: value for name, value in self.cleaned_data.items() if value}

    def refuse(self, errors: dict[str, list[str]]) -> None:
        """Puts each message beside its field."""
        for name, messages in errors.items():
            self.add_error(name if name in self.fields else None, [*messages])


class NewEngineForm(EngineForm):
    """The same with an address."""

    endpoint = forms.CharField(
        label=_lazy("Address"),
        max_length=255,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "tcp://10.0.0.7:2376"}),
    )


TITLES = {
    "images": (_lazy("Images"), _lazy("each layer once")),
    "containers": (_lazy("Containers"), _lazy("what they have written")),
    "volumes": (_lazy("Volumes"), _lazy("those that the engine counts")),
    "build_cache": (_lazy("Build cache"), _lazy("what no image holds")),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a disk, ``x`` and ``width`` in percent of what is counted; ``free``, its end, is what nobody uses."""

    kind: str
    title: str
    note: str
    count: int
    size: int
    unused: int
    x: float
    width: float
    free: float

    @property
    def free_x(self) -> float:
        """Where that end begins."""
        return round(self.x + self.width - self.free, 2)


@require_safe
@requires("engine.read")
def engine_list(request: HttpRequest) -> HttpResponse:
    """All engines, how they are, and how much of what one may see is on each."""
    actor = actor_of(request)
    engines, counts = list(visible_engines(actor)), {name: _counted(actor, model) for name, model in KINDS}
    running = _counted(actor, Container, state="running")
    rows = [
        (engine, {name: found.get(engine.pk, 0) for name, found in counts.items()}, running.get(engine.pk, 0))
        for engine in engines
    ]
    context = {"rows": rows, "may_manage": _may(actor, "engine.manage")}
    part = "engines/_listing.html" if "HX-Request" in request.headers else "engines/list.html"
    return render(request, part, context)


@require_safe
@requires("engine.read")
@leaves_when_gone
def engine_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One engine: what it says of itself, and what is on it."""
    actor = actor_of(request)
    engine = _engine(actor, pk)
    counts = [
        (NAMES[name], reverse(f"{name}:list"), _counted(actor, model, engine=engine).get(engine.pk, 0))
        for name, model in KINDS
    ]
    context = {
        "engine": engine, "counts": counts, "may_sync": can(actor, "engine.sync"),
        "may_manage": _may(actor, "engine.manage"), "may_count": _may(actor, "engine.prune"),
    }  # fmt: skip
    part = "engines/_detail.html" if "HX-Request" in request.headers else "engines/detail.html"
    return render(request, part, context)


@require_safe
@requires("engine.prune")
def engine_usage(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What takes the disk of an engine, counted by it now: a part of its page, fetched after it."""
    actor = actor_of(request)
    engine = _engine(actor, pk)
    context: dict[str, Any] = {"engine": engine}
    try:
        found = prune_plans.usage(engine, actor=actor)
        parts = _parts(unused(engine, found).parts(found), found.total)
        context |= {"total": found.total, "parts": parts, "reclaimable": sum(part.unused for part in parts)}
    except EngineError as error:
        context["trouble"] = error.message
    part = "engines/_usage.html" if "HX-Request" in request.headers else "engines/usage.html"
    return render(request, part, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("engine.manage")
@answers
def engine_add(request: HttpRequest) -> HttpResponse:
    """Asks for a name and an address; saved once a worker has reached it."""
    actor = actor_of(request)
    engine_asks.allowed(actor)
    form = NewEngineForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = engine_asks.add_engine(form.wish(), actor=actor)
            return toast(
                request,
                _("%(row)s answers, and is being listed") % {"row": row},
                to=reverse("engines:detail", args=[row.pk]),
            )
        except SpecError as error:
            form.refuse(error.errors)
        except Refused as error:
            form.refuse({"": [error.message]})
    return render(request, "engines/add.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("engine.manage")
@answers
def engine_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Another name, or other certificates, which are tried first."""
    actor = actor_of(request)
    engine_asks.allowed(actor)
    engine = _engine(actor, pk)
    form = EngineForm(request.POST or None, initial={"name": engine.name})
    if request.method == "POST" and form.is_valid():
        try:
            row = engine_asks.change_engine(_engine(actor, pk), form.wish(), actor=actor)
            return toast(
                request, _("%(row)s is changed") % {"row": row}, to=reverse("engines:detail", args=[row.pk])
            )
        except SpecError as error:
            form.refuse(error.errors)
        except Refused as error:
            form.refuse({"": [error.message]})
    return render(request, "engines/edit.html", {"form": form, "engine": engine})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("engine.manage")
@answers
def engine_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what would be forgotten, then forgets it."""
    actor = actor_of(request)
    engine_asks.allowed(actor)
    engine = _engine(actor, pk)
    if request.method == "POST":
        engine_asks.forget_engine(engine, actor=actor)
        return toast(
            request,
            _("%(engine)s is forgotten; what is on it stays") % {"engine": engine},
            to=reverse("engines:list"),
        )
    context = {"engine": engine, "plan": engine_asks.plan_of(engine)}
    part = "engines/remove.html#dialog" if "HX-Request" in request.headers else "engines/remove.html"
    return render(request, part, context)


@require_POST
@requires("engine.sync")
@answers
def engine_sync(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks the gateway to compare everything now."""
    engine = _engine(actor_of(request), pk)
    back = reverse("engines:detail", args=[engine.pk])
    if not want.request_sync(engine.pk):
        return toast(
            request, _("The gateway cannot be reached just now; it compares by itself soon"), "bad", to=back
        )
    return toast(request, _("Comparing everything with %(engine)s") % {"engine": engine}, to=back)


def _engine(actor: Actor, pk: UUID) -> Engine:
    found: Engine = get_object_or_404(visible_engines(actor), pk=pk)
    return found


def _may(actor: Actor, permission: str) -> bool:
    """Whether the whole site is theirs, and not a team's part of it."""
    try:
        return can(actor, permission) and can(actor, permission, Owner(None))
    except Http404:
        return False


def _counted(actor: Actor, model: Any, **only: Any) -> dict[UUID, int]:
    """How many of what the actor may see are on each engine; one query."""
    rows: QuerySet[Any] = visible_to(actor, model.objects.filter(**only))
    return dict(rows.order_by().values_list("engine").annotate(n=Count("pk", distinct=True)))


def _parts(found: Sequence[Taken], total: int) -> list[Part]:
    parts, x = [], 0.0
    for one in found:
        share = 100 / total if total else 0.0
        width, free = max(0.0, one.size * share - 0.3), one.unused * share
        title, note = TITLES[one.kind]
        shape = [round(number, 2) for number in (x, width, min(width, free))]
        parts.append(Part(one.kind, str(title), str(note), one.count, one.size, one.unused, *shape))
        x += one.size * share
    return parts
