"""How an operation ends, and that it ends once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.access import SYSTEM
from engine import errors
from operations import batches, events, leases, outbox, registry, services
from operations.context import LeaseLost
from operations.models import Operation, TrashItem


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    state: str
    result: Mapping[str, Any] | None = None
    code: str = ""
    message: str = ""


def failed(error: errors.EngineError) -> Outcome:
    """With what the engine or its client said."""
    return Outcome("failed", code=error.code, message=error.message)


def cancelled(message: str) -> Outcome:
    """Before it was done."""
    return Outcome("cancelled", code="cancelled", message=message)


def finish(operation: Operation, held: leases.Hold, outcome: Outcome) -> None:
    """Ends it, once: state, result, audit line and event in one transaction, if it is still ours to end."""
    result = dict(outcome.result) if outcome.result else None
    ended = {
        "state": outcome.state,
        "result": result,
        "error_code": outcome.code,
        "error_message": outcome.message,
        "finished_at": timezone.now(),
        "lease_until": None,
        "lease_owner": "",
        "sealed": "",
    }
    if not operation.target_id and result and operation.target_type in result:
        operation.target_id = ended["target_id"] = str(result[operation.target_type])
    with transaction.atomic():
        if not leases.mine(held).update(**ended):
            raise LeaseLost
        if outcome.state != "succeeded":
            # What it had begun to put aside is not in the trash, and never will be.
            TrashItem.objects.filter(operation=operation, state=TrashItem.State.GOING).delete()
        operation.state = outcome.state
        story = {"state": outcome.state, "code": outcome.code, "message": outcome.message, "result": result}
        events.append(operation, [("state", {key: value for key, value in story.items() if value})])
        if outcome.state == "failed":
            _tell(operation, outcome)
        elif outcome.state == "succeeded" and operation.params.get("policy"):
            _tell_of_policy(operation)
        audit.record(
            operation.kind,
            services.actor_of(operation) or SYSTEM,
            outcome=outcome.state,
            name=operation.actor_name,
            target_type=operation.target_type,
            target_id=operation.target_id,
            target_name=operation.target_name,
            team_id=operation.team_id,
            operation_id=operation.pk,
            detail={"code": outcome.code, "message": outcome.message} if outcome.code else None,
        )
        events.ring(operation, state=True)
        batches.go_on(operation, services.dispatch)


def _tell(operation: Operation, outcome: Outcome) -> None:
    try:
        label = registry.get(operation.kind).label
    except LookupError:
        label = operation.kind
    name = operation.target_name
    outbox.tell(outbox.Told(
        event="backup.failed" if operation.kind == "volume.backup" else "operation.failed",
        key=f"operation:{operation.pk}", type=operation.target_type, id=operation.target_id or name, name=name,
        engine=operation.engine, team_id=operation.team_id, title=f"{label} {name} failed", text=outcome.message,
        path=f"/operations/{operation.pk}/", kind=operation.kind,
        facts={"operation": str(operation.pk), "kind": operation.kind, "code": outcome.code,
               "actor": operation.actor_name},
    ))  # fmt: skip


def _tell_of_policy(operation: Operation) -> None:
    """A policy has had this done; ``params`` hold its name."""
    name = str(operation.params["policy"])
    outbox.tell(
        outbox.Told(
            event="policy.run", key=f"policy:{operation.pk}", type="engine", id=str(operation.engine_id), name=name,
            engine=operation.engine, team_id=operation.team_id, kind=operation.kind,
            title=f"The policy {name} has run on {operation.engine.name}", path=f"/operations/{operation.pk}/",
            facts={"operation": str(operation.pk), "kind": operation.kind, "result": _sums(operation.result)},
        )
    )  # fmt: skip


def _sums(result: Any) -> dict[str, Any]:
    """The numbers of a result, without its lists: what they name may be others'."""
    return {key: value for key, value in (result or {}).items() if isinstance(value, int | float | bool)}
