"""The list of containers: what a reader asks for by the address, and the rows in words, in few queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Case, F, IntegerField, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast
from django.http import QueryDict
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, can
from accounts.querysets import visible_teams, visible_to
from containers_app import own
from containers_app.drift_page import in_brief
from containers_app.filters import ContainerFilter
from containers_app.models import Container
from containers_app.queries import VIEWS, Stack, Status, attention_of, containers, status_of
from operations import registry
from operations.models import Engine, Operation
from operations.queries import engine_asked
from streams.stats import latest_stats, recent_sparks

PAGE = 100
SPARK = 20
"""Readings that a spark begins with."""
ORDERINGS = {
    "name": ("name",),
    "image": ("image_ref", "name"),
    "status": ("state", "-started_at", "name"),
    "team": (F("team__name").asc(nulls_last=True), "name"),
    "engine": ("engine__name", "name"),
}
HIDEABLE = {"image": _lazy("Image"), "cpu": "CPU", "memory": _lazy("Memory"), "ports": _lazy("Ports")}
"""Columns that a reader can do without, with their titles."""
SIGNALS = ("KILL", "TERM", "INT", "HUP", "QUIT", "USR1", "USR2")
# Container states in which an action makes sense.
_LIVE = frozenset({"running", "paused", "restarting"})
_WHEN: dict[str, frozenset[str]] = {
    "start": frozenset({"created", "exited"}),
    "stop": _LIVE,
    "restart": _LIVE,
    "pause": frozenset({"running"}),
    "unpause": frozenset({"paused"}),
    "kill": _LIVE,
    "console": frozenset({"running"}),
    "rename": _LIVE | {"created", "exited"},
    "update": _LIVE | {"created", "exited"},
    "recreate": frozenset({"running", "restarting", "created", "exited"}),
    "commit": _LIVE | {"created", "exited"},
    "export": _LIVE | {"created", "exited"},
    "duplicate": _LIVE | {"created", "exited"},
    "remove": _LIVE | {"created", "exited", "dead"},
}
_OWN = frozenset({"start", "unpause"})
"""Actions that Slipway's own containers are left with."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader filters by, from the address; empty fields filter nothing."""

    view: str = "all"
    q: str = ""
    ordering: str = "name"
    grouped: bool = True
    page: str = "1"
    hidden: tuple[str, ...] = ()
    """Columns that are not shown."""
    engine: str = ""
    """The name of the one engine whose containers are asked for."""
    query: QueryDict = field(default_factory=QueryDict)

    @classmethod
    def of(cls, query: QueryDict) -> Wanted:
        """From a request's query; what is not known counts as not said."""
        view, ordering = query.get("view", "all"), query.get("ordering", "name")
        return cls(
            view=view if view in VIEWS else "all",
            q=query.get("q", "").strip()[:200],
            ordering=ordering if ordering.removeprefix("-") in ORDERINGS else "name",
            grouped=query.get("group", "stack") != "none",
            page=query.get("page", "1"),
            hidden=tuple(name for name in HIDEABLE if name in query.getlist("hide")),
            engine=getattr(engine_asked(query), "name", ""),
            query=query,
        )

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Filters that are on: ``(name, title, value)``."""
        titles = {
            "state": _("State"),
            "stack": _("Stack"),
            "team": _("Team"),
            "label": _("Label"),
            "image": _("Image"),
            "drift": _("Drift"),
        }
        found = [
            (key, title, " and ".join(map(str, self.query.getlist(key))))
            for key, title in titles.items()
            if self.query.get(key)
        ]
        return [*found, ("engine", _("Engine"), self.engine)] if self.engine else found

    @property
    def columns(self) -> list[tuple[str, str, bool]]:
        """``(name, title, hidden)`` of those that can be hidden."""
        return [(name, str(title), name in self.hidden) for name, title in HIDEABLE.items()]

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out of view."""
        return bool(self.q or self.chips or self.view != "all")

    @property
    def in_words(self) -> str:
        """The filters that are on as a part of a sentence: ``stack shop, label tier=web``."""
        words = {
            "state": _("state %(value)s"),
            "stack": _("stack %(value)s"),
            "team": _("team %(value)s"),
            "label": _("label %(value)s"),
            "image": _("image %(value)s"),
            "drift": _("drift %(value)s"),
            "engine": _("engine %(value)s"),
        }
        return ", ".join(words[key] % {"value": value} for key, _title, value in self.chips)


