"""Calls of the REST interface: bounded, never redirected, and with the server's own words where one fails."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener
from uuid import uuid4

from slipway.where import Place

PATIENCE = 60
TRIES = 4
_LARGEST = 64 * 1024 * 1024


class Failed(Exception):
    """A call that was refused or not answered; ``status`` is 0 where nobody answered, ``wait`` in seconds."""

    def __init__(self, message: str, status: int = 0, *, wait: int = 0) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait


class _Straight(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """The token would go along to wherever an answer points."""


class Api:
    """One Slipway, by one token."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._opener = build_opener(_Straight)

    def get(self, path: str, **query: Any) -> Any:
        """The object at ``path``, which begins below ``/api/v1``."""
        return self._json("GET", path, query, None, {})

    def every(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All rows of a list, page by page."""
        page = self.get(path, limit=200, **query)
        rows: list[dict[str, Any]] = page["results"]
        while page["next"]:
            cursor = page["next"].partition("?")[2]
            page = self._json("GET", f"{path}?{cursor}", {}, None, {})
            rows += page["results"]
        return rows

    def change(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: tuple[str, IO[bytes], int] | None = None,
        **query: Any,
    ) -> Any:
        """Asks for a change. It has a name of its own, so that asking once more after a lost answer does it once.

        ``form``: content type, body and its length in place of JSON.
        """
        headers = {"Idempotency-Key": uuid4().hex}
        if form:
            headers |= {"Content-Type": form[0], "Content-Length": str(form[2])}
            return self._json(method, path, query, form[1], headers)
        headers["Content-Type"] = "application/json"
        return self._json(method, path, query, json.dumps(body or {}).encode(), headers)

    def lines(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """NDJSON as it comes, for as long as it comes."""
        with self._open(
            "GET", path, query, None, {"Accept": "application/x-ndjson"}, patience=None
        ) as answer:
            for line in answer:
                if line.strip():
                    yield json.loads(line)

    def _json(self, method: str, path: str, query: dict[str, Any], body: Any, headers: dict[str, str]) -> Any:
        for left in range(TRIES - 1, -1, -1):
            try:
                with self._open(method, path, query, body, headers) as answer:
                    raw = answer.read(_LARGEST)
                return json.loads(raw) if raw else None
            except Failed as failed:
                if failed.status not in (0, 429, 503) or not left:
                    raise
                time.sleep(failed.wait or 0.5)
                if hasattr(body, "seek"):
                    body.seek(0)
        raise AssertionError  # the last try returns or raises

    def _open(
        self, method: str, path: str, query: dict[str, Any], body: Any, headers: dict[str, str],
        *, patience: float | None = PATIENCE,
    ) -> HTTPResponse:  # fmt: skip
        asked = {name: value for name, value in query.items() if value not in (None, False, "")}
        asked = {name: 1 if value is True else value for name, value in asked.items()}
        url = f"{self.place.url}/api/v1{path}" + (f"?{urlencode(asked)}" if asked else "")
        headers = {"Authorization": f"Bearer {self.place.token}", "User-Agent": "slipway-cli", **headers}
        request = Request(url, data=body, method=method, headers=headers)  # noqa: S310 - the scheme was looked at
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=patience)
            return answer
        except HTTPError as error:
            raise _refused(error) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Failed(f"{self.place.url} does not answer: {reason}") from None


def _refused(error: HTTPError) -> Failed:
    with error:
        raw = error.read(_LARGEST)
    said = error.headers.get("Retry-After", "")
    wait = min(60, int(said)) if said.isdigit() else 0
    try:
        told = json.loads(raw)
        message = str(told["detail"])
        for field, messages in (told.get("errors") or {}).items():
            message += f"\n{field}: " if field else "\n"
            message += " ".join(map(str, messages))
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"An answer that Slipway does not give ({error.code}): is this the right address?"
    return Failed(message, error.code, wait=wait)
