"""Everything finds everything: who reads one page can go on to all that belongs to it, and back.

A small world of rows, no engine. Pages are crawled from the list of containers on by people of every role.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urljoin

import pytest
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, resolve, reverse
from django.utils import timezone

from accounts.models import GroupMapping, PermissionSet, Team, User
from containers_app.models import Container, EngineEvent, Incident, Network, PrunePolicy, Volume, VolumeBackup
from engine.errors import Unreachable
from engine.scan_reports import Finding
from images_app.models import Image, Registry, TagMove
from operations import reads
from operations.models import Channel, Engine, TrashItem, Variable
from tests import rows

START = "/containers/"
# Reached by no link that is followed here, and why that is right.
ELSEWHERE = {
    "search": "the palette asks for it as one types",
    "healthz": "for machines", "readyz": "for machines", "metrics": "for machines",
    "accounts:setup": "for the first person, by a link that the server prints",
    "accounts:login": "for who is not signed in", "admin_login": "goes on to ours", "admin_password": "goes on to ours",
    **{
        f"accounts:{page}": "a step of signing in: tests/browser/test_sign_in_journey.py"
        for page in (
            "second_step", "passkey_sign_in", "confirm", "new_codes", "rename_passkey", "forgot", "reset",
            "sso_callback",
        )
    },
    "unknown_api": "what is no address",
    "containers:row": "a row asks for itself when it has changed",
    "containers:bulk": "asked for by the bar of those that are ticked", "images:two": "likewise",
    "images:export-some": "likewise",
    **dict.fromkeys(
        (
            "accounts:remove_factor", "accounts:rotate_token", "accounts:revoke_token", "accounts:sso_unlink",
            "containers:hook-forget", "stacks:hook-forget", "prune:policy-run",
        ), "asks before that ends of which nobody has one here: the tests of its app",
    ),
    "containers:ask": "the palette asks before it acts", "volumes:ask": "the palette asks before it acts",
    "operations:events": "the log asks for what is new",
    "containers:recording": "of a session that was recorded: tests/test_console.py",
    "loghistory:around": "of a line that was kept: tests/test_log_history.py",
    "containers:download": "its operation links to it", "containers:exported": "its operation links to it",
    "volumes:download": "its operation links to it", "images:download": "its operation links to it",
    "registries:untag": "of a tag that a registry alone knows: images_app/tests/test_registries.py",
    **{
        f"{of}:{page}": "of a file, and an engine alone knows files: tests/browser/test_files_page.py"
        for of in ("containers", "volumes") for page in ("file", "fetch", "edit-file", "new", "rename-file", "erase")
    }, "containers:copy": "of files that an engine knows of: containers_app/tests/test_copy_download.py",
}  # fmt: skip
_OFFERED = re.compile(r"""\s(?:href|data-dialog-from|hx-get)="([^"]*)\"""")


def links(html: str, page: str) -> list[str]:
    """Where this page leads to on this site, each once: to go to, as a dialog, to read anew. Paths with their query."""
    whole = (
        urldefrag(urljoin(f"http://testserver{page}", unescape(found)))[0] for found in _OFFERED.findall(html)
    )
    here = (address.removeprefix("http://testserver") for address in whole)
    return [path for path in dict.fromkeys(here) if path.startswith("/") and not path.startswith("/static/")]


class Forms(HTMLParser):
    """Of each form its submit buttons, in the order in which a browser finds them, and whether it posts a search.

    Enter in any field, and on a tick, presses the first of them.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.buttons: dict[str, list[dict[str, str]]] = {}
        self.faults: list[str] = []
        self._posts: set[str] = set()
        self._in, self._aside = "", 0  # what a template holds is in no form, and noscript not with scripts
        self._searches: list[str] = []
        self.feed(html)
        self.faults += [f"a search field posts {form}" for form in self._searches if form in self._posts]
        self.faults += [f"{form}: {found[0]}" for form, found in self.buttons.items() if not _is_main(found)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag in ("template", "noscript"):
            self._aside += 1
        elif tag == "form":
            self._in = has.get("id") or f"{has.get('action', '')} {self.getpos()}"
            if has.get("method") == "post":
                self._posts.add(self._in)
        elif (form := has.get("form", self._in)) and not self._aside:
            if (
                tag in ("button", "input")
                and has.get("type", "submit" if tag == "button" else "") == "submit"
            ):
                self.buttons.setdefault(form, []).append(has)
            elif tag == "input" and has.get("type") == "search":
                self._searches.append(form)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("template", "noscript"):
            self._aside -= 1
        elif tag == "form":
            self._in = ""


def _is_main(buttons: list[dict[str, str]]) -> bool:
    """Whether the first of several does what the form is for, or nothing at all."""
    first, kinds = buttons[0], [set(one.get("class", "").split()) & {"primary", "solid"} for one in buttons]
    if len(buttons) == 1 or ("hidden" in first and first.get("value") == "" and "name" in first):
        return True
    aside = {"hidden", "formaction"} & {*first} or first.get("name") in ("off", "out")
    return not aside and "danger" not in first.get("class", "").split() and bool(kinds[0] or not any(kinds))


@dataclass
class Things:
    """Container ``web`` of stack ``shop`` and what it uses; and one that uses what is another team's."""

    engine: Engine
    team: Team
    image: Image
    web: Container
    lodger: Container
    volume: Volume
    network: Network

    @property
    def named(self) -> dict[str, Any]:
        """Those that events are of."""
        return {"container": self.web, "image": self.image, "volume": self.volume, "network": self.network}


@pytest.fixture
def things(team: Team, other_team: Team) -> Things:
    """The rows of things."""
    engine = rows.make_engine()
    image = rows.make_image(engine, team, "blue/app:1", "blue/app:latest")
    rows.make_scan(image, Finding("CVE-2024-1", "musl", "1", "2", "critical", "Bad", "https://cve.example/1"))
    foreign = rows.make_image(engine, other_team, "red/base:1")
    TagMove.objects.create(
        engine=engine, name="blue/app:1", from_native_id=rows.make_image(engine, team).native_id,
        to_native_id=image.native_id,
    )  # fmt: skip
    web = rows.make_container(
        engine, team, "web", image=image, image_ref="blue/app:1", stack="shop",
        healthcheck={"test": ["CMD", "true"], "interval": 5, "timeout": 3, "retries": 3},
        labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
    )  # fmt: skip
    lodger = rows.make_container(engine, team, "lodger", image=foreign, image_ref="red/base:1", stack="shop")
    rows.make_container(engine, team, "alone", image_ref="gone:1")
    rows.make_volume(engine, other_team, "red-data", lodger)
    rows.make_network(engine, other_team, "red-net", lodger)
    Registry.objects.create(name="Blue", host="registry.example.com", owner=team)
    Channel.objects.create(team=team, name="ops", shown="https://hooks.example/…", events=["container.oom"])
    volume = rows.make_volume(engine, team, "data", web)
    return Things(engine, team, image, web, lodger, volume, rows.make_network(engine, team, "front", web))


@pytest.fixture
def past(things: Things, bob: User) -> dict[str, str]:
    """What has happened to them: the pages that tell of it by name."""
    now, engine, team, web = timezone.now(), things.engine, things.team, things.web
    did: dict[str, Any] = {"actor": bob, "actor_name": "bob", "started_at": now, "created_at": now}
    restart = rows.make_operation(engine, team, target_id=str(web.pk), kind="container.restart", **did)
    before = rows.make_container(engine, team, "web-before", state="exited", trashed_at=now)
    recreate = rows.make_operation(
        engine, team, target_id=str(before.pk), kind="container.recreate",
        result={"container": str(web.pk), "replaced": str(before.pk)}, **did,
    )  # fmt: skip
    TrashItem.objects.create(
        operation=recreate, engine=engine, team=team, kind="container", target_id=str(before.pk), name="web",
        state="kept", native_id=before.native_id, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    did |= {"target_type": "volume", "target_id": str(things.volume.pk), "target_name": "data"}
    saved = rows.make_operation(engine, team, kind="volume.backup", **did)
    backup = VolumeBackup.objects.create(
        engine=engine, team=team, volume_name="data", operation=saved, key="data/1.tar.gz", digest="0" * 64,
        size=10, held=20, entries=1,
    )  # fmt: skip
    for number, (kind, thing) in enumerate(things.named.items(), 1):
        EngineEvent.objects.create(
            engine=engine, team=team, type=kind, action="create", native_id=thing.native_id, name=str(thing),
            container=web if kind == "container" else None, object_id=thing.pk, operation=restart, at=now,
            time_ns=number,
        )  # fmt: skip
    Incident.objects.create(
        engine=engine, team=team, container=web, native_id=web.native_id, name="web", first_at=now, last_at=now,
        started_at=now, exit_code=1, fault=True, lines_state="gone", operation=restart,
    )  # fmt: skip
    PrunePolicy.objects.create(engine=engine, name="Nightly", kinds=["containers"], next_at=now)
    gone = rows.in_the_trash("volume", engine, team, "old-data")
    variable = Variable.objects.create(team=team, name="MODE", value="quiet")
    PermissionSet.objects.create(team=team, name="Restart only", permissions=["container.restart"])
    GroupMapping.objects.create(group="crew", team=team, role="operator")
    PermissionSet.objects.create(name="Log readers", permissions=["container.logs"])
    return {
        "variable": reverse("variables:one", args=[variable.pk]),
        "operation": reverse("operations:detail", args=[restart.pk]),
        "replacement": reverse("operations:detail", args=[recreate.pk]),
        "backup's operation": reverse("operations:detail", args=[saved.pk]),
        "restore": reverse("volumes:backup-restore", args=[backup.pk]),
        "removal": reverse("operations:detail", args=[gone.operation_id]),
        "build": reverse("builds:detail", args=[rows.make_build(engine, team, image=things.image).pk]),
    }


@pytest.fixture
def world(things: Things, past: dict[str, str]) -> dict[str, str]:
    """Name → the page where it is read."""
    pages = {name: reverse(f"{name}s:detail", args=[thing.pk]) for name, thing in things.named.items()}
    events, operations = reverse("events:list"), reverse("operations:list")
    pages |= {f"events of the {name}": f"{events}?object={thing.pk}" for name, thing in things.named.items()}
    pages |= {
        f"operations of the {name}": f"{operations}?target={thing.pk}" for name, thing in things.named.items()
    }
    return pages | past | {
        "its history": reverse("containers:history", args=[things.web.pk]),
        "other container": reverse("containers:detail", args=[things.lodger.pk]),
        "backups": reverse("volumes:backups", args=[things.volume.pk]),
        "all backups": reverse("volumes:all-backups"),
        "stack": reverse("stacks:detail", args=[things.engine.pk, "shop"]),
        "hooks of the stack": reverse("stacks:hooks", args=[things.engine.pk, "shop"]),
        "vulnerabilities": reverse("images:scans", args=[things.image.pk]),
        "trash": reverse("trash:list"), "events": events, "its events": f"{events}?container={things.web.pk}",
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _worker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that ask an engine are told at once that nobody answers, as they would be after their deadline."""

    def nobody(reply: str, deadline: float) -> bytes:
        raise Unreachable("Nobody is there.")

    monkeypatch.setattr(reads, "_fetch", nobody)


THERE_AND_BACK = [
    ("container", "image"), ("container", "volume"), ("container", "network"), ("container", "stack"),
    ("stack", "hooks of the stack"), ("container", "its history"), ("image", "build"), ("image", "vulnerabilities"),
    ("volume", "backups"), ("backups", "restore"), ("backups", "all backups"),
    ("trash", "removal"), ("trash", "replacement"),
]  # fmt: skip
"""Pairs of pages, each of which leads to the other."""
ONE_WAY = [
    *[("its history", page) for page in ("operation", "replacement", "its events", "container")],
    ("its history", "operations of the container"),
    *[(f"operations of the {name}", of) for name, of in (("container", "operation"), ("volume", "backup's operation"))],
    *[(name, f"{what} of the {name}") for name in ("image", "volume", "network") for what in ("operations", "events")],
    *[(f"events of the {name}", name) for name in ("image", "volume", "network")],
    *[("events", page) for page in ("its history", "image", "volume", "network", "operation")],
    *[("stack", page) for page in ("volume", "network", "image", "other container")],
    *[("operation", page) for page in ("container", "operations of the container")],
    ("backups", "backup's operation"), ("all backups", "restore"),
    ("all backups", "backup's operation"), ("its events", "its history"), ("replacement", "container"),
    ("backup's operation", "volume"),
]  # fmt: skip


def test_every_thing_leads_to_what_belongs_to_it_and_back(
    world: dict[str, str], client_for: Callable[..., Client], tara: User
) -> None:
    client = client_for(tara)
    leads: dict[str, list[str]] = {}
    for name, page in world.items():
        answer = client.get(page)
        assert answer.status_code == 200, f"{name}: {answer.status_code}"
        leads[name] = links(answer.content.decode(), page)
    pairs = [*THERE_AND_BACK, *((b, a) for a, b in THERE_AND_BACK), *ONE_WAY]
    missing = [f"{a} → {b}" for a, b in pairs if world[b] not in leads[a]]
    assert not missing, missing


@dataclass
class Crawl:
    """Everything that one reader can reach; ``bad`` are ``status address, linked from page``, ``forms`` those in
    which Enter does what nobody means.

    ``words``: what queries asked for, of which page; each is asked once, whoever finds it first.
    """

    client: Client
    words: set[tuple[str, str, str]]
    routes: set[str] = field(default_factory=set)
    bad: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    def go(self, start: str) -> None:
        """Follows every link to a page, or to a way to look at one, that it has not seen yet."""
        todo, seen = deque([(start, "")]), set[str]()
        while todo:
            address, source = todo.popleft()
            path, _, query = address.partition("?")
            match = resolve(path)
            if {"admin", "api"} & {*match.namespaces}:
                continue
            words = {(match.view_name, name, value) for name, value in parse_qsl(query)}
            if path in seen and words <= self.words:
                continue
            seen.add(path)
            self.words |= words
            self.routes.add(match.view_name)
            answer = self.client.get(address)
            if answer.status_code >= 400:
                self.bad.append(f"{answer.status_code} {address}, linked from {source}")
            if answer.status_code in (301, 302):
                todo.append((answer["Location"], address))
            elif answer["Content-Type"].startswith("text/html") and not answer.streaming:
                html = answer.content.decode()
                self.forms += [f"{address}: {fault}" for fault in Forms(html).faults]
                todo.extend((found, address) for found in links(html, address))


def named(patterns: Any, space: str = "") -> Iterator[tuple[str, Any]]:
    """Every page of ours by its name, with its view."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.app_name not in ("admin", "api"):
                yield from named(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else "")
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield space + pattern.name, pattern.callback


def readable(view: Any) -> bool:
    """Whether it answers a GET at all: those for POST alone say no before they look at anything else."""
    try:
        answer = view(RequestFactory().get("/"))
    except (AttributeError, Http404, TypeError):
        return True
    return bool(answer.status_code != 405)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_no_link_leads_into_a_wall_and_every_page_is_reached(
    world: dict[str, str], client_for: Callable[..., Client], alice: User, tara: User, bob: User, vic: User
) -> None:
    reached, words = set[str](), set[tuple[str, str, str]]()
    for person in (vic, bob, tara, alice):
        crawl = Crawl(client_for(person, raise_request_exception=False), words)
        crawl.go(START)
        assert not crawl.bad, f"{person}: {crawl.bad}"
        reached |= crawl.routes
    missed = {name for name, view in named(get_resolver().url_patterns) if readable(view)} - reached
    assert missed == set(ELSEWHERE), missed ^ set(ELSEWHERE)


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_enter_presses_the_main_button_of_every_form(
    world: dict[str, str],
    client_for: Callable[..., Client],
    alice: User,
    things: Things,
    team: Team,
    vic: User,
) -> None:
    schedule = {"every": "day", "hour": 3, "keep": 7}
    client = client_for(alice)
    assert client.post(f"/volumes/{things.volume.pk}/backups/schedule/", schedule).status_code == 302
    crawl = Crawl(client, set())
    crawl.go(START)
    for page in ("/containers/", *ASKED):  # what no link leads to
        html = client.get(page.format(web=things.web.pk, team=team.pk, vic=vic.pk)).content.decode()
        crawl.forms += [f"{page}: {fault}" for fault in Forms(html).faults]
    assert not crawl.forms, crawl.forms


ASKED = (
    "/containers/bulk/?action=kill&ids={web}", "/containers/bulk/?action=stop&ids={web}",
    "/containers/bulk/?action=remove&ids={web}", "/containers/{web}/ask/stop/",
    "/teams/{team}/members/{vic}/",
)  # fmt: skip


def test_a_form_with_another_button_before_its_main_one_is_found() -> None:
    main, other = (
        '<button class="btn primary">Save</button>',
        '<button class="btn" formaction="/x">Other</button>',
    )
    assert Forms(f"<form><input>{other}{main}</form>").faults
    assert Forms(
        '<form id="a"></form><button form="a" name="off">Off</button><button form="a">Go</button>'
    ).faults
    assert Forms('<form method="post"><input type="search"><button>Go</button></form>').faults
    for fine in (
        f"{main}{other}",
        f'<button name="a" value="" hidden></button>{other}',
        f"<template>{other}</template>{main}",
    ):
        assert not Forms(f"<form><input>{fine}</form>").faults
