"""The Celery app. Celery only wakes a worker: the operations table is the queue of record."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

app = Celery("slipway")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _own_key(**_: Any) -> None:
    """A worker with another key could open nothing, and would fail one operation after the other."""
    from accounts import kept_keys

    try:
        kept_keys.mark_or_refuse()
    except kept_keys.WrongKey as error:
        raise SystemExit(str(error)) from None
