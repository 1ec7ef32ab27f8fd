"""What is typed into the form that runs a container, and the run body: sizes, rows, words, both ways. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

_UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*([bkmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_PLAIN_FIELDS = (
    "image", "name", "pull", "hostname", "user", "working_dir", "tty", "init", "read_only", "auto_remove",
    "privileged", "start",
)  # fmt: skip
CHECK_TIMES = {"interval": "health_interval", "timeout": "health_timeout", "retries": "health_retries",
               "start_period": "health_start"}  # fmt: skip
"""Where the numbers of a health check are typed."""


@dataclass(slots=True)
class Line:
    """One row as typed, the ``at``-th of its kind, with its messages by column. ``fix``: a value that would do."""

    values: dict[str, Any]
    at: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    fix: str = ""

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def empty(self) -> bool:
        """Whether nothing was typed that matters."""
        return not any(
            str(self.values.get(key) or "").strip()
            for key in ("host", "container", "name", "value", "source", "target")
        )

    @property
    def words(self) -> str:
        """All that is wrong with it."""
        return " ".join(self.errors.values())


# From a body


def typed(body: Mapping[str, Any]) -> dict[str, Any]:
    """What the form begins with, so that it says this body: fields by name, and rows under ``ports``, ``envs``…"""
    found: dict[str, Any] = {key: body[key] for key in _PLAIN_FIELDS if body.get(key) is not None}
    for key in ("command", "entrypoint"):
        found[key] = shlex.join(body.get(key) or ())
    for key in ("cap_add", "cap_drop"):
        found[key] = " ".join(body.get(key) or ())
    policy, limits = body.get("restart_policy") or {}, body.get("resources") or {}
    found |= {"restart": policy.get("name", "no"), "retries": policy.get("max_retries") or None}
    found |= {"cpus": limits.get("cpus") or None, "pids": limits.get("pids") or None}
    found["memory"] = megabytes(int(limits.get("memory") or 0))
    found |= _typed_check(body.get("healthcheck") or {})
    secrets = body.get("secrets") or {}
    found["networks"] = [{"name": name} for name in body.get("networks") or ()]
    found["ports"] = [_typed_port(port) for port in body.get("ports") or ()]
    found["envs"] = [
        {"name": name, "value": value, "secret": name in secrets, "kept": ""}
        for name, value in {**(body.get("environment") or {}), **secrets}.items()
    ]
    found["mounts"] = [
        {
            "type": mount.get("type", "volume"),
            "source": mount.get("source", ""),
            "target": mount.get("target", ""),
            "read_only": bool(mount.get("read_only")),
        }
        for mount in body.get("mounts") or ()
    ]
    found["labels"] = [{"name": name, "value": value} for name, value in (body.get("labels") or {}).items()]
    return found


def _typed_check(check: Mapping[str, Any]) -> dict[str, Any]:
    test = list(check.get("test") or ())
    if not test or test[0] == "NONE":
        return {"health_none": bool(test)}
    found = {name: f"{check[key]:g}" for key, name in CHECK_TIMES.items() if check.get(key) is not None}
    return {**found, "health_command": test[1] if test[0] == "CMD-SHELL" else shlex.join(test[1:])}


def _typed_port(port: Mapping[str, Any]) -> dict[str, Any]:
    host, address = port.get("host") or "", str(port.get("host_ip") or "")
    if address and address not in ("0.0.0.0", "::"):  # noqa: S104 - nothing is bound here
        host = f"[{address}]:{host}" if ":" in address else f"{address}:{host}"
    return {"host": str(host), "container": port.get("container"), "protocol": port.get("protocol", "tcp")}


# To a body


def port(line: Line) -> dict[str, Any]:
    """A row of ports as an entry of the body."""
    found: dict[str, Any] = {"protocol": line.protocol or "tcp"}
    if str(line.container).strip():
        found["container"] = number(line.container)
    address, colon, host = str(line.host).strip().rpartition(":")
    if host:
        found["host"] = number(host)
    if colon:
        found["host_ip"] = address.strip("[]")
    return found


def mount(line: Line) -> dict[str, Any]:
    """A row of mounts as an entry of the body."""
    found = {"type": line.type or "volume", "target": line.target.strip(), "read_only": bool(line.read_only)}
    return found if found["type"] == "tmpfs" else {**found, "source": line.source.strip()}


def check(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The health check, ``None`` for that of the image."""
    if said.get("health_none"):
        return {"test": ["NONE"]}
    command = (said.get("health_command") or "").strip()
    if not command:
        return None
    times = {key: said.get(name) for key, name in CHECK_TIMES.items()}
    return {
        "test": ["CMD-SHELL", command],
        **{key: value for key, value in times.items() if value is not None},
    }


def number(value: Any) -> Any:
    """A number where one was typed; else what was typed, which the parser then refuses in its own words."""
    text = str(value).strip()
    return int(text) if re.fullmatch(r"\d{1,9}", text) else text


def words(value: str) -> list[str]:
    """Names between spaces and commas."""
    return [word for word in re.split(r"[\s,]+", value) if word]


def bytes_of(value: str) -> int:
    """``512`` is MB; ``1.5g``, ``64k`` and ``1000b`` say their unit; nothing is 0. Raises `ValidationError`."""
    if not value.strip():
        return 0
    found = _SIZE.fullmatch(value.strip())
    if not found:
        raise ValidationError("A size is expected, such as 512 (MB) or 1.5g.")
    return int(float(found[1].replace(",", ".")) * _UNITS[found[2].lower() or "m"])


def megabytes(size: int) -> str:
    """The same back: ``512`` where whole, else with its unit; empty for 0."""
    return "" if not size else f"{size // 1024**2}" if size % 1024**2 == 0 else f"{size}b"
