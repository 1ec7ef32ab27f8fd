"""The composition root: settings, routes and entry points. Nothing imports it.

The Celery app is imported here, because a process that only sends tasks would otherwise
use Celery's default app and block on a broker that does not exist.
"""

from dashboard.celery import app as celery_app

__all__ = ["celery_app"]
