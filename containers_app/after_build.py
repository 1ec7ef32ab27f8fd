"""What follows a build that was asked for with it: a container from the new image, or one that is made anew with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.querysets import visible_to
from containers_app import operations
from containers_app.models import Container
from engine.specs import SpecError
from images_app import then
from operations.models import Operation


@then.way("run")
def run(wish: Any, place: then.Place) -> Operation:
    """``wish`` is the run body without ``image`` and ``pull``."""
    if not isinstance(wish, Mapping):
        raise SpecError(
            {"run": [_("An object is expected: what POST /containers/run/ takes, without an image.")]}
        )
    if taken := {"image", "pull", "engine", "team"} & set(wish):
        raise SpecError({name: [_("The build says this already.")] for name in taken})
    body = {**wish, "image": place.image, "pull": "never"}
    return operations.request_run(
        body, actor=place.actor, engine=place.engine, team=place.team, **place.following
    )


@then.way("recreate")
def recreate(wish: Any, place: then.Place) -> Operation:
    """``wish`` is the id of a container, or an object with it as ``container`` and a ``gate``."""
    given = dict(wish) if isinstance(wish, Mapping) else {"container": wish}
    container = _container(given.pop("container", None), place)
    if unknown := set(given) - {"gate"}:
        raise SpecError({str(name)[:64]: [_("This is no field here.")] for name in unknown})
    params = {**given, "image": place.image, "pull": False}
    return operations.request(container, "recreate", actor=place.actor, params=params, **place.following)


def _container(id_: Any, place: then.Place) -> Container:
    rows = visible_to(place.actor, Container.objects.filter(engine=place.engine))
    try:
        found = rows.filter(pk=UUID(str(id_))).first()
    except ValueError:
        found = None
    if found is None:
        raise SpecError({"container": [_("There is no such container on this engine.")]})
    return found
