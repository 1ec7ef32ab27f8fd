"""The web process: pages and REST by Django, static files before it, sockets beside it."""

from __future__ import annotations

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django = get_asgi_application()  # sets Django up: what follows imports models

from channels.routing import ProtocolTypeRouter  # noqa: E402

import dashboard.urls  # noqa: E402, F401 - what is wrong with them stops the start, not the first request
from dashboard.bodies import Bodies  # noqa: E402
from dashboard.sockets import application as sockets  # noqa: E402
from dashboard.static_files import App, StaticFiles  # noqa: E402

application = ProtocolTypeRouter({"http": StaticFiles(Bodies(cast("App", django))), "websocket": sockets})
