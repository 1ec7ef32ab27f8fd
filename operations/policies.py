"""Guard rails from their rows: which hold for whom, what they refuse and who says so, and how they are changed.

`engine.guard` judges; here is what it judges by. Every change that reaches an engine passes `check` when it is asked
for and again when it is carried out, so that rails which were tightened meanwhile hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, Denied, rank, require
from accounts.models import Team
from accounts.permissions import SITE
from accounts.querysets import team_ids
from engine import guard, rails
from engine.guard import Violation
from engine.rails import Rails
from engine.specs import ContainerSpec, SpecError
from engine.types import Reach
from operations import quotas
from operations.policy import Policy, PolicyException
from operations.services import Target, denials

WHO = "a site administrator can change them, or make an exception"
LONGEST = timedelta(days=366)
"""An exception ends some day."""
LONGEST_OWN = timedelta(days=1)
"""The same for one that opens a container of Slipway's own."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said for a team: the site's row, the team's, and the rails that come of both."""

    site: Policy | None
    team: Policy | None
    site_rails: Rails
    rails: Rails

    def source(self, found: Violation, again: list[Violation]) -> str:
        """Who forbids it: ``again`` is what the site's rails alone do not allow."""
        site = any((one.rule, one.field) == (found.rule, found.field) for one in again)
        return "site" if site or self.team is None else "team"


def said(team_id: UUID | None) -> Said:
    """What holds for things of this team, or of nobody. One query."""
    rows = {
        row.team_id: row
        for row in Policy.objects.filter(Q(team=None) | Q(team=team_id)).select_related("team")
    }
    return _said(rows, team_id)


def of_teams(teams: list[UUID | None]) -> dict[UUID | None, Said]:
    """The same for many, in one query."""
    rows = {row.team_id: row for row in Policy.objects.select_related("team")}
    return {team_id: _said(rows, team_id) for team_id in teams}


def _said(rows: Mapping[UUID | None, Policy], team_id: UUID | None) -> Said:
    site, team = rows.get(None), rows.get(team_id) if team_id else None
    wide = rails.of(site.rules if site else {}, Rails(pool=tuple(settings.NETWORK_POOL)))
    return Said(site, team, wide, rails.within(wide, team.rules) if team else wide)


def check(spec: guard.Spec, *, actor: Actor, team_id: UUID | None, name: str = "") -> None:
    """Raises `PolicyDenied` with the rule, where it comes from and who can change it. ``name`` is for exceptions."""
    told = said(team_id)
    if _holds(told, actor, team_id):
        name = name or str(getattr(spec, "name", "") or "")
        _refuse(
            guard.violations(spec, told.rails), guard.violations(spec, told.site_rails), told, team_id, name
        )


def check_again(reach: Reach, *, actor: Actor, team_id: UUID | None, name: str) -> None:
    """The same for a container that exists and is to be made anew."""
    told = said(team_id)
    if _holds(told, actor, team_id):
        _refuse(
            guard.of_reach(reach, told.rails), guard.of_reach(reach, told.site_rails), told, team_id, name
        )


def check_image(image: str, *, actor: Actor, team_id: UUID | None, field: str = "reference") -> None:
    """The same for an image that is to be pulled."""
    told = said(team_id)
    if _holds(told, actor, team_id):
        found = guard.of_image(image, told.rails, field)
        _refuse(found, guard.of_image(image, told.site_rails, field), told, team_id, image)


def check_by(
    judge: Callable[[Rails], list[Violation]],
    *,
    actor: Actor,
    team_id: UUID | None,
    name: str,
    also: tuple[str, ...] = (),
) -> None:
    """The same for anything that ``judge`` can tell the violations of. ``also``: other names that an exception may
    have.
    """
    told = said(team_id)
    if _holds(told, actor, team_id):
        found = judge(told.rails)
        _refuse(found, judge(told.site_rails) if found else [], told, team_id, name, *also)


def binding(actor: Actor, team_id: UUID | None) -> Rails:
    """The rails that this actor has to keep to with things of this team; the usual ones for who keeps to none."""
    told = said(team_id)
    return told.rails if _holds(told, actor, team_id) else Rails()


def with_defaults(spec: ContainerSpec, *, team_id: UUID | None) -> ContainerSpec:
    """The wish with what a new container gets where it says nothing."""
    return rails.with_defaults(spec, said(team_id).rails)


def guard_level(actor: Actor, team_id: UUID | None) -> str:
    """How far the guard rails trust this actor with things of this team."""
    return guard.SITE if rank(actor, team_id) >= SITE else guard.TEAM


def _holds(told: Said, actor: Actor, team_id: UUID | None) -> bool:
    return guard_level(actor, team_id) != guard.SITE or bool(told.site and told.site.binds_site)


def _refuse(
    found: list[Violation], again: list[Violation], told: Said, team_id: UUID | None, *names: str
) -> None:
    if not found:
        return
    free = set(exceptions(team_id, *names).values_list("rule", flat=True))
    left = [one for one in found if one.rule not in free]
    if not left:
        return
    source = told.source(left[0], again)
    where = f"team {told.team.team.slug}" if source == "team" and told.team and told.team.team else "site"
    whose = "The site's guard rails" if source == "site" else "The guard rails of the team"
    why = f"{whose} say so ({left[0].rule}); {WHO}."
    explained = [Violation(one.rule, one.field, f"{one.message} {why}") for one in left[:1]] + left[1:]
    guard.refuse(explained, source=where, change=f"{WHO[0].upper()}{WHO[1:]}.")


