"""Making a container anew in the place of an old one: with its settings, perhaps from another image, behind a gate.

The image is fetched, the new one made under a name of its own, the old one ended and put into the trash, the new one
given its name and started. Where it does not pass the gate, or anything else goes wrong, it is removed and the old
one taken back: under the name there is one or the other, whoever dies when.

How far an attempt came is seen on the engine (the label of the new one, names, states) and in the trash item, which
also keeps the verdict: once that is there, no later attempt comes to another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.querysets import foreign_to
from containers_app import drift, gate, recreate_plan, removal, run, sync, team_values, vanished
from containers_app.bodies import image_of
from containers_app.models import Container, Network, Volume
from containers_app.verbs import LONGEST_STOP, look, native_id
from engine import guard, names, reach
from engine.changes import ChangeSpec
from engine.errors import (
    AnswerLost,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    EngineError,
    GateFailed,
    Invalid,
    NotFound,
    PolicyDenied,
    Unreachable,
)
from engine.specs import UpdateSpec
from engine.types import ContainerInfo, ContainerState, Progress
from engine.words import kept
from operations import policies, services, trash
from operations.context import LeaseLost
from operations.models import Engine, Operation, TrashItem
from operations.registry import Context, operation

Result = Mapping[str, Any]
_AWAY = (Unreachable, DeadlineExceeded)
_BROKE = kept("Slipway made a mistake, its log has the details")


# Who may


def refusal(name: str, state: str, *, auto_remove: bool) -> str:
    """Why it cannot be made anew as it is; empty where it can."""
    if state in (ContainerState.PAUSED, ContainerState.REMOVING, ContainerState.DEAD):
        return _("It is %(state)s: only what runs or has ended can be made anew.") % {"state": state}
    if auto_remove:
        return _("It removes itself when it ends, so nothing could be put back if the new one failed.")
    try:
        names.container_name(name)
    except Invalid as error:
        return f"The new one could not have its name: rename it first. {error.message}"
    return ""


def may(container: Container, *, actor: Actor, changes: ChangeSpec | None = None) -> None:
    """Says at once what the worker would say, as far as rows know. Raises `PolicyDenied` or `Refused`."""
    reaches(container, actor=actor, changes=changes)
    found = refusal(container.name, container.state, auto_remove=container.auto_remove)
    if found:
        raise services.Refused("conflict", found)


def reaches(container: Container, *, actor: Actor, changes: ChangeSpec | None = None) -> None:
    """What it was given once, and what it is to be given now, by today's guard rails. Raises `PolicyDenied`."""
    again = reach.of(container.inspect)
    policies.check_again(again, actor=actor, team_id=container.team_id, name=container.name)
    if changes:
        had = {
            *container.mounts.values_list("source", flat=True),
            *(str(n.get("name")) for n in container.networks),
        }
        run.allowed(
            changes.spec, actor=actor, engine=container.engine, team_id=container.team_id, had=had,
            name=container.name,
        )  # fmt: skip


def allowed(
    old: ContainerInfo, *, actor: Actor, engine: Engine, team_id: Any, changes: ChangeSpec | None = None
) -> None:
    """Today's guard rails for what it was given once and is given now, and nothing of another team's.

    What nobody owns came with it to its team, unlike in a new wish.
    """
    policies.check_again(old.reach, actor=actor, team_id=team_id, name=old.name)
    if changes:
        had = {*(mount.source for mount in old.mounts), *(network.name for network in old.networks)}
        run.allowed(changes.spec, actor=actor, engine=engine, team_id=team_id, had=had, name=old.name)
    if policies.guard_level(actor, team_id) == guard.SITE:
        return
    volumes = Volume.objects.filter(
        engine=engine, native_id__in=[m.source for m in old.mounts if m.type == "volume"]
    )
    networks = Network.objects.filter(engine=engine, name__in=[network.name for network in old.networks])
    for kind, rows in (("volume", volumes), ("network", networks)):
        foreign = foreign_to(actor, rows, team_id).first()
        if foreign:
            raise PolicyDenied(
                f"It uses a {kind} of another team.", rule=f"not_your_{kind}", field=f"{kind}s"
            )


# The verb


def _carried_on(ctx: Context) -> Result | bool | None:
    """Brings what an attempt has begun to its end, one or the other."""
    if trash.of(ctx.operation) is None and _new(ctx) is None:
        return None
    try:
        return _replace(ctx)
    except Cancelled as error:
        raise GateFailed(error.message) from error


def _put_right(ctx: Context) -> Result | bool | None:
    """An attempt before was lost on its way, and nobody may go on: the old one comes back."""
    item = trash.of(ctx.operation)
    if item and item.facts.get("verdict", {}).get("passed"):
        return _kept(ctx, item)
    if item is None and _new(ctx) is None:
        return None
    words = (
        kept("Its worker was lost")
        if item
        else kept("The new container was removed, the old one is as it was.")
    )
    left = _back(ctx, Cancelled(words))
    raise Cancelled(left.message if isinstance(left, EngineError) else _BROKE) from left


