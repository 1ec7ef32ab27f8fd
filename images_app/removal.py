"""Removing images and tags so that they can be taken back: an image in the trash is held by a name that nobody uses.

Its own names are free meanwhile. The bytes it alone holds are freed when the trash is purged, or at once where it is
removed ``forever``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.utils import timezone

from accounts.access import SYSTEM
from engine.errors import Conflict, InUse, NotFound
from images_app import plans
from images_app.lineage import lineage
from images_app.models import Image
from images_app.verbs import after, now
from operations import trash
from operations.models import TrashItem
from operations.registry import Context, operation

Result = Mapping[str, Any]
_UP = ("running", "paused", "restarting")


def _native_id(ctx: Context) -> str:
    return str(ctx.params["native_id"])


def _row(ctx: Context) -> Image | None:
    return Image.everything.filter(engine=ctx.operation.engine, native_id=_native_id(ctx)).first()


def _keeps(ctx: Context) -> bool:
    return trash.hours() > 0 and not ctx.params.get("forever")


def _tags(ctx: Context) -> list[str]:
    """The names of the image on the engine, those of the trash left out."""
    try:
        found = ctx.engine.image(_native_id(ctx))
    except NotFound:
        return []
    return [tag for tag in found.tags if not trash.is_tag_name(tag)]


def _require_unused(ctx: Context, tags: Sequence[str], *, force: bool) -> None:
    """What the engine would refuse a removal for, although nothing is destroyed yet: a purge would fail later."""
    users = [
        one
        for one in ctx.engine.containers()
        if one.image_id == _native_id(ctx) and not trash.is_container_name(one.name)
    ]
    if any(one.state in _UP for one in users) or (users and not force):
        raise InUse("Containers use this image: remove them first.")
    if Image.objects.filter(engine=ctx.operation.engine, parent_id=_native_id(ctx)).exists():
        raise InUse("Other images were built on it step by step: remove those first.")
    if len(tags) > 1 and not force:
        raise InUse("This image has several tags: remove them one by one, or force it.")


def _put_aside(ctx: Context, tags: Sequence[str]) -> None:
    """Holds the image by a name of the trash, then takes its own names away. Each step may be repeated."""
    row = _row(ctx)
    name = str(row) if row else ctx.operation.target_name
    item = trash.begin(
        ctx, native_id=_native_id(ctx), name=name, facts={"tags": sorted(tags), "trashed": True}
    )
    if now(ctx, trash.tag_name(ctx.operation.pk)) != _native_id(ctx):
        ctx.check_fence()
        ctx.engine.tag(_native_id(ctx), trash.tag_name(ctx.operation.pk))
    for tag in item.facts["tags"]:
        if now(ctx, tag) == _native_id(ctx):
            ctx.check_fence()
            with suppress(NotFound):  # somebody else was faster
                ctx.engine.untag(tag)
    if row:
        Image.everything.filter(pk=row.pk).update(trashed_at=timezone.now())
    trash.keep(item, size=lineage(row, SYSTEM).own if row else None)


def _is_aside(ctx: Context) -> bool:
    """Whether an attempt came so far that the trash holds it; then it is brought to its end."""
    if now(ctx, trash.tag_name(ctx.operation.pk)) != _native_id(ctx):
        return False
    item = TrashItem.objects.filter(operation=ctx.operation).first()
    _put_aside(ctx, item.facts["tags"] if item else [])
    return True


# Tags


def _is_untagged(ctx: Context) -> bool | None:
    if _is_aside(ctx):
        return True
    if now(ctx, str(ctx.params["reference"])) == _native_id(ctx):
        return None
    _is_noted(ctx)
    return True


@operation(
    "image.untag", label="Remove tag", doing="Removing tag", done="Removed tag",
    repeatable=True, verify=_is_untagged, after=after,
    plan=plans.untagging,
)  # fmt: skip
def untag(ctx: Context) -> Result:
    """Takes a name away, if it still points where it did; with its last name an image that nobody uses goes too."""
    reference = str(ctx.params["reference"])
    result = {"image": ctx.operation.target_id, "reference": reference}
    before = now(ctx, reference)
    if not before:
        done = _is_aside(ctx) or _is_noted(ctx)
        return {**result, "changed": done, "undoable": done}
    if before != _native_id(ctx):
        raise Conflict("This tag points at another image by now: look again.")
    others = [tag for tag in _tags(ctx) if tag != reference]
    if not others and _keeps(ctx):
        _require_unused(ctx, [reference], force=False)
        _put_aside(ctx, [reference])
        return {**result, "changed": True, "undoable": True}
    item = _noted(ctx, reference) if others and _keeps(ctx) else None
    ctx.check_fence()
    with suppress(NotFound):  # somebody else was faster
        ctx.engine.untag(reference)
    if now(ctx, reference) == _native_id(ctx):
        raise Conflict("The engine accepted it, and the tag is still there.")
    if item:
        trash.keep(item)
    return {**result, "changed": True, "undoable": item is not None}


def _is_noted(ctx: Context) -> bool:
    """Whether an attempt before has noted the tag that is gone now; then it can be set again."""
    item = trash.of(ctx.operation)
    if item and item.state == trash.State.GOING:
        trash.keep(item)
    return item is not None


def _noted(ctx: Context, reference: str) -> TrashItem:
    """The image stays by its other names: to take the tag back is to set it again."""
    return trash.begin(
        ctx, native_id=_native_id(ctx), name=reference, facts={"tags": [reference], "trashed": False}
    )


# Images


def _is_gone(ctx: Context) -> bool | None:
    if not now(ctx, _native_id(ctx)):
        return True
    return True if _is_aside(ctx) else None


@operation(
    "image.remove", label="Remove image", doing="Removing image", done="Removed image",
    deadline=120, repeatable=True, verify=_is_gone,
    after=after, plan=plans.removing,
)  # fmt: skip
def remove(ctx: Context) -> Result:
    """Puts it into the trash, or removes it with its tags; layers that other images share stay."""
    result = {"image": ctx.operation.target_id}
    if not now(ctx, _native_id(ctx)):
        return {**result, "changed": False}
    if _keeps(ctx):
        if not _is_aside(ctx):
            tags = _tags(ctx)
            _require_unused(ctx, tags, force=bool(ctx.params["force"]))
            _put_aside(ctx, tags)
        return {**result, "changed": True, "undoable": True}
    ctx.check_fence()
    with suppress(NotFound):  # somebody else was faster
        ctx.engine.remove_image(_native_id(ctx), force=bool(ctx.params["force"]))
    if now(ctx, _native_id(ctx)):
        raise Conflict("The engine accepted the removal, and the image is still there.")
    return {**result, "changed": True}


# Out of the trash


def _is_back(ctx: Context) -> Result | bool | None:
    return _tagged_again(ctx, TrashItem.objects.get(pk=ctx.params["trash"])) if ctx.remembered else False


@operation(
    "image.restore", label="Take image back", doing="Taking back", done="Took back",
    permission="image.remove", repeatable=True,
    verify=_is_back, after=after,
)  # fmt: skip
def restore(ctx: Context) -> Result:
    """Gives it its names again, as far as nobody has taken them meanwhile."""
    item = trash.taken(ctx)
    if not now(ctx, item.native_id):
        trash.end(item, trash.State.LOST)
        raise NotFound("The image is gone from the engine: nothing can be taken back.")
    ctx.remember(began=True)
    return _tagged_again(ctx, item)


def _tagged_again(ctx: Context, item: TrashItem) -> Result:
    taken = []
    for tag in item.facts["tags"]:
        points_at = now(ctx, tag)
        if not points_at or points_at == item.facts.get("instead"):
            ctx.check_fence()
            ctx.engine.tag(item.native_id, tag)
        elif points_at != item.native_id:
            taken.append(tag)
    if taken and taken == item.facts["tags"]:
        raise Conflict(f"{taken[0]} names another image now: take that name away first.")
    if item.facts["trashed"]:
        Image.everything.filter(engine=item.engine, native_id=item.native_id).update(trashed_at=None)
        if item.facts["tags"]:  # one that never had a name would go with its last one
            ctx.check_fence()
            with suppress(NotFound):
                ctx.engine.untag(trash.tag_name(item.operation_id))
    trash.end(item, trash.State.RESTORED)
    return {"image": item.target_id, "tags": item.facts["tags"], **({"taken": taken} if taken else {})}


def _is_purged(ctx: Context) -> bool | None:
    return True if not now(ctx, _native_id(ctx)) and _ended(ctx) else None


@operation(
    "image.purge", label="Remove image for good", doing="Removing for good", done="Removed for good",
    permission="image.remove",
    deadline=120, repeatable=True, verify=_is_purged, after=after,
)  # fmt: skip
def purge(ctx: Context) -> Result:
    """Removes it from the engine; a tag that was taken away is only forgotten."""
    item = trash.taken(ctx)
    ctx.remember(began=True)
    if item.facts["trashed"] and now(ctx, item.native_id):
        ctx.check_fence()
        with suppress(NotFound):
            ctx.engine.remove_image(item.native_id, force=True)
    _ended(ctx)
    return {"image": item.target_id}


def _ended(ctx: Context) -> bool:
    trash.end(TrashItem.objects.get(pk=ctx.params["trash"]), trash.State.PURGED)
    return True
