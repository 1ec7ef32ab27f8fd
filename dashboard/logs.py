"""How the server's own log looks: one line a record, as text or as JSON, with who and what it was about.

What a request or an operation binds with `structlog.contextvars` stands in each record within it: ``request``,
``operation``, ``kind``. Texts of others cannot begin a record of their own: control characters come out as escapes.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import structlog
from structlog.contextvars import get_contextvars, merge_contextvars

QUIET = {
    "django.request": "ERROR",
    "urllib3": "WARNING",
    "docker": "WARNING",
    "celery": "WARNING",
    "kombu": "WARNING",
}
_SERVERS = ("uvicorn", "uvicorn.error")
"""They come with handlers of their own, whose lines nobody could parse."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class Text(logging.Formatter):
    """``2026-01-31 12:00:00,000 WARNING operations.runner: … [operation=… kind=…]``, a traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The first line."""
        line = _CONTROL.sub(_escaped, super().formatMessage(record))
        bound = " ".join(f"{key}={value}" for key, value in sorted(get_contextvars().items()))
        return f"{line} [{bound}]" if bound else line


def json() -> structlog.stdlib.ProcessorFormatter:
    """``{"event", "level", "logger", "timestamp", …}``, in ``exception`` the traceback."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )


def configuration(form: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes; ``form`` is ``text`` or ``json``."""
    console = {"handlers": ["console"], "propagate": False, "level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": json if form == "json" else Text}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {name: {"level": level} for name, level in QUIET.items()}
        | dict.fromkeys(_SERVERS, console),
    }


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
