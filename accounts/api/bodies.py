"""Bodies as they come in: bounded, and read without guessing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

LARGEST = 1024 * 1024


class TooLarge(APIException):
    """More than a body may have."""

    status_code = 413
    default_code = "too_large"
    default_detail = _lazy("A JSON body has 1 MiB at most.")


class StrictJSONParser(JSONParser):
    """JSON of 1 MiB at most, without what readers disagree on: keys that are there twice, NaN, half characters."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise TooLarge
        try:
            found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
            _check_texts(found)
            return found
        except (ValueError, RecursionError) as error:
            detail = str(error) if isinstance(error, json.JSONDecodeError | _Unusable) else "not readable"
            raise ParseError(_("The body is not valid JSON: %(detail)s.") % {"detail": detail}) from None


class _Unusable(ValueError):
    """JSON by its letters, and yet nothing to go on with."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Unusable(f"the key {key[:80]!r} is there twice")
        found[key] = value
    return found


def _check_texts(value: Any) -> None:
    """No zero bytes and no half characters, at any depth: databases and engines cannot keep them."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise _Unusable("a text holds a zero byte or half a character")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _no_constant(name: str) -> Any:
    raise _Unusable(f"{name} is not a number")


class OneKind(BaseContentNegotiation):
    """JSON for everybody: an answer that was asked for in another type is still better than a 406.

    Addresses that know plain text or NDJSON look at ``Accept`` themselves.
    """

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        kind = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)
