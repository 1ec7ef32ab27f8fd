"""Whatever a page changes, REST changes too: each page that takes a POST is walked, and names its REST address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver

from accounts.models import User
from tests.test_routes import VALUES

# By hand, from docs/api.md. A page of one verb may have several addresses beside it.
REST = """
    teams:new POST teams/
    teams:remove DELETE teams/{id}/
    teams:rename PATCH teams/{id}/
    teams:add POST teams/{id}/members/
    teams:member PATCH teams/{id}/members/{id}/
    teams:member DELETE teams/{id}/members/{id}/
    teams:set_new POST teams/{id}/permission-sets/
    teams:set_change PATCH teams/{id}/permission-sets/{id}/
    teams:set_remove DELETE teams/{id}/permission-sets/{id}/
    teams:site_set_new POST permission-sets/
    teams:site_set_change PATCH permission-sets/{id}/
    teams:site_set_remove DELETE permission-sets/{id}/
    teams:mapping_new POST group-mappings/
    teams:mapping_change PATCH group-mappings/{id}/
    teams:mapping_remove DELETE group-mappings/{id}/
    teams:active PATCH users/{id}/
    teams:unowned POST move/
    accounts:create_token POST tokens/
    accounts:rotate_token POST tokens/{id}/rotate/
    accounts:revoke_token DELETE tokens/{id}/
    containers:bulk POST containers/bulk/
    containers:run POST containers/
    containers:run-paste POST containers/parse/
    containers:upload PUT containers/{id}/files/
    containers:edit-file PUT containers/{id}/files/
    containers:rename-file POST containers/{id}/files/
    containers:erase DELETE containers/{id}/files/
    containers:act POST containers/{id}/start/
    containers:act POST containers/{id}/stop/
    containers:act POST containers/{id}/restart/
    containers:act POST containers/{id}/pause/
    containers:act POST containers/{id}/unpause/
    containers:act POST containers/{id}/seen/
    containers:act POST containers/{id}/accept/
    containers:stop POST containers/{id}/stop/
    containers:kill POST containers/{id}/kill/
    containers:copy GET containers/{id}/files/
    containers:commit POST containers/{id}/commit/
    containers:filesystem POST containers/{id}/filesystem/
    containers:care POST care/
    containers:mute POST containers/{id}/mute/
    containers:hooks POST containers/{id}/hooks/
    containers:hook-forget DELETE containers/{id}/hooks/{id}/
    containers:edit POST containers/{id}/recreate/
    containers:duplicate POST containers/{id}/duplicate/
    containers:move POST containers/{id}/move/
    containers:rename POST containers/{id}/rename/
    containers:update PATCH containers/{id}/
    containers:recreate POST containers/{id}/recreate/
    rails:edit POST policies/
    rails:recommend POST policies/
    rails:allow POST policies/exceptions/
    rails:end DELETE policies/exceptions/{id}/
    variables:new POST variables/
    variables:one PATCH variables/{id}/
    variables:remove DELETE variables/{id}/
    variables:renew POST containers/{id}/recreate/
    care:switch POST care/
    stacks:act POST stacks/{id}/{name}/start/
    stacks:act POST stacks/{id}/{name}/stop/
    stacks:act POST stacks/{id}/{name}/restart/
    stacks:act DELETE stacks/{id}/{name}/
    stacks:hooks POST stacks/{id}/{name}/hooks/
    stacks:hook-forget DELETE stacks/{id}/{name}/hooks/{id}/
    volumes:create POST volumes/
    volumes:count GET engines/{id}/disk-usage/
    volumes:import POST volumes/import/
    volumes:stores POST backup-stores/
    volumes:store-remove DELETE backup-stores/{id}/
    volumes:backup-restore POST backups/{id}/restore/
    volumes:backup-remove DELETE backups/{id}/
    volumes:backup POST volumes/{id}/backups/
    volumes:schedule PUT volumes/{id}/backup-schedule/
    volumes:schedule DELETE volumes/{id}/backup-schedule/
    volumes:clone POST volumes/{id}/clone/
    volumes:export POST volumes/{id}/export/
    volumes:upload PUT volumes/{id}/files/
    volumes:edit-file PUT volumes/{id}/files/
    volumes:rename-file POST volumes/{id}/files/
    volumes:erase DELETE volumes/{id}/files/
    volumes:remove DELETE volumes/{id}/
    networks:create POST networks/
    networks:remove DELETE networks/{id}/
    networks:connect POST networks/{id}/connect/
    networks:disconnect POST networks/{id}/disconnect/
    images:pull POST images/pull/
    images:import POST images/import/
    images:export POST images/{id}/export/
    images:filesystem POST images/filesystem/
    images:compare POST images/{id}/files/
    images:index POST images/{id}/files/
    images:scan POST images/{id}/scan/
    images:report POST images/{id}/scans/
    images:tag POST images/{id}/tag/
    images:push POST images/{id}/push/
    images:remove DELETE images/{id}/
    registries:new POST registries/
    registries:edit PATCH registries/{id}/
    registries:check POST registries/{id}/check/
    registries:untag DELETE registries/{id}/tags/
    registries:forget DELETE registries/{id}/
    tags:remove DELETE tags/{id}/
    tags:check POST tags/{id}/check/
    tags:say PATCH tags/{id}/check/
    tags:rollback POST tags/{id}/rollback/
    builds:new POST images/build/
    builds:again POST builds/{id}/again/
    engines:add POST engines/
    engines:edit PATCH engines/{id}/
    engines:remove DELETE engines/{id}/
    engines:sync POST engines/{id}/sync/
    operations:cancel POST operations/{id}/cancel/
    operations:retry POST operations/{id}/retry/
    operations:undo POST operations/{id}/undo/
    notifications:new POST webhooks/
    notifications:edit PATCH webhooks/{id}/
    notifications:forget DELETE webhooks/{id}/
    notifications:test POST webhooks/{id}/test/
    notifications:mute PATCH webhooks/{id}/
    notifications:again POST webhooks/{id}/deliveries/{id}/retry/
    loghistory:switch POST log-history/rules/
    loghistory:switch DELETE log-history/rules/{id}/
    trash:empty DELETE trash/{id}/
    trash:restore POST trash/{id}/restore/
    trash:purge DELETE trash/{id}/
    prune:prune POST prune/
    prune:policy-new POST prune/policies/
    prune:policy-edit PATCH prune/policies/{id}/
    prune:policy-run POST prune/policies/{id}/run/
    prune:policy-switch PATCH prune/policies/{id}/
    prune:policy-remove DELETE prune/policies/{id}/
