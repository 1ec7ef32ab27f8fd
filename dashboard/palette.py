"""What the command palette finds: things of every type, and with a verb before it what can be done with containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from accounts.access import SIGNED_IN, Actor, actor_of, requires
from accounts.querysets import visible_teams, visible_to
from containers_app.listing import rows_of
from containers_app.models import Container
from containers_app.queries import stack_glyphs, status_of
from dashboard.search import MOST_WORDS, SORTS, found
from images_app import registries
from images_app.queries import builds
from operations import registry
from operations.api.views import visible_engines
from operations.models import Engine

FOUND = 6
DONE = 8
_CONTAINERS = SORTS[0]
# verb → (words, icon). What is asked before it is done has a dialog of its own.
VERBS: dict[str, tuple[Any, str]] = {
    "start": (_lazy("Start"), "play"),
    "stop": (_lazy("Stop"), "square"),
    "restart": (_lazy("Restart"), "rotate-cw"),
    "pause": (_lazy("Pause"), "pause"),
    "unpause": (_lazy("Resume"), "step-forward"),
    "kill": (_lazy("Kill…"), "zap"),
    "rename": (_lazy("Rename…"), "pencil"),
    "update": (_lazy("Change limits…"), "sliders-horizontal"),
    "recreate": (_lazy("Recreate…"), "replace"),
    "remove": (_lazy("Remove…"), "trash-2"),
    "console": (_lazy("Console"), "square-terminal"),
    "logs": (_lazy("Logs"), "scroll-text"),
    "stats": (_lazy("Stats"), "chart-line"),
    "history": (_lazy("History"), "history"),
    "inspect": (_lazy("Inspect"), "braces"),
}
_PAGES = ("console", "logs", "stats", "history", "inspect")
_ASKED = ("kill", "rename", "update", "recreate", "remove")


@dataclass(frozen=True, slots=True)
class Option:
    """A line of the palette. ``how``: ``go`` to the address, ``ask`` in a dialog, or ``do`` it by posting there."""

    key: str
    group: str
    text: str
    url: str
    hint: str = ""
    icon: str = ""
    glyph: str = ""
    how: str = "go"


def _page(name: str) -> Callable[[Any], str]:
    return lambda row: reverse(name, args=[row.pk])


# type → (group, icon, its page)
_PLACES: dict[str, tuple[Any, str, Callable[[Any], str]]] = {
    "container": (_lazy("Containers"), "", _page("containers:detail")),
    "image": (_lazy("Images"), "layers", _page("images:detail")),
    "tag": (_lazy("Tags"), "tag", lambda row: reverse("images:detail", args=[row.image_id])),
    "volume": (_lazy("Volumes"), "hard-drive", _page("volumes:detail")),
    "network": (_lazy("Networks"), "network", _page("networks:detail")),
    "operation": (_lazy("Operations"), "activity", _page("operations:detail")),
}


@dataclass(frozen=True, slots=True)
class More:
    """A type of things that REST's search does not find: few rows, each looked at by one field."""

    group: Any
    icon: str
    rows: Callable[[Actor], QuerySet[Any]]
    field: str
    page: str
    hint: Callable[[Any], str]


_MORE = (
    More(
        _lazy("Builds"), "hammer", lambda actor: builds(actor).defer("dockerfile", "steps"), "operation__target_name",
        "builds:detail", lambda row: str(row.operation.get_state_display()),
    ),
    More(_lazy("Registries"), "library", registries.visible, "name", "registries:detail", lambda row: str(row.host)),
    More(
        _lazy("Engines"), "server", visible_engines, "name", "engines:detail",
        lambda row: str(row.get_status_display()),
    ),
    More(_lazy("Teams"), "users", visible_teams, "name", "teams:detail", lambda row: str(row.slug)),
)  # fmt: skip


@require_safe
@requires(SIGNED_IN)
def search(request: HttpRequest) -> HttpResponse:
    """What the palette finds for ``?q=``."""
    actor, text = actor_of(request), request.GET.get("q", "")[:200].strip()
    engines = dict(Engine.objects.values_list("pk", "name"))
    places = engines if len(engines) > 1 else {}
    options = [
        *_done(actor, text, places), *_stacks(actor, text, places), *_things(actor, text, places),
        *_more(actor, text, places),
    ]  # fmt: skip
    groups = [(title, list(lines)) for title, lines in groupby(options, lambda option: option.group)]
    return render(request, "parts/found.html", {"groups": groups})


