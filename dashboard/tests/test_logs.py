"""The server's own log: one line a record, with what it was about, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from structlog.contextvars import bound_contextvars, get_contextvars

from accounts.models import AuditEntry, User
from dashboard import logs
from dashboard.middleware import RequestId

HOSTILE = "web\r\n2026-01-01 00:00:00,000 ERROR root: forged \x1b[31m\u2028end"


def record(message: str, *args: object, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"msg": message, "args": args, "name": "app", "levelname": "ERROR", **fields}
    )


def test_nobody_s_name_begins_a_line_of_its_own() -> None:
    """S-64."""
    with bound_contextvars(operation="7", kind="container.run"):
        text = logs.Text().format(record("no %s", HOSTILE))
        line = logs.json().format(record("no %s", HOSTILE))
    assert len(text.splitlines()) == len(line.splitlines()) == 1
    assert "\x1b" not in text + line
    assert text.endswith("end [kind=container.run operation=7]")
    read = json.loads(line)
    assert read["event"] == f"no {HOSTILE}"
    assert (read["level"], read["logger"], read["operation"]) == ("error", "app", "7")


def test_a_traceback_belongs_to_its_record() -> None:
    try:
        raise ValueError("of no use")
    except ValueError:
        broken = record("broke", exc_info=sys.exc_info())
    assert logs.Text().format(broken).splitlines()[-1] == "ValueError: of no use"
    line = logs.json().format(broken)
    assert len(line.splitlines()) == 1
    assert "ValueError: of no use" in json.loads(line)["exception"]


def test_a_request_has_one_name_everywhere() -> None:
    seen: list[object] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(get_contextvars()["request"])
        return HttpResponse()

    answers = [RequestId(view)(RequestFactory().get("/")) for _ in range(2)]
    assert [answer.headers["X-Request-ID"] for answer in answers] == seen
    assert len(set(seen)) == 2
    assert "request" not in get_contextvars()


def test_a_refusal_and_its_line_in_the_trail_name_the_request(
    client_for: Callable[..., Client], vic: User
) -> None:
    answer = client_for(vic).get("/api/v1/users/")
    assert answer.status_code == 403
    name = answer.headers["X-Request-ID"]
    assert answer.json()["request"] == name
    assert AuditEntry.objects.latest("seq").detail["request"] == name