def _after(ctx: Context) -> None:
    item = trash.of(ctx.operation)
    for key in (native_id(ctx), str(item.facts.get("successor") or "") if item else ""):
        if key:
            sync.refresh(ctx.operation.engine, ctx.engine, key)


@operation(
    "container.recreate", label="Recreate", doing="Recreating", done="Recreated",
    deadline=1200 + gate.LONGEST, repeatable=True,
    verify=_carried_on, half=_put_right, after=_after, plan=recreate_plan.recreating,
)  # fmt: skip
def recreate(ctx: Context) -> Result:
    """Replaces it by another one with its settings, which has to pass the gate; else the old one comes back."""
    try:
        return _replace(ctx)
    except Unreachable as error:
        if ctx.operation.attempt > 1:  # those before may have changed something
            raise AnswerLost(error.message) from error
        raise


def _replace(ctx: Context) -> Result:
    item = trash.of(ctx.operation)
    if item and "verdict" in item.facts:
        return _ended(ctx, item)
    try:
        return _forward(ctx)
    except (*_AWAY, LeaseLost):
        raise
    except Exception as error:
        raise _back(ctx, error) from error


def _forward(ctx: Context) -> Result:
    """Each step looks first whether it has been done."""
    old, new, item = look(ctx), _new(ctx), trash.of(ctx.operation)
    if new is None:
        new = _made(ctx, old)
    elif new.started_at is None and (actor := services.actor_of(ctx.operation)):
        # The attempt that made it may not have come to this.
        run.scanned(ctx, new.image_ref, new.image_id, actor=actor)
    if item is None and old is None:
        raise NotFound("This container is gone from the engine.")
    if old and (item is None or item.state == TrashItem.State.GOING):
        _say(ctx, f"Stopping {ctx.operation.target_name}")
        item = removal.put_aside(ctx, old, patience=LONGEST_STOP, successor=new.native_id)
    assert item is not None  # noqa: S101 - one of the two is there
    if item.facts["successor"] != new.native_id:
        trash.note(item, successor=new.native_id)
    _take_place(ctx, item, new)
    if item.facts["running"]:
        _start(ctx, new)
    row = sync.refresh(ctx.operation.engine, ctx.engine, new.native_id, team=_team(ctx))
    drift.agree(row, by=ctx.operation)
    team_values.given(row, ctx.params, _row(ctx.operation))
    if item.facts["running"]:
        gate.wait(ctx, new.native_id, _gate(ctx))
    trash.note(item, verdict={"passed": True})
    return _kept(ctx, item)


def _made(ctx: Context, old: ContainerInfo | None) -> ContainerInfo:
    """The new one, under a name that nobody uses, not started. Until here nothing of the old one has changed."""
    if old is None:
        raise NotFound("This container is gone from the engine.")
    found = refusal(ctx.operation.target_name, old.state, auto_remove=old.auto_remove)
    if found:
        raise Conflict(found)
    vanished.require(ctx, old)
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    sync.refresh_volumes(ctx.operation.engine, ctx.engine)
    team = _team(ctx)
    changes = changes_in(ctx.params)
    allowed(old, actor=actor, engine=ctx.operation.engine, team_id=team.pk if team else None, changes=changes)
    reference = str(ctx.params["image"]) or image_of(old.image_ref, old.image_id)
    image = run.get_image(ctx, reference, pull=str(ctx.params["pull"]), actor=actor)
    if ctx.should_stop():
        raise Cancelled("Cancelled before anything was changed.")
    ctx.remember(ran=old.state in sync.LIVE)
    _say(ctx, f"Making the new container, from {reference}")
    ctx.check_fence()
    made = ctx.engine.create_like(
        old.native_id, image=reference, name=f"slipway-new-{ctx.operation.pk.hex[:12]}",
        operation_id=str(ctx.operation.pk), changes=changes,
    )  # fmt: skip
    new = ctx.engine.container(made)
    run.same_image(ctx, new, reference, image, actor=actor)  # else it is put back as after any other fault
    return new


def changes_in(params: Mapping[str, Any]) -> ChangeSpec | None:
    """What is to be other, by the operation's parameters."""
    return ChangeSpec.parse(params["changes"]) if params.get("changes") else None


def _take_place(ctx: Context, item: TrashItem, new: ContainerInfo) -> None:
    """Name and restart policy, which the old one has lost by now; unless the policy is to be another one."""
    if new.name != item.name:
        ctx.check_fence()
        ctx.engine.rename(new.native_id, item.name)
    changes = changes_in(ctx.params)
    if changes and "restart_policy" in changes.given:
        return
    if new.restart_policy != item.facts["policy"]:
        wanted = UpdateSpec(str(item.facts["policy"]), restart_max_retries=int(item.facts["retries"]))
        ctx.check_fence()
        ctx.engine.update(new.native_id, wanted)


