"""What a build may demand: refused for everybody, or by the guard rails; and what it is limited to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.access import Actor
from engine import guard
from engine.errors import Invalid
from engine.names import ImageReference
from engine.rails import Rails
from engine.specs import BuildSpec, SpecError
from images_app.demands import Demand, demands, of_triggers
from images_app.models import Tag
from images_app.references import tag_of
from operations import policies
from operations.models import Engine


def check(dockerfile: str, spec: BuildSpec, *, actor: Actor, engine: Engine, team_id: UUID | None) -> None:
    """Raises `SpecError` with the line of what nobody may, and `PolicyDenied` for what these guard rails forbid."""
    found = demands(dockerfile, spec.build_args)
    for one in found:
        if one.what == "privilege":
            words = _("Line %(line)s: no build gets the host's network, or fewer walls: %(shown)s")
            raise SpecError({"dockerfile": [words % {"line": one.line, "shown": one.value}]})
        if one.what == "frontend" and not _is_known(one.value):
            words = _(
                "Line %(line)s: %(frontend)s would read this file in place of the engine; allowed: %(allowed)s."
            )
            told = {
                "line": one.line,
                "frontend": one.value,
                "allowed": ", ".join(settings.BUILD_FRONTENDS) or "–",
            }
            raise SpecError({"dockerfile": [words % told]})

    def judge(rails: Rails) -> list[guard.Violation]:
        images = [(one.line, one.value) for one in found if one.what in ("image", "frontend")]
        images += [(one.line, f"$ {one.value}") for one in found if one.what == "unclear"]
        fetches = _fetches(found, spec, engine) if rails.no_fetching else []
        return guard.of_build(images, fetches, rails)

    policies.check_by(judge, actor=actor, team_id=team_id, name=spec.tags[0])


def _is_known(frontend: str) -> bool:
    """Whether it is one of the repositories that the site names, in whatever version."""
    try:
        asked = ImageReference.parse(frontend)
        known = [ImageReference.parse(name) for name in settings.BUILD_FRONTENDS]
    except (Invalid, SpecError):
        return False
    return any((asked.registry, asked.repository) == (one.registry, one.repository) for one in known)


def _fetches(found: list[Demand], spec: BuildSpec, engine: Engine) -> list[tuple[int, str]]:
    """What would be fetched: addresses, frontends, images that are not on the engine, and what those that are there
    have their children do."""
    bad = [(one.line, one.value) for one in found if one.what in ("fetch", "frontend", "unclear")]
    if spec.pull:
        bad.append((1, "pull"))
    images = [one for one in found if one.what == "image"]
    here = _here(engine, {tag_of(one.value) for one in images})
    for one in images:
        if (config := here.get(tag_of(one.value))) is None:
            bad.append((one.line, one.value))
            continue
        triggers = config.get("OnBuild")
        more = of_triggers(triggers if isinstance(triggers, list) else (), one.line)
        bad += [(one.line, f"{one.value}: ONBUILD {what.value}") for what in more]
    return bad


def _here(engine: Engine, tags: set[str]) -> dict[str, Mapping[str, object]]:
    rows = Tag.objects.filter(engine=engine, name__in=tags).select_related("image")
    return {row.name: row.image.config or {} for row in rows}


def limited(spec: BuildSpec, *, actor: Actor, team_id: UUID | None) -> BuildSpec:
    """The wish with what the site limits each build to."""
    return replace(
        spec, networked=not policies.binding(actor, team_id).no_fetching, memory=settings.BUILD_MEMORY_MB * 2**20,
        cpus=settings.BUILD_CPUS, cgroup=settings.BUILD_CGROUP,
    )  # fmt: skip
