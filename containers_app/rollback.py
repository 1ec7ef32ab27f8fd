"""Letting a tag point at an earlier image of its own again, and making anew the containers that run it.

The earlier image may be on the engine, in the trash, or gone from it and known to its registry by a digest: then it is
pulled by that. Taken back as a tag is that was taken away, by `image.restore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import Actor, can
from accounts.querysets import visible_to
from containers_app import operations
from containers_app.models import Container
from engine.errors import Conflict, EngineError, Invalid, NotFound, PolicyDenied
from engine.specs import SpecError
from images_app import references, registries, sync
from images_app.models import Image, Tag
from images_app.progress import PullLayers
from images_app.tag_history import FOREIGN, GONE, REGISTRY, TRASH, Earlier, earlier
from images_app.verbs import after, now
from operations import registry, services, trash
from operations.models import Operation
from operations.plans import Item, Plan, undo
from operations.registry import Context, leaving, operation
from operations.services import Refused, Target

KIND = "image.rollback"
UP = ("running", "restarting")
"""What serves from an image now; the rest is flagged, and left to whoever starts it."""
Result = Mapping[str, Any]


# Asking


def request(
    tag: Tag, native_id: str, *, actor: Actor, recreate: bool = False, idempotency_key: str = ""
) -> Operation:
    """Asks for the tag to point at that image again, one that it has pointed at.

    ``recreate``: the running containers that were made from the tag are made anew from it, each as an operation of its
    own. Raises `SpecError` where the tag never pointed there, and `Refused` where the image is nowhere any more.
    """
    image = tag.image
    lock = services.lock("engine", tag.engine_id, "tag", tag.name)
    target = Target("image", str(image.pk), tag.name, lock)
    services.authorize(KIND, actor=actor, target=target, team_id=image.team_id)
    with services.denials(KIND, actor=actor, target=target, team_id=image.team_id):
        registry.may_touch(KIND, "tag", str(tag.pk), actor)
    found = earlier(tag, native_id, actor)
    if found is None or found.fate == FOREIGN:
        raise SpecError({"to": [_("%(name)s never pointed at such an image.") % {"name": tag.name}]})

    def possible() -> None:
        if image.native_id == native_id:
            raise Refused("conflict", _("%(name)s points at that image already.") % {"name": tag.name})
        if found.fate == GONE:
            raise Refused("conflict", _("That image is gone, and no registry is known to have it."))

    return services.submit(
        KIND, actor=actor, engine=tag.engine, target=target, team=image.team,
        params={
            "reference": tag.name, "native_id": native_id, "was": image.native_id, "digest": found.digest,
            "recreate": bool(recreate),
        },
        idempotency_key=idempotency_key, check=possible, fetches=not _is_here(tag, native_id),
    )  # fmt: skip


def _is_here(tag: Tag, native_id: str) -> bool:
    return Image.everything.filter(engine_id=tag.engine_id, native_id=native_id).exists()


def made_from(tag: Tag) -> list[Container]:
    """Containers that were asked for by this tag."""
    rows = Container.objects.filter(engine_id=tag.engine_id).select_related("engine", "team").order_by("name")
    return [row for row in rows if references.tag_of(row.image_ref) == references.tag_of(tag.name)]


# The plan


def planned(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``image.rollback``."""
    wish = operation_.params
    tags = Tag.objects.filter(engine=operation_.engine, name=wish["reference"]).select_related("image")
    tag = tags.first()
    found = earlier(tag, wish["native_id"], actor) if tag else None
    if tag is None or found is None:
        return Plan(lead=_("The tag is gone."))
    plan = Plan(button=_("Roll back"))
    old, new = tag.image.short_id, _short(found.native_id)
    said = {"image": new, "date": _made(found.row)}
    points = _("points at %(image)s again, made %(date)s") if said["date"] else _("points at %(image)s again")
    plan.changed.append(Item(tag.name, points % said, _("instead of %(old)s") % {"old": old}, mono=True))
    _comes_from(plan, tag, found)
    _containers(plan, tag, found, actor, recreate=bool(wish["recreate"]))
    others = [other.name for other in tag.image.tags.all() if other.pk != tag.pk]
    stays = _("still named %(names)s") % {"names": ", ".join(others)} if others else _("stays without a name")
    plan.kept.append(Item(_("Image %(old)s") % {"old": old}, stays, size=tag.image.size))
    undo(plan)
    return plan


def _comes_from(plan: Plan, tag: Tag, found: Earlier) -> None:
    if found.fate == TRASH:
        plan.changed.append(
            Item(
                _("Image %(old)s") % {"old": _short(found.native_id)},
                _("comes out of the trash"),
                mono=True,
            )
        )
    elif found.fate == REGISTRY:
        by_digest = f"{tag.repository}@{found.digest[:19]}…"
        plan.made.append(Item(by_digest, _("is gone from the engine, and pulled again first"), mono=True))


