"""Seals everything anew with the secret key of now, so that the one before can go."""

from __future__ import annotations

from collections import Counter
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction

from accounts import audit, kept_keys, seals
from accounts.access import SYSTEM
from accounts.models import KeptKey
from operations import secrets


class Command(BaseCommand):
    help = (
        "Seals everything in the database with SLIPWAY_SECRET_KEY that SLIPWAY_OLD_SECRET_KEYS has sealed. Runs beside"
        " a Slipway that knows both keys; afterwards the old ones may be taken out."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name

    def handle(self, *_args: Any, **_options: Any) -> None:
        kept = kept_keys.keep_older()
        done, lost = Counter[str](), list[str]()
        for model in sealing():
            use = seals.use_of(kept_keys.SEALED) if model is KeptKey else secrets.USE
            self._columns(model, use, done, lost)
        self._apps(done, lost)
        detail = {"sealed_anew": dict(done), "keys_kept": kept, "unreadable": len(lost)}
        audit.record("site.rotate_key", SYSTEM, outcome="failed" if lost else "succeeded", detail=detail)
        for name, count in sorted(done.items()):
            self.stdout.write(f"{count:>8,}  {name}")
        if lost:
            some = "\n  ".join(lost[:20])
            raise CommandError(
                f"{len(lost)} could not be opened with any key that is named, and stay as they are:\n  {some}"
            )
        self.stdout.write(
            "All of it is sealed with the key of now; SLIPWAY_OLD_SECRET_KEYS can be taken out."
        )

    def _columns(self, model: type[models.Model], use: str, done: Counter[str], lost: list[str]) -> None:
        rows = model._base_manager.exclude(sealed="")
        for pk, sealed in list(rows.values_list("pk", "sealed").order_by("pk")):
            try:
                new = seals.again(use, sealed)
            except seals.Unreadable:
                lost.append(f"{model._meta.verbose_name} {pk}")
                continue
            # Written only over what was read: whatever has changed meanwhile was sealed with the key of now.
            done[str(model._meta.verbose_name)] += rows.filter(pk=pk, sealed=sealed).update(sealed=new)

    def _apps(self, done: Counter[str], lost: list[str]) -> None:
        """The secrets of authenticator apps, which lie within a document that codes change as well."""
        apps_ = Authenticator.objects.filter(type=Authenticator.Type.TOTP)
        for pk in list(apps_.values_list("pk", flat=True)):
            with transaction.atomic():
                row = Authenticator.objects.select_for_update().filter(pk=pk).first()
                if row is None:
                    continue
                try:
                    row.data["secret"] = seals.again(seals.use_of("totp"), row.data["secret"])
                except seals.Unreadable:
                    lost.append(f"authenticator app of {row.user}")
                    continue
                row.save(update_fields=["data"])
                done["authenticator app"] += 1


def sealing() -> list[type[models.Model]]:
    """Every model with a column ``sealed``."""
    return [model for model in apps.get_models() if _has(model)]


def _has(model: type[models.Model]) -> bool:
    try:
        model._meta.get_field("sealed")
    except FieldDoesNotExist:
        return False
    return True
