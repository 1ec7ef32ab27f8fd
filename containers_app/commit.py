"""A container as an image, and its whole file system as a tar: what both hold, and what neither does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import Actor
from containers_app import plans, volume_files
from containers_app.models import Container
from containers_app.verbs import must, native_id
from engine.docker_text import MASK
from engine.errors import EngineError, PolicyDenied
from images_app import references
from images_app import sync as image_sync
from images_app.models import Tag
from operations import services
from operations.models import Operation
from operations.plans import Item, Plan, listed
from operations.registry import Context, leaving, operation
from operations.spooled import written

Result = Mapping[str, Any]
MOST_MESSAGE = 500


def _now(ctx: Context) -> str:
    """The image that the wanted name points at; empty where there is none."""
    found = ctx.engine.resolve_image(str(ctx.params["reference"]))
    return found.native_id if found else ""


def _made(ctx: Context, image_id: str, *, changed: bool = True) -> Result:
    image = image_sync.refresh(ctx.operation.engine, ctx.engine, image_id, operation=ctx.operation)
    return {
        "container": ctx.operation.target_id, "image": str(image.pk) if image else "", "native_id": image_id,
        "reference": ctx.params["reference"], "changed": changed,
    }  # fmt: skip


def _is_committed(ctx: Context) -> Result | bool | None:
    if not ctx.remembered:
        return False
    now = _now(ctx)
    return _made(ctx, now) if now not in ("", ctx.remembered["was"]) else None


def _after(ctx: Context) -> None:
    image_sync.reconcile(ctx.operation.engine, ctx.engine)


# What it would do


def committing(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``container.commit``."""
    container = plans.target(operation_)
    return (
        committed(container, str(operation_.params["reference"]), actor)
        if container
        else Plan(lead=_("It is gone."))
    )


def committed(container: Container, reference: str, actor: Actor) -> Plan:
    """What the image would hold, and what it would not."""
    plan = Plan(button=_("Commit"))
    plan.made.append(Item(reference or _("An image"), _("of what it is now")))
    plan.changed.append(
        Item(
            _("In the image"),
            _("%(image)s and every file that it wrote itself")
            % {"image": container.image_ref or _("its image")},
        )
    )
    secret = [name for name, value in container.environment.items() if value == MASK]
    if secret:
        names = listed(secret[:4])
        if len(secret) > 4:
            names = _("%(names)s and more") % {"names": names}
        words = _("%(names)s can be read by whoever has the image") % {"names": names}
        plan.affected.append(Item(_("Its environment goes along"), words))
    if container.state == "running":
        plan.affected.append(
            Item(container.name, _("stands still for a moment, so that its files are of one time"))
        )
    there = Tag.objects.filter(engine_id=container.engine_id, name=reference).exists() if reference else False
    if there:
        plan.affected.append(
            Item(reference, _("points at the new image then; the one of now stays without that name"))
        )
    plan.kept += _outside(container)
    return plan


def exporting(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``container.export``."""
    container = plans.target(operation_)
    if container is None:
        return Plan(lead=_("It is gone."))
    return exported(container)


def exported(container: Container) -> Plan:
    """What the tar would hold, and what it would not."""
    plan = Plan(button=_("Export file system"))
    plan.changed.append(
        Item(_("In the tar"), _("all its files, those of its image too, kept here for a day"))
    )
    plan.kept += _outside(container)
    plan.kept.append(Item(_("Its settings"), _("command, environment and the like: not in it")))
    return plan


def _outside(container: Container) -> list[Item]:
    """What is not in its own file system."""
    mounts = list(container.mounts.all())
    found = []
    for kind in ("volume", "bind", "tmpfs"):
        mine = [mount for mount in mounts if mount.type == kind]
        if mine:
            where = listed([mount.target for mount in mine[:6]])
            title = _("Files in memory")
            if kind == "volume":
                title = ngettext("%(n)s volume", "%(n)s volumes", len(mine)) % {"n": len(mine)}
            elif kind == "bind":
                title = ngettext("%(n)s host path", "%(n)s host paths", len(mine)) % {"n": len(mine)}
            found.append(Item(title, _("at %(where)s: not in it") % {"where": where}))
    return [*found, Item(container.name, _("goes on as it is"))]


# The changes


@operation(
    "container.commit", label="Commit", doing="Committing", done="Committed",
    deadline=660, repeatable=True, verify=_is_committed,
    after=_after, plan=committing,
)  # fmt: skip
def commit(ctx: Context) -> Result:
    """Makes an image of its files and settings, and lets the name point at it."""
    if done := _is_committed(ctx):  # by an attempt that died before it could say so
        return done if isinstance(done, Mapping) else {}
    must(ctx)
    reference, actor = str(ctx.params["reference"]), services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    image_sync.reconcile(ctx.operation.engine, ctx.engine)
    references.may_tag([reference], actor=actor, engine=ctx.operation.engine, team_id=ctx.operation.team_id)
    ctx.remember(was=_now(ctx))
    ctx.check_fence()
    made = ctx.engine.commit(native_id(ctx), reference, message=str(ctx.params["message"]), deadline=600)
    if _now(ctx) != made:
        raise EngineError("The engine has made the image, and the name points elsewhere.")
    return _made(ctx, made)


@operation(
    "container.export",
    label="Export file system",
    expensive=True,
    doing="Exporting",
    done="Exported",
    deadline=3600,
    repeatable=True,
    plan=exporting,
)
def export(ctx: Context) -> Result:
    """Writes a tar of its whole file system, to be fetched for a day."""
    target = export_of(ctx.operation)
    volume_files.forget_old()
    tell = volume_files.telling(ctx, "Reading its files", None)
    with leaving("No file was made."), written(target) as out:
        size = ctx.engine.export(
            native_id(ctx), volume_files.Counted(out, tell),  # type: ignore[arg-type]
            most=volume_files.most_bytes(), should_stop=ctx.should_stop, deadline=3500,
        )  # fmt: skip
    return {
        "container": ctx.operation.target_id, "bytes": size, "download": f"/containers/filesystems/{ctx.operation.pk}/",
    }  # fmt: skip


def export_of(operation_: Operation) -> Any:
    """Where the tar that this operation made lies."""
    return volume_files.file_of(f"{operation_.pk}.container.tar")
