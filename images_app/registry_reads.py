"""What pages and REST ask of registries; runs in the worker, see `operations.reads`."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from engine import names
from engine import registries as remote
from engine.base import Engine as EngineBackend
from engine.errors import EngineError, Invalid, RegistryBusy
from images_app import newer, registries
from images_app.models import Registry, Tag
from operations.reads import reader

AT_ONCE = 6
MOST_KNOWN = 2000
MOST_SORTED, MOST_AGES = 500, 100
"""Tags of a repository whose names, and whose ages, are sorted: the former are one question, the latter two each."""
_known: OrderedDict[tuple[Any, str, str], dict[str, Any]] = OrderedDict()
"""What manifests say never changes under their digest."""


@reader("registry.check", target="registry", permission="registry.read")
def check(engine: EngineBackend, row: Registry, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Looks whether it answers, and writes that to its row: ``{"checked": true}``."""
    registries.check(row)
    return {"checked": True}


@reader("registry.repositories", target="registry", permission="registry.read")
def repositories(engine: EngineBackend, row: Registry, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"names": […], "more": bool}``; ``params``: ``after`` a name, ``most``."""
    return asdict(registries.at(row).repositories(int(params["most"]), str(params["after"])))


@reader("registry.tags", target="registry", permission="registry.read")
def tags(engine: EngineBackend, row: Registry, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"tags": [{"tag", "digest", "size", "created", "platforms"}], "more": bool, "order": str}``.

    By name; or by ``order``: ``version``, the highest number first, of a repository whose names come in one answer, and
    ``age``, the newest first, of one with few tags. ``order`` of the answer is what it is sorted by. ``digest`` is
    empty, and ``size`` null, of what the registry did not say.
    """
    repository = str(params["repository"])
    if not names.is_repository(repository):
        raise Invalid("The name of a repository is expected, such as team/app.")
    asked = registries.at(row)
    most, after, order = int(params["most"]), str(params["after"]), str(params.get("order") or "name")
    page, wanted = None, list[str]()
    if order != "name":
        page = asked.tags(repository, MOST_SORTED)
        few = len(page.names) <= MOST_AGES and row.host != remote.HUB
        order = "name" if page.more else "version" if order == "age" and not few else order
    if page and order == "version":
        wanted = sorted(page.names, key=by_version, reverse=True)
        begin = wanted.index(after) + 1 if after in wanted else 0
        wanted, more = wanted[begin : begin + most], len(wanted) > begin + most
    elif page and order == "age":
        wanted, more = page.names, False
    else:
        page = asked.tags(repository, most, after)
        wanted, more = page.names, page.more
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda tag: _told(row, asked, repository, tag), wanted))
    if order == "age":
        found.sort(key=lambda tag: (tag["created"], by_version(tag["tag"])), reverse=True)
    return {"tags": found, "more": more, "order": order}


def by_version(tag: str) -> tuple[Any, ...]:
    """Numbers as numbers: 1.10 is above 1.9; a release is above its candidates, and words are below both."""
    parts = re.findall(r"\d+|[a-z]+", tag.lower().removeprefix("v"))
    numbers = [int(part) if part.isdigit() and len(part) < 20 else part for part in parts]
    if not numbers or not isinstance(numbers[0], int):
        return (0, (), tag)
    key = tuple((2, part, "") if isinstance(part, int) else (0, 0, part) for part in numbers)
    return (1, (*key, (1, 0, "")), tag)


def _told(row: Registry, asked: remote.Registry, repository: str, tag: str) -> dict[str, Any]:
    told: dict[str, Any] = {"tag": tag, "digest": "", "size": None, "created": "", "platforms": []}
    try:
        told["digest"] = asked.digest(repository, tag)
        if row.host != remote.HUB:  # there each manifest that is read counts as a pull
            told |= _facts(row, asked, repository, told["digest"])
    except RegistryBusy:
        raise
    except EngineError:
        pass  # the page shows the others
    return told


def _facts(row: Registry, asked: remote.Registry, repository: str, digest: str) -> dict[str, Any]:
    key = (row.pk, repository, digest)
    if key not in _known:
        _known[key] = asdict(asked.facts(repository, digest))
        if len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    return _known[key]


@reader("tag.check", target="tag", permission="image.read")
def tag_check(engine: EngineBackend, row: Tag, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Asks what the registry has under this tag, and writes it down: ``{"newer": bool}``."""
    return {"newer": newer.look(row).newer}
