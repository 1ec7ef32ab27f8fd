"""Lists by keyset: a cursor holds the last row's own values, so that no row is skipped or shown twice while
others come and go, and the hundredth page costs what the first one does."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError as Unreadable
from django.db.models import F, Field, Model, Q
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.links import absolute


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order; rows without a value come last in either direction."""

    name: str
    descending: bool

    def order(self, *, backwards: bool) -> Any:
        """The ``ORDER BY`` term; backwards for the page before."""
        column = F(self.name)
        down = self.descending != backwards
        nulls: dict[str, Any] = {"nulls_first": True} if backwards else {"nulls_last": True}
        return column.desc(**nulls) if down else column.asc(**nulls)

    def beyond(self, value: Any, *, backwards: bool) -> Q | None:
        """Rows that come after ``value`` in that direction; ``None`` where none can."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if backwards else None
        comparison = "lt" if self.descending != backwards else "gt"
        found = Q(**{f"{self.name}__{comparison}": value})
        return found if backwards else found | Q(**{f"{self.name}__isnull": True})


class Keyset(BasePagination):
    """``?limit=50&cursor=…&ordering=name,-created_at`` → ``{"next", "previous", "results"}``.

    A view names what may be ordered by in ``ordering_fields`` (public name → column) and its own order in
    ``ordering``. The primary key is always the last column, so that the order is total.
    """

    usual, most = 50, 200

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """``queryset`` is one of models, never a plain list."""
        self.request = request
        limit = self._limit(request)
        columns = self._columns(request, view)
        signature = ",".join(f"{'-' if c.descending else ''}{c.name}" for c in columns)
        cursor = self._read(request.query_params.get("cursor"), signature, columns, queryset.model)
        backwards, values = cursor or (False, None)
        if values is not None:
            queryset = queryset.filter(_after(columns, values, backwards=backwards))
        rows = list(queryset.order_by(*(c.order(backwards=backwards) for c in columns))[: limit + 1])
        more = len(rows) > limit
        rows = rows[:limit]
        if backwards:
            rows.reverse()
        forward = bool(rows) and (more or backwards)
        back = bool(rows) and (more if backwards else values is not None)
        self.next = self._link(signature, columns, rows[-1], backwards=False) if forward else None
        self.previous = self._link(signature, columns, rows[0], backwards=True) if back else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def _limit(self, request: Request) -> int:
        said = request.query_params.getlist("limit")
        if not said:
            return self.usual
        text = said[0] if len(said) == 1 else ""
        if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
            raise ValidationError({"limit": [_("A number from 1 to 200 is expected.")]})
        return min(int(text[:9]), self.most)

    def _columns(self, request: Request, view: Any) -> list[Column]:
        allowed: dict[str, str] = view.ordering_fields
        asked = [part for part in request.query_params.get("ordering", "").split(",") if part]
        columns: list[Column] = []
        for part in asked or view.ordering:
            name = part.removeprefix("-")
            if name not in allowed:
                known = ", ".join(sorted(allowed))
                raise ValidationError(
                    {"ordering": [_("Not a field to order by. These are: %(known)s.") % {"known": known}]}
                )
            if allowed[name] not in {c.name for c in columns}:
                columns.append(Column(allowed[name], part.startswith("-")))
        if "id" not in {c.name for c in columns}:
            columns.append(Column("id", columns[-1].descending))
        return columns

    def _link(self, signature: str, columns: Sequence[Column], row: Any, *, backwards: bool) -> str:
        values = [_plain(getattr(row, c.name)) for c in columns]
        raw = json.dumps([int(backwards), signature, values], separators=(",", ":")).encode()
        query = self.request.query_params.copy()
        query["cursor"] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return absolute(self.request, f"{self.request.path}?{urlencode(list(query.lists()), doseq=True)}")

    def _read(
        self, text: str | None, signature: str, columns: Sequence[Column], model: type[Model]
    ) -> tuple[bool, list[Any]] | None:
        """A cursor is data from outside: each value is parsed by its own column's type."""
        if not text:
            return None
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            backwards, signed, values = json.loads(raw)
            if signed != signature or backwards not in (0, 1) or len(values) != len(columns):
                raise ValueError("a cursor of another list")
            typed = [
                None if value is None else _field(model, column.name).to_python(value)
                for column, value in zip(columns, values, strict=True)
            ]
        except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error, Unreadable):
            raise ValidationError({"cursor": [_("Not a cursor of this list in this order.")]}) from None
        return bool(backwards), typed

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        order = ", ".join(sorted(view.ordering_fields))
        return [
            _parameter(
                "limit", "integer", f"Rows a page, {self.usual} where not given, at most {self.most}."
            ),
            _parameter("cursor", "string", "From `next` or `previous` of another page of the same list."),
            _parameter("ordering", "string", f"Comma-separated, `-` for descending: {order}."),
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


def _after(columns: Sequence[Column], values: Sequence[Any], *, backwards: bool) -> Q:
    """``a > x OR (a = x AND b > y) OR …``, with the direction and the empty values of each column."""
    found = Q(pk__in=[])
    same = Q()
    for column, value in zip(columns, values, strict=True):
        beyond = column.beyond(value, backwards=backwards)
        if beyond is not None:
            found |= same & beyond
        same &= Q(**{f"{column.name}__isnull": True}) if value is None else Q(**{column.name: value})
    return found


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    found = model._meta.get_field(name)
    if not isinstance(found, Field):
        raise TypeError(f"{name} is no column to order by")
    return found


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else str(value)


def _parameter(name: str, kind: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": kind},
        "description": description,
    }
