"""What Slipway does by itself, in words: for the page of a container and for that of the defaults."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor, can
from accounts.models import Team
from accounts.querysets import visible_teams, visible_to
from containers_app import care
from containers_app.models import CareRule, Container
from operations import channels
from operations.models import Operation
from operations.queries import operations

BY = {"own": "", "team": _lazy("by its team's default"), "site": _lazy("by the site's default")}
SHOWN = 5


def of_one(container: Container, actor: Actor) -> dict[str, Any]:
    """Context of a container's page: ``care`` (`care.Care`), what was done, and whether the reader may switch it."""
    found = care.of(container)
    return {
        "care": found,
        "care_by": {"heal": BY.get(found.heal_by, ""), "end_loops": BY.get(found.end_loops_by, "")},
        "cared": done(container, actor) if found.heal or found.end_loops or container.heal_tries else [],
        "heal_most": len(care.BACK_OFF),
        "may_care": can(actor, "care.container", container),
        "muted": channels.muted(container),
        "may_mute": can(actor, "webhook.mute", container),
    }


def done(container: Container, actor: Actor) -> list[Operation]:
    """The last things that Slipway did to it by itself."""
    mine = operations(actor).filter(target_type="container", target_id=str(container.pk), source="system")
    kinds = ("container.restart", "container.stop")
    return list(mine.filter(kind__in=kinds, params__has_key="because").order_by("-created_at")[:SHOWN])


def rules(actor: Actor) -> Any:
    """The rules that this actor may know of; the site's own are no secret."""
    rows = CareRule.objects.select_related("team", "engine")
    return visible_to(actor, rows) | rows.filter(team=None, engine=None)


def defaults(actor: Actor) -> list[dict[str, Any]]:
    """The site and each team of the reader's, with what is said for it and whether the reader may say it."""
    known = {row.team_id: row for row in rules(actor).filter(engine=None)}
    places: list[tuple[Team | None, str]] = [
        (None, _("The whole site")),
        *((team, team.name) for team in visible_teams(actor)),
    ]
    return [
        {
            "team": team, "name": name, "rule": known.get(team.pk if team else None),
            "may": can(actor, "care.team" if team else "care.site", team),
        }
        for team, name in places
    ]  # fmt: skip