# Rows


def exceptions(team_id: UUID | None, *names: str) -> QuerySet[PolicyException]:
    """Those that hold now for something of one of these names."""
    wanted = [name for name in names if name]
    return PolicyException.objects.filter(team=team_id, name__in=wanted, expires_at__gt=timezone.now())


def visible_exceptions(actor: Actor) -> QuerySet[PolicyException]:
    """Those of the reader's teams; all of them for site administrators."""
    rows = PolicyException.objects.select_related("team")
    if actor.is_site_admin and actor.token_team_id is None:
        return rows
    return rows.filter(team__in=team_ids(actor, PolicyException.read_permission))


def begin(**_: Any) -> None:
    """A new site begins with the limits that break nothing; one that is there already stays as it is."""
    Policy.objects.get_or_create(team=None, defaults={"rules": dict(rails.FROM_THE_START)})


def change(
    team: Team | None,
    *,
    actor: Actor,
    rules: Mapping[str, Any] | None = None,
    quota: Mapping[str, Any] | None = None,
    binds_site: bool | None = None,
) -> Policy:
    """Says what holds for a team or (``None``) the site; what is ``None`` stays. Raises `Denied` or `SpecError`."""
    target = Target("policy", str(team.pk) if team else "", team.name if team else "The whole site")
    team_id = team.pk if team else None
    with denials("policy.manage", actor=actor, target=target, team_id=team_id):
        require(actor, "policy.manage", team)
    new: dict[str, Any] = {}
    if rules is not None:
        new["rules"] = rails.parse(rules)
        _sensible(rails.of(new["rules"]))
    if quota is not None:
        new["quota"] = quotas.parse(quota)
    if binds_site is not None:
        if team:
            raise SpecError({"binds_site": [_("Only the site says this.")]})
        new["binds_site"] = binds_site
    with transaction.atomic():
        row, _made = Policy.objects.select_for_update().get_or_create(team=team)
        was = {key: getattr(row, key) for key in new}
        for key, value in new.items():
            setattr(row, key, value)
        row.changed_at, row.changed_by = timezone.now(), actor.name
        row.save()
        audit.record(
            "policy.manage", actor, target_type="policy", target_id=str(row.pk), target_name=target.name,
            team_id=team_id, detail={"was": was, "now": new},
        )  # fmt: skip
    return row


def _sensible(found: Rails) -> None:
    if found.lowest_port > found.highest_port:
        raise SpecError(
            {
                "highest_port": [
                    _("This is below the lowest one, %(lowest_port)s.") % {"lowest_port": found.lowest_port}
                ]
            }
        )


def allow(
    team: Team | None, *, actor: Actor, rule: str, name: str, reason: str, expires_at: datetime
) -> PolicyException:
    """Lets something of this name break a rule until then. Raises `Denied` or `SpecError`; audited."""
    target, team_id = Target("policy", "", f"{rule} for {name}"), team.pk if team else None
    with denials("policy.except", actor=actor, target=target, team_id=team_id):
        require(actor, "policy.except", team)
        if rule == guard.OWN and actor.token_key:
            raise Denied(
                _("Slipway's own containers are opened by a person who has just confirmed who they are.")
            )
    errors: dict[str, list[str]] = {}
    if rule not in guard.RULES:
        errors["rule"] = [_("Not a rule.")]
    if not name.strip():
        errors["name"] = [_("Whose exception is it? The name of a container, volume or network is expected.")]
    if not reason.strip():
        errors["reason"] = [_("Say why, for whoever reads it later.")]
    if not timezone.now() < expires_at <= timezone.now() + LONGEST:
        errors["expires_at"] = [_("A time within the next year is expected.")]
    elif rule == guard.OWN and expires_at > timezone.now() + LONGEST_OWN:
        errors["expires_at"] = [_("Slipway's own containers are opened for a day at most.")]
    if errors:
        raise SpecError(errors)
    with transaction.atomic():
        row = PolicyException.objects.create(
            team=team, rule=rule, name=name.strip(), reason=reason.strip(), expires_at=expires_at,
            created_by=actor.user, actor_name=actor.name,
        )  # fmt: skip
        detail = {"rule": rule, "reason": row.reason, "expires_at": expires_at.isoformat()}
        audit.record(
            "policy.except", actor, target_type="policy", target_id=str(row.pk), target_name=target.name,
            team_id=team_id, detail=detail,
        )  # fmt: skip
    return row


def end(row: PolicyException, *, actor: Actor) -> None:
    """An exception ends now. Raises `Denied`; audited."""
    require(actor, "policy.except", row.team)
    with transaction.atomic():
        audit.record(
            "policy.except", actor, target_type="policy", target_id=str(row.pk), target_name=str(row),
            team_id=row.team_id, detail={"ended": row.reason},
        )  # fmt: skip
        PolicyException.objects.filter(pk=row.pk).update(expires_at=timezone.now())


def shown(found: Rails) -> dict[str, Any]:
    """Rails as JSON: every field, lists in the place of tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(found).items()}
