"""What incidents have to say to other systems: from the rows that pages show, in the transaction that writes those."""

from __future__ import annotations

from typing import Any

from containers_app import exits
from containers_app.models import Container, Incident
from engine.docker_text import mask
from operations import outbox
from operations.models import Operation

CRASH_LOOP = 5
"""So many ends that are alike are called a crash loop."""


def ended(group: Incident, container: Container | None, *, told: bool = False) -> None:
    """One more end that is a fault. ``told``: that it ran out of memory was said a moment ago."""
    if group.oom and not told:
        _tell(
            group, container, "container.oom", f"{group.name} ran out of memory and ended", mask(group.error)
        )
    elif not group.oom:
        words = f"{group.name} ended with {_code(group)}"
        _tell(group, container, "container.exited", words, mask(group.error) or _meaning(group))
    if group.count == CRASH_LOOP:
        words = f"{group.name} is in a crash loop"
        _tell(
            group,
            container,
            "container.crash_loop",
            words,
            f"{_code(group)}, {group.count} times in a row",
            key="loop",
        )


def out_of_memory(group: Incident, container: Container) -> None:
    """The kernel has ended a process inside for want of memory; the container may go on."""
    _tell(
        group,
        container,
        "container.oom",
        f"{group.name} ran out of memory",
        "The kernel has ended a process in it.",
    )


def unhealthy(group: Incident, container: Container) -> None:
    """Its checks have begun to fail."""
    _tell(group, container, "container.unhealthy", f"{group.name} is unhealthy", mask(group.error))


def cared_for(container: Container, operation: Operation, title: str, because: str) -> None:
    """Slipway has asked for something by itself."""
    outbox.tell(outbox.Told(
        event="policy.run", key=f"policy:{operation.pk}", type="container", id=str(container.pk), name=container.name,
        engine=container.engine, team_id=container.team_id, title=title, text=because, kind=operation.kind,
        path=f"/operations/{operation.pk}/", facts={"operation": str(operation.pk)},
    ))  # fmt: skip


def _tell(
    group: Incident, container: Container | None, event: str, title: str, text: str, *, key: str = ""
) -> None:
    """Of whose it is today: an incident goes on to count where a container is given to another team."""
    owner = container or group
    facts: dict[str, Any] = {"incident": str(group.pk), "times": group.count}
    if group.kind != Incident.Kind.HEALTH:
        facts |= {"exit_code": group.exit_code, "oom": group.oom}
    outbox.tell(outbox.Told(
        event=event, key=f"incident:{group.pk}:{key or group.count}", type="container",
        id=str(group.container_id or group.native_id), name=group.name, engine=group.engine, team_id=owner.team_id,
        title=title, text=text, facts=facts,
        path=f"/containers/{group.container_id}/history/" if group.container_id else "",
    ))  # fmt: skip


def _code(group: Incident) -> str:
    return f"exit code {group.exit_code}" if group.exit_code is not None else "an unknown exit code"


def _meaning(group: Incident) -> str:
    words = exits.in_words(group.exit_code)
    return f"{words[0].upper()}{words[1:]}."
