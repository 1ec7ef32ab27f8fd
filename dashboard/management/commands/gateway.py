"""``manage.py gateway``: the process that reads the engines."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Reads the engines: events, and the logs and figures that somebody looks at. Ends on SIGTERM."
    requires_system_checks: Any = ()

    def handle(self, *args: Any, **options: Any) -> None:
        import uvloop

        uvloop.run(_run())
        # A thread may still wait for an engine that does not answer; the end must not wait for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _run() -> None:
    from dashboard.gateway import Gateway

    gateway = Gateway()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    await gateway.run()
