"""What changes of networks would do: who is reached by whom afterwards, and who is not any more.

Containers of other teams are counted, never named.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app import attachments
from containers_app.attachments import Attachment
from containers_app.models import Container, Network
from containers_app.plans import of_others, serving, stop_answering, target
from operations.models import Operation, TrashItem
from operations.plans import Item, Plan, listed, undo

OWN = _lazy("%(name)s is the engine's own network: every engine has it, and none lets it be removed.")
SHOWN = 20


def creating(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.create``."""
    wish = operation.params
    plan = Plan(button=_("Create network"))
    ranges = listed([str(one) for one in wish.get("subnets", [])])
    said = {"driver": wish.get("driver"), "ranges": ranges}
    words = (
        _("%(driver)s network with %(ranges)s")
        if ranges
        else _("%(driver)s network with addresses that the engine chooses")
    )
    reach = _("no way out of the engine") if wish.get("internal") else _("a way out through the engine")
    plan.made.append(Item(operation.target_name, words % said, reach))
    return plan


def _network(operation: Operation) -> Network | None:
    return Network.objects.filter(pk=operation.params.get("network")).first()


def connecting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.connect``."""
    container, network = target(operation), _network(operation)
    if container is None or network is None:
        return Plan(lead=_("It is gone."))
    plan, wish = Plan(button=_("Connect")), operation.params
    known = [container.name, *wish.get("aliases", [])]
    address = listed([one for one in (wish.get("ip"), wish.get("ip6")) if one])
    plan.changed.append(
        Item(
            container.name,
            _("is found on %(name)s as %(names)s") % {"name": network.name, "names": listed(known)},
            _("at %(address)s") % {"address": address} if address else "",
        )
    )
    seen, hidden = attachments.visible(network, actor)
    reached = [Item(row.name, _reached(row, network, one)) for row, one in seen[:SHOWN]]
    plan.affected = reached + _others(
        len(seen) - len(reached), hidden, _("can reach it, and are reached by it")
    )
    plan.kept.append(Item(_("Everything else"), more=_("it is not restarted")))
    return plan


def _reached(row: Container, network: Network, here: Attachment) -> str:
    """How it is reached there: the engine's own networks know no names."""
    if attachments.is_own(network):
        if address := here.get("ip") or here.get("ip6"):
            return _("can reach it, and is reached at %(address)s") % {"address": address}
        return _("can reach it, and is reached at its address")
    known = listed([row.name, *attachments.aliases(row.name, row.native_id, here)])
    return _("can reach it, and is reached as %(names)s") % {"names": known}


def _others(more: int, hidden: int, words: str) -> list[Item]:
    found = [Item(_("and %(more)s more") % {"more": more}, words)] if more > 0 else []
    if hidden:
        found.append(Item(of_others(hidden), words))
    return found


def disconnecting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.disconnect``."""
    container, network = target(operation), _network(operation)
    if container is None or network is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Disconnect"))
    here = attachments.of(container, network)
    if here is None:
        plan.lead = _("It is not on %(name)s.") % {"name": network.name}
        return plan
    known = [container.name, *attachments.aliases(container.name, container.native_id, here)]
    plan.changed.append(
        Item(
            container.name,
            _("is not found on %(name)s as %(names)s any more")
            % {"name": network.name, "names": listed(known)},
        )
    )
    seen, hidden = attachments.visible(network, actor)
    others = [row for row, _ in seen if row.pk != container.pk]
    mine = any(row.pk == container.pk for row, _ in seen)
    words = _("loses the way to it over this network")
    plan.affected = [Item(row.name, words) for row in others[:SHOWN]]
    plan.affected += _others(
        len(others) - SHOWN, hidden - (not mine), _("lose the way to it over this network")
    )
    _last_way(plan, container, network)
    plan.kept.append(Item(_("What it is doing"), more=_("it is not restarted")))
    return plan


def _last_way(plan: Plan, container: Container, network: Network) -> None:
    """What it means that no other network is left."""
    left = [one for one in container.networks if not attachments.is_on(one, network)]
    if left:
        return
    plan.affected.insert(0, Item(container.name, _("is on no network then")))
    if ports := serving(container):
        plan.affected.insert(1, Item(listed(ports), stop_answering(len(ports))))


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.remove``."""
    network = Network.objects.filter(pk=operation.target_id).first()
    if network is None:
        return Plan(lead=_("It is gone already."))
    plan = removal(network, actor, forever=bool(operation.params.get("forever")))
    if plan.stopped and not operation.params.get("force"):
        names = [item.what for item in plan.stopped]
        plan.blocked = ngettext(
            "%(names)s is on it: disconnect first, or force it.",
            "%(names)s are on it: disconnect first, or force it.",
            len(names),
        ) % {"names": listed(names)}
    return plan


