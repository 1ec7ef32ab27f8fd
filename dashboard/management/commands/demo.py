"""Fills an engine with something to look at, or takes it away again."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.demo import content, maker, owner, rootfs
from dashboard.management.commands.up import redis_binary
from engine.connect import connect
from engine.errors import EngineError
from operations.engines import default_endpoint


class Command(BaseCommand):
    help = "Makes six small images and fifteen containers in varied states, without any network."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name; `make check` runs them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--remove", action="store_true", help="take all of it away again")
        parser.add_argument("--engine", default="", help="the engine's URL; by default the one Slipway uses")

    def handle(self, *_args: Any, **options: Any) -> None:
        began = time.monotonic()
        endpoint = options["engine"] or default_endpoint()
        if not endpoint:
            raise CommandError("No container engine answers here. Start Docker, or set DOCKER_HOST.")
        engine = connect(endpoint)
        try:
            engine.ping()
            if options["remove"]:
                maker.remove(engine, self.stdout.write)
                self.stdout.write("The demo is gone.")
                return
            maker.make(engine, Path(redis_binary()), self.stdout.write)
        except (EngineError, rootfs.Missing) as error:
            raise CommandError(str(error)) from None
        finally:
            engine.close()
        team = owner.give_to_a_team(endpoint)
        self.stdout.write(
            f"The demo is there: {len(content.IMAGES)} images and {len(content.CONTAINERS)} containers"
            + (f", owned by the team {team}" if team else "")
            + f" ({time.monotonic() - began:.0f} s). Take it away again with: make demo-remove"
        )
