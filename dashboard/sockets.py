"""Every socket's address, in one place, and who may open one from where."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from channels.routing import URLRouter
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import path

from containers_app.console_socket import ConsoleConsumer
from containers_app.consumers import LogsConsumer, StatsConsumer
from operations.consumers import LiveConsumer
from operations.sockets import Socket

consumers: dict[str, type[Socket]] = {
    "ws/live/": LiveConsumer,
    "ws/console/<uuid:pk>/": ConsoleConsumer,
    "ws/logs/": LogsConsumer,
    "ws/stats/": StatsConsumer,
}
urlpatterns: list[Any] = [path(address, consumer.as_asgi()) for address, consumer in consumers.items()]  # type: ignore[arg-type]
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def origins(scheme: str, host: str) -> set[str]:
    """Origins from which a page may open a socket here: SLIPWAY_PUBLIC_URL, and the address it was asked at.

    Scheme and port count: a container that publishes a port on this very host is another origin, and the
    browser would send our cookie along.
    """
    public = urlsplit(settings.PUBLIC_URL)
    allowed = {f"{public.scheme}://{public.netloc}".lower()} if settings.PUBLIC_URL else set()
    if not settings.SECURE and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        allowed.add(f"{'https' if scheme == 'wss' else 'http'}://{host}".lower())
    return allowed


class ExactOrigin:
    """Refuses a handshake from any other origin with 403, before it is accepted.

    Without an origin only a program with a token and without a cookie is let in.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.allows(scope):
            await self.app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 4403})

    def allows(self, scope: Any) -> bool:
        """Whether this handshake may go on."""
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value.decode("latin1"))
        origin, host = headers.get(b"origin", []), headers.get(b"host", [])
        if not origin:
            return b"authorization" in headers and b"cookie" not in headers
        if len(origin) != 1 or len(host) != 1:
            return False
        return origin[0].lower() in origins(scope.get("scheme", "ws"), host[0])


class NoSuchSocket:
    """Answers what is no address of ours with a refusal instead of an exception in the log."""

    def __init__(self, app: Any) -> None:
        self.app = app
        patterns = [re.escape(address).replace("<uuid:pk>", _UUID) for address in consumers]
        self.known = re.compile(f"/({'|'.join(patterns)})", re.ASCII)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.known.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 4404})


application = ExactOrigin(NoSuchSocket(URLRouter(urlpatterns)))