def _start(ctx: Context, new: ContainerInfo) -> None:
    if new.started_at is not None:
        return
    if ctx.should_stop():
        raise Cancelled("Cancelled before the new container was started")
    _say(ctx, "Starting the new container")
    ctx.check_fence()
    try:
        ctx.engine.start(new.native_id)
    except _AWAY:
        raise
    except EngineError as error:
        raise GateFailed(f"{ctx.operation.target_name} did not start: {error.message}") from error


def _say(ctx: Context, what: str) -> None:
    """How far it is, and a line of the log."""
    ctx.emit(Progress(message=what, log=(what,)))


def _gate(ctx: Context) -> gate.Gate:
    return gate.Gate(int(ctx.params["timeout"]), int(ctx.params["steady"]))


def _new(ctx: Context) -> ContainerInfo | None:
    return ctx.engine.find_by_operation(str(ctx.operation.pk))


def _team(ctx: Context) -> Any:
    """Whose it will be: the old one's owner of today."""
    row = _row(ctx.operation)
    return row.team if row else ctx.operation.team


def _row(asked: Operation) -> Container | None:
    return Container.everything.select_related("team").filter(pk=asked.target_id).first()


# How it ends


def _kept(ctx: Context, item: TrashItem) -> Result:
    """The new one stays."""
    row = sync.refresh(ctx.operation.engine, ctx.engine, str(item.facts["successor"]), team=_team(ctx))
    old = _row(ctx.operation)
    return {
        "container": str(row.pk) if row else "", "replaced": ctx.operation.target_id, "name": item.name,
        "state": row.state if row else "removed", "image": row.image_native_id if row else "",
        "image_before": old.image_native_id if old else "", "undoable": trash.hours() > 0,
    }  # fmt: skip


def _back(ctx: Context, error: Exception) -> Exception:
    """Puts everything back, and returns what is to be said about it."""
    item, new = trash.of(ctx.operation), _new(ctx)
    if item is None:
        if new:
            _discard(ctx, new)
        _run_again(ctx)
        return error
    if "verdict" not in item.facts:
        if new and (new.started_at or isinstance(error, GateFailed)):
            gate.last_words(ctx, new)
        words = error.message if isinstance(error, EngineError) else _BROKE
        cancelled = isinstance(error, Cancelled)
        ctx.check_fence()
        trash.note(item, verdict={"passed": False, "words": words, "cancelled": cancelled})
    try:
        _ended(ctx, item)
    except (Cancelled, GateFailed) as said:
        return said
    return error


def _ended(ctx: Context, item: TrashItem) -> Result:
    """What the verdict means; may be repeated."""
    verdict = item.facts["verdict"]
    if verdict["passed"]:
        return _kept(ctx, item)
    if not verdict.get("said"):
        words = str(verdict["words"]).rstrip(".")
        said = kept(f"{words}; {_taken_back(ctx, item)}.")
        verdict = {**verdict, "said": said}
        trash.note(item, verdict=verdict)
        ctx.emit(Progress(log=(said,)))
    raise (Cancelled if verdict["cancelled"] else GateFailed)(verdict["said"])


def _taken_back(ctx: Context, item: TrashItem) -> str:
    """The new one goes, and the old one is where it was; how that went, in words."""
    new = _new(ctx)
    if look(ctx) is None:
        return kept("the old one is gone from the engine, so the new one stays")
    removed = ""
    if new:
        _discard(ctx, new)
        removed = kept("the new one was removed, and ")
    try:
        removal.take_back(ctx, item)
    except Conflict as error:
        why = error.message.rstrip(".")
        return kept(f"{removed}the old one is in the trash, since its name was taken meanwhile: {why}")
    trouble = removal.start_again(ctx, item)
    trash.end(item, TrashItem.State.RESTORED)
    if trouble:
        why = trouble.rstrip(".")
        return kept(f"{removed}the old one is back, but did not start: {why}")
    if item.facts["running"]:
        return kept(f"{removed}the old one is back and runs")
    return kept(f"{removed}the old one is back")


def _run_again(ctx: Context) -> None:
    """Where it was ended and not even put aside."""
    old = look(ctx)
    if old and ctx.remembered.get("ran") and old.state not in sync.LIVE:
        ctx.check_fence()
        ctx.engine.start(old.native_id)


def _discard(ctx: Context, new: ContainerInfo) -> None:
    """With the volumes that it alone has: those of the old one are in use by that."""
    ctx.check_fence()
    with suppress(NotFound):
        ctx.engine.remove(new.native_id, force=True, volumes=True)
    sync.refresh(ctx.operation.engine, ctx.engine, new.native_id)
