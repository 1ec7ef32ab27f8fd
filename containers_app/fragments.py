"""How parts of pages are answered to htmx."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase

F = TypeVar("F", bound=Callable[..., HttpResponseBase])


def leaves_when_gone(view: F) -> F:
    """A page that fetches itself again after its object is gone hears `slipway:gone` and goes where that says.

    No error: it is what the page was waiting for. Whoever may not see the object is told the same.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except Http404:
            if "HX-Request" not in request.headers:
                raise
            return HttpResponse(status=204, headers={"HX-Trigger": "slipway:gone"})

    return inner  # type: ignore[return-value]
