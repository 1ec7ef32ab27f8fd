"""Running a container: who may refer to what, the image, the container, its start.

An attempt that died in the middle is found again by the operation's id, which the engine keeps as a label of the
container; so there is never a second one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.db.models import Q

from accounts.access import Actor
from accounts.querysets import foreign_to, visible_to
from containers_app import drift, own, sync, team_values
from containers_app.models import Container, Network, Volume
from engine import guard, names
from engine.base import Engine as EngineBackend
from engine.errors import (
    Cancelled,
    DeadlineExceeded,
    EngineError,
    ImageNotFound,
    NameInUse,
    NotFound,
    PolicyDenied,
    Unreachable,
)
from engine.specs import ContainerSpec
from engine.types import ContainerInfo, Progress
from images_app import references, registries, scan_gate
from images_app import sync as image_sync
from images_app.models import Image, Tag
from operations import policies, services
from operations.models import Engine, Operation
from operations.registry import Context, leaving, operation

OPEN_NETWORKS = ("bridge", "none", "default")
"""Networks of the engine itself, which are nobody's."""


def allowed(
    spec: ContainerSpec,
    *,
    actor: Actor,
    engine: Engine,
    team_id: Any,
    had: Collection[str] = (),
    name: str = "",
) -> None:
    """Raises `PolicyDenied` where a guard rail, or somebody else's volume or network, stands in the way, and
    `SelfProtected` where a volume keeps what is Slipway's own.

    ``had``: names of those that it has already, as a container that is made anew, with its ``name``.
    """
    policies.check(spec, actor=actor, team_id=team_id, name=spec.name or name)
    mounted = {other for _field, kind, other in _references(spec) if kind == "volume"} - set(had)
    for row in Volume.objects.filter(engine=engine, native_id__in=mounted):
        own.check_volume(row, actor)
    if policies.guard_level(actor, team_id) == guard.SITE:
        return
    for field, kind, other in _references(spec):
        if other not in had and _is_taken(kind, other, engine, actor):
            raise PolicyDenied(
                f"There is a {kind} {other} already that is not your team's: choose another name.",
                rule=f"not_your_{kind}",
                field=field,
            )


def fetches(reference: str, *, pull: str, engine: Engine) -> bool:
    """Whether a registry will be asked for it, as far as rows know: that is paced like a pull."""
    if pull == "never" or names.is_image_id(reference):
        return False
    if pull == "always":
        return True
    if "@" in reference:
        here = Image.objects.filter(engine=engine).exclude(digests=[]).values_list("digests", flat=True)
        digest = reference.rpartition("@")[2]
        return not any(str(one).endswith(digest) for digests in here for one in digests)
    return not Tag.objects.filter(engine=engine, name=references.tag_of(reference)).exists()


def _is_taken(kind: str, name: str, engine: Engine, actor: Actor) -> bool:
    """Whether it is there, and not for this actor."""
    if kind == "volume":
        volumes = Volume.objects.filter(engine=engine, native_id=name)
        return volumes.exists() and not visible_to(actor, volumes).exists()
    networks = Network.objects.filter(Q(name=name) | Q(native_id=name), engine=engine)
    return networks.exists() and not visible_to(actor, networks).exists()


def _references(spec: ContainerSpec) -> Iterator[tuple[str, str, str]]:
    """``(field, kind, name)`` of what a spec refers to and may be somebody else's."""
    for index, mount in enumerate(spec.mounts):
        if mount.type == "volume" and mount.source:
            yield f"mounts.{index}.source", "volume", mount.source
    for index, network in enumerate(spec.networks):
        if network not in OPEN_NETWORKS:
            yield f"networks.{index}", "network", network


def _verify(ctx: Context) -> Mapping[str, Any] | bool | None:
    """Finds what an attempt has made, and brings it to its end."""
    found = ctx.engine.find_by_operation(str(ctx.operation.pk))
    if found is None:
        return None
    try:
        spec, actor = _spec(ctx), services.actor_of(ctx.operation)
        if actor:
            found_again(ctx, found, spec.image, actor=actor)
        return begin(ctx, found, start=spec.start, asked=drift.of_run(spec.to_dict()))
    except (DeadlineExceeded, Unreachable):
        raise
    except EngineError:
        return False


@operation(
    "container.run", label="Run", doing="Running", done="Runs:", deadline=1200, repeatable=True, verify=_verify,
)  # fmt: skip
def run(ctx: Context) -> Mapping[str, Any]:
    """Gets the image, makes the container and starts it; where the start fails, the container goes again."""
    spec, operation_ = _spec(ctx), ctx.operation
    actor = services.actor_of(operation_)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    sync.refresh_volumes(operation_.engine, ctx.engine)
    allowed(spec, actor=actor, engine=operation_.engine, team_id=operation_.team_id)
    spec = policies.with_defaults(spec, team_id=operation_.team_id)
    found = ctx.engine.find_by_operation(str(operation_.pk))
    if found:
        found_again(ctx, found, spec.image, actor=actor)
    else:
        image = get_image(ctx, spec.image, pull=spec.pull, actor=actor)
        if ctx.should_stop():
            raise Cancelled("Cancelled before the container was made.")
        ctx.emit(Progress(message="Making the container"))
        ctx.check_fence()
        found = _made(ctx, spec)
        try:
            same_image(ctx, found, spec.image, image, actor=actor)
        except PolicyDenied:
            _discard(ctx, found.native_id)
            raise
    return begin(ctx, found, start=spec.start, asked=drift.of_run(spec.to_dict()))


