"""Asking for changes of images: one function a wish, the same for pages, REST, admin and commands.

Each raises `engine.specs.SpecError` (not valid), `engine.errors.PolicyDenied` (guard rails),
`accounts.access.Denied` or Http404 (rights), and `operations.services.Refused` (not now).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import IO, Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.models import Team
from engine import names
from engine.errors import Invalid, PolicyDenied
from engine.specs import BuildSpec, SpecError
from images_app import build_rules, git, push, references, registries, removal, spool, verbs
from images_app import kept as kept_contexts
from images_app import then as follows
from images_app.dockerfile import needs_buildkit
from images_app.models import Build, Image, Registry, Tag
from operations import pace, policies, registry, services, variables
from operations.batches import Batch
from operations.masking import withhold
from operations.models import Engine, Operation
from operations.services import Refused, Target

registry.target("image", lambda: Image.everything.select_related("engine"))
registry.target("build", lambda: Build.objects.select_related("engine"))


def request_build(
    *, actor: Actor, engine: Engine | None = None, team: Team | None = None, tags: Sequence[str],
    dockerfile: str = "", context: IO[bytes] | None = None, build_args: Mapping[str, str] | None = None,
    target: str = "", labels: Mapping[str, str] | None = None, no_cache: bool = False, pull: bool = False,
    dockerfile_path: str = "Dockerfile", builder: str = "auto", secrets: Mapping[str, str] | None = None,
    origin: Mapping[str, str] | None = None, git_source: Mapping[str, str] | None = None,
    then: Mapping[str, Any] | None = None, idempotency_key: str = "",
) -> Operation:  # fmt: skip
    """Asks for a build from the text of a Dockerfile, from a context (a tar, plain or compressed), or from both:
    the text then takes the place of the context's own. ``operation.build`` is its `Build`.

    ``builder``: auto, buildkit or classic. ``secrets`` by id are sealed, and gone when the build has ended.
    ``origin``: ``kind`` and ``name`` of what was sent, to be shown. ``git_source``: ``url``, ``ref``, ``dir``,
    ``username`` and ``password`` of a repository that the worker fetches instead; the password is sealed.
    ``then``: what is done with the image, see `images_app.then`; nothing where the build does not succeed.
    """
    kind = "image.build"
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    wanted = Target("build", "", str(tags[0])[:255] if tags else "")
    services.authorize(kind, actor=actor, target=wanted, team_id=team_id)
    filled = variables.fill({"build_args": build_args or {}, "secrets": secrets or {}}, team_id=team_id)
    spec = _build_spec(
        tags=list(tags), dockerfile=dockerfile_path or "Dockerfile", build_args=filled.body["build_args"],
        target=target or None, labels=dict(labels or {}), no_cache=no_cache, pull=pull, builder=builder or "auto",
        secrets=filled.body["secrets"],
    )  # fmt: skip
    wanted = Target("build", "", ", ".join(spec.tags)[:255], _tag_lock(engine, spec.tags[0]))
    with services.denials(kind, actor=actor, target=wanted, team_id=team_id):
        policies.check(spec, actor=actor, team_id=team_id)
        references.may_tag(spec.tags, actor=actor, engine=engine, team_id=team_id)
    pace.before(kind, actor=actor, lock_key=wanted.lock_key, idempotency_key=idempotency_key)
    kept, params, hidden, fetched = _kept(spec, context, dockerfile, git_source)
    _may_demand(kept, spec, wanted, actor=actor, engine=engine, team_id=team_id)
    told = {"context": kept.digest, "uploaded": context is not None, **_shown(then)}
    batch = Batch() if then else None
    submit = partial(
        services.submit, kind, actor=actor, engine=engine, target=wanted, team=team, secrets=hidden,
        params={**params, **told}, idempotency_key=idempotency_key, batch=batch,
    )  # fmt: skip
    source = fetched or origin or {"kind": "editor"}
    return _with_build(
        submit, kept, {**params, "source": {**source, **kept.about}},
        lambda build: batch and follows.ask(then, follows.Place(actor, engine, team, spec.tags[0], batch, build)),
    )  # fmt: skip


def _kept(
    spec: BuildSpec, context: IO[bytes] | None, dockerfile: str, git_source: Mapping[str, str] | None
) -> tuple[spool.Context, dict[str, Any], dict[str, Any], dict[str, str]]:
    """``(the context, parameters, those of them that are sealed, where it is fetched from)``."""
    kept_contexts.settle()  # of builds that ended without a worker: cancelled in the queue, or with one that died
    repository = git.source(git_source) if git_source else None
    kept = spool.spool(
        context, dockerfile=dockerfile, dockerfile_path=spec.dockerfile, later=bool(repository)
    )
    _suits(spec, kept)
    params, hidden = withhold(spec.to_dict())
    if repository is None:
        return kept, params, hidden, {}
    fetched, more, password = git.told(repository, own_dockerfile=not dockerfile)
    return kept, {**params, **more}, {**hidden, **password}, fetched


def _may_demand(
    kept: spool.Context,
    spec: BuildSpec,
    wanted: Target,
    *,
    actor: Actor,
    engine: Engine,
    team_id: UUID | None,
) -> None:
    """Judges the Dockerfile, where it is here already; that of a repository is judged when it was fetched."""
    try:
        with services.denials("image.build", actor=actor, target=wanted, team_id=team_id):
            build_rules.check(kept.dockerfile, spec, actor=actor, engine=engine, team_id=team_id)
            build_rules.of_others(kept.dockerfile, spec, actor=actor, engine=engine, team_id=team_id)
    except (SpecError, PolicyDenied):
        spool.forget(kept.path)
        raise


def _shown(then: Any) -> dict[str, Any]:
    """What is to follow, as it may be stored and shown."""
    if not isinstance(then, Mapping) or not then:
        return {}
    return {
        "then": {str(k): withhold(one)[0] if isinstance(one, Mapping) else one for k, one in then.items()}
    }


def _suits(spec: BuildSpec, kept: spool.Context) -> None:
    """Whether the builder that was chosen can do it; what an engine chooses itself is known when it builds."""
    if spec.builder == "classic" and (needs := needs_buildkit(kept.dockerfile)):
        spool.forget(kept.path)
        line, what = needs
        said = _("Line %(line)s: %(what)s needs BuildKit, not the classic builder.")
        raise SpecError({"builder": [said % {"line": line, "what": what}]})


def _with_build(
    submit: Callable[..., Operation],
    kept: spool.Context,
    params: Mapping[str, Any],
    follow: Callable[[Operation], object],
) -> Operation:
    """The operation and its build in one transaction; where an earlier one was joined, its context is enough."""

    def written(operation: Operation) -> None:
        _new_build(operation, kept, params)
        follow(operation)

    try:
        operation = submit(also=written)
    except BaseException:
        spool.forget(kept.path)
        raise
    if not Build.objects.filter(operation=operation, context_path=kept.path).exists():
        spool.forget(kept.path)
    return operation


def rebuild(operation: Operation, actor: Actor) -> Operation:
    """The same build again, with the files that it was given; `Refused` where something of it was not kept."""
    build = Build.objects.filter(operation=operation).first()
    why = kept_contexts.why_not_again(build) if build else _("Nobody knows how it was asked for.")
    if build is None or why:
        raise Refused("conflict", why)
    if operation.params.get("uploaded"):
        try:
            context = spool.opened(build.context_path)
        except FileNotFoundError:
            raise Refused("conflict", _("Its uploaded files are gone: send the context again.")) from None
        with context:
            return _rebuild(build, operation, actor, context=context)
    own = operation.params.get("git", {}).get("own_dockerfile")
    return _rebuild(build, operation, actor, dockerfile="" if own else build.dockerfile)


def _rebuild(build: Build, operation: Operation, actor: Actor, **what: Any) -> Operation:
    return request_build(
        actor=actor, engine=build.engine, team=build.team, tags=build.tags, build_args=build.build_args,
        target=build.target, labels=build.labels, no_cache=build.no_cache, pull=build.pull,
        dockerfile_path=build.dockerfile_path, builder=operation.params.get("builder", "auto"),
        git_source=operation.params.get("git"), origin=build.source or None, **what,
    )  # fmt: skip


def request_pull(
    reference: str,
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    registry: Registry | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for an image to be fetched from its registry, or from the one chosen; one that nobody owns will be the
    team's.
    """
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    target = Target("image", "", str(reference)[:255])
    services.authorize("image.pull", actor=actor, target=target, team_id=team.pk if team else None)
    name = _named("reference", names.image_reference, reference)
    params = {"reference": name}
    if registry is not None:
        _may_use(registry, actor, team)
        name = _named("reference", lambda value: registries.within(registry, str(value)), reference)
        params = {"reference": name, "registry": str(registry.pk)}
    target = Target("image", "", name, _tag_lock(engine, name))
    with services.denials("image.pull", actor=actor, target=target, team_id=team.pk if team else None):
        team_id = team.pk if team else None
        policies.check_image(name, actor=actor, team_id=team_id)
        for image in references.meant(name, engine):
            references.may_fetch(
                name, image.native_id, image.digests, actor=actor, engine=engine, team_id=team_id
            )
    return services.submit(
        "image.pull", actor=actor, engine=engine, target=target,
        team=team, params=params, idempotency_key=idempotency_key,
    )  # fmt: skip


