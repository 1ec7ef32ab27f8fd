"""What a build may demand: refused for everybody, or by the guard rails; and what it is limited to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.querysets import foreign_to
from engine import guard
from engine.errors import Invalid, PolicyDenied
from engine.names import ImageReference
from engine.rails import Rails
from engine.specs import BuildSpec, SpecError
from images_app import references
from images_app.demands import Demand, demands, of_triggers
from images_app.models import Image, Tag
from images_app.references import tag_of
from operations import policies
from operations.models import Engine

MOST_VARIABLES = 8
"""In a name of an image; with more it may be any."""
_VARIABLES = re.compile(r"\$(?:\w+|\{(?:[^{}]|\{[^{}]*\})*\})")
_PLAIN = re.compile(r"[\w./:@-]+", re.ASCII)
_ANY = re.compile(".*")
_QUOTES = re.compile(r"[\"'\\`]")


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


def of_others(
    dockerfile: str, spec: BuildSpec, *, actor: Actor, engine: Engine, team_id: UUID | None
) -> list[str]:
    """Images it takes in that another team has from a registry: whoever builds has to get them from there too. Raises
    `PolicyDenied` where it may take in what another team has on this engine alone.
    """
    if policies.guard_level(actor, team_id) == guard.SITE:
        return []
    foreign = foreign_to(actor, Image.objects.filter(engine=engine), team_id)
    found = demands(dockerfile, spec.build_args)
    triggered = [one for _image, one in _triggered(found, _here(engine, found))]
    from_registries = []
    for one in [*found, *triggered]:
        name, alone = _taken(one, engine, foreign)
        if alone:
            raise PolicyDenied(
                f"Line {one.line} may take in an image that is another team's.", rule="not_your_image",
                field="dockerfile",
            )  # fmt: skip
        from_registries += [name] if name else []
    return list(dict.fromkeys(from_registries))


def _taken(one: Demand, engine: Engine, foreign: QuerySet[Image]) -> tuple[str, bool]:
    """``(name, alone)`` of the one of these images that this line means: whether they have it from no registry. What a
    line means that cannot be told may be any that it fits, and is refused.
    """
    if one.what not in ("image", "unclear"):
        return "", False
    name = _QUOTES.sub("", one.value) if one.what == "image" else ""
    if _PLAIN.fullmatch(name):
        meant = list(references.meant(name, engine).filter(pk__in=foreign.values("pk")))
        if not meant:
            return "", False
        return name, not all(references.from_registry(name, image.digests) for image in meant)
    fits = _pattern(name)
    if fits is _ANY:
        return "", foreign.exists()
    for tag in Tag.objects.filter(image__in=foreign).values_list("name", flat=True):
        for short in (tag, tag.removesuffix(":latest")):
            if any(fits.fullmatch(f"{prefix}{short}") for prefix in ("", *references.LIBRARY)):
                return tag, True
    return "", False


def _pattern(name: str) -> re.Pattern[str]:
    """What a name with variables may turn out to be."""
    parts = _VARIABLES.split(name)
    if (
        not any(parts)
        or len(parts) > MOST_VARIABLES
        or not all(_PLAIN.fullmatch(part) for part in parts if part)
    ):
        return _ANY
    return re.compile(".*".join(map(re.escape, parts)))


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
    here = _here(engine, found)
    bad += [(one.line, one.value) for one in found if one.what == "image" and tag_of(one.value) not in here]
    return bad + [(one.line, f"{image}: ONBUILD {one.value}") for image, one in _triggered(found, here)]


def _triggered(found: list[Demand], here: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[str, Demand]]:
    """What images that are on the engine have their children do: ``(image, demand)``."""
    for one in found:
        triggers = here.get(tag_of(one.value), {}).get("OnBuild") if one.what == "image" else None
        for more in of_triggers(triggers if isinstance(triggers, list) else (), one.line):
            yield one.value, more


def _here(engine: Engine, found: list[Demand]) -> dict[str, Mapping[str, object]]:
    """Settings of the images that it names and that are there, by their tag."""
    tags = {tag_of(one.value) for one in found if one.what == "image"}
    rows = Tag.objects.filter(engine=engine, name__in=tags).select_related("image")
    return {row.name: row.image.config or {} for row in rows}


def limited(spec: BuildSpec, *, actor: Actor, team_id: UUID | None) -> BuildSpec:
    """The wish with what the site limits each build to."""
    return replace(
        spec, networked=not policies.binding(actor, team_id).no_fetching, memory=settings.BUILD_MEMORY_MB * 2**20,
        cpus=settings.BUILD_CPUS, cgroup=settings.BUILD_CGROUP,
    )  # fmt: skip
