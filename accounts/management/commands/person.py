"""For whoever runs the server, when somebody cannot get in, or must not stay in."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit, factors, reset, sessions
from accounts.access import SYSTEM
from accounts.models import User


class Command(BaseCommand):
    """``person NAME`` with what is to be done. What is taken away ends all of that person's sessions."""

    help = "Makes a link for a new password, ends somebody's sessions, or takes their second factors away."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="user name")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--reset-link", action="store_true", help="print a link for a new password")
        what.add_argument("--end-sessions", action="store_true", help="sign them out everywhere")
        what.add_argument(
            "--remove-second-factors",
            action="store_true",
            help="after a lost phone: the password alone opens again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            raise CommandError(f"There is nobody with the name {options['name']}.")
        if options["reset_link"]:
            audit.record("auth.reset", SYSTEM, outcome="accepted", name=user.username)
            self.stdout.write(reset.link(user))
            return
        with transaction.atomic():
            if options["remove_second_factors"]:
                count = factors.remove_all(user)
                audit.about("factor.remove", SYSTEM, user, count=count)
                self.stdout.write(f"Removed {count} second factors, recovery codes among them.")
            count = sessions.end_all(user)
            audit.about("session.end", SYSTEM, user, count=count)
        self.stdout.write(f"Ended {count} sessions.")
