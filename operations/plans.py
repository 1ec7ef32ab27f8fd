"""What a change would do, before anybody agrees: what is made, changed and stopped, what goes for good, who is
affected, what stays, and what could not be told. The same plan for dialogs and for ``?dry_run=1``.

`preview` walks the very way of the change itself (parsing, rights, guard rails, locks) up to where it would be
accepted, so that a plan and the change cannot disagree on what is refused. Each kind then says by its ``plan`` what it
would do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.access import Actor
from engine.errors import EngineError, Invalid, PolicyDenied, SelfProtected
from engine.specs import SpecError
from operations import registry, trash
from operations.models import Operation
from operations.previews import Previewed, previewing
from operations.retold import inside
from operations.services import Refused


@dataclass(frozen=True, slots=True)
class Item:
    """One line: what, some words on it, more that steps back, bytes (``None``: not counted), and what one can do.

    ``tick`` is the name of a choice, with its words, and what the button says once it is taken.
    """

    what: str
    text: str = ""
    more: str = ""
    size: int | None = None
    mono: bool = False
    link: str = ""
    link_text: str = ""
    tick: str = ""
    tick_text: str = ""
    wording: str = ""

    @property
    def detail(self) -> str:
        """All its words in one line."""
        return ", ".join(filter(None, (self.text, self.more)))


@dataclass(slots=True)
class Plan:
    """What would happen. ``lead`` says how it is now, ``blocked`` why it cannot be done, ``needs_yes`` what to tick.

    ``force``: it has to be ended by force. ``frees``: bytes on the engine, at once or when the trash is purged.
    ``undo_hours``: how long it can be taken back, 0 where it cannot, with the reason in ``no_undo``.
    """

    lead: str = ""
    button: str = ""
    force: bool = False
    blocked: str = ""
    needs_yes: str = ""
    frees: int = 0
    undo_hours: float = 0
    no_undo: str = ""
    made: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    stopped: list[Item] = field(default_factory=list)
    lost: list[Item] = field(default_factory=list)
    affected: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: dict[str, Any] | None = None
    kind: str = ""
    joins: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The plan as REST shows it."""
        lists = ("made", "changed", "stopped", "lost", "affected", "kept")
        found: dict[str, Any] = {
            "kind": self.kind,
            "summary": self.lead,
            "would_run": not (self.refused or self.blocked),
        }
        for name in lists:
            items: list[Item] = getattr(self, name)
            found[name] = [{"what": one.what, "detail": one.detail, "size": one.size} for one in items]
        found |= {
            "unknown": self.unknown,
            "frees": self.frees,
            "undo_hours": self.undo_hours,
            "no_undo": self.no_undo,
        }
        refused = self.refused or ({"code": "conflict", "message": self.blocked} if self.blocked else None)
        return {**found, "refused": refused, "joins": self.joins or None}


def preview(ask: Callable[[], Operation], *, actor: Actor) -> Plan:
    """The plan of the change that ``ask`` asks for; nothing is written and nothing happens.

    Raises as ``ask`` does for what is not valid (`SpecError`) and for missing rights; what a guard rail or the state of
    things would refuse is part of the plan.
    """
    try:
        with previewing():
            operation = ask()
    except SpecError:
        raise
    except (Previewed, Refused, PolicyDenied, SelfProtected, Invalid) as error:
        return told(error, actor)
    plan = planned(operation, actor)
    plan.joins = str(operation.pk)
    return plan


def told(found: Exception, actor: Actor) -> Plan:
    """The plan that the end of a preview stands for: accepted, or refused with its reason."""
    if isinstance(found, Previewed):
        return planned(found.operation, actor)
    if isinstance(found, Refused):
        return Plan(refused={"code": found.code, "message": found.message, **found.details})
    details = found.details if isinstance(found, EngineError) else {}
    code = found.code if isinstance(found, EngineError) else "conflict"
    plain = {key: value for key, value in details.items() if isinstance(value, str)}
    return Plan(refused={"code": code, "message": str(found), **plain})


def planned(operation: Operation, actor: Actor) -> Plan:
    """What this operation, saved or not, would do."""
    kind = registry.get(operation.kind)
    plan = kind.plan(operation, actor) if kind.plan else _plain(operation, kind)
    plan.kind = operation.kind
    return plan


def _plain(operation: Operation, kind: registry.Kind) -> Plan:
    """For changes that lose nothing and touch nobody else."""
    return Plan(changed=[Item(operation.target_name, inside(translation.gettext(kind.label)))])


def undo(plan: Plan, *, forever: bool = False, no_undo: str = "") -> None:
    """Says whether, and how long, it can be taken back."""
    plan.no_undo = no_undo or (
        "" if trash.hours() else _("Removals are for good here (SLIPWAY_UNDO_HOURS is 0).")
    )
    if forever:
        plan.no_undo = plan.no_undo or _("It was asked for to be for good.")
    plan.undo_hours = 0 if plan.no_undo else trash.hours()


def count(number: int, one: str, many: str = "") -> str:
    """``1 tag``, ``3 tags``."""
    return f"{number} {translation.ngettext(one, many or one + 's', number)}"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return _(" and ").join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
