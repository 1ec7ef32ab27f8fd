"""Two small pieces of the request's way that belong to no app."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from accounts.setup import setup_needed

_OPEN = ("/static/", "/healthz", "/readyz", "/setup/", "/api/")


class SetupFirst:
    """Sends every page to the set-up while there is no user yet."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(_OPEN) and setup_needed():
            return HttpResponseRedirect(reverse("accounts:setup"))
        return self.get_response(request)


class SyncLast:
    """Does nothing, on purpose: sync-only and innermost, so that the whole chain above runs in one thread hop."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)
