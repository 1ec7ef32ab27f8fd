"""The same change of several containers: one operation each, and one refusal holds up no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404

from accounts.access import Actor, Denied
from containers_app import operations
from containers_app.models import Container
from containers_app.needs import Need
from engine.errors import EngineError
from operations.batches import Batch
from operations.models import Operation
from operations.previews import Previewed
from operations.services import Refused

Refusal = Denied | Refused | EngineError | Http404


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one: an operation, the operation that it would be (``?dry_run=1``), or why not."""

    container: Container
    operation: Operation | None = None
    previewed: Previewed | None = None
    refused: Refusal | None = None


def ask_one(container: Container, action: str, *, actor: Actor, **options: Any) -> Answer:
    """Asks for it; ``options`` are those of `operations.request`."""
    try:
        return Answer(container, operations.request(container, action, actor=actor, **options))
    except Previewed as found:
        return Answer(container, previewed=found)
    except (Denied, Refused, EngineError, Http404) as error:
        return Answer(container, refused=error)


def ask_in_steps(
    steps: Iterable[Sequence[Container]],
    action: str,
    *,
    actor: Actor,
    params: Mapping[str, Any] | None = None,
    needs: Mapping[Any, Sequence[Need]] | None = None,
    key: str = "",
    paced: bool = True,
) -> list[Answer]:
    """Asks for all; those of a step wait until those before have ended. In the order in which they come about.

    ``needs``: what each waits for besides, by the id of its row. ``paced``: see `operations.request`.
    """
    batch, answers = Batch(), []
    for number, rows in enumerate(steps):
        batch.step = number
        for row in rows:
            own = f"{key[:160]}:{row.pk}" if key else ""
            waits = (needs or {}).get(row.pk, ())
            answers.append(
                ask_one(
                    row,
                    action,
                    actor=actor,
                    params=params,
                    idempotency_key=own,
                    batch=batch,
                    needs=waits,
                    paced=paced,
                )
            )
    return answers