"""
PAGES_ALONE = {
    r"accounts:(?!.*_token$)\w+|admin_logout": "asked of a person, never of a token (S-14, S-83)",
    r"containers:(run|edit|duplicate)-check|builds:hints": "while one types; the change has ?dry_run=1",
    r"containers:console-end": "consoles are sockets; closing one ends it",
    r"operations:dismiss": "what the tray of this browser still shows",
}


def _walk(patterns: Any, before: str = "/", space: str = "") -> Iterator[tuple[str, str, Any]]:
    """Name, address and view of every route but the admin's."""
    for pattern in patterns:
        text = before + str(pattern.pattern)
        if not isinstance(pattern, URLResolver):
            yield space + (pattern.name or ""), text, pattern.callback
        elif pattern.app_name != "admin":
            yield from _walk(
                pattern.url_patterns, text, f"{pattern.namespace}:" if pattern.namespace else space
            )


@pytest.fixture(scope="module")
def addresses() -> list[tuple[str, str, Any]]:
    """All of them."""
    return list(_walk(get_resolver().url_patterns))


def _table() -> list[tuple[str, str, str]]:
    return [(name, method, path) for name, method, path in map(str.split, REST.strip().splitlines())]


def test_every_page_that_changes_something_has_its_rest_address(
    addresses: list[tuple[str, str, Any]], alice: User
) -> None:
    """A page says which methods it takes when it is asked by one that none takes."""
    browser = Client()
    browser.force_login(alice)
    takes: set[str] = set()
    for name, path, view in addresses:
        if hasattr(view, "cls") or "^" in path:
            continue
        for place, value in VALUES.items():
            path = path.replace(place, value)  # noqa: PLW2901
        answer = browser.generic("TRACE", path)
        if answer.status_code == 405:
            takes |= {name} if "POST" in answer.headers["Allow"] else set()
        else:
            # Django's own doors, which ours stand before.
            assert name in {"admin_login", "admin_password"}, (name, answer.status_code)
    assert len(takes) > 120
    alone = {name for name in takes if any(re.fullmatch(pattern, name) for pattern in PAGES_ALONE)}
    told = {name for name, _method, _path in _table()}
    assert takes - alone - told == set(), "name the REST address, or say why there is none"
    assert told & alone == set()
    assert told - takes == set(), "there is no such page any more"


def test_the_rest_addresses_of_pages_are_there(addresses: list[tuple[str, str, Any]]) -> None:
    known = {
        (method, re.sub(r"<anything:name>", "{name}", re.sub(r"<uuid:\w+>", "{id}", path)))
        for _name, path, view in addresses
        if hasattr(view, "cls")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if hasattr(view.cls, method.lower())
    }
    missing = {row for row in _table() if (row[1], f"/api/v1/{row[2]}") not in known}
    assert missing == set()
