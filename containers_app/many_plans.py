"""What a change of several containers at once would do, before anybody agrees. See `containers_app.plans`."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import Actor
from containers_app import plans
from containers_app.models import Container
from operations.plans import Item, Plan, listed, undo


def removal_of_many(found: Sequence[Container]) -> Plan:
    """The plan of removing several containers at once."""
    live = [one for one in found if one.state in plans.LIVE]
    many = ngettext("Remove %(n)s container", "Remove %(n)s containers", len(found)) % {"n": len(found)}
    plan = Plan(force=bool(live), button=many)
    undo(plan)
    if live:
        run = ngettext("%(n)s of them runs.", "%(n)s of them run.", len(live)) % {"n": len(live)}
        end = (
            _("They are stopped first.")
            if plan.undo_hours
            else _("They will be killed, without time to finish.")
        )
        plan.lead = f"{run} {end}"
    plan.lost = [
        Item(one.name, one.image_ref, _("running") if one in live else _("stopped")) for one in found[:50]
    ]
    if len(found) > len(plan.lost):
        plan.lost.append(Item(_("and %(n)s more") % {"n": len(found) - len(plan.lost)}))
    plan.lost.append(Item(_("Their logs and the files they wrote"), _("outside of volumes")))
    served = [port for one in live for port in plans.serving(one)]
    if served:
        plan.affected.append(Item(listed(served[:12]), plans.stop_answering(len(served))))
    plan.kept.append(Item(_("Images, volumes and networks")))
    return plan


def killing_many(found: Sequence[Container]) -> Plan:
    """The plan of a signal for several containers at once."""
    live = [one for one in found if one.state in plans.LIVE]
    plan = Plan(
        button=ngettext("Kill %(n)s container", "Kill %(n)s containers", len(live)) % {"n": len(live)}
    )
    if not live:
        plan.blocked = _("None of them runs.")
    plan.changed = [Item(one.name, _("gets the signal")) for one in live[:50]]
    served = list(dict.fromkeys(port for one in live for port in plans.serving(one)))
    if served:
        plan.affected.append(Item(listed(served[:12]), _("may not answer any more, until it runs again")))
    plan.kept.append(Item(_("What they wrote"), _("and their volumes, networks and settings")))
    return plan


def stopping_many(found: Sequence[Container], action: str, actor: Actor) -> Plan:
    """The plan of a stop, a restart or a pause of several containers at once."""
    live = [one for one in found if one.state in plans.LIVE]
    button, words = plans.STOPS[action]
    plan = Plan(button=str(button))
    plan.changed = [Item(one.name, str(words)) for one in live[:50]]
    if len(live) > 50:
        plan.changed.append(Item(_("and %(n)s more") % {"n": len(live) - 50}))
    served = list(dict.fromkeys(port for one in live for port in plans.serving(one)))
    if served:
        plan.affected.append(Item(listed(served[:12]), plans.no_answer(len(served))))
    plan.affected += _cut_off(live, action, actor)
    plan.kept.append(Item(_("What they wrote"), _("and their volumes, networks and settings")))
    if action == "stop":
        plan.lost = [
            Item(one.name, _("removes itself when it ends"), _("with what it wrote and its logs"))
            for one in live
            if one.auto_remove
        ]
    return plan


def reach_others(found: Sequence[Container], action: str, actor: Actor) -> bool:
    """Whether to do that to several at once would cut off others than these, or lose one of them."""
    live = [one for one in found if one.state in plans.LIVE]
    return any(one.auto_remove for one in live) or bool(_cut_off(live, action, actor))


def _cut_off(live: Sequence[Container], action: str, actor: Actor) -> list[Item]:
    """Who is stopped along with what they need is not cut off; who is restarted may be so first, and is."""
    return plans.dependents_of(live, actor, besides=[] if action == "restart" else live)
