"""Cleaning up: removes what a frozen plan lists, one thing after another, each only while it is as it was shown.

Between the plan and its turn anything may have happened to a thing: what was started, tagged or mounted by then stays,
with its reason. What is gone already counts as removed, so that another worker can go on where one has died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import attachments, prune_plans, sync
from containers_app.models import Container, Network, PrunePlan
from containers_app.unused import STOPPED, Item
from engine import names
from engine.errors import Cancelled, Conflict, DeadlineExceeded, EngineError, InUse, NotFound, Unreachable
from engine.types import Progress
from images_app import sync as images
from images_app.held import layers_held
from images_app.verbs import now
from operations import services, trash
from operations.models import Operation, TrashItem
from operations.registry import Context, operation
from operations.services import Refused
from streams import bell

BUSY = "Another change of it is on its way."
TRASHED = "It is in the trash by now."
USED = "A container uses it by now."
STILL = "The engine accepted the removal, and it is still there."
LATE = "The engine did not answer in time: it may still go."
State = TrashItem.State


def _plan(ctx: Context) -> PrunePlan:
    return PrunePlan.objects.get(pk=ctx.params["plan"])


def _is_done(ctx: Context) -> Mapping[str, Any] | None:
    plan = _plan(ctx)
    return None if any(_there(ctx, item) for item in plan.items) else _result(ctx, plan, {})


def _after(ctx: Context) -> None:
    ids = [item["id"] for item in _plan(ctx).items if item["kind"] == "trash"]
    TrashItem.objects.filter(pk__in=ids, state=State.GOING).update(state=State.KEPT)
    images.reconcile(ctx.operation.engine, ctx.engine)
    sync.reconcile(ctx.operation.engine, ctx.engine)
    bell.ring("prune")


def _again(asked: Operation, actor: Actor) -> Operation:
    raise Refused("conflict", _("A list is used once: make a new one, and look at what it holds now."))


@operation(
    prune_plans.KIND, label="Clean up", doing="Cleaning up", done="Cleaned up",
    deadline=3600, repeatable=True, verify=_is_done,
    after=_after, again=_again, plan=prune_plans.planned,
)  # fmt: skip
def prune(ctx: Context) -> Mapping[str, Any]:
    """Removes for good what the plan lists and nothing else."""
    plan = _plan(ctx)
    if not ctx.remembered:
        ctx.remember(before=_measured(ctx, plan))
    skipped: dict[str, tuple[Item, str]] = {}
    for number, item in enumerate(plan.items, 1):
        if ctx.should_stop():
            raise Cancelled(f"Cancelled after {number - 1} of {len(plan.items)}. What is gone stays gone.")
        reason = _one(ctx, item)
        if reason:
            skipped[item["id"]] = item, reason
        line = f"Kept {item['name']}: {reason}" if reason else f"Removed {item['name']}"
        ctx.emit(Progress(number, len(plan.items), "steps", item["name"], (line,)))
    result = _result(ctx, plan, skipped)
    counted = "" if result["measured"] is None else f", {result['measured']} by the engine's own count"
    done = f"Removed {result['removed']} of {len(plan.items)}, freed {result['freed']} bytes{counted}"
    ctx.emit(Progress(len(plan.items), len(plan.items), "steps", done, (done,)))
    return result


def _result(ctx: Context, plan: PrunePlan, skipped: Mapping[str, tuple[Item, str]]) -> Mapping[str, Any]:
    """``freed``: bytes of the plan that went; ``measured``: how much less everything takes, by the engine's count.

    They differ where others were at work at the same time, and where the engine does not count (``None``).
    """
    images.reconcile(ctx.operation.engine, ctx.engine)
    held = {layer for layers in layers_held(ctx.operation.engine).values() for layer in layers}
    freed = 0
    for item in plan.items:
        if item["image"]:
            freed += sum(size for layer, size in item["layers"].items() if layer not in held)
        elif item["id"] not in skipped:
            freed += item["size"] or 0
    before, after = ctx.remembered.get("before"), _measured(ctx, plan)
    return {
        "removed": len(plan.items) - len(skipped), "freed": freed,
        "skipped": [
            {"kind": item["kind"], "name": item["name"], "reason": reason} for item, reason in skipped.values()
        ],
        "measured": None if before is None or after is None else before - after,
    }  # fmt: skip


def _measured(ctx: Context, plan: PrunePlan) -> int | None:
    """What everything takes, the plan's files in the trash included."""
    try:
        total = ctx.engine.disk_usage().total
    except EngineError:
        return None
    ids = [item["id"] for item in plan.items if item["kind"] == "trash"]
    kept = TrashItem.objects.filter(pk__in=ids).exclude(path="").values_list("path", flat=True)
    return total + sum(path.stat().st_size for name in kept if (path := trash.file_of(name)).exists())


