"""Rights as a filter: every read starts from ``visible_to(actor, queryset)``."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from accounts.access import Actor, has, rank
from accounts.models import AuditEntry, Team
from accounts.permissions import ADMIN

M = TypeVar("M", bound=Model)


def visible_to(actor: Actor, queryset: QuerySet[M], team: str = "team") -> QuerySet[M]:
    """Only the rows that this actor may know of.

    ``team`` is the path to the owning team. Rows that nobody owns are for site administrators alone. What a kind of
    rows is seen by stands at its model, or at the one on the path that it is a part of, as ``read_permission``: not
    every permission set of a team sees all of it.
    """
    if actor.source == "system" and actor.user is None:
        return queryset
    if actor.is_site_admin and actor.token_team_id is None:
        return queryset
    ids = team_ids(actor, _read_permission(queryset.model, team))
    return queryset.filter(**{f"{team}__in": ids}) if ids else queryset.none()


def foreign_to(actor: Actor, queryset: QuerySet[M], team_id: Any) -> QuerySet[M]:
    """Those of another team than this one that the actor may not know of. Nobody's are not among them, nor are the
    team's own, whatever its members may look at.
    """
    others = queryset.exclude(team=None)
    if team_id is not None:
        others = others.exclude(team=team_id)
    return others.exclude(pk__in=visible_to(actor, others).values("pk"))


def _read_permission(model: Any, path: str) -> str:
    for name in path.split("__"):
        if found := getattr(model, "read_permission", ""):
            return str(found)
        model = model._meta.get_field(name).related_model
    raise TypeError(f"Nothing on {path} says by what it is seen.")


def team_ids(actor: Actor, permission: str = "team.read") -> list[Any]:
    """Ids of the teams in which this actor may see that; all that they are in, where nothing is named."""
    if actor.user is None or not actor.user.is_active:
        return []
    if actor.is_site_admin:
        ids = set(Team.objects.values_list("pk", flat=True))
    else:
        ids = {m.team_id for m in actor.user.memberships.all() if has(m, permission)}
    if actor.token_team_id is not None:
        ids &= {actor.token_team_id}
    return list(ids)


def visible_teams(actor: Actor) -> QuerySet[Team]:
    """The actor's own teams; all of them for site administrators."""
    if actor.is_site_admin and actor.token_team_id is None:
        return Team.objects.all()
    return Team.objects.filter(pk__in=team_ids(actor))


def teams_where(actor: Actor, permission: str) -> QuerySet[Team]:
    """Those in which this actor may that; all of them for site administrators."""
    if actor.is_site_admin and actor.token_team_id is None:
        return Team.objects.all()
    return Team.objects.filter(pk__in=team_ids(actor, permission))


def only_team(actor: Actor) -> Team | None:
    """The team of somebody who is a member of exactly one: what they make is its unless they say otherwise."""
    if actor.user is None:
        return None
    own = [m.team_id for m in actor.user.memberships.all()]
    if actor.token_team_id is not None:
        own = [pk for pk in own if pk == actor.token_team_id]
    return Team.objects.get(pk=own[0]) if len(own) == 1 else None


def visible_entries(actor: Actor) -> QuerySet[AuditEntry]:
    """The audit trail: all of it for site administrators, a team's for its admins, else what one did oneself."""
    entries = AuditEntry.objects.all()
    if actor.user is None or not actor.user.is_active:
        return entries.none()
    if actor.is_site_admin and actor.token_team_id is None:
        return entries
    led = [pk for pk in team_ids(actor) if rank(actor, pk) >= ADMIN]
    own = (
        Q(actor=actor.user)
        if actor.token_team_id is None
        else Q(actor=actor.user, team_id=actor.token_team_id)
    )
    return entries.filter(own | Q(team_id__in=led))