def _containers(plan: Plan, tag: Tag, found: Earlier, actor: Actor, *, recreate: bool) -> None:
    """Who runs what, and what becomes of it."""
    rows = made_from(tag)
    mine = set(
        visible_to(actor, Container.objects.filter(pk__in=[r.pk for r in rows])).values_list("pk", flat=True)
    )
    for row in rows:
        if row.pk not in mine:
            continue
        image = {"image": _short(row.image_native_id)}
        runs = _("made from %(image)s")
        if row.image_native_id == found.native_id:
            plan.kept.append(Item(row.name, _("made from %(image)s, which is what it is now") % image))
        elif recreate and row.state in UP and can(actor, "container.recreate", row):
            plan.changed.append(Item(row.name, _("is made anew from it, behind a gate"), runs % image))
        else:
            plan.affected.append(
                Item(row.name, _("goes on as it is, with another image than its tag"), runs % image)
            )
    if hidden := len(rows) - len(mine):
        words = ngettext("%(n)s container of other teams", "%(n)s containers of other teams", hidden)
        plan.affected.append(Item(words % {"n": hidden}))


def _short(native_id: str) -> str:
    return native_id.removeprefix("sha256:")[:12]


def _made(row: Image | None) -> str:
    return f"{row.created_at:%Y-%m-%d}" if row and row.created_at else ""


# The verb


def _is_back(ctx: Context) -> Result | None:
    return _finished(ctx) if now(ctx, str(ctx.params["reference"])) == ctx.params["native_id"] else None


@operation(
    KIND, label="Roll back", doing="Rolling back", done="Rolled back",
    permission="image.tag", deadline=1200, repeatable=True,
    verify=_is_back, after=after, plan=planned,
)  # fmt: skip
def rollback(ctx: Context) -> Result:
    """Moves the tag, if it still points where it did; the image is pulled by its digest where it is gone."""
    reference, native_id = str(ctx.params["reference"]), str(ctx.params["native_id"])
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    before = now(ctx, reference)
    if before == native_id:
        return _finished(ctx)
    if before != ctx.params["was"]:
        raise Conflict("This tag points at another image by now: look again.")
    sync.reconcile(ctx.operation.engine, ctx.engine)
    references.may_tag([reference], actor=actor, engine=ctx.operation.engine, team_id=ctx.operation.team_id)
    if not now(ctx, native_id):
        _pull(ctx, actor)
    if trash.hours() > 0:
        facts = {"tags": [reference], "trashed": False, "instead": native_id}
        trash.begin(ctx, native_id=before, name=reference, facts=facts)
    ctx.check_fence()
    ctx.engine.tag(native_id, reference)
    if now(ctx, reference) != native_id:
        raise Conflict("The engine accepted the tag, and it points elsewhere.")
    return _finished(ctx)


def _pull(ctx: Context, actor: Actor) -> None:
    """By its digest: under that there is this image, or none."""
    tag, digest = str(ctx.params["reference"]), str(ctx.params["digest"])
    if not digest:
        raise NotFound("That image is gone, and no registry is known to have it.")
    reference = f"{tag.rpartition(':')[0]}@{digest}"
    auth = registries.auth(
        reference, actor=actor, team_id=services.owner_of(ctx.operation).team_id, chosen=""
    )
    ctx.check_fence()
    with leaving(f"{tag} points where it did."):
        emit = PullLayers(ctx).emit
        got = ctx.engine.pull(reference, emit=emit, should_stop=ctx.should_stop, deadline=900, auth=auth)
    if got != ctx.params["native_id"]:
        raise Conflict("The registry gave another image under that digest.")


def _finished(ctx: Context) -> Result:
    """What follows once the tag points there; every attempt comes by, and does what is left of it."""
    item = trash.of(ctx.operation)
    if item and item.state == trash.State.GOING:
        trash.keep(item)
    _out_of_trash(ctx)
    native_id = str(ctx.params["native_id"])
    image = sync.refresh(ctx.operation.engine, ctx.engine, native_id, operation=ctx.operation)
    result: dict[str, Any] = {
        "image": str(image.pk) if image else "", "reference": ctx.params["reference"], "undoable": item is not None,
    }  # fmt: skip
    return {**result, **_recreated(ctx)} if ctx.params["recreate"] else result


def _out_of_trash(ctx: Context) -> None:
    """What held the image there is not needed any more: it has a name."""
    with suppress(NotFound):
        for tag in ctx.engine.image(str(ctx.params["native_id"])).tags:
            if trash.is_tag_name(tag):
                ctx.check_fence()
                with suppress(NotFound):
                    ctx.engine.untag(tag)


def _recreated(ctx: Context) -> Result:
    """Asks for each container that serves from the tag; those that may not be, or cannot be, stay with the reason."""
    actor = services.actor_of(ctx.operation)
    tag = Tag.objects.filter(engine=ctx.operation.engine, name=ctx.params["reference"]).first()
    asked, kept = [], []
    if actor is None or tag is None:
        return {}
    for row in made_from(tag):
        if row.image_native_id == ctx.params["native_id"] or row.state not in UP:
            continue
        key = f"{ctx.operation.pk}-{row.pk}"
        try:
            with suppress(Http404):  # of others, who decide themselves
                again = operations.request(
                    row, "recreate", actor=actor, params={"pull": False}, idempotency_key=key
                )
                asked.append({"container": row.name, "operation": str(again.pk)})
        except (PermissionDenied, Refused, PolicyDenied, Invalid, SpecError, EngineError) as error:
            kept.append({"container": row.name, "reason": str(error)})
    return {"recreated": asked, "kept": kept}
