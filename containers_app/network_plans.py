"""What changes of networks would do: who is reached by whom afterwards, and who is not any more.

Containers of other teams are counted, never named.
"""

from __future__ import annotations

from collections.abc import Sequence

from accounts.access import Actor
from accounts.querysets import visible_to
from containers_app import attachments
from containers_app.attachments import Attachment
from containers_app.models import Container, Network
from containers_app.plans import serving, target
from operations.models import Operation, TrashItem
from operations.plans import Item, Plan, count, listed, undo

OWN = "{name} is the engine's own network: every engine has it, and none lets it be removed."
SHOWN = 20


def creating(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.create``."""
    wish = operation.params
    plan = Plan(button="Create network")
    ranges = listed([str(one) for one in wish.get("subnets", [])]) or "addresses that the engine chooses"
    reach = "no way out of the engine" if wish.get("internal") else "a way out through the engine"
    plan.made.append(Item(operation.target_name, f"{wish.get('driver')} network with {ranges}", reach))
    return plan


def _network(operation: Operation) -> Network | None:
    return Network.objects.filter(pk=operation.params.get("network")).first()


def connecting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.connect``."""
    container, network = target(operation), _network(operation)
    if container is None or network is None:
        return Plan(lead="It is gone.")
    plan, wish = Plan(button="Connect"), operation.params
    known = [container.name, *wish.get("aliases", [])]
    address = listed([one for one in (wish.get("ip"), wish.get("ip6")) if one])
    plan.changed.append(
        Item(
            container.name,
            f"is found on {network.name} as {listed(known)}",
            f"at {address}" if address else "",
        )
    )
    seen, hidden = attachments.visible(network, actor)
    reached = [
        Item(row.name, f"can reach it, and is reached {_as(row, network, one)}") for row, one in seen[:SHOWN]
    ]
    plan.affected = reached + _others(len(seen) - len(reached), hidden, "can reach it, and are reached by it")
    plan.kept.append(Item("Everything else", more="it is not restarted"))
    return plan


def _as(row: Container, network: Network, here: Attachment) -> str:
    """How it is reached there: the engine's own networks know no names."""
    if attachments.is_own(network):
        return f"at {here.get('ip') or here.get('ip6') or 'its address'}"
    return f"as {listed([row.name, *attachments.aliases(row.name, row.native_id, here)])}"


def _others(more: int, hidden: int, words: str) -> list[Item]:
    found = [Item(f"and {more} more", words)] if more > 0 else []
    if hidden:
        found.append(Item(count(hidden, "container of another team", "containers of other teams"), words))
    return found


def disconnecting(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.disconnect``."""
    container, network = target(operation), _network(operation)
    if container is None or network is None:
        return Plan(lead="It is gone.")
    plan = Plan(button="Disconnect")
    here = attachments.of(container, network)
    if here is None:
        plan.lead = f"It is not on {network.name}."
        return plan
    known = [container.name, *attachments.aliases(container.name, container.native_id, here)]
    plan.changed.append(Item(container.name, f"is not found on {network.name} as {listed(known)} any more"))
    seen, hidden = attachments.visible(network, actor)
    others = [row for row, _ in seen if row.pk != container.pk]
    mine = any(row.pk == container.pk for row, _ in seen)
    words = "loses the way to it over this network"
    plan.affected = [Item(row.name, words) for row in others[:SHOWN]]
    plan.affected += _others(len(others) - SHOWN, hidden - (not mine), "lose the way to it over this network")
    _last_way(plan, container, network)
    plan.kept.append(Item("What it is doing", more="it is not restarted"))
    return plan


def _last_way(plan: Plan, container: Container, network: Network) -> None:
    """What it means that no other network is left."""
    left = [one for one in container.networks if not attachments.is_on(one, network)]
    if left:
        return
    plan.affected.insert(0, Item(container.name, "is on no network then"))
    if ports := serving(container):
        plan.affected.insert(
            1, Item(listed(ports), "stops answering" if len(ports) == 1 else "stop answering")
        )


def removing(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.remove``."""
    network = Network.objects.filter(pk=operation.target_id).first()
    if network is None:
        return Plan(lead="It is gone already.")
    plan = removal(network, actor, forever=bool(operation.params.get("forever")))
    if plan.stopped and not operation.params.get("force"):
        names = [item.what for item in plan.stopped]
        plan.blocked = (
            f"{listed(names)} {'is' if len(names) == 1 else 'are'} on it: disconnect first, or force it."
        )
    return plan


def removal(network: Network, actor: Actor, *, forever: bool = False) -> Plan:
    """The plan of one removal; ``stopped`` are those that it disconnects."""
    plan = Plan(button="Remove network")
    if attachments.is_own(network):
        plan.blocked = OWN.format(name=network.name)
        return plan
    undo(plan, forever=forever, no_undo="" if network.scope in ("", "local") else "It spans several engines.")
    plan.lost.append(Item(f"{network.name} itself", f"its settings and addresses ({_ranges(network)})"))
    there = attachments.attached(network, Container.everything.defer("inspect"))
    ids = [row.pk for row, _ in there]
    seen = set(visible_to(actor, Container.everything.filter(pk__in=ids)).values_list("pk", flat=True))
    live = [(row, one) for row, one in there if row.trashed_at is None]
    plan.stopped = [Item(row.name, "is disconnected") for row, _ in live if row.pk in seen]
    if hidden := len(live) - len(plan.stopped):
        plan.stopped.append(Item(count(hidden, "container of another team", "containers of other teams")))
    plan.affected = _cut_off([(row, one) for row, one in live if row.pk in seen], hidden, network)
    if trashed := len(there) - len(live):
        many = count(trashed, "container in the trash", "containers in the trash")
        plan.affected.append(Item(many, "come back without it" if trashed > 1 else "comes back without it"))
    plan.force = bool(plan.stopped)
    plan.needs_yes = f"Disconnect {count(len(live), 'container')} and remove it" if live else ""
    if live:
        plan.button = "Disconnect and remove"
    plan.kept.append(Item("Containers", "go on running", "and keep their other networks"))
    return plan


def _ranges(network: Network) -> str:
    return listed(list(network.subnets)) or "none of its own"


def _cut_off(live: Sequence[tuple[Container, Attachment]], hidden: int, network: Network) -> list[Item]:
    """Who loses what connection."""
    found: list[Item] = []
    for row, one in live[:SHOWN]:
        known = listed([row.name, *attachments.aliases(row.name, row.native_id, one)])
        others = len(live) - 1 + hidden
        words = (
            f"is not reached as {known} by {count(others, 'other')} any more" if others else "is disconnected"
        )
        alone = all(attachments.is_on(n, network) for n in row.networks)
        more = "and is on no network then" if alone else ""
        found.append(Item(row.name, words, more))
        if alone and (ports := serving(row)):
            found.append(Item(listed(ports), "stops answering" if len(ports) == 1 else "stop answering"))
    return found + _others(len(live) - SHOWN, hidden, "lose it too")


def restoring(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``network.restore``."""
    item = TrashItem.objects.filter(pk=operation.params.get("trash")).first()
    plan = Plan(button="Take back")
    if item is None:
        return plan
    plan.made.append(Item(item.name, "with its settings and addresses"))
    users = [one["container"] for one in item.facts.get("connections", [])]
    names = visible_to(actor, Container.objects.filter(engine_id=item.engine_id, native_id__in=users))
    if there := list(names.order_by("name").values_list("name", flat=True)):
        plan.changed.append(Item(listed(there), "is on it again" if len(there) == 1 else "are on it again"))
    if Network.objects.filter(engine_id=item.engine_id, name=item.name).exists():
        plan.blocked = f'There is another network "{item.name}" now: remove that one first.'
    return plan
