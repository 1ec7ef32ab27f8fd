"""A container's state in words, for templates of rooms that know nothing of containers."""

from __future__ import annotations

from django import template

from containers_app.models import Container
from containers_app.queries import Status, status_of

register = template.Library()


@register.filter
def status(container: Container) -> Status:
    """Its shape, text and note."""
    return status_of(container)
