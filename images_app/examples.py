"""Dockerfiles to start from, made of what is on the engine already, so that they build without any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

_PYTHON = """\
FROM {base}
RUN mkdir /www && echo "<h1>It works</h1>" > /www/index.html
WORKDIR /www
EXPOSE 8000
USER 65534
CMD ["python3", "-u", "-m", "http.server", "8000"]
"""
_SHELL = """\
FROM {base}
RUN echo "Built by me" > /about
ENV GREETING="Hello from a container"
USER 65534
CMD ["sh", "-c", "cat /about; while true; do echo \\"$(date -u +%T) $GREETING\\"; sleep 1; done"]
"""
_LABEL = """\
FROM {base}
LABEL org.opencontainers.image.description="A first image of my own"
"""
_SCRATCH = """\
# An image with nothing but your files in it: attach a program that needs no libraries.
FROM scratch
COPY . /
USER 65534
CMD ["/app"]
"""


@dataclass(frozen=True, slots=True)
class Base:
    """An image that is here, and what is known to be inside."""

    tag: str
    shell: bool
    python: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One to choose."""

    key: str
    title: str
    about: str
    tag: str
    dockerfile: str


def examples(bases: Sequence[Base]) -> list[Example]:
    """Those that can be built now, from the plainest base that fits; from scratch comes last."""
    found = []
    if base := next((b.tag for b in bases if b.python), ""):
        found.append(
            Example(
                "web",
                _("A web server"),
                _("on %(base)s, which is here") % {"base": base},
                "hello-web:1",
                _PYTHON.format(base=base),
            )
        )
    if base := next((b.tag for b in bases if b.shell), ""):
        found.append(
            Example(
                "clock",
                _("A clock that logs"),
                _("on %(base)s, which is here") % {"base": base},
                "clock:1",
                _SHELL.replace("{base}", base),
            )
        )
    if not found and bases:
        base = bases[0].tag
        found.append(
            Example(
                "label",
                _("A copy with a label"),
                _("of %(base)s, which is here") % {"base": base},
                "first:1",
                _LABEL.format(base=base),
            )
        )
    found.append(
        Example("scratch", _("From scratch"), _("nothing below it, your files only"), "tiny:1", _SCRATCH)
    )
    return found
