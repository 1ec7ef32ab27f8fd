"""``manage.py prepare``: what has to be done once before the processes start, where no supervisor does it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from accounts import database_role
from accounts.setup import setup_link
from dashboard.management.commands.up import prepare


class Command(BaseCommand):
    help = "Migrates the database, collects the static files, gives the runtime role its rights. As often as you like."
    requires_system_checks: Any = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--role-from",
            type=Path,
            metavar="FILE",
            help="a file with the DATABASE_URL of the running processes, whose role is made here (PostgreSQL)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("tmp", "log"):
            (Path(settings.HOME) / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        prepare(collect=True)
        if path := options["role_from"]:
            try:
                name = database_role.ensure(connection, path.read_text().strip())
            except (OSError, database_role.RoleError) as error:
                raise CommandError(str(error)) from None
            self.stdout.write(
                f"The role {name} can read and add to the audit trail, and change nothing in it."
            )
        if link := setup_link(settings.PUBLIC_URL.rstrip("/") or f"http://{settings.BIND}"):
            self.stdout.write(f"Make the first administrator (this link works once): {link}")
