"""``manage.py gateway``: the process that reads the engines."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

MOST_FILES = 65_536


class Command(BaseCommand):
    help = "Reads the engines: events, figures, and the logs that somebody looks at. Ends on SIGTERM."
    requires_system_checks: Any = ()

    def handle(self, *args: Any, **options: Any) -> None:
        import uvloop

        from accounts import kept_keys

        try:
            with suppress(DatabaseError):  # away for now: it is waited for, as at any other time
                kept_keys.mark_or_refuse()
        except kept_keys.WrongKey as error:
            raise CommandError(str(error)) from None
        # Seven files of the kernel stay open for each container whose figures are read.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, enough), hard))
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