@dataclass(slots=True)
class Row:
    """One container as the list shows it. ``cpu`` in cores and ``memory`` in bytes, ``None`` where not known (yet).

    ``host`` is what ports of the engine beside us are found on.
    """

    container: Container
    status: Status
    actions: tuple[str, ...]
    host: str = ""
    cpu: float | None = None
    memory: int | None = None
    cpus: Sequence[float] = ()
    memories: Sequence[float] = ()
    """The last readings, oldest first, for a spark."""
    own: bool = False
    """Whether Slipway runs in it, and does nothing to it."""

    @property
    def up(self) -> bool:
        """Whether it uses CPU and memory now."""
        return self.container.state in ("running", "paused")

    @property
    def off(self) -> bool:
        """Whether its line steps back: it does not run, and nobody needs to look."""
        return self.status.glyph in ("exited", "created", "paused")

    @property
    def drift(self) -> str:
        """Which settings are not as they were asked for."""
        return in_brief(self.container)

    @property
    def ports(self) -> list[Port]:
        """Published ones first."""
        return ports_of(self.container, self.host)

    @property
    def memory_pct(self) -> float | None:
        """Percent of the limit; ``None`` without one."""
        return memory_pct(self.memory, self.container.memory_limit)


@dataclass(frozen=True, slots=True)
class Port:
    """A port in Docker's words, ``8080:80``, and where a browser finds it (empty: nowhere)."""

    text: str
    url: str
    protocol: str
    address: str


@dataclass(slots=True)
class Group:
    """Rows of one stack; ``name`` is empty for those of none. ``key`` tells it from those of other engines."""

    name: str
    rows: list[Row]
    key: str = ""

    @property
    def url(self) -> str:
        """The page of its stack."""
        return Stack(self.name, engine_id=self.rows[0].container.engine_id).url

    @property
    def summary(self) -> str:
        """``5 up, 1 unhealthy``."""
        return Stack(self.name, [row.container for row in self.rows]).summary

    @property
    def cpu(self) -> float | None:
        """Cores in use by all of them."""
        known = [row.cpu for row in self.rows if row.cpu is not None]
        return sum(known) if known else None

    @property
    def memory(self) -> int | None:
        """Bytes in use by all of them."""
        known = [row.memory for row in self.rows if row.memory is not None]
        return sum(known) if known else None


@dataclass(slots=True)
class Listing:
    """A page of the list."""

    groups: list[Group]
    page: Page[Container]
    engine_known: bool
    total: int


def listing(actor: Actor, wanted: Wanted, *, host: str) -> Listing:
    """The rows that are asked for, by stack or as one group."""
    everything = containers(actor)
    page = Paginator(_ordered(_filtered(everything, wanted), wanted), PAGE).get_page(wanted.page)
    rows = list(rows_of(list(page.object_list), actor, host=host))
    total = page.paginator.count or (everything.count() if wanted.narrowed else 0)
    if wanted.grouped:
        groups: dict[tuple[str, UUID | None], Group] = {}
        several = len({row.container.engine_id for row in rows}) > 1
        for row in rows:
            name = row.container.stack
            engine = row.container.engine_id if name else None  # what is loose is loose together
            key = f"{name}@{engine}" if several and name else name
            groups.setdefault((name, engine), Group(name, [], key)).rows.append(row)
        found = list(groups.values())
    else:
        found = [Group("", rows)] if rows else []
    return Listing(found, page, Engine.objects.exists() if not rows else True, total)


def rows_of(found: Sequence[Container], actor: Actor, *, host: str) -> Iterator[Row]:
    """Containers as rows, with what is being done to them and their newest figures."""
    ids = [str(one.pk) for one in found]
    figures, doing, sparks = latest_stats(ids), changes_of(ids), recent_sparks(ids, SPARK)
    rights: dict[UUID | None, frozenset[str]] = {}
    mine = own.ours()
    for container in found:
        if container.team_id not in rights:
            rights[container.team_id] = frozenset(
                a for a in (*_WHEN, "seen") if can(actor, f"container.{a}", container)
            )
        change = doing.get(str(container.pk))
        seen = ("seen",) if "seen" in rights[container.team_id] and attention_of(container) else ()
        cpu, memory = figures.get(str(container.pk), (None, None))
        may = rights[container.team_id]
        shut = mine.has(container) and not own.open_for(container, actor)
        yield Row(
            container,
            under_way(change) if change else status_of(container),
            seen if change else (*actions_for(container, may & _OWN if shut else may), *seen),
            host,
            cpu,
            memory,
            *sparks.get(str(container.pk), ((), ())),  # type: ignore[misc]
            own=shut,
        )


def actions_for(container: Container, rights: Iterable[str]) -> tuple[str, ...]:
    """What makes sense in its state, of what may be done."""
    may = set(rights)
    return tuple(action for action, states in _WHEN.items() if action in may and container.state in states)


def offered(container: Container, actor: Actor) -> tuple[str, ...]:
    """The same for one container and whoever looks at it."""
    return actions_for(container, [a for a in _WHEN if can(actor, f"container.{a}", container)])


