"""What stands around every page: the frame, the start, and the pages of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import reasons
from accounts.access import SIGNED_IN, Actor, Denied, actor_of, can, requires
from accounts.permissions import PERMISSIONS
from accounts.querysets import visible_to
from containers_app import published
from containers_app.models import Container, Network, Volume
from containers_app.queries import Stack, stack_glyphs
from images_app.models import Image
from operations import tray as trays
from operations import undoable
from operations.models import Engine, Operation
from streams.stats import latest

STACKS = 30
_DECLARED = {name.replace(".", "_"): name for name in PERMISSIONS}


class Abilities(Mapping[str, bool]):
    """``{{ can.container_run }}``: whether the reader may, anywhere at all; a row's own team decides in the end."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def __getitem__(self, name: str) -> bool:
        return can(self.actor, _DECLARED[name])

    def __iter__(self) -> Any:
        return iter(_DECLARED)

    def __len__(self) -> int:
        return len(_DECLARED)


@dataclass(frozen=True, slots=True)
class Load:
    """What the containers of an engine use: cores, and bytes of memory."""

    engine: Engine
    cores: float
    memory: float

    @property
    def cpu_pct(self) -> float:
        """Of all cores."""
        return min(100.0, 100 * self.cores / self.engine.cpus)

    @property
    def memory_pct(self) -> float:
        """Of all memory."""
        return min(100.0, 100 * self.memory / self.engine.memory)


class Frame:
    """The sidebar's facts. Each part is read when a template asks for it, once a request."""

    def __init__(self, actor: Actor, dismissed: list[str] | None = None) -> None:
        self.actor, self.dismissed = actor, dismissed or []

    @cached_property
    def tray(self) -> trays.Tray:
        """What the reader has on the way; one query."""
        return trays.read(self.actor, self.dismissed)

    @cached_property
    def engines(self) -> list[Engine]:
        """All engines; one query."""
        return list(Engine.objects.all())

    @property
    def admin(self) -> bool:
        """Whether there is an admin, and the reader may enter it."""
        user = self.actor.user
        return bool(settings.ADMIN_PATH and user and user.is_staff)

    @property
    def ports_beside(self) -> str:
        """What is wrong with where published ports open; empty where nothing is."""
        return published.wrong()

    @property
    def several(self) -> bool:
        """Whether it has to be said on which engine something is."""
        return len(self.engines) > 1

    @property
    def engine(self) -> Engine | None:
        """The one at hand: this machine's own, else the first, of those that answer; else of all."""
        online = [engine for engine in self.engines if engine.status == "online"] or self.engines
        return next((engine for engine in online if engine.configured), next(iter(online), None))

    @cached_property
    def load(self) -> Load | None:
        """What all containers of the one engine use together; ``None`` with several, and where that is not known."""
        engine = self.engine
        if self.several or engine is None or engine.status != "online" or not can(self.actor, "engine.read"):
            return None
        found = next(iter(latest([engine.pk])), None)
        if not found or found[1] is None or not engine.cpus or not engine.memory:
            return None
        return Load(engine, found[1], found[2])

    @property
    def down(self) -> list[Engine]:
        """Those that do not answer."""
        return [engine for engine in self.engines if engine.status == "unreachable"]

    @cached_property
    def stacks(self) -> list[Stack]:
        """Compose projects by name, with the shape of the worst container of each; one query."""
        found, names = stack_glyphs(self.actor, STACKS)[:STACKS], {one.pk: one.name for one in self.engines}
        for stack in found:
            stack.engine = names.get(stack.engine_id, "")
        return found

    @cached_property
    def counts(self) -> dict[str, int]:
        """Numbers beside the sections; ``running`` counts operations on their way."""
        return {
            "containers": visible_to(self.actor, Container.objects.all()).count(),
            "images": visible_to(self.actor, Image.objects.all()).count(),
            "volumes": visible_to(self.actor, Volume.objects.all()).count(),
            "networks": visible_to(self.actor, Network.objects.all()).count(),
            "trash": undoable.kept(self.actor).count(),
            "running": visible_to(self.actor, Operation.objects.filter(state__in=Operation.ACTIVE)).count(),
        }


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: ``frame`` and ``can``. Nothing for those who are not signed in."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    actor = actor_of(request)
    return {
        "frame": SimpleLazyObject(lambda: Frame(actor, trays.dismissed(request))),
        "can": Abilities(actor),
    }


@require_safe
@requires(SIGNED_IN)
def home(request: HttpRequest) -> HttpResponse:
    """The start is the list of containers, or the first one that a permission set lets one see."""
    actor = actor_of(request)
    nouns = (noun for noun in ("container", "image", "volume", "network") if can(actor, f"{noun}.read"))
    return HttpResponseRedirect(reverse(f"{next(nouns, 'container')}s:list"))


@require_safe
@requires(SIGNED_IN)
def frame_parts(request: HttpRequest) -> HttpResponse:
    """The parts of the frame that change by themselves: the sidebar, or with ``?part=down`` the strip of engines."""
    if request.GET.get("part") == "down":
        return render(request, "parts/down.html")
    return render(request, "parts/nav.html", {"at": request.GET.get("at", "")})


# Errors


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request makes no sense."""
    return _error(request, 400, _("The request makes no sense."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: signed in, and not allowed. The sentence names the missing role, one's own, and who can help."""
    if isinstance(exception, Denied):
        return _error(request, 403, reasons.sentence(exception, actor_of(request)))
    return _error(request, 403, str(exception) or _("Not allowed."))


def form_is_stale(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: the form's secret is missing or not this browser's. Django's own page breaks the security policy."""
    return _error(
        request, 403, _("This form is out of date, or came from another site. Load its page again.")
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such page or object, or one that this person may not know of."""
    return _error(request, 404, _("No such object."))


def server_error(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """500: our fault; 503 and 507: the database is away, or the disk full. The page asks nothing of the database."""
    return _error(request, status, detail)


def _error(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    if "HX-Request" in request.headers:
        return JsonResponse({"detail": detail}, status=status)
    return render(request, f"errors/{status}.html", {"detail": detail}, status=status)
