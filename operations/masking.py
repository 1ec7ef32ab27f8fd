"""Taking secrets out of a wish before it becomes a row: what is masked here is sealed there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.docker_text import MASK, is_secret_name, mask


def withhold(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``(params, secrets)``: the body as it may be stored and shown, and the real values of what differs in it.

    Everything under ``secrets`` is one; in ``environment``, ``options`` and ``build_args`` what its name or a
    password in a URL gives away; in command lines ``NAME=value`` of such names.
    """
    shown = dict(body)
    for key in ("environment", "options", "build_args"):
        if isinstance(body.get(key), Mapping):
            shown[key] = {name: _value(name, value) for name, value in body[key].items()}
    for key in ("command", "entrypoint"):
        if isinstance(body.get(key), list):
            shown[key] = [mask(item) for item in body[key]]
    if body.get("secrets"):
        shown["secrets"] = dict.fromkeys(body["secrets"], MASK)
    return shown, {key: value for key, value in body.items() if shown[key] != value}


def _value(name: str, value: str | None) -> str | None:
    if value is None:  # stays as it is
        return None
    return MASK if value and is_secret_name(name) else mask(value)
