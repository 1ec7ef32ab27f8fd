"""What can be done with images: one function a verb, each judged by looking again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from accounts.access import Actor
from engine.errors import BuildFailed, Cancelled, Conflict, EngineError, Invalid, PolicyDenied
from engine.specs import BuildSpec, SpecError
from engine.types import Progress
from images_app import build_rules, dockerfile, git, kept, references, registries, spool, sync
from images_app.models import Build, Image
from images_app.progress import BuildSteps, PullLayers, ended
from operations import policies, services
from operations.models import Operation
from operations.registry import Context, leaving, operation

Result = Mapping[str, Any]


def now(ctx: Context, reference: str) -> str:
    """The id of the image that this reference points at on the engine; empty for none."""
    found = ctx.engine.resolve_image(reference)
    return found.native_id if found else ""


def after(ctx: Context) -> None:
    sync.refresh(ctx.operation.engine, ctx.engine, operation=ctx.operation)


def _row(ctx: Context, native_id: str) -> Image | None:
    return sync.refresh(ctx.operation.engine, ctx.engine, native_id, operation=ctx.operation)


# Building


def _build_of(ctx: Context) -> Build:
    return Build.objects.get(operation=ctx.operation)


def _is_built(ctx: Context) -> Result | Literal[False] | None:
    """The engine ends a build whose connection has gone, soon; what it had tagged before that has happened."""
    if not ctx.remembered:
        return False
    native_id = now(ctx, ctx.params["tags"][0])
    return _built(ctx, _build_of(ctx), native_id) if native_id not in ("", ctx.remembered["was"]) else None


def _after_build(ctx: Context) -> None:
    row = _build_of(ctx)
    kept.settle(row)
    # A step that a lost worker left running runs no more.
    steps = ended(row.steps, "done" if row.image_id else "failed")
    Build.objects.filter(pk=row.pk).update(steps=steps)
    after(ctx)


def _again(asked: Operation, actor: Actor) -> Operation:
    from images_app.operations import rebuild

    return rebuild(asked, actor)


@operation(
    "image.build", label="Build", doing="Building", done="Built",
    deadline=1800, repeatable=True, verify=_is_built, expensive=True,
    after=_after_build, again=_again,
)  # fmt: skip
def build(ctx: Context) -> Result:
    """Builds from the context that lies ready, step by step, and tags the image."""
    if built := _is_built(ctx):  # by an attempt that died before it could say so
        return built
    row, spec = _fetched(ctx, _build_of(ctx), spec_of(ctx.params))
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    team_id = ctx.operation.team_id
    policies.check(spec, actor=actor, team_id=team_id)
    sync.reconcile(ctx.operation.engine, ctx.engine)
    references.may_tag(spec.tags, actor=actor, engine=ctx.operation.engine, team_id=team_id)
    try:
        build_rules.check(row.dockerfile, spec, actor=actor, engine=ctx.operation.engine, team_id=team_id)
    except SpecError as error:
        raise Invalid(" ".join(error.errors["dockerfile"])) from None
    _get_bases(ctx, row, spec, actor)
    spec = build_rules.limited(_with_builder(ctx, row, spec), actor=actor, team_id=team_id)
    steps = BuildSteps(ctx, row, hide=spec.secrets.values())
    auths = registries.auths(row.dockerfile, spec.build_args.values(), actor=actor, team_id=team_id)
    ctx.remember(was=now(ctx, spec.tags[0]))
    ctx.check_fence()
    try:
        with leaving("No image was made."), spool.opened(row.context_path) as context:
            native_id = ctx.engine.build(
                spec, context, emit=steps.emit, should_stop=ctx.should_stop, deadline=1800, auths=auths
            )
    except FileNotFoundError:
        raise Invalid("The build context is gone: send it again.") from None
    except EngineError as error:
        steps.end("cancelled" if isinstance(error, Cancelled) else "failed")
        if isinstance(error, BuildFailed):
            steps.failed(error)
        error.message = steps.hidden(error.message)
        raise
    steps.end("done")
    return _built(ctx, row, native_id)


def _get_bases(ctx: Context, row: Build, spec: BuildSpec, actor: Actor) -> None:
    """Asks registries for what is here only because another team has pulled it: whoever may not have it from there may
    not build on it either.
    """
    engine, team_id = ctx.operation.engine, ctx.operation.team_id
    for reference in build_rules.of_others(row.dockerfile, spec, actor=actor, engine=engine, team_id=team_id):
        ctx.emit(Progress(message=f"Pulling {reference}"))
        auth = registries.auth(reference, actor=actor, team_id=team_id, chosen="")
        ctx.check_fence()
        with leaving("No image was made."):
            ctx.engine.pull(reference, emit=ctx.emit, should_stop=ctx.should_stop, deadline=900, auth=auth)


def _fetched(ctx: Context, row: Build, spec: BuildSpec) -> tuple[Build, BuildSpec]:
    """With the context of a repository, and labels on the image that say which commit it is of."""
    if "git" not in ctx.params:
        return row, spec
    wanted = git.source({**ctx.params["git"], "password": ctx.params.get("git_password", "")})
    ctx.emit(Progress(message="Fetching the repository"))
    spool.forget(row.context_path)  # of an attempt that died
    text = "" if ctx.params["git"]["own_dockerfile"] else row.dockerfile
    with git.fetched(wanted, most=spool.most_bytes(), should_stop=ctx.should_stop) as (commit, tar):
        try:
            kept = spool.spool(tar, dockerfile=text, dockerfile_path=row.dockerfile_path)
        except SpecError as error:
            raise Invalid(" ".join(why for found in error.errors.values() for why in found)) from None
    row.dockerfile, row.context_path, row.context_size = kept.dockerfile, kept.path, kept.size
    row.source = {**row.source, **kept.about, "commit": commit}
    row.save(update_fields=["dockerfile", "context_path", "context_size", "source"])
    ctx.emit(Progress(message="Fetched the repository", log=(f"{wanted.url} at {commit}",)))
    labels = {
        "org.opencontainers.image.revision": commit, "org.opencontainers.image.source": wanted.url, **spec.labels,
    }  # fmt: skip
    return row, replace(spec, labels=labels)


def _with_builder(ctx: Context, row: Build, spec: BuildSpec) -> BuildSpec:
    """With the engine's answer to which builder it is; raises where the Dockerfile or a secret needs another."""
    name, why = ctx.engine.builder(spec.builder)
    Build.objects.filter(pk=row.pk).update(builder=name, builder_why=why[:200])
    if name == "classic":
        if spec.secrets:
            raise Invalid(f"Secrets need BuildKit. {why}.")
        if needs := dockerfile.needs_buildkit(row.dockerfile):
            line, what = needs
            Build.objects.filter(pk=row.pk).update(error_line=line)
            raise BuildFailed(f"Line {line}: {what} needs BuildKit. {why}.", step=0, line=line)
    return replace(spec, builder=name)


