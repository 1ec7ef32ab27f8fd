"""Every error under /api/ is a problem (RFC 9457) with a stable ``code``; never a page, never a trace."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.exceptions import ValidationError as ModelInvalid
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback
from structlog.contextvars import get_contextvars

from accounts import reasons
from accounts.access import Denied, actor_of, note
from accounts.api.base import Problem
from accounts.members import Kept
from dashboard import home
from engine import errors as engine
from operations import room
from operations.services import Refused

logger = logging.getLogger(__name__)
Errors = Mapping[str, list[str]]
MEDIA_TYPE = "application/problem+json"

# How an engine's answer looks from outside; a branch before its children's own line would hide them.
_ENGINE: tuple[tuple[type[engine.EngineError], int], ...] = (
    (engine.PolicyDenied, 403),
    (engine.Invalid, 400),
    (engine.NotFound, 404),
    (engine.Conflict, 409),
    (engine.DeadlineExceeded, 504),
    (engine.DiskFull, 507),
    (engine.EngineError, 502),
)
_OURS = (503, 507)
"""What passes, and is no mistake of anybody's code."""
BROKEN: Any = _lazy("Something broke on our side. It is in the server's log.")
_PLAIN: tuple[tuple[tuple[type[Exception], ...], int, str, Any], ...] = (
    ((OperationalError, InterfaceError), 503, "unavailable", _lazy("The database does not answer just now.")),
    (
        (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent),
        413,
        "too_large",
        _lazy("The request is larger than allowed."),
    ),
)
_CODES = {
    400: "invalid",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}


def answer(status: int, code: str, detail: str, *, errors: Errors | None = None) -> dict[str, Any]:
    """The members of a problem."""
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(detail),
        "code": code,
    }
    if errors:
        found["errors"] = dict(errors)
    if request := get_contextvars().get("request"):
        found["request"] = request
    return found


def problem(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: any exception of a view as a problem. What is not known is logged, and is a 500."""
    set_rollback()
    status, code, detail, errors = _told(error)
    headers = {}
    if isinstance(error, exceptions.APIException):
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(max(1, int(wait)))
    elif isinstance(error, Refused) and "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    elif status in (500, *_OURS):
        logger.error("A REST view failed", exc_info=error)
    request = context.get("request")
    if isinstance(error, Denied) and request is not None:
        note(request, error)
    if request is not None:
        request.accepted_renderer = JSONRenderer()  # also where the address itself answers with a page
    members = answer(status, code, detail, errors=errors)
    if isinstance(error, Refused | Kept):
        members |= {key: value for key, value in error.details.items() if key not in members}
    if isinstance(error, Denied) and request is not None:
        members |= reasons.told(error, actor_of(request))
    if isinstance(error, engine.PolicyDenied):
        members |= {key: error.details[key] for key in ("rule", "field", "source") if key in error.details}
    return Response(members, status, headers=headers, content_type=MEDIA_TYPE)


def plain(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    """The same where no REST view was reached: unknown addresses, and what breaks before one."""
    return JsonResponse(answer(status, code, detail), status=status, content_type=MEDIA_TYPE)


def _below_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler of 400: of what breaks before any view is reached."""
    if _below_api(request):
        return plain(request, 400, "invalid", _("The request is malformed."))
    return home.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler of 403."""
    if _below_api(request):
        return plain(request, 403, "permission_denied", _("Not allowed."))
    return home.forbidden(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler of 404."""
    if _below_api(request):
        return plain(request, 404, "not_found", _("No such address."))
    return home.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler of 500: what a database that is away or full raises is told as that."""
    status, code, detail = 500, "internal_error", BROKEN
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and (told := _told(error))[0] in _OURS:
        status, code, detail, _ = told
    if _below_api(request):
        return plain(request, status, code, detail)
    return home.server_error(request, status, detail)


def _told(error: Exception) -> tuple[int, str, str, Errors | None]:
    """``(status, code, detail, errors)``."""
    if isinstance(error, exceptions.APIException):
        return _told_by_drf(error)
    if isinstance(error, engine.EngineError):
        status = next(status for kind, status in _ENGINE if isinstance(error, kind))
        errors = error.details.get("errors") if isinstance(error, engine.Invalid) else None
        return status, _invalid_code(errors) if errors else error.code, error.message, errors
    if isinstance(error, Refused | Kept):
        return error.status, error.code, error.message, error.details.get("errors")
    if isinstance(error, ModelInvalid):
        return 400, "invalid", _("Some fields are not valid."), _messages(error)
    if isinstance(error, Http404):
        return 404, "not_found", _("No such object."), None
    if isinstance(error, PermissionDenied):
        return 403, getattr(error, "code", "permission_denied"), str(error) or _("Not allowed."), None
    return *_told_plainly(error), None


def _told_plainly(error: Exception) -> tuple[int, str, str]:
    if room.is_full(error):
        return 507, "disk_full", room.FULL
    for kinds, status, code, detail in _PLAIN:
        if isinstance(error, kinds):
            return status, code, detail
    return 500, "internal_error", BROKEN


def _told_by_drf(error: exceptions.APIException) -> tuple[int, str, str, Errors | None]:
    if isinstance(error, Problem):
        return error.status_code, error.code, str(error.detail), error.errors
    if isinstance(error, exceptions.ValidationError):
        found = _fields(error.detail)
        return 400, _invalid_code(found), _("Some fields are not valid."), found
    return error.status_code, _CODES.get(error.status_code, "error"), str(error.detail), None


def _fields(detail: Any) -> dict[str, list[str]]:
    """DRF's nested errors as one flat object: ``{"ports.0.host": ["…"]}``."""
    found: dict[str, list[str]] = {}
    for path, message in _walk(detail, ""):
        found.setdefault(path, []).append(message)
    return found


def _walk(detail: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _walk(value, f"{path}.{name}".strip("."))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            yield from _walk(value, f"{path}.{index}" if isinstance(value, Mapping | list) else path)
    else:
        yield path, str(detail)


def _messages(error: ModelInvalid) -> dict[str, list[str]]:
    return dict(error.message_dict) if hasattr(error, "error_dict") else {"": list(error.messages)}


def _invalid_code(errors: Errors) -> str:
    """``unknown_field`` where that is all that is wrong, else ``invalid``."""
    messages = [message for found in errors.values() for message in found]
    return (
        "unknown_field"
        if messages and all(m.startswith(_("Unknown field.")[:-1]) for m in messages)
        else "invalid"
    )
