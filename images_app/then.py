"""What is to be done with an image once it is built, asked for with the build: rooms above say what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.models import Team
from engine.specs import SpecError
from operations.batches import Batch
from operations.models import Engine, Operation


@dataclass(frozen=True, slots=True)
class Place:
    """Who asks, where, for which image, and behind which build."""

    actor: Actor
    engine: Engine
    team: Team | None
    image: str
    batch: Batch
    build: Operation

    @property
    def following(self) -> dict[str, Any]:
        """Keyword arguments that make what is asked for a step of its own behind the build, if that succeeds."""
        return {"batch": self.batch, "after": self.build}


Way = Callable[[Any, Place], Operation]
_ways: dict[str, Way] = {}


def way(name: str) -> Callable[[Way], Way]:
    """Registers what is done where ``then`` has this key."""

    def register(do: Way) -> Way:
        _ways[name] = do
        return do

    return register


def ask(then: Any, place: Place) -> Operation:
    """Asks for it; the names of fields in `SpecError` begin with ``then.``."""
    if not isinstance(then, Mapping) or len(then) != 1 or next(iter(then)) not in _ways:
        said = _("One of %(names)s is expected, and what it needs.")
        raise SpecError({"then": [said % {"names": ", ".join(sorted(_ways))}]})
    ((name, wish),) = then.items()
    place.batch.step = 1
    try:
        return _ways[name](wish, place)
    except SpecError as error:
        raise SpecError({f"then.{name}.{key}": found for key, found in error.errors.items()}) from None
