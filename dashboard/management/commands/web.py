"""``manage.py web``: the pages alone, for whoever runs each process in a container of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dashboard.management.commands.up import split_bind, web_options


class Command(BaseCommand):
    help = "Serves pages, REST and sockets at SLIPWAY_BIND. `manage.py prepare` has to have run. Ends on SIGTERM."
    requires_system_checks: Any = ()

    def handle(self, *args: Any, **options: Any) -> None:
        command = [sys.executable, "-m", "uvicorn", *web_options(*split_bind(settings.BIND))]
        os.execv(sys.executable, command)  # noqa: S606 - this Python, with options of ours
