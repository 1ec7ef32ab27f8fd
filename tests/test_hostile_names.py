"""S-60: whatever an engine, an image or a person called something, it is text on every page and turns nothing around.

Every word in every row is made hostile, but for those that are Slipway's own or have a form that the engine holds to;
then every page is read as a site administrator reads it.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, models, transaction
from django.test import Client
from django.urls import resolve

from accounts.models import User
from tests.test_crawl import START, _worker_is_away, links, past, things, world  # noqa: F401 - fixtures

FEW = 4
OURS = ("accounts", "containers", "images", "operations")
HOSTILE = "</script><i data-bad>\"'{{7*7}}\u202e"
TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Words of Slipway's own, secrets, and what has a form: ids, digests, codes, addresses of ours.
KEPT = re.compile(
    r".*(_id|_key|digest|hash|sealed|password|secret|endpoint|path|fingerprint|_type|_by|language|zone)"
    r"|id|key|kind|kinds|state|status|type|action|verb|code|outcome|source|origin|slug|native_id|username|email|events"
    r"|every|health|exit_word|style|role|rule|rules|permissions|signal|scope|lines_state|asked|builder|session_data"
    r"|created|at|until|level|stream|mode|driver|seen|policy|restart_policy|platform|os|architecture|version|event"
)


def _worse(value: Any, key: str = "") -> Any:
    """The same with every word in it hostile."""
    if isinstance(value, str) and value and not KEPT.fullmatch(key):
        return value + HOSTILE
    if isinstance(value, list):
        return [_worse(one, key) for one in value]
    if isinstance(value, dict):
        return {name: _worse(one, name) for name, one in value.items()}
    return value


def _fields() -> Iterator[tuple[type[models.Model], Any]]:
    for model in apps.get_models():
        if model._meta.app_label in OURS and model.__name__ != "AuditEntry":
            for field in model._meta.concrete_fields:
                word = isinstance(field, (models.CharField, models.TextField)) and not field.choices
                if (word or isinstance(field, models.JSONField)) and not KEPT.fullmatch(field.name):
                    yield model, field


def _poison() -> set[str]:
    """Changes the rows; the fields that hold something hostile now."""
    done = set()
    for model, field in _fields():
        for row in model._base_manager.all():
            value, most = getattr(row, field.name), getattr(field, "max_length", None)
            worse = _worse(value, field.name)
            if isinstance(worse, str) and most:
                worse = value[: max(0, most - len(HOSTILE))] + HOSTILE
            if worse == value or (isinstance(worse, str) and most and len(worse) > most):
                continue
            try:
                with transaction.atomic():
                    model._base_manager.filter(pk=row.pk).update(**{field.name: worse})
            except IntegrityError:
                continue
            done.add(f"{model.__name__}.{field.name}")
    return done


class _Page(HTMLParser):
    """What of a page is wrong: an element that nobody wrote, or marks where people read."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._quiet = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        read = {
            name: value or ""
            for name, value in attrs
            if name in ("title", "alt", "placeholder", "aria-label")
        }
        if any(name == "data-bad" or name.startswith("on") for name, _ in attrs):
            self.wrong.append(f"<{tag}> {attrs}")
        self.wrong += [f"<{tag} {name}={value!r}>" for name, value in read.items() if TURNING.search(value)]
        self._quiet = tag in ("textarea", "script")

    def handle_endtag(self, tag: str) -> None:
        self._quiet = False

    def handle_data(self, data: str) -> None:
        if TURNING.search(data) and not self._quiet:
            self.wrong.append(repr(data.strip()))


def _read(client: Client, start: str) -> tuple[set[str], list[str]]:
    """The routes that links lead to, a few addresses of each; what came through raw, or not at all."""
    todo, met, wrong = deque([start]), Counter[str](), list[str]()
    asked = {start}
    while todo:
        address = todo.popleft()
        match = resolve(address.partition("?")[0])
        if {"admin", "api"} & {*match.namespaces} or met[match.view_name] >= FEW:
            continue
        met[match.view_name] += 1
        answer = client.get(address)
        if answer.status_code >= 500:
            wrong.append(f"{answer.status_code} {address}")
        if answer.streaming or not answer["Content-Type"].startswith("text/html"):
            continue
        text = answer.content.decode()
        page = _Page()
        page.feed(text)
        wrong += [f"{address}: {one}" for one in page.wrong]
        new = [found for found in links(text, address) if found not in asked]
        asked.update(new)
        todo.extend(new)
    return {*met}, wrong


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_nothing_that_something_is_called_is_more_than_text(
    world: dict[str, str],  # noqa: F811
    client_for: Callable[..., Client],
    alice: User,
) -> None:
    """S-60."""
    hostile = _poison()
    assert len(hostile) > 40, sorted(hostile)
    routes, wrong = _read(client_for(alice, raise_request_exception=False), START)
    assert len(routes) > 100
    assert not wrong, "\n".join(wrong[:60])