def _on(hint: str, engine_id: UUID | None, places: Mapping[UUID, str]) -> str:
    """The hint with the engine's name, where there are several."""
    return " · ".join(filter(None, (hint, places.get(engine_id) if engine_id else None)))


def _things(actor: Actor, text: str, places: Mapping[UUID, str]) -> Iterator[Option]:
    """Without a word the first containers alone: they are what most people look for."""
    rows: list[tuple[str, Any, str]]
    if not text:
        rows = [("container", row, "") for row in visible_to(actor, Container.objects.all())[:FOUND]]
    else:
        rows = list(found(actor, text, FOUND))
    seen = set()
    for kind, row, hint in rows:
        group, icon, page = _PLACES[kind]
        url = page(row)
        if url in seen:  # an image and its tag of the same name are one place
            continue
        seen.add(url)
        where = row.image.engine_id if kind == "tag" else row.engine_id
        if kind == "container":
            status = status_of(row)
            yield Option(
                f"c-{row.pk}", group, row.name, url, hint=_on(str(status), where, places), glyph=status.glyph
            )
        elif kind == "operation":
            yield Option(
                f"o-{row.pk}",
                group,
                f"{_label(row.kind)} {row.target_name}",
                url,
                hint=_on(hint, where, places),
                icon=icon,
            )
        else:
            yield Option(f"{kind}-{row.pk}", group, str(row), url, hint=_on(hint, where, places), icon=icon)


def _label(kind: str) -> str:
    try:
        return translation.gettext(registry.get(kind).label)
    except LookupError:
        return kind


def _stacks(actor: Actor, text: str, places: Mapping[UUID, str]) -> Iterator[Option]:
    words = text.lower().split()
    if not words:
        return
    for stack in stack_glyphs(actor):
        if all(word in stack.name.lower() for word in words):
            yield Option(
                f"s-{stack.engine_id}-{stack.name}",
                _("Stacks"),
                stack.name,
                stack.url,
                hint=_on(stack.summary, stack.engine_id, places),
                glyph=stack.glyph,
            )


def _more(actor: Actor, text: str, places: Mapping[UUID, str]) -> Iterator[Option]:
    words = text.split()[:MOST_WORDS]
    if not words:
        return
    for sort in _MORE:
        wanted = Q(*((f"{sort.field}__icontains", word) for word in words))
        for row in sort.rows(actor).filter(wanted)[:FOUND]:
            hint = _on(sort.hint(row), getattr(row, "engine_id", None), places)
            yield Option(
                f"{sort.icon}-{row.pk}", str(sort.group), str(row), reverse(sort.page, args=[row.pk]), hint=hint,
                icon=sort.icon,
            )  # fmt: skip


def _done(actor: Actor, text: str, places: Mapping[UUID, str]) -> Iterator[Option]:
    """``restart web``: the verb with each container that it fits, where the actor may."""
    verb, _, rest = text.partition(" ")
    known = [
        name for name, (words, _) in VERBS.items() if len(verb) > 1 and _means(verb.lower(), name, words)
    ]
    if not known:
        return
    rows = list(_CONTAINERS.found(actor, rest.split()[:4], 50))
    made = 0
    for row in rows_of(rows, actor, host=""):
        for name in known:
            if name not in row.actions and (name == "console" or name not in _PAGES):
                continue
            made += 1
            if made > DONE:
                return
            yield _option(name, row.container, _on("", row.container.engine_id, places))


def _means(verb: str, name: str, words: str) -> bool:
    """Whether it is how the verb, or one of the words for it, begins."""
    return any(word.startswith(verb) for word in (name, *words.lower().split()))


def _option(name: str, container: Container, where: str) -> Option:
    words, icon = VERBS[name]
    how = "ask" if name in _ASKED else "go" if name in _PAGES else "do"
    url = (
        reverse("containers:act", args=[container.pk, name])
        if how == "do"
        else reverse(f"containers:{name}", args=[container.pk])
    )
    return Option(
        f"d-{name}-{container.pk}", _("Do"),
        _("%(command)s %(name)s") % {"command": words, "name": container.name}, url, hint=where, icon=icon, how=how,
    )  # fmt: skip
