"""What the README shows, word for word, for the tests that do exactly that."""

from __future__ import annotations

import re

from tests.machine import ROOT


def blocks(language: str, page: str = "README.md") -> list[str]:
    """The fenced blocks of that language, in order."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def dockerfile() -> str:
    """The Dockerfile of the main job."""
    (found,) = blocks("dockerfile")
    return found
