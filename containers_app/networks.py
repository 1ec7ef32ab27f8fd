"""Making and removing networks, and putting containers on them.

A removal takes each container off first, and writes down how it was on it: taken back, the network has its settings
and its containers again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from accounts.access import require
from containers_app import attachments, drift, network_plans, sync
from containers_app.models import Container, Network
from containers_app.verbs import look, must
from engine import names
from engine.errors import (
    Conflict,
    DeadlineExceeded,
    EngineError,
    InUse,
    NameInUse,
    NotFound,
    PolicyDenied,
    Unreachable,
)
from engine.specs import EndpointSpec, NetworkSpec
from engine.types import ContainerInfo, NetworkAttachment, NetworkInfo
from operations import policies, services, trash
from operations.models import TrashItem
from operations.plans import listed
from operations.registry import Context, operation

Result = Mapping[str, Any]
Connection = dict[str, Any]
"""``{container, name, aliases, ip, ip6}``: how a container was on a network."""


def _there(ctx: Context, native_id: str) -> NetworkInfo | None:
    try:
        return ctx.engine.network(native_id)
    except NotFound:
        return None


def _mine(ctx: Context) -> NetworkInfo | None:
    """What an attempt of this operation has made: the label says so."""
    wanted = str(ctx.operation.pk)
    return next((n for n in ctx.engine.networks() if n.labels.get(names.OPERATION_LABEL) == wanted), None)


def _after(ctx: Context) -> None:
    sync.refresh_networks(ctx.operation.engine, ctx.engine)


def _made(ctx: Context, found: NetworkInfo) -> Result:
    """Its row, owned by the team that asked."""
    sync.refresh_networks(ctx.operation.engine, ctx.engine)
    rows = Network.objects.filter(engine=ctx.operation.engine, native_id=found.native_id)
    rows.filter(team=None).update(team=ctx.operation.team)
    row = rows.first()
    return {"network": str(row.pk) if row else "", "name": found.name}


def _is_made(ctx: Context) -> Result | None:
    found = _mine(ctx)
    return _made(ctx, found) if found else None


@operation(
    "network.create", label="Create network", doing="Creating network", done="Created network",
    repeatable=True, verify=_is_made,
    after=_after, plan=network_plans.creating,
)  # fmt: skip
def create(ctx: Context) -> Result:
    """Makes it, unless the name or the addresses are taken."""
    spec = NetworkSpec.parse({key: value for key, value in ctx.params.items() if not key.startswith("_")})
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    policies.check(spec, actor=actor, team_id=ctx.operation.team_id)
    found = _mine(ctx)
    if found is None:
        found = _create(ctx, spec)
    return _made(ctx, found)


def _create(ctx: Context, spec: NetworkSpec) -> NetworkInfo:
    """A new network. Where its name is taken, it may be by an attempt that an engine has only now carried out."""
    ctx.check_fence()
    labels = {**spec.labels, names.OPERATION_LABEL: str(ctx.operation.pk)}
    try:
        return ctx.engine.create_network(replace(spec, labels=labels))
    except NameInUse:
        found = _mine(ctx)
        if found is None:
            raise NameInUse(f'There is a network "{spec.name}" already: choose another name.') from None
        return found


# On and off


def _is(one: NetworkAttachment, native_id: str, name: str) -> bool:
    """A container that was never started knows its networks by name alone."""
    return one.native_id == native_id if one.native_id else one.name == name


def _on(info: ContainerInfo | None, ctx: Context) -> bool:
    wanted = str(ctx.params["network_id"]), str(ctx.params["network_name"])
    return info is not None and any(_is(one, *wanted) for one in info.networks)


def _is_on(ctx: Context) -> bool | None:
    return True if ctx.remembered and _on(must(ctx), ctx) else None


def _is_off(ctx: Context) -> bool | None:
    info = look(ctx)
    return True if info is None or not _on(info, ctx) else None


def _look_again(ctx: Context) -> None:
    sync.refresh_networks(ctx.operation.engine, ctx.engine, [str(ctx.params["native_id"])])
    rows = Container.everything.filter(engine=ctx.operation.engine, native_id=str(ctx.params["native_id"]))
    drift.agree_on(rows.first(), f"networks.{ctx.params['network_name']}", by=ctx.operation)


def _joined(ctx: Context, *, changed: bool = True) -> Result:
    return {
        "container": ctx.operation.target_id, "network": ctx.params["network"], "changed": changed,
    }  # fmt: skip


def _still_theirs(ctx: Context) -> None:
    """The network's owner of today is asked too: the runner looks at the container's alone."""
    actor = services.actor_of(ctx.operation)
    row = Network.objects.filter(pk=ctx.params["network"]).first()
    if actor is None or row is None:
        raise NotFound("This network is gone.")
    require(actor, ctx.operation.kind, row)


@operation(
    "network.connect", label="Connect", doing="Connecting", done="Connected",
    repeatable=True, verify=_is_on, after=_look_again,
    plan=network_plans.connecting,
)  # fmt: skip
def connect(ctx: Context) -> Result:
    """Puts a container on a network, with other names and fixed addresses where they were asked for."""
    _still_theirs(ctx)
    if _on(must(ctx), ctx):
        if not ctx.remembered:
            raise Conflict("The container is on this network already.")
        return _joined(ctx)
    ctx.remember(began=True)
    ctx.check_fence()
    ctx.engine.connect_network(
        str(ctx.params["network_id"]), str(ctx.params["native_id"]), _endpoint(ctx.params)
    )
    if not _on(must(ctx), ctx):
        raise Conflict("The engine accepted it, and the container is not on the network.")
    return _joined(ctx)


def _endpoint(wish: Mapping[str, Any]) -> EndpointSpec:
    return EndpointSpec(tuple(wish["aliases"]), str(wish["ip"]), str(wish["ip6"]))


@operation(
    "network.disconnect", label="Disconnect", doing="Disconnecting", done="Disconnected",
    repeatable=True, verify=_is_off,
    after=_look_again, plan=network_plans.disconnecting,
)  # fmt: skip
def disconnect(ctx: Context) -> Result:
    """Takes a container off a network. What it is doing goes on."""
    _still_theirs(ctx)
    if not _on(must(ctx), ctx):
        return _joined(ctx, changed=False)
    ctx.check_fence()
    ctx.engine.disconnect_network(str(ctx.params["network_id"]), str(ctx.params["native_id"]))
    if _on(look(ctx), ctx):
        raise Conflict("The engine accepted it, and the container is still on the network.")
    return _joined(ctx)


# Away, and back


def _is_gone(ctx: Context) -> Result | bool | None:
    if _there(ctx, str(ctx.params["native_id"])) is not None and not ctx.remembered:
        return False
    return remove(ctx)  # what was begun is brought to its end: half of its containers are off it


def _after_removal(ctx: Context) -> None:
    item = trash.of(ctx.operation)
    users = [one["container"] for one in item.facts["connections"]] if item else []
    sync.refresh_networks(ctx.operation.engine, ctx.engine, users)
    drift.agree_on_network(ctx.operation, str(ctx.params.get("network_name") or ctx.operation.target_name))


@operation(
    "network.remove", label="Remove network", doing="Removing network", done="Removed network",
    deadline=300, repeatable=True,
    verify=_is_gone, after=_after_removal, plan=network_plans.removing,
)  # fmt: skip
def remove(ctx: Context) -> Result:
    """Takes its containers off it and removes it; keeps what its return needs."""
    native_id = str(ctx.params["native_id"])
    found, item = _there(ctx, native_id), trash.of(ctx.operation)
    result = {"network": ctx.operation.target_id, "name": ctx.operation.target_name}
    if found is None:
        if item:
            trash.keep(item)
        return {**result, "changed": bool(ctx.remembered), "undoable": item is not None}
    if found.name in names.OWN_NETWORKS:
        raise Conflict(network_plans.OWN % {"name": found.name})
    connections = item.facts["connections"] if item else _connections(ctx, found)
    if item is None and keeps(found, ctx.params):
        item = trash.begin(
            ctx, native_id=native_id, name=found.name, facts={**_settings(found), "connections": connections}
        )
    ctx.remember(removing=True)
    _take_away(ctx, found, connections, item)
    if item:
        trash.keep(item)
    return {**result, "changed": True, "undoable": item is not None}


def keeps(found: NetworkInfo, params: Mapping[str, Any]) -> bool:
    """Whether its removal can be taken back: its settings are all that there is to it."""
    return found.scope == "local" and trash.hours() > 0 and not params.get("forever")


def _settings(found: NetworkInfo) -> dict[str, Any]:
    labels = {key: value for key, value in found.labels.items() if not key.startswith(names.LABEL_PREFIX)}
    return NetworkSpec(
        found.name,
        found.driver,
        found.subnets,
        found.gateways,
        found.internal,
        found.ipv6,
        found.options,
        labels,
    ).to_dict()


def _connections(ctx: Context, found: NetworkInfo) -> list[Connection]:
    """Who is on it, as the engine says. `InUse` where that is more than the trash, and nobody forces it."""
    row = Network.objects.get(engine=ctx.operation.engine, native_id=found.native_id)
    rows = [one for one, _ in attachments.attached(row, Container.everything.defer("inspect"))]
    trashed = {one.native_id for one in rows if one.trashed_at}
    connections: list[Connection] = []
    for native_id in dict.fromkeys([*(one.native_id for one in rows), *found.connected]):
        with suppress(NotFound):
            connections += _connection(ctx.engine.container(native_id), found)
    users = [one["name"] for one in connections if one["container"] not in trashed]
    if users and not ctx.params.get("force"):
        if len(users) == 1:
            raise InUse(f"{users[0]} is on it: disconnect them first, or force it.")
        raise InUse(f"{listed(users)} are on it: disconnect them first, or force it.")
    return connections


def _connection(info: ContainerInfo, network: NetworkInfo) -> list[Connection]:
    for one in info.networks:
        if _is(one, network.native_id, network.name):
            known = {"aliases": list(one.aliases)}
            fixed = _fixed(info, one.name)
            return [
                {
                    "container": info.native_id, "name": info.name,
                    "aliases": attachments.aliases(info.name, info.native_id, known), **fixed,
                }
            ]  # fmt: skip
    return []


def _fixed(info: ContainerInfo, name: str) -> dict[str, str]:
    """The addresses that somebody has asked for; those that the engine chose it may choose again."""
    said = info.inspect.get("NetworkSettings", {}).get("Networks", {}).get(name, {}).get("IPAMConfig") or {}
    return {"ip": str(said.get("IPv4Address") or ""), "ip6": str(said.get("IPv6Address") or "")}


def _take_away(
    ctx: Context, found: NetworkInfo, connections: Sequence[Connection], item: TrashItem | None
) -> None:
    try:
        for one in connections:
            ctx.check_fence()
            with suppress(NotFound, Conflict):  # gone, or off it already
                ctx.engine.disconnect_network(found.native_id, one["container"])
        ctx.check_fence()
        with suppress(NotFound):  # somebody else was faster
            ctx.engine.remove_network(found.native_id)
    except (DeadlineExceeded, Unreachable):
        raise  # it may have happened: whoever looks again brings it to its end
    except EngineError:
        _put_on(ctx, found.native_id, connections)
        if item:
            trash.give_up(item)
        raise
    if _there(ctx, found.native_id) is not None:
        raise Conflict("The engine accepted the removal, and the network is still there.")


def _put_on(ctx: Context, native_id: str, connections: Sequence[Connection]) -> list[str]:
    """Puts them on it as they were; the names of those for which that failed."""
    failed: list[str] = []
    for one in connections:
        try:
            info = ctx.engine.container(one["container"])
            if any(n.native_id == native_id for n in info.networks):
                continue
            ctx.check_fence()
            ctx.engine.connect_network(native_id, one["container"], _endpoint(one))
        except (DeadlineExceeded, Unreachable):
            raise
        except EngineError:
            failed.append(str(one["name"]))
    return failed


def _is_back(ctx: Context) -> Result | bool | None:
    return restore(ctx) if _mine(ctx) else None


def _after_return(ctx: Context) -> None:
    item = TrashItem.objects.filter(pk=ctx.params["trash"]).first()
    users = [one["container"] for one in item.facts["connections"]] if item else []
    sync.refresh_networks(ctx.operation.engine, ctx.engine, users)


@operation(
    "network.restore", label="Take network back", doing="Taking back", done="Took back",
    permission="network.remove", deadline=300,
    repeatable=True, verify=_is_back, after=_after_return, plan=network_plans.restoring,
)  # fmt: skip
def restore(ctx: Context) -> Result:
    """Makes it again with its settings, and puts those of its containers on it that are still there."""
    item = trash.taken(ctx)
    ctx.remember(began=True)
    wish = {key: value for key, value in item.facts.items() if key != "connections"}
    found = _mine(ctx) or _create(ctx, NetworkSpec.parse(wish))
    failed = _put_on(ctx, found.native_id, item.facts["connections"])
    sync.refresh_networks(ctx.operation.engine, ctx.engine)
    rows = Network.objects.filter(engine=item.engine, native_id=found.native_id)
    rows.filter(team=None).update(team=item.team)
    trash.end(item, trash.State.RESTORED)
    row = rows.first()
    back = {"network": str(row.pk) if row else "", "name": item.name}
    return {**back, "not_connected": failed} if failed else back


@operation(
    "network.purge", label="Forget network", doing="Forgetting", done="Forgot",
    permission="network.remove", repeatable=True,
)  # fmt: skip
def purge(ctx: Context) -> Result:
    """Its settings are kept no longer."""
    item = trash.taken(ctx)
    ctx.remember(began=True)
    trash.end(item, trash.State.PURGED)
    return {"name": item.name}
