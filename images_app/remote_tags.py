"""Removing a tag at a registry. Registries remove what a tag points at, so every tag of the same goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from engine import names
from engine import registries as remote
from engine.base import Engine as EngineBackend
from engine.errors import Conflict, EngineError, ImageNotFound, NotFound
from engine.specs import SpecError
from images_app import registries
from images_app.models import Registry
from operations import reads, services
from operations.models import Engine, Operation
from operations.plans import Item, Plan
from operations.registry import Context, operation
from operations.services import Refused, Target
from streams import bell

KIND = "registry.untag"
MOST = 500
"""Tags of a repository that are looked at for the same digest."""
AT_ONCE = 6


def request_untag(
    row: Registry, repository: str, tag: str, *, actor: Actor, digest: str = "", idempotency_key: str = ""
) -> Operation:
    """Asks for a tag to be removed at its registry; ``digest``: only as long as it points there."""
    target = Target("registry", str(row.pk), f"{row.host}/{repository}:{tag}"[:255])
    services.authorize(KIND, actor=actor, target=target, team_id=row.owner_id)
    wrong = {
        "repository": "" if names.is_repository(repository) else _("This is no repository."),
        "tag": "" if names.is_tag(tag) else _("This is no tag."),
        "digest": "" if not digest or names.is_digest(digest) else _("This is no digest."),
    }
    if any(wrong.values()):
        raise SpecError({field: [said] for field, said in wrong.items() if said})
    # Every operation stands at an engine; this one asks none.
    engines = Engine.objects.all()
    engine = engines.filter(status=Engine.Status.ONLINE).first() or engines.first()
    if engine is None:
        raise Refused("engine_unreachable", _("No container engine is connected to Slipway yet."), 502)
    lock = services.lock("registry", row.pk, repository)
    return services.submit(
        KIND, actor=actor, engine=engine, target=Target("registry", str(row.pk), target.name, lock),
        team=row.owner, params={"repository": repository, "tag": tag, "digest": digest},
        idempotency_key=idempotency_key,
    )  # fmt: skip


@reads.reader("registry.same", target="registry", permission="registry.read")
def same(engine: EngineBackend, row: Registry, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"digest", "tags": […], "all": bool}``: every tag that points where this one does, as far as was looked."""
    asked, repository = registries.at(row), str(params["repository"])
    digest = asked.digest(repository, str(params["tag"]))
    page = asked.tags(repository, MOST)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        digests = list(pool.map(lambda tag: _digest(asked, repository, tag), page.names))
    tags = [tag for tag, found in zip(page.names, digests, strict=True) if found == digest]
    return {"digest": digest, "tags": tags, "all": not page.more and "" not in digests}


def _digest(asked: remote.Registry, repository: str, tag: str) -> str:
    try:
        return asked.digest(repository, tag)
    except EngineError:
        return ""


def removing(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``registry.untag``: asks the registry which tags go along."""
    row = Registry.objects.filter(pk=operation_.target_id).first()
    repository, tag = operation_.params["repository"], operation_.params["tag"]
    plan = Plan(button=_("Remove tag"), no_undo=_("A registry gives nothing back; it can be pushed again."))
    plan.lost.append(Item(f"{repository}:{tag}", _("at the registry"), mono=True))
    if row is None:
        return Plan(lead=_("This registry is gone."))
    try:
        params = {"repository": repository, "tag": tag}
        found = reads.read("registry.same", row, actor=actor, params=params, deadline=registries.LOOK)
    except EngineError as error:
        said = _("Which other tags point at the same image: %(why)s") % {"why": error.message}
        plan.unknown.append(said)
        return plan
    others = [name for name in found["tags"] if name != tag]
    same_image = _("points at the same image")
    plan.lost += [Item(f"{repository}:{name}", same_image, mono=True) for name in others]
    if not found["all"]:
        plan.unknown.append(_("There are more tags than were looked at: some may point at the same image."))
    plan.kept.append(Item(_("Images on engines here"), _("stay, with their tags")))
    return plan


def _is_gone(ctx: Context) -> bool | None:
    row = Registry.objects.filter(pk=ctx.operation.target_id).first()
    if row is None:
        return None
    try:
        registries.at(row).digest(str(ctx.params["repository"]), str(ctx.params["tag"]))
    except ImageNotFound:
        return True
    return False


@operation(
    KIND,
    label="Remove remote tag",
    doing="Removing",
    done="Removed",
    repeatable=True,
    verify=_is_gone,
    plan=removing,
)
def untag(ctx: Context) -> Mapping[str, Any]:
    """Removes what the tag points at, and with it every tag that points there."""
    row = Registry.objects.filter(pk=ctx.operation.target_id).first()
    if row is None:
        raise NotFound("This registry is gone from Slipway.")
    repository, tag = str(ctx.params["repository"]), str(ctx.params["tag"])
    asked = registries.at(row)
    digest = asked.digest(repository, tag)
    if ctx.params.get("digest") not in ("", None, digest):
        raise Conflict("This tag points at another image by now: look at it again.")
    ctx.check_fence()
    asked.delete(repository, digest)
    bell.ring("registries")
    return {"reference": f"{row.host}/{repository}:{tag}", "digest": digest}