# One thing


def _one(ctx: Context, item: Item) -> str:
    """Removes it; the reason where it stays. Only an engine that is away ends the whole."""
    remove, _ = WAYS[item["kind"]]
    try:
        reason = remove(ctx, item)
        if item["kind"] == "build_cache":
            return reason
        return reason or (STILL if _there(ctx, item) else "")
    except Unreachable:
        raise
    except DeadlineExceeded:
        return LATE if _there(ctx, item) else ""
    except NotFound:
        return STILL if _there(ctx, item) else ""
    except EngineError as error:
        return error.message


def _there(ctx: Context, item: Item) -> bool:
    _, find = WAYS[item["kind"]]
    try:
        return bool(find(ctx, item))
    except NotFound:
        return False


def _busy(ctx: Context, kind: str, pk: str, maker: str = "") -> bool:
    """Whether another operation works on it: by its lock, or by the label of what it makes for itself."""
    others = Operation.objects.active().exclude(pk=ctx.operation.pk)
    with suppress(EngineError):
        if maker and others.filter(pk=names.operation_id(maker)).exists():
            return True
    return others.filter(lock_key=services.lock(kind, pk)).exists()


def _container(ctx: Context, item: Item) -> str:
    info = ctx.engine.container(item["native_id"])
    started = info.started_at.isoformat() if info.started_at else ""
    if info.state not in STOPPED:
        return f"It is {info.state.value} by now."
    if started != item["started_at"]:
        return "It was started meanwhile."
    if trash.is_container_name(info.name):
        return TRASHED
    if _busy(ctx, "container", item["id"], info.labels.get(names.OPERATION_LABEL, "")):
        return BUSY
    ctx.check_fence()
    ctx.engine.remove(item["native_id"])
    return ""


def _image(ctx: Context, item: Item) -> str:
    native_id = item["native_id"]
    tags = ctx.engine.image(native_id).tags
    new = sorted(set(tags) - set(item["tags"]))
    if new:
        return TRASHED if trash.is_tag_name(new[0]) else f"It is called {new[0]} by now."
    if _has_containers(ctx, native_id):
        return USED
    if _busy(ctx, "image", item["id"]):
        return BUSY
    taken: list[str] = []
    try:
        for tag in sorted(tags)[1:]:
            if now(ctx, tag) == native_id:
                ctx.check_fence()
                taken.append(tag)
                ctx.engine.untag(tag)
        ctx.check_fence()
        ctx.engine.remove_image(native_id)
    except Conflict:  # somebody uses it since: what stays keeps its names
        for tag in taken:
            ctx.check_fence()
            ctx.engine.tag(native_id, tag)
        raise
    return ""


def _has_containers(ctx: Context, native_id: str) -> bool:
    return any(one.image_id == native_id for one in ctx.engine.containers())


def _volume(ctx: Context, item: Item) -> str:
    info = ctx.engine.volume(item["native_id"])
    if (info.created_at.isoformat() if info.created_at else "") != item["created_at"]:
        return "It is another one of the same name by now."
    if _busy(ctx, "volume", item["id"]):
        return BUSY
    ctx.check_fence()
    try:
        ctx.engine.remove_volume(item["native_id"])
    except InUse:
        return "A container mounts it by now."
    return ""


