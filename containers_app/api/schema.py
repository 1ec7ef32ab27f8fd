"""The run body, as the OpenAPI document shows it. What is accepted is decided in `engine.parsing` alone."""

from __future__ import annotations

from typing import Any


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": list(required)} if required else {})


TEXT = {"type": "string"}
MAYBE_TEXT = {"type": ["string", "null"]}
FLAG = {"type": "boolean", "default": False}
NUMBER = {"type": "integer"}
MAP = {"type": "object", "additionalProperties": TEXT}
ARGUMENTS = {"type": ["array", "null"], "items": TEXT}

RUN: dict[str, Any] = _object(
    ("image",),
    engine={"type": "string", "format": "uuid", "description": "May be left out where there is one."},
    team={"type": "string", "description": "A team's slug; may be left out by members of one team."},
    name=MAYBE_TEXT,
    image={"type": "string", "examples": ["nginx:1.27"]},
    pull={"type": "string", "enum": ["missing", "always", "never"], "default": "missing"},
    command=ARGUMENTS,
    entrypoint=ARGUMENTS,
    environment=MAP,
    secrets={**MAP, "description": "As `environment`; never shown again."},
    ports=_list(
        _object(
            ("container",),
            container=NUMBER,
            protocol={"type": "string", "enum": ["tcp", "udp", "sctp"], "default": "tcp"},
            host={"type": ["integer", "null"]},
            host_ip=TEXT,
        )
    ),
    mounts=_list(
        _object(
            ("target",),
            type={"type": "string", "enum": ["volume", "bind", "tmpfs"], "default": "volume"},
            source=TEXT,
            target=TEXT,
            read_only=FLAG,
        )
    ),
    networks=_list(TEXT),
    hostname=MAYBE_TEXT,
    user=MAYBE_TEXT,
    working_dir=MAYBE_TEXT,
    tty=FLAG,
    init=FLAG,
    no_new_privileges=FLAG,
    restart_policy=_object(
        name={"type": "string", "enum": ["no", "always", "on-failure", "unless-stopped"]}, max_retries=NUMBER
    ),
    resources=_object(
        memory={"type": "integer", "description": "Bytes."},
        cpus={"type": "number", "description": "Cores."},
        pids=NUMBER,
    ),
    healthcheck={
        **_object(
            ("test",),
            test=_list(TEXT),
            interval={"type": "number"},
            timeout={"type": "number"},
            retries=NUMBER,
            start_period={"type": "number"},
        ),
        "type": ["object", "null"],
    },
    labels=MAP,
    cap_add=_list(TEXT),
    cap_drop=_list(TEXT),
    read_only=FLAG,
    privileged=FLAG,
    auto_remove=FLAG,
    start={"type": "boolean", "default": True},
)

PARSED: dict[str, Any] = {
    **RUN,
    "properties": {
        **RUN["properties"],
        "unmapped": {**_list(TEXT), "description": "Flags that a run body cannot say, word for word."},
    },
    "required": ["image", "unmapped"],
}

_RESTART = RUN["properties"]["restart_policy"]
_LIMITS: dict[str, Any] = {
    "memory": {
        "type": ["integer", "null"],
        "description": "Bytes. One that is there can be changed, not taken away.",
    },
    "cpus": {
        "type": ["number", "null"],
        "description": "Cores. One that is there can be changed, not taken away.",
    },
    "pids": {"type": ["integer", "null"], "description": "Processes; 0 or null for no limit."},
}
UPDATE: dict[str, Any] = _object(
    restart_policy={**_RESTART, "required": ["name"]}, resources=_object(**_LIMITS)
)
