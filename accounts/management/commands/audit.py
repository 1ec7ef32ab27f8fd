"""Verifies, anchors and exports the audit trail from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from accounts import anchors, triggers, verification
from accounts.api import tables
from accounts.filters import AuditFilter
from accounts.models import AuditEntry


class Command(BaseCommand):
    help = "Says whether the audit trail is what was written; anchors its newest entry; writes it out as CSV."

    # Its standard output is read by scripts.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="verify | anchor | export")
        verbs.add_parser(
            "verify", help="reads all of it; ends with 1 and names the first entry that is not right"
        )
        verbs.add_parser("anchor", help="appends the newest entry to audit-anchor.log, as the worker does")
        export = verbs.add_parser("export", help="writes it to standard output as CSV, newest first")
        export.add_argument("--since", default="", help="from this day or time on (2026-11-24, or RFC 3339)")
        export.add_argument("--until", default="", help="up to this day, or to before this time")

    def handle(self, *_args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _verify(self, _options: dict[str, Any]) -> None:
        found = verification.verify()
        if found.bad is not None:
            raise CommandError(f"entry {found.bad:,}: {found.why}; {found.count:,} before it are whole")
        newest = f", newest {found.newest.isoformat(timespec='seconds')}" if found.newest else ""
        entries = "entry" if found.count == 1 else "entries"
        self.stdout.write(f"{found.count:,} {entries}, chain whole{newest}")
        if not triggers.present(connection):
            self.stderr.write(
                "The database no longer refuses to change entries: somebody took its triggers away."
            )

    def _anchor(self, _options: dict[str, Any]) -> None:
        try:
            anchor = anchors.drop()
        except (anchors.Torn, ValueError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(str(anchor) if anchor else "Nothing has been recorded yet.")

    def _export(self, options: dict[str, Any]) -> None:
        wanted = {key: options[key] for key in ("since", "until")}
        found = AuditFilter(wanted, AuditEntry.objects.all())
        if not found.is_valid():
            raise CommandError(
                "; ".join(f"--{name}: {' '.join(said)}" for name, said in found.errors.items())
            )
        for lines in tables.pieces(found.qs):
            self.stdout.write(lines, ending="")