def _network(ctx: Context, item: Item) -> str:
    """The engine itself keeps those that running containers are on; stopped ones it does not count."""
    row = Network.objects.filter(engine=ctx.operation.engine, native_id=item["native_id"]).first()
    if row and attachments.attached(row, Container.everything.only("networks", "engine_id")):
        return "A container is on it by now."
    if _busy(ctx, "network", item["id"]):
        return BUSY
    ctx.check_fence()
    try:
        ctx.engine.remove_network(item["native_id"])
    except InUse:
        return "A container is on it by now."
    return ""


# The trash


def _kept(item: Item) -> TrashItem | None:
    """What is still in the trash, or half out of it by an attempt of ours."""
    return TrashItem.objects.filter(pk=item["id"], state__in=(State.KEPT, State.GOING)).first()


def _trashed(ctx: Context, item: Item) -> str:
    row = _kept(item)
    if row is None:
        taken = TrashItem.objects.filter(pk=item["id"], state=State.RESTORED).exists()
        return "It was taken back meanwhile." if taken else ""
    if _busy(ctx, row.kind, row.target_id):
        return BUSY
    ctx.check_fence()
    TrashItem.objects.filter(pk=row.pk).update(state=State.GOING)  # nobody takes it back from here on
    try:
        reason = _purged(ctx, row)
    except EngineError:
        _put_back(row)
        raise
    if reason:
        _put_back(row)
        return reason
    trash.end(row, State.PURGED)
    return ""


def _put_back(row: TrashItem) -> None:
    TrashItem.objects.filter(pk=row.pk, state=State.GOING).update(state=State.KEPT)


def _purged(ctx: Context, row: TrashItem) -> str:
    with suppress(NotFound):
        if row.kind == "container":
            info = ctx.engine.container(row.native_id)
            if info.state not in STOPPED or not trash.is_container_name(info.name):
                return "It is out of the trash: somebody has started or renamed it."
            ctx.engine.remove(row.native_id, volumes=bool(row.facts.get("volumes")))
        elif row.kind == "image" and row.facts.get("trashed"):
            held = trash.tag_name(row.operation_id)
            tags = ctx.engine.image(row.native_id).tags
            if not all(trash.is_tag_name(tag) for tag in tags):
                return "It is out of the trash: somebody has given it a name."
            if _has_containers(ctx, row.native_id):
                return USED
            if held in tags:
                ctx.engine.untag(held)
    return ""


# What builders keep


def _cached(ctx: Context, item: Item) -> str:
    """The engine itself says whether it went: to ask again would have it count everything once a record."""
    ctx.check_fence()
    if ctx.engine.prune_cache(item["native_id"]):
        return ""
    return "A build uses it by now, or something stands on it." if _is_cached(ctx, item) else ""


def _is_cached(ctx: Context, item: Item) -> bool:
    return any(record.native_id == item["native_id"] for record in ctx.engine.disk_usage().cache)


Remove = Callable[[Context, Item], str]
Find = Callable[[Context, Item], Any]


def _find_image(ctx: Context, item: Item) -> Any:
    return ctx.engine.image(item["native_id"])


WAYS: Mapping[str, tuple[Remove, Find]] = {
    "containers": (_container, lambda ctx, item: ctx.engine.container(item["native_id"])),
    "images": (_image, _find_image),
    "unused_images": (_image, _find_image),
    "volumes": (_volume, lambda ctx, item: ctx.engine.volume(item["native_id"])),
    "named_volumes": (_volume, lambda ctx, item: ctx.engine.volume(item["native_id"])),
    "build_cache": (_cached, _is_cached),
    "networks": (_network, lambda ctx, item: ctx.engine.network(item["native_id"])),
    "trash": (_trashed, lambda _ctx, item: _kept(item)),
}
