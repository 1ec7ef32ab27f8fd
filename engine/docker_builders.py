"""Which of its two builders an engine builds with, and why."""

from __future__ import annotations

from collections.abc import Mapping

from engine.docker_text import text
from engine.errors import Invalid
from engine.words import kept

BUILDKIT, CLASSIC = "buildkit", "classic"


def choose(told: Mapping[str, str], wanted: str) -> tuple[str, str]:
    """``(builder, why)`` from what the engine says of itself and ``auto``, ``buildkit`` or ``classic``.

    Raises `Invalid` where it has no BuildKit and it is to be that. Docker has it since 18.09 on Linux, and names its
    own choice from some versions on; what only speaks Docker's language has none.
    """
    names_it = text(told.get("Builder-Version"), 8)
    docker = text(told.get("Server"), 64).startswith("Docker/") and not told.get("Libpod-API-Version")
    has_it = names_it == "2" or (docker and text(told.get("Ostype"), 16).lower() == "linux")
    if wanted == CLASSIC:
        return CLASSIC, kept("Asked for")
    if not has_it:
        if wanted == BUILDKIT:
            raise Invalid("This engine has no BuildKit: build with its classic builder.")
        return CLASSIC, kept("This engine has no BuildKit")
    if wanted == BUILDKIT:
        return BUILDKIT, kept("Asked for")
    if names_it == "1":
        return CLASSIC, kept("This engine is set to its classic builder")
    return BUILDKIT, kept("This engine has it")
