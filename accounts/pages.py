"""What the account pages share."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import escape_uri_path
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import limits
from accounts.models import User


def user_of(request: HttpRequest) -> User:
    """Who is signed in, on a page that only they see."""
    assert isinstance(request.user, User)  # noqa: S101 - `requires` has looked
    return request.user


def safe_next(request: HttpRequest) -> str:
    """Where to go on to: an address of ours, else the start."""
    return safe(request, request.POST.get("next") or request.GET.get("next", ""))


def safe(request: HttpRequest, to: str) -> str:
    """That address where it is one of ours, else the start."""
    if url_has_allowed_host_and_scheme(to, {request.get_host()}, require_https=request.is_secure()):
        return to
    return "/"


def sure(
    request: HttpRequest, title: str, *said: str, button: str, back: tuple[str, str], **more: Any
) -> HttpResponse:
    """Asks before something ends for good, and posts the answer to the same address.

    ``said``: what stops working. ``back``: the page it was asked on, its address and its name. A dialog for htmx.
    """
    context = {"title": title, "said": said, "button": button, "back": back[0]}
    part = "#dialog" if "HX-Request" in request.headers else ""
    context |= {"back_name": back[1], "action": escape_uri_path(request.path)}
    return render(request, f"parts/sure.html{part}", {**context, **more})


def locked_page(
    request: HttpRequest, template: str, context: dict[str, Any], error: limits.TooMany
) -> HttpResponse:
    """The same page, saying that it is closed for now, and for how long."""
    answer = render(request, template, context | {"locked": error.retry_after}, status=429)
    answer["Retry-After"] = str(error.retry_after)
    return answer
