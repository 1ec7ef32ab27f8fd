"""Makes, lists and revokes tokens from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import audit, tokens
from accounts.access import Actor
from accounts.models import ApiToken, Team, User
from accounts.permissions import SCOPES


class Command(BaseCommand):
    help = "Makes a token and prints it, alone, on standard output; or lists or revokes tokens."

    # Its standard output is read by scripts, and its errors by the people who wrote them.
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create | list | revoke")
        create = verbs.add_parser("create", help="makes a token and prints it")
        create.add_argument("name", help="what it is for")
        create.add_argument("--user", required=True, help="the user name of its owner")
        create.add_argument(
            "--scope", action="append", choices=SCOPES, required=True, help="may be given again"
        )
        create.add_argument("--expires", default="30d", help="30d, 12h or 90m; 365d at most (default: 30d)")
        create.add_argument("--team", help="the slug of the one team that it is for")
        create.add_argument(
            "--network", action="append", default=[], help="opens from it alone; may be given again"
        )
        create.add_argument("--rate", type=int, help="requests a minute, fewer than others have")
        show = verbs.add_parser("list", help="shows tokens without their secrets")
        show.add_argument("--user", help="of this user name only")
        revoke = verbs.add_parser("revoke", help="ends a token at once")
        revoke.add_argument("key", help="the 12 characters after slp_")

    def handle(self, *_args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None or not user.is_active:
            raise CommandError(f"There is no active user {options['user']!r}.")
        team = None
        if options["team"]:
            team = Team.objects.filter(slug=options["team"]).first()
            if team is None:
                raise CommandError(f"There is no team {options['team']!r}.")
        try:
            lasts = tokens.lasting(options["expires"])
            with transaction.atomic():
                made, secret = tokens.make(
                    user, options["name"], options["scope"], lasts=lasts, team=team, networks=options["network"],
                    rate=options["rate"],
                )  # fmt: skip
                self._record("token.create", made)
        except ValueError as error:
            raise CommandError(str(error)) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(secret)

    def _list(self, options: dict[str, Any]) -> None:
        rows = ApiToken.objects.select_related("user")
        if options["user"]:
            rows = rows.filter(user__username=options["user"])
        for row in rows:
            state = "ready" if tokens.usable(row) else "ended"
            facts = (
                row.key,
                row.user.username,
                ",".join(row.scopes),
                f"{row.expires_at:%Y-%m-%d}",
                state,
                row.name,
            )
            self.stdout.write("  ".join(facts))

    def _revoke(self, options: dict[str, Any]) -> None:
        found = ApiToken.objects.filter(key=options["key"]).first()
        if found is None:
            raise CommandError("There is no such token.")
        with transaction.atomic():
            if tokens.revoke(found):
                self._record("token.revoke", found)

    def _record(self, verb: str, token: ApiToken) -> None:
        by = Actor(user=None, source="system")
        audit.record(verb, by, target_type="token", target_id=token.pk, target_name=token.name)
