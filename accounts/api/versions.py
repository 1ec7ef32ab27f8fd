"""Versions of objects: ``ETag``, ``If-None-Match`` and ``If-Match``, the same for every object.

The tag is a digest of what a GET shows, without what is merely measured (figures, times of last use): else a
container's would be another one each second. A tag that compression on the way has marked as weak (``W/"…"``) is as
good as the tag itself. ``If-Match`` on an object's own address and on all addresses below it means the object.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, ClassVar

from django.http import Http404
from django.urls import Resolver404, resolve
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request, clone_request
from rest_framework.response import Response
from rest_framework.views import APIView

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e]*)"')
_LIST = re.compile(rf"\s*{_TAG.pattern}\s*(?:,\s*{_TAG.pattern}\s*)*")
_ROOT = ["", "api", "v1"]


class NoObject(Exception):
    """At this address and above it there is nothing that has versions."""


class Versioned(APIView):
    """A view whose GET shows one object. ``measured`` are the fields that are not part of its version."""

    measured: ClassVar[frozenset[str]] = frozenset()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if (
            request.method in ("GET", "HEAD")
            and isinstance(response, Response)
            and response.status_code == 200
        ):
            response = self._tagged(request, response)
        return super().finalize_response(request, response, *args, **kwargs)

    def _tagged(self, request: Request, response: Response) -> Response:
        tag = version_of(response.data, self.measured)
        asked = request.headers.get("If-None-Match", "")
        if asked and holds(asked, tag):
            response = Response(status=304)
        response["ETag"] = f'"{tag}"'
        return response


def version_of(data: Any, measured: frozenset[str] = frozenset()) -> str:
    """The tag of an object as REST shows it."""
    shown = {key: value for key, value in data.items() if key not in measured}
    return hashlib.sha256(JSONRenderer().render(shown)).hexdigest()[:32]


def holds(header: str, tag: str) -> bool:
    """Whether the header's list has the tag, or is ``*``. What is no list of tags has none."""
    return header.strip() == "*" or (_LIST.fullmatch(header) is not None and tag in _TAG.findall(header))


def is_stale(request: Request) -> bool:
    """Whether ``If-Match`` names other versions than the object has now; raises `NoObject`.

    What is not there is not judged here: the view says so itself. Only a PUT would make it, and may not.
    """
    header = request.headers.get("If-Match", "")
    if not header:
        return False
    try:
        return not holds(header, _now(request))
    except Http404:
        return request.method == "PUT"


def _now(request: Request) -> str:
    """The version of the object that the address leads to, or that it lies below, as this caller sees it."""
    parts = request.path_info.rstrip("/").split("/")
    while len(parts) > len(_ROOT) + 1:
        try:
            found = resolve("/".join([*parts, ""]))
        except Resolver404:
            parts.pop()
            continue
        kind = getattr(found.func, "cls", None)
        if kind is not None and issubclass(kind, Versioned):
            view = kind()
            view.setup(request, **found.kwargs)
            view.request = clone_request(request, "GET")
            view.check_permissions(view.request)
            return version_of(view.get(view.request, **found.kwargs).data, view.measured)
        parts.pop()
    raise NoObject
