from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import pre_migrate


def _may_take_its_time(using: str, **_: Any) -> None:
    """A migration of a large table takes longer than a request may."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")


class DashboardConfig(AppConfig):
    name = "dashboard"
    label = "dashboard"
    verbose_name = "Dashboard"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from dashboard import checks, names  # noqa: F401 - registers them

        names.translate()

        pre_migrate.connect(_may_take_its_time, sender=self)
