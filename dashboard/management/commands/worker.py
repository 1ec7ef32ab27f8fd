"""``manage.py worker``: the process that carries operations out, for whoever runs it in a container of its own."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.management.commands.up import worker_options


class Command(BaseCommand):
    help = "Carries operations out. `manage.py prepare` has to have run. Ends on SIGTERM."
    requires_system_checks: Any = ()

    def handle(self, *args: Any, **options: Any) -> None:
        os.execv(sys.executable, [sys.executable, "-m", "celery", *worker_options()])  # noqa: S606 - this Python
