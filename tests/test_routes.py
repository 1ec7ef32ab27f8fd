"""S-17: every address says what it needs: pages, REST, admin and sockets are walked, none is listed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts.access import PUBLIC, SIGNED_IN, Denied
from accounts.authentication import Declared
from accounts.models import User
from accounts.permissions import PERMISSIONS
from dashboard import sockets

ANY = "11111111-1111-4111-8111-111111111111"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Anonymous people may open these, and no others.
OPEN = {
    "/setup/": "the first person, with the link's secret",
    "/login/": "signing in",
    "/login/code/": "the second step of signing in",
    "/login/passkey/": "signing in by a passkey",
    "/login/forgot/": "a lost password",
    "/login/reset/": "a new one, with the link's secret",
    "/login/sso/": "signing in elsewhere",
    "/login/sso/callback/": "back from there",
    "/logout/": "signing out, twice too",
    "/healthz": "for whoever restarts it",
    "/readyz": "for whoever sends people; strangers are told little",
    "/admin/login/": "goes on to ours",
    "/admin/logout/": "ours too",
    "/api/": "404 for what is no address",
    f"/api/v1/hooks/{ANY}/": "the permission is the signature",
}
VALUES = {
    "<int:pk>": "1", "<uuid:pk>": ANY, "<uuid:session>": ANY, "<uuid:container>": ANY, "<uuid:other>": ANY,
    "<uuid:delivery>": ANY, "<uuid:member>": ANY, "<uuid:user>": ANY, "<uuid:row>": ANY, "<uuid:scan>": ANY,
    "<slug:action>": "stop",
    "<uuid:engine>": ANY, "<anything:name>": "shop",
    "<path:object_id>": "1", "<path:content_type_id>": "1", "<id>": "1",
    "<int:content_type_id>": "1", "<app_label>": "accounts", "<path:url>": "x",
}  # fmt: skip


@dataclass(frozen=True)
class Route:
    """An address with something in its places, and what answers there."""

    path: str
    view: Any
    admin: bool

    @property
    def declared(self) -> Any:
        """What it says that it needs."""
        if hasattr(self.view, "cls"):  # REST
            return getattr(self.view.cls, "permission", None)
        return getattr(self.view, "permission", None)


def walk(patterns: Any, before: str = "/", admin: bool = False) -> Iterator[Route]:
    """Every route below these patterns."""
    for pattern in patterns:
        text = before + str(pattern.pattern).removeprefix("^").replace("(/|$)", "/").replace(
            "(?P<url>.*)$", "x"
        )
        if isinstance(pattern, URLResolver):
            inside = admin or pattern.app_name == "admin"
            yield from walk(pattern.url_patterns, text, inside)
        elif isinstance(pattern, URLPattern):
            for place, value in VALUES.items():
                text = text.replace(place, value)
            yield Route(text, pattern.callback, admin)


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    """All of them."""
    found = list(walk(get_resolver().url_patterns))
    assert len(found) > 80
    assert not [route.path for route in found if "<" in route.path], "give the new places a value"
    return found


def test_no_two_routes_have_one_name() -> None:
    def named(patterns: Iterable[Any], space: str = "") -> Iterator[str]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from named(pattern.url_patterns, f"{space}{pattern.namespace or ''}:")
            elif pattern.name:
                yield f"{space}{pattern.name}"

    ours = [name for name in named(get_resolver().url_patterns) if not name.startswith(":admin")]
    twice = {name for name in ours if ours.count(name) > 1 and "admin:" not in name}
    assert not twice, twice


def names(declared: Any) -> set[str]:
    """The permissions of a declaration."""
    return set(declared.values()) if isinstance(declared, dict) else {declared}


def test_every_route_declares_a_permission_of_the_table(routes: list[Route]) -> None:
    known = {*PERMISSIONS, PUBLIC, SIGNED_IN}
    wrong = [r.path for r in routes if not r.admin and not names(r.declared) <= known]
    assert not wrong, wrong


def test_rest_views_declare_each_of_their_methods(routes: list[Route]) -> None:
    for route in routes:
        if isinstance(route.declared, dict):
            handled = {m for m in METHODS if hasattr(route.view.cls, m.lower())}
            assert handled == set(route.declared), route.path


def test_changes_need_more_than_reading(routes: list[Route]) -> None:
    """A POST that a viewer may send must say why here."""
    meant = {
        "/api/v1/tokens/": "one's own",
        f"/api/v1/tokens/{ANY}/": "one's own",
        f"/api/v1/tokens/{ANY}/rotate/": "one's own",
        "/api/v1/containers/bulk/": "each is authorized on its own",
        f"/api/v1/operations/{ANY}/retry/": "needs the permission of the change itself",
    }
    weak = []
    for route in routes:
        if not hasattr(route.view, "cls"):
            continue
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            if not hasattr(route.view.cls, method.lower()):
                continue
            declared = route.declared
            needed = declared[method] if isinstance(declared, dict) else declared
            if needed != PUBLIC and PERMISSIONS[needed][1] == "read" and route.path not in meant:
                weak.append(f"{method} {route.path}")
    assert not weak, weak


def test_only_the_listed_routes_are_public(routes: list[Route]) -> None:
    assert {route.path for route in routes if route.declared == PUBLIC} == set(OPEN)


@pytest.mark.parametrize("method", METHODS)
def test_anonymous_people_get_nowhere_else(routes: list[Route], db: None, vic: User, method: str) -> None:
    """Vic only exists: with nobody at all every page would lead to the set-up."""
    client = Client(raise_request_exception=False, REMOTE_ADDR="203.0.113.7")
    entered = []
    for route in routes:
        if route.path in OPEN:
            continue
        answer = client.generic(method, route.path)
        to_sign_in = answer.status_code == 302 and "/login/" in answer["Location"]
        refused = answer.status_code in (401, 405) or (route.admin and answer.status_code == 404)
        if not (to_sign_in or refused):
            entered.append(f"{method} {route.path}: {answer.status_code}")
        if route.path.startswith("/api/") and answer.status_code not in (302, 405):
            assert json.loads(answer.content)["code"] == "not_authenticated", route.path
    assert not entered, entered


def test_the_admin_is_closed_to_everybody_but_staff(
    routes: list[Route],
    client_for: Callable[..., Client],
    tara: User,
    api_for: Callable[..., APIClient],
    alice: User,
) -> None:
    tara_, token = client_for(tara), api_for(alice)
    for route in routes:
        if route.admin and route.path != "/admin/login/":
            for client in (tara_, token):
                answer = client.get(route.path)
                assert answer.status_code in (302, 403, 404, 405), (route.path, answer.status_code)
                if answer.status_code == 302:
                    assert "login" in answer["Location"] or route.path.endswith(
                        ("/1/", "/logout/", "/password_change/")
                    ), route.path


def test_a_rest_view_that_declares_nothing_is_closed(alice: User) -> None:
    from rest_framework.request import Request
    from rest_framework.views import APIView

    class Forgetful(APIView):
        def get(self, request: Request) -> None: ...

    request = Request(RequestFactory().get("/"))
    request.user = alice
    with pytest.raises(Denied):
        Declared().has_permission(request, Forgetful())


def test_every_socket_declares_a_permission_of_the_table() -> None:
    for address, consumer in sockets.consumers.items():
        declared = consumer.permission
        assert declared == SIGNED_IN or declared in PERMISSIONS, address


@pytest.mark.parametrize("address", sorted(sockets.consumers))
async def test_anonymous_sockets_are_closed(address: str, transactional_db: None) -> None:
    headers = [(b"host", b"testserver"), (b"origin", b"http://testserver")]
    path = f"/{address.replace('<uuid:pk>', ANY)}?container={ANY}"
    socket = WebsocketCommunicator(sockets.application, path, headers=headers)
    connected, code = await socket.connect()
    if connected:
        message = await socket.receive_output()
        assert message["type"] == "websocket.close"
        code = message["code"]
    assert code == 4401
    await socket.disconnect()