def _built(ctx: Context, row: Build, native_id: str) -> Result:
    image = _row(ctx, native_id)
    Build.objects.filter(pk=row.pk).update(image=image)
    return {"image": str(image.pk) if image else "", "build": str(row.pk), "native_id": native_id}


def spec_of(params: Mapping[str, Any]) -> BuildSpec:
    """The build's wish from an operation's parameters, which hold a few things more."""
    names = ("tags", "dockerfile", "build_args", "target", "labels", "no_cache", "pull", "builder", "secrets")
    return BuildSpec.parse({name: params[name] for name in names if name in params})


# Pulling


def _is_pulled(ctx: Context) -> Result | bool | None:
    if not ctx.remembered:
        return False
    native_id = now(ctx, str(ctx.params["reference"]))
    return _pulled(ctx, native_id) if native_id not in ("", ctx.remembered["was"]) else False


@operation(
    "image.pull",
    label="Pull",
    expensive=True,
    doing="Pulling",
    done="Pulled",
    deadline=960,
    repeatable=True,
    verify=_is_pulled,
    after=after,
)
def pull(ctx: Context) -> Result:
    """Fetches it from its registry. Layers that are here already are not fetched again."""
    reference = str(ctx.params["reference"])
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    policies.check_image(reference, actor=actor, team_id=ctx.operation.team_id)
    here = ctx.engine.resolve_image(reference)
    references.may_fetch(
        reference, here.native_id if here else "", here.digests if here else (), actor=actor,
        engine=ctx.operation.engine, team_id=ctx.operation.team_id,
    )  # fmt: skip
    chosen = str(ctx.params.get("registry", ""))
    auth = registries.auth(reference, actor=actor, team_id=ctx.operation.team_id, chosen=chosen)
    ctx.remember(was=here.native_id if here else "")
    ctx.check_fence()
    with leaving(f"{reference} was not pulled."):
        native_id = ctx.engine.pull(
            reference, emit=PullLayers(ctx).emit, should_stop=ctx.should_stop, deadline=900, auth=auth
        )
    return {**_pulled(ctx, native_id), "changed": native_id != ctx.remembered["was"]}


def _pulled(ctx: Context, native_id: str) -> Result:
    image = _row(ctx, native_id)
    return {"image": str(image.pk) if image else "", "native_id": native_id}


# Tags


def _is_tagged(ctx: Context) -> bool | None:
    return True if now(ctx, str(ctx.params["reference"])) == ctx.params["native_id"] else None


@operation(
    "image.tag", label="Tag", doing="Tagging", done="Tagged", repeatable=True, verify=_is_tagged, after=after
)
def tag(ctx: Context) -> Result:
    """Lets a name point at this image, wherever it pointed before."""
    reference, native_id = str(ctx.params["reference"]), str(ctx.params["native_id"])
    actor = services.actor_of(ctx.operation)
    if actor is None:
        raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
    sync.reconcile(ctx.operation.engine, ctx.engine)
    references.may_tag([reference], actor=actor, engine=ctx.operation.engine, team_id=ctx.operation.team_id)
    before = now(ctx, reference)
    if before != native_id:
        ctx.check_fence()
        ctx.engine.tag(native_id, reference)
        if now(ctx, reference) != native_id:
            raise Conflict("The engine accepted the tag, and it points elsewhere.")
    return {"image": ctx.operation.target_id, "reference": reference, "changed": before != native_id}
