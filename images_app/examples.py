"""Dockerfiles to start from, made of what is on the engine already, so that they build without any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PYTHON = """\
FROM {base}
RUN mkdir /www && echo "<h1>It works</h1>" > /www/index.html
WORKDIR /www
EXPOSE 8000
USER nobody
CMD ["python3", "-u", "-m", "http.server", "8000"]
"""
_SHELL = """\
FROM {base}
ENV GREETING="Hello from a container"
USER nobody
CMD ["sh", "-c", "while true; do echo \\"$(date -u +%T) $GREETING\\"; sleep 1; done"]
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
# What a base must be called for an example to be sure of its insides.
_SHELLS = ("alpine", "busybox", "debian", "ubuntu", "fedora", "bash")


@dataclass(frozen=True, slots=True)
class Example:
    """One to choose. ``base`` is an image that is here, empty for scratch."""

    key: str
    title: str
    about: str
    tag: str
    dockerfile: str
    base: str = ""


def examples(local_tags: Sequence[str]) -> list[Example]:
    """Those that can be built now, the most telling first; from scratch comes last."""
    found = []
    if base := _find(local_tags, ("python",)):
        found.append(Example("web", "A web server", f"on {base}, which is here", "hello-web:1", _PYTHON.format(base=base), base))
    if base := _find(local_tags, _SHELLS):
        found.append(Example("clock", "A chatty clock", f"on {base}, which is here", "clock:1", _SHELL.replace("{base}", base), base))
    if not found and local_tags:
        base = sorted(local_tags, key=lambda tag: (tag.endswith(":latest"), len(tag)))[0]
        found.append(Example("label", "A copy with a label", f"of {base}, which is here", "first:1", _LABEL.format(base=base), base))
    found.append(Example("scratch", "From scratch", "nothing below, your files only", "tiny:1", _SCRATCH))
    return found


def _find(local_tags: Sequence[str], names: Sequence[str]) -> str:
    """The first local tag whose last path part is one of the names."""
    for name in names:
        for tag in sorted(local_tags, key=lambda t: (t.endswith(":latest"), t)):
            if tag.rpartition("/")[2].partition(":")[0] == name:
                return tag
    return ""