def _made(ctx: Context, spec: ContainerSpec) -> ContainerInfo:
    """A new container. Where its name is taken, it may be by an attempt that an engine has only now carried out."""
    try:
        return ctx.engine.container(ctx.engine.create(spec, operation_id=str(ctx.operation.pk)))
    except NameInUse:
        found = ctx.engine.find_by_operation(str(ctx.operation.pk))
        if found is None:
            raise
        return found


def _spec(ctx: Context) -> ContainerSpec:
    return ContainerSpec.parse({key: value for key, value in ctx.params.items() if not key.startswith("_")})


def begin(
    ctx: Context,
    made: ContainerInfo,
    *,
    start: bool,
    asked: Mapping[str, Any] | None = None,
    like: Container | None = None,
) -> Mapping[str, Any]:
    """Takes ownership, starts it where that is wanted and has not happened, and says what came of it.

    ``like``: the one whose settings it has.
    """
    row = _owned(ctx.operation, ctx.engine, made.native_id)
    team_values.given(row, ctx.params, like)
    if start and made.started_at is None:
        try:
            if ctx.should_stop():
                raise Cancelled("Cancelled before the container was started: it was removed again.")
            ctx.emit(Progress(message="Starting the container"))
            ctx.check_fence()
            ctx.engine.start(made.native_id)
        except (DeadlineExceeded, Unreachable):
            raise
        except EngineError:
            _discard(ctx, made.native_id)
            raise
        row = _owned(ctx.operation, ctx.engine, made.native_id) or row
    drift.agree(row, by=ctx.operation, asked=asked)
    return {"container": str(row.pk) if row else "", "name": made.name}


def _owned(operation_: Operation, engine: EngineBackend, native_id: str) -> Container | None:
    """The row, at once and with its team, so that nobody of the team waits for the next sync to see it."""
    return sync.refresh(operation_.engine, engine, native_id, team=operation_.team)


def _discard(ctx: Context, native_id: str) -> None:
    """What could not be started is not left behind: its name is free again. Its anonymous volumes go too."""
    try:
        ctx.check_fence()
        ctx.engine.remove(native_id, force=True, volumes=True)
    except NotFound:
        pass
    sync.refresh(ctx.operation.engine, ctx.engine, native_id)


def get_image(ctx: Context, reference: str, *, pull: str, actor: Actor) -> str:
    """Sees to it that the image is here, and that this team may use it; its id. ``pull``: missing, always or never.

    An image that is another team's may be used by whoever can pull it as well; what only that team has built
    does not exist for others.
    """
    team_id = services.owner_of(ctx.operation).team_id
    policies.check_image(reference, actor=actor, team_id=team_id, field="image")
    engine = ctx.operation.engine
    found = ctx.engine.resolve_image(reference)
    foreign = found and is_foreign(engine, found.native_id, actor=actor, team_id=team_id)
    by_id = names.is_image_id(reference)
    if found and not foreign and (pull != "always" or by_id):
        scanned(ctx, reference, found.native_id, actor=actor)
        return found.native_id
    if by_id or pull == "never":
        raise ImageNotFound(f"There is no image {reference} on this engine, and it was not to be pulled.")
    references.may_fetch(
        reference, found.native_id if found else "", found.digests if found else (), actor=actor, engine=engine,
        team_id=team_id, field="image",
    )  # fmt: skip
    ctx.emit(Progress(message=f"Pulling {reference}"))
    auth = registries.auth(reference, actor=actor, team_id=team_id)
    with leaving(f"{reference} was not pulled, and no container was touched."):
        native_id = ctx.engine.pull(
            reference, emit=ctx.emit, should_stop=ctx.should_stop, deadline=900, auth=auth
        )
    image_sync.refresh(engine, ctx.engine, native_id, operation=ctx.operation)
    scanned(ctx, reference, native_id, actor=actor)
    return native_id


def scanned(ctx: Context, reference: str, native_id: str, *, actor: Actor) -> None:
    """Raises `PolicyDenied` where the scans of this very image do not let a container be made from it."""
    scan_gate.check(
        reference, engine=ctx.operation.engine, actor=actor, team_id=services.owner_of(ctx.operation).team_id,
        name=ctx.operation.target_name, native_id=native_id,
    )  # fmt: skip


def found_again(ctx: Context, made: ContainerInfo, reference: str, *, actor: Actor) -> None:
    """The same for what an attempt that died has made and not started: nobody may have judged that one. It goes."""
    if made.started_at is None:
        try:
            scanned(ctx, reference, made.image_id, actor=actor)
        except PolicyDenied:
            _discard(ctx, made.native_id)
            raise


def same_image(ctx: Context, made: ContainerInfo, reference: str, native_id: str, *, actor: Actor) -> None:
    """The same for what the engine has made now: the name may have moved since it was looked up."""
    if made.image_id != native_id:
        scanned(ctx, reference, made.image_id, actor=actor)


def is_foreign(engine: Engine, native_id: str, *, actor: Actor, team_id: Any) -> bool:
    """Whether it is another team's than this, and does not exist for this actor."""
    there = Image.objects.filter(engine=engine, native_id=native_id)
    return foreign_to(actor, there, team_id).exists()