def changes_of(ids: Sequence[str]) -> dict[str, Operation]:
    """What is being done to these containers now, by their ids; one query. Files in one are not the container."""
    active = Operation.objects.filter(target_type="container", target_id__in=ids, state__in=Operation.ACTIVE)
    active = active.exclude(lock_key__contains=":file:")
    return {
        operation.target_id: operation
        for operation in active.only("kind", "target_id", "actor_name", "state")
    }


def under_way(operation: Operation) -> Status:
    """A container's status while a change of it is on its way."""
    try:
        doing = translation.gettext(registry.get(operation.kind).doing)
    except LookupError:
        doing = operation.kind
    word = _("%(doing)s, queued") % {"doing": doing} if operation.state == "queued" else doing
    return Status("busy", word, _("asked by %(name)s") % {"name": operation.actor_name}, "busy")


def choices(actor: Actor) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: ``(value, words)`` of states, stacks and teams."""
    stacks = visible_to(actor, Container.objects.exclude(stack="")).order_by("stack")
    teams = [(team.slug, team.name) for team in visible_teams(actor)]
    return {
        "states": [(value, str(words)) for value, words in Container.State.choices],
        "stacks": [(name, name) for name in stacks.values_list("stack", flat=True).distinct()[:200]],
        "teams": [*teams, *([("none", _("Nobody"))] if actor.is_site_admin else [])],
    }


def ports_of(container: Container, page_host: str) -> list[Port]:
    """Its ports, each once, published ones first and in order. ``page_host``: the host that serves this page."""
    host = engine_host(container.engine) or settings.PUBLISHED_PORT_HOST or page_host
    found: dict[str, Port] = {}
    for port in sorted(
        container.ports, key=lambda p: (p.get("host") is None, p.get("host") or p["container"])
    ):
        inside, outside, protocol = port["container"], port.get("host"), port.get("protocol", "tcp")
        text = f"{outside}:{inside}" if outside else str(inside)
        text += "" if protocol == "tcp" else f"/{protocol}"
        url = f"http://{host}:{outside}" if outside and protocol == "tcp" else ""
        found.setdefault(text, Port(text, url, protocol, _address(port.get("host_ip", ""), outside)))
    return list(found.values())


def engine_host(engine: Engine) -> str:
    """The host that ports of this engine are published on; empty for the one that serves this page."""
    parts = urlsplit(engine.endpoint)
    return parts.hostname or "" if parts.scheme in ("tcp", "http", "https", "ssh") else ""


def memory_pct(used: int | None, limit: int) -> float | None:
    """Percent of the limit; ``None`` without one."""
    return min(100.0, round(used / limit * 100, 1)) if used is not None and limit else None


def _address(host_ip: str, outside: int | None) -> str:
    if not outside:
        return _("not published")
    return _("all addresses") if host_ip in ("", "0.0.0.0", "::") else host_ip  # noqa: S104


def _filtered(rows: QuerySet[Container], wanted: Wanted) -> QuerySet[Container]:
    rows = rows.filter(VIEWS[wanted.view])
    asked = wanted.query.copy()
    for name in ("q", "view", "attention", "hide"):
        asked.pop(name, None)
    rows = ContainerFilter(asked, rows).qs
    if wanted.q:
        rows = rows.alias(ports_text=_text("ports"), labels_text=_text("labels"))
        for word in wanted.q.split()[:6]:
            rows = rows.filter(_has(word))
    return rows


def _text(column: str) -> Any:
    return Cast(column, TextField())


def _has(word: str) -> Q:
    """The word is in the name, the image, the stack or a label, is a port, or begins the id."""
    found = Q(name__icontains=word) | Q(image_ref__icontains=word) | Q(stack__icontains=word)
    found |= Q(native_id__startswith=word.lower())
    if len(word) > 2:
        key, equals, value = word.partition("=")
        found |= Q(labels_text__icontains=f'"{key}": "{value}' if equals else key)
    if word.lstrip(":").isdecimal():
        number = word.lstrip(":")
        found |= Q(ports_text__contains=f": {number},") | Q(ports_text__contains=f": {number}}}")
    return found


def _ordered(rows: QuerySet[Container], wanted: Wanted) -> QuerySet[Container]:
    order: list[Any] = []
    for part in ORDERINGS[wanted.ordering.removeprefix("-")]:
        down = wanted.ordering.startswith("-")
        if not isinstance(part, str):
            order.append(F("team__name").desc(nulls_last=True) if down else part)
        else:
            turned = part.startswith("-") != down
            order.append(f"-{part.removeprefix('-')}" if turned else part.removeprefix("-"))
    if wanted.grouped:
        loose = Case(When(stack="", then=Value(1)), default=Value(0), output_field=IntegerField())
        order = [loose, "stack", *order]
    return rows.order_by(*order, "pk")
