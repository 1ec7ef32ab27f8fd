"""Says whether what Slipway promises holds now, on this database and its engines."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard import invariants

MOST = 20


class Command(BaseCommand):
    help = (
        "Checks the invariants I1 to I6 and prints PASS or FAIL with what breaks them; ends with 1 on a FAIL."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name; `make check` runs them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--journal", type=Path, help="JSON lines of what the engine was asked; without it no I3 and I4"
        )
        parser.add_argument("--no-engine", action="store_true", help="ask no engine: no I5")
        parser.add_argument(
            "--settled",
            action="store_true",
            help="everything must have ended, whoever may still look after it",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            journal = invariants.read_journal(options["journal"]) if options["journal"] else None
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"The journal cannot be read: {error}") from None
        grace = timedelta(0) if options["settled"] else invariants.GRACE
        found = invariants.check(journal=journal, engines=not options["no_engine"], grace=grace)
        for finding in found:
            self.stdout.write(f"{'FAIL' if finding.broken else 'PASS'} {finding.name} {finding.promise}")
            for line in finding.broken[:MOST]:
                self.stdout.write(f"     {line}")
            if len(finding.broken) > MOST:
                self.stdout.write(f"     … and {len(finding.broken) - MOST} more")
        if any(finding.broken for finding in found):
            sys.exit(1)
