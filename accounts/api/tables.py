"""The audit trail as a table for spreadsheets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from accounts.models import AuditEntry

MOST = 100_000
COLUMNS = (
    "id", "at", "actor", "verb", "outcome", "target_type", "target_id", "target_name", "team", "operation", "source",
    "ip", "detail",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula, and a name is anybody's choice.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def table(entries: QuerySet[AuditEntry]) -> StreamingHttpResponse:
    """The entries, newest first, as a download. Read in pieces, so that a long trail needs no memory."""
    return StreamingHttpResponse(
        _lines(entries.order_by("-id")[:MOST]),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


def _lines(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for entry in entries.iterator(chunk_size=1000):
        yield writer.writerow([safe(value) for value in _cells(entry)])


def _cells(entry: AuditEntry) -> list[Any]:
    team = entry.team.slug if entry.team else ""
    detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else ""
    return [
        entry.pk, entry.at.isoformat(), entry.actor_name, entry.verb, entry.outcome, entry.target_type,
        entry.target_id, entry.target_name, team, entry.operation_id or "", entry.source, entry.ip or "", detail,
    ]  # fmt: skip


def safe(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