def request_push(
    image: Image,
    reference: str,
    *,
    actor: Actor,
    registry: Registry | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for this image to be sent to the registry of that name, or to the one chosen; it is given the name first
    where it has another.
    """
    kind = "image.push"
    target = Target("image", str(image.pk), str(reference)[:255])
    services.authorize(kind, actor=actor, target=target, team_id=image.team_id)
    name = _named("reference", lambda value: str(names.tag_reference(value)), reference)
    params = {"reference": name, "native_id": image.native_id}
    if registry is not None:
        _may_use(registry, actor, image.team)
        params["reference"] = name = _named(
            "reference", lambda value: registries.within(registry, str(value)), reference
        )
        params["registry"] = str(registry.pk)
    target = Target("image", str(image.pk), name, _tag_lock(image.engine, name))
    with services.denials(kind, actor=actor, target=target, team_id=image.team_id):
        references.may_tag(
            [name], actor=actor, engine=image.engine, team_id=image.team_id, native_id=image.native_id
        )
    return services.submit(
        kind, actor=actor, engine=image.engine, target=target, team=image.team, params=params,
        idempotency_key=idempotency_key,
    )  # fmt: skip


def _may_use(row: Registry, actor: Actor, team: Team | None) -> None:
    if not registries.usable(actor, team.pk if team else None).filter(pk=row.pk).exists():
        raise SpecError({"registry": [_("This registry is not for the team that this is for.")]})


def request_tag(image: Image, reference: str, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for one more name to point at this image."""
    kind = "image.tag"
    target = Target("image", str(image.pk), str(reference)[:255])
    services.authorize(kind, actor=actor, target=target, team_id=image.team_id)
    name = _named("reference", lambda value: str(names.tag_reference(value)), reference)
    target = Target("image", str(image.pk), name, _tag_lock(image.engine, name))
    with services.denials(kind, actor=actor, target=target, team_id=image.team_id):
        references.may_tag(
            [name], actor=actor, engine=image.engine, team_id=image.team_id, native_id=image.native_id
        )
    return services.submit(
        kind, actor=actor, engine=image.engine, target=target, team=image.team,
        params={"reference": name, "native_id": image.native_id}, idempotency_key=idempotency_key,
    )  # fmt: skip


def request_untag(tag: Tag, *, actor: Actor, forever: bool = False, idempotency_key: str = "") -> Operation:
    """Asks for a name to be taken away; with the last one the image goes into the trash, or ``forever``."""
    image = tag.image
    target = Target("image", str(image.pk), tag.name, _tag_lock(tag.engine, tag.name))
    return services.submit(
        "image.untag", actor=actor, engine=tag.engine, target=target, team=image.team,
        params={"reference": tag.name, "native_id": image.native_id, "forever": forever},
        idempotency_key=idempotency_key,
    )  # fmt: skip


def request_remove(
    image: Image,
    *,
    actor: Actor,
    force: bool = False,
    forever: bool = False,
    idempotency_key: str = "",
) -> Operation:
    """Asks for an image to be removed; ``force``: with several tags, or with containers that do not run; ``forever``:
    not into the trash.
    """
    target = Target("image", str(image.pk), str(image), services.lock("image", image.pk))
    return services.submit(
        "image.remove", actor=actor, engine=image.engine, target=target, team=image.team,
        params={"native_id": image.native_id, "force": force, "forever": forever}, idempotency_key=idempotency_key,
    )  # fmt: skip


def _new_build(operation: Operation, kept: spool.Context, params: Mapping[str, Any]) -> Build:
    build = Build.objects.create(
        operation=operation, engine=operation.engine, team=operation.team, tags=params["tags"],
        dockerfile=kept.dockerfile, dockerfile_path=params["dockerfile"], context_path=kept.path,
        context_size=kept.size, build_args=params["build_args"], target=params["target"] or "",
        labels=params["labels"], no_cache=params["no_cache"], pull=params["pull"], source=params["source"],
    )  # fmt: skip
    # Only now, since the same wish made again must be the same wish, whatever the build's id would be.
    operation.target_id = str(build.pk)
    Operation.objects.filter(pk=operation.pk).update(target_id=operation.target_id)
    return build


def _build_spec(**body: Any) -> BuildSpec:
    try:
        return BuildSpec.parse(body)
    except SpecError as error:
        errors = {
            ("dockerfile_path" if key == "dockerfile" else key): found for key, found in error.errors.items()
        }
        raise SpecError(errors) from None


def _named(field: str, check: Callable[[object], str], value: object) -> str:
    try:
        return check(value)
    except SpecError:
        raise
    except Invalid as error:
        raise SpecError({field: [error.message]}) from None


def _tag_lock(engine: Engine, reference: str) -> str:
    return services.lock("engine", engine.pk, "tag", reference)


__all__ = [
    "push", "rebuild", "removal", "request_build", "request_pull", "request_push", "request_remove",
    "request_tag", "request_untag", "verbs",
]  # fmt: skip
