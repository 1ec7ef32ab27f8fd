"""What is to be other about a container that is made like one that exists: any part of the run body.

What is not given stays. In ``environment``, ``secrets`` and ``labels`` the whole is given, and ``null`` keeps the value
of a name: so nobody has to know a secret to keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from engine.specs import ContainerSpec, SpecError
from engine.words import gettext

FIELDS = (
    "command", "entrypoint", "environment", "secrets", "ports", "mounts", "networks", "hostname", "user", "working_dir",
    "tty", "init", "restart_policy", "resources", "healthcheck", "labels", "cap_add", "cap_drop", "read_only",
    "privileged",
)  # fmt: skip
KEEPING = ("environment", "secrets", "labels")
_ANY_IMAGE = f"sha256:{'0' * 64}"


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """``given`` are the fields of ``spec`` that count, ``limits`` those of its resources; ``kept``: field → names."""

    spec: ContainerSpec
    given: frozenset[str]
    limits: frozenset[str] = frozenset()
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: object) -> Self:
        """From any part of the run body but image, name, pull, start and auto_remove; raises `SpecError`."""
        if not isinstance(data, Mapping):
            raise SpecError({"": [gettext("An object with parts of the run body is expected.")]})
        unknown = [str(key)[:64] for key in data if key not in FIELDS]
        if unknown:
            raise SpecError({key: [gettext("This cannot be changed here.")] for key in unknown})
        body, kept = {**data, "image": _ANY_IMAGE}, {}
        for key in KEEPING:
            if isinstance(data.get(key), Mapping):
                kept[key] = tuple(str(name) for name, value in data[key].items() if value is None)
                body[key] = {name: value for name, value in data[key].items() if value is not None}
        limits = data.get("resources")
        spec = ContainerSpec.parse(body)
        return cls(spec, frozenset(data), frozenset(limits if isinstance(limits, Mapping) else ()), kept)
