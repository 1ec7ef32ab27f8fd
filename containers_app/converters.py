"""What may stand in an address beside ids and words."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.converters import get_converters


class Anything:
    """A name that somebody's label gives: it may hold slashes and line breaks, and its page is there all the same."""

    regex = r"(?s:.+)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


def register() -> None:
    """Makes ``<anything:name>`` known. To be called by each module that uses it, before it does."""
    if "anything" not in get_converters():
        register_converter(Anything, "anything")