def removal(network: Network, actor: Actor, *, forever: bool = False) -> Plan:
    """The plan of one removal; ``stopped`` are those that it disconnects."""
    plan = Plan(button=_("Remove network"))
    if attachments.is_own(network):
        plan.blocked = OWN % {"name": network.name}
        return plan
    undo(
        plan,
        forever=forever,
        no_undo="" if network.scope in ("", "local") else _("It spans several engines."),
    )
    ranges = listed(list(network.subnets)) or _("none of its own")
    plan.lost.append(
        Item(
            _("%(name)s itself") % {"name": network.name},
            _("its settings and addresses (%(ranges)s)") % {"ranges": ranges},
        )
    )
    there = attachments.attached(network, Container.everything.defer("inspect"))
    ids = [row.pk for row, _ in there]
    seen = set(visible_to(actor, Container.everything.filter(pk__in=ids)).values_list("pk", flat=True))
    live = [(row, one) for row, one in there if row.trashed_at is None]
    plan.stopped = [Item(row.name, _("is disconnected")) for row, _one in live if row.pk in seen]
    if hidden := len(live) - len(plan.stopped):
        plan.stopped.append(Item(of_others(hidden)))
    plan.affected = _cut_off([(row, one) for row, one in live if row.pk in seen], hidden, network)
    if trashed := len(there) - len(live):
        many = ngettext("%(n)s container in the trash", "%(n)s containers in the trash", trashed)
        words = ngettext("comes back without it", "come back without it", trashed)
        plan.affected.append(Item(many % {"n": trashed}, words))
    plan.force = bool(plan.stopped)
    if live:
        yes = ngettext(
            "Disconnect %(n)s container and remove it", "Disconnect %(n)s containers and remove it", len(live)
        )
        plan.needs_yes = yes % {"n": len(live)}
        plan.button = _("Disconnect and remove")
    plan.kept.append(Item(_("Containers"), _("go on running"), _("and keep their other networks")))
    return plan


def _not_reached(known: str, others: int) -> str:
    if not others:
        return _("is disconnected")
    words = ngettext(
        "is not reached as %(names)s by %(n)s other any more",
        "is not reached as %(names)s by %(n)s others any more",
        others,
    )
    return words % {"names": known, "n": others}


def _cut_off(live: Sequence[tuple[Container, Attachment]], hidden: int, network: Network) -> list[Item]:
    """Who loses what connection."""
    found: list[Item] = []
    for row, one in live[:SHOWN]:
        known = listed([row.name, *attachments.aliases(row.name, row.native_id, one)])
        others = len(live) - 1 + hidden
        words = _not_reached(known, others)
        alone = all(attachments.is_on(n, network) for n in row.networks)
        more = _("and is on no network then") if alone else ""
        found.append(Item(row.name, words, more))
        if alone and (ports := serving(row)):
            found.append(Item(listed(ports), stop_answering(len(ports))))
    return found + _others(len(live) - SHOWN, hidden, _("lose it too"))


def restoring(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.restore``."""
    item = TrashItem.objects.filter(pk=operation.params.get("trash")).first()
    plan = Plan(button=_("Take back"))
    if item is None:
        return plan
    plan.made.append(Item(item.name, _("with its settings and addresses")))
    users = [one["container"] for one in item.facts.get("connections", [])]
    names = visible_to(actor, Container.objects.filter(engine_id=item.engine_id, native_id__in=users))
    if there := list(names.order_by("name").values_list("name", flat=True)):
        plan.changed.append(Item(listed(there), ngettext("is on it again", "are on it again", len(there))))
    if Network.objects.filter(engine_id=item.engine_id, name=item.name).exists():
        plan.blocked = _('There is another network "%(name)s" now: remove that one first.') % {
            "name": item.name
        }
    return plan
