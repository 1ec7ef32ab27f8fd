"""A team is deleted: what it has goes to another team or becomes nobody's, and the rest goes with it.

Rows of ours alone, and nothing on an engine: containers go on running. The audit trail keeps what happened in it, under
the name that it had. For site administrators.
"""

from __future__ import annotations

from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.access import Actor, require
from accounts.models import Team
from containers_app import owning
from operations.models import Operation
from operations.plans import Item, Plan
from operations.services import Refused, Target, denials

PERMISSION = "team.manage"
THINGS = {
    "container": gettext_lazy("Containers"), "volume": gettext_lazy("Volumes"),
    "network": gettext_lazy("Networks"), "image": gettext_lazy("Images"),
}  # fmt: skip
# Other rows of a team, by their model; what the database does with them stands at the model.
REST = {
    "membership": gettext_lazy("Members, whose accounts stay"),
    "permissionset": gettext_lazy("Permission sets"),
    "groupmapping": gettext_lazy("Mappings of groups of single sign-on"),
    "apitoken": gettext_lazy("Tokens of the team"),
    "registry": gettext_lazy("Registries that it keeps, with their credentials"),
    "variable": gettext_lazy("Variables"),
    "channel": gettext_lazy("Places that messages go to"),
    "mute": gettext_lazy("Mutes"),
    "policy": gettext_lazy("Guard rails and quotas"),
    "policyexception": gettext_lazy("Exceptions from guard rails"),
    "carerule": gettext_lazy("Rules of care"),
    "logrule": gettext_lazy("Rules of kept logs"),
    "deployhook": gettext_lazy("Addresses that redeploy a container or a stack"),
    "operation": gettext_lazy("Past operations"),
    "trashitem": gettext_lazy("Things in the trash"),
    "build": gettext_lazy("Builds"),
    "backupschedule": gettext_lazy("Schedules of backups"),
    "volumebackup": gettext_lazy("Backups"),
    "keptlog": gettext_lazy("Kept logs"),
    "consolesession": gettext_lazy("Past consoles"),
    "engineevent": gettext_lazy("Past events"),
    "incident": gettext_lazy("Past incidents"),
    "setup": gettext_lazy("Earlier set-ups of containers"),
    "scan": gettext_lazy("Scans of images that it brought"),
}


def plan_of(team: Team) -> Plan:
    """What goes with it, what becomes another's or nobody's, and what would hold it up now."""
    things = _things(team)
    return Plan(
        lead=_("%(name)s is deleted. What runs goes on running.") % {"name": team.name},
        button=_("Delete the team"),
        blocked=_busy(team),
        no_undo=_("a new team of this name is another one."),
        affected=[
            Item(_line(THINGS[kind], count), _("another team’s, or nobody’s"))
            for kind, count in things.items()
        ],
        lost=_rest(team, models.CASCADE, _("goes with it")),
        kept=_rest(team, models.SET_NULL, _("for site administrators alone to see")),
        kind=PERMISSION,
    )


def remove(team: Team, *, actor: Actor, said: bool, to: Team | None = None) -> None:
    """Deletes a team: all of it or nothing. ``said``: that its things go to ``to``, or to nobody (``None``).

    Raises `Denied`, or `Refused`: 409 ``in_use`` where it has things and nothing was said, ``conflict`` while something
    of it is being changed.
    """
    with denials(PERMISSION, actor=actor, target=Target("team", str(team.pk), team.name), team_id=team.pk):
        require(actor, PERMISSION, team)
    if to == team:
        raise Refused("conflict", _("What a deleted team has goes to another one."))
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=team.pk)
        if busy := _busy(team):
            raise Refused("conflict", busy)
        things = _things(team)
        if things and not said:
            text = _("%(name)s still has things: say which team gets them, or that nobody does.")
            raise Refused("in_use", text % {"name": team.name}, things=things)
        _give_away(team, to, actor)
        detail = {"to": to.slug if to else None, "things": things}
        audit.record(
            "team.remove", actor, target_type="team", target_id=team.pk, target_name=team.name, team_id=team.pk,
            detail=detail,
        )  # fmt: skip
        team.delete()


def _give_away(team: Team, to: Team | None, actor: Actor) -> None:
    for kind, model in owning.KINDS.items():
        wanted = [(kind, pk) for pk in model.objects.filter(team=team).values_list("pk", flat=True)]
        for one in owning.assign(wanted, to, actor=actor):
            if one.status != 200:
                raise Refused(one.code, one.message, one.status)


def _busy(team: Team) -> str:
    if Operation.objects.active().filter(team=team).exists():
        return _("Something of %(name)s is being changed: try again when that is over.") % {"name": team.name}
    return ""


def _things(team: Team) -> dict[str, int]:
    counted = {kind: model.objects.filter(team=team).count() for kind, model in owning.KINDS.items()}
    return {kind: count for kind, count in counted.items() if count}


def _rest(team: Team, on_delete: Any, fate: str) -> list[Item]:
    found = []
    for relation in Team._meta.related_objects:
        name = relation.related_model._meta.model_name or ""
        if relation.on_delete is on_delete and name in REST:
            count = relation.related_model._default_manager.filter(**{relation.field.name: team}).count()
            found += [Item(_line(REST[name], count), fate)] if count else []
    return found


def _line(label: Any, count: int) -> str:
    return _("%(label)s: %(count)s") % {"label": label, "count": count}
