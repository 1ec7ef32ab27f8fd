"""Hostile texts cost little: nothing an engine says may hold a thread."""

from __future__ import annotations

import time

import pytest

from engine.docker_errors import clean, from_text
from engine.docker_text import document, environment, pairs

HOSTILE = [
    "://" * 700_000,
    "://a:" * 400_000,
    "/" * 2_000_000,
    "/docke" * 300_000,
    "lookup " * 300_000,
    "network " * 300_000,
    "a=" * 1_000_000,
    "exec: " * 300_000,
    "\u202e" * 1_000_000,
]


@pytest.mark.parametrize("said", HOSTILE, ids=range(len(HOSTILE)))
def test_megabytes_of_nonsense_take_no_time(said: str) -> None:
    began = time.process_time()
    assert len(from_text(said, 500).message) <= 500
    assert len(clean(said, build=True)) <= 500
    document({"Config": {"Labels": {"a": said}, "Env": [said]}, "Args": [said]})
    pairs({said: said})
    environment([said, f"A={said}"])
    assert time.process_time() - began < 2
