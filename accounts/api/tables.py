"""The audit trail as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import AuditEntry
from accounts.streaming import TextStream

MOST = 100_000
PIECE = 1000
COLUMNS = (
    "seq", "at", "actor", "verb", "outcome", "target_type", "target_id", "target_name", "team", "operation", "source",
    "ip", "detail", "hash",
)  # fmt: skip
# A spreadsheet takes a cell that begins so for a formula, and a name is anybody's choice.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(entries: QuerySet[AuditEntry]) -> TextStream:
    """The entries, newest first, as a download. Read in pieces, so that a long trail needs no memory."""
    return TextStream(
        pieces(entries, MOST),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="audit-{timezone.now():%Y-%m-%d}.csv"'},
    )


def pieces(entries: QuerySet[AuditEntry], most: int | None = None) -> Iterator[str]:
    """Lines of CSV, many at a time, the first one with the names; a query for each piece."""
    yield _lines([COLUMNS])
    rows, left = entries.order_by("-seq"), most
    found = list(rows[: PIECE if left is None else min(PIECE, left)])
    while found:
        yield _lines([[safe(value) for value in _cells(entry)] for entry in found])
        if left is not None:
            left -= len(found)
        found = list(rows.filter(seq__lt=found[-1].seq)[: PIECE if left is None else min(PIECE, left)])


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(entry: AuditEntry) -> list[Any]:
    detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else ""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return [
        entry.seq, at, entry.actor_name, entry.verb, entry.outcome, entry.target_type, entry.target_id,
        entry.target_name, entry.team_slug, entry.operation_id or "", entry.source, entry.ip or "", detail, entry.hash,
    ]  # fmt: skip


def safe(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
