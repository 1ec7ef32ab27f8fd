"""Asking for a container like another one: beside it, or in its place with something changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import duplicate, own, recreate, team_values
from containers_app.models import Container
from engine import names
from engine.changes import ChangeSpec
from engine.fields import Fields
from engine.specs import SpecError
from images_app import scan_gate
from operations import services, variables
from operations.masking import withhold
from operations.models import Operation
from operations.services import Refused, Target


def changes_of(fields: Fields) -> dict[str, Any]:
    """What is to be other, checked; empty for nothing. Its messages stand under ``changes.``."""
    child = fields.child("changes")
    if child is None:
        return {}
    try:
        ChangeSpec.parse(child.data)
    except SpecError as error:
        for path, messages in error.errors.items():
            for message in messages:
                child.fail(path, message)
    return dict(child.data)


def sealed(params: dict[str, Any], container: Container) -> tuple[dict[str, Any], dict[str, Any]]:
    """``(params, secrets)``: the changes with the team's values, as they may be stored, and as they are where that
    differs. Raises `SpecError` where they name a variable that the team has not.
    """
    if not params.get("changes"):
        return {key: value for key, value in params.items() if key != "changes"}, {}
    try:
        filled = variables.fill(params["changes"], team_id=container.team_id)
    except SpecError as error:
        raise SpecError({f"changes.{path}": found for path, found in error.errors.items()}) from None
    changes = filled.body
    if "secrets" in changes and "secrets" not in params["changes"]:  # what they were stays
        stays = {
            name: None for name in team_values.hidden_in(container) if name not in changes["environment"]
        }
        changes["secrets"] = {**stays, **changes["secrets"]}
    shown, differs = withhold(changes)
    told = {**params, "changes": shown, **({variables.USES: filled.uses} if filled.uses else {})}
    return told, {"changes": changes} if differs else {}


def request_duplicate(
    container: Container, *, actor: Actor, params: Mapping[str, Any] | None = None, idempotency_key: str = ""
) -> Operation:
    """Asks for another container like this one, the same team's.

    ``params``: ``name`` (left out: the next that is free), ``start``, and ``changes``, any part of the run body. Host
    ports that are not in the changes are the engine's to choose.
    """
    kind = "container.duplicate"
    fields = Fields(params or {})
    name = fields.named("name", names.container_name, duplicate.free_name(container))
    start, changes = fields.boolean("start", True), changes_of(fields)
    fields.finish()
    lock = services.lock("engine", container.engine_id, "name", name)
    target = Target("container", "", str(name), lock)
    services.authorize(kind, actor=actor, target=target, team_id=container.team_id)
    if fields.errors:
        raise SpecError(fields.errors)
    spec = ChangeSpec.parse(changes) if changes else None
    with services.denials(kind, actor=actor, target=target, team_id=container.team_id):
        own.check(container, actor)
        own.check_reach(container, actor)
        recreate.reaches(container, actor=actor, changes=spec)
        scan_gate.check(
            container.image_ref, engine=container.engine, actor=actor, team_id=container.team_id, name=str(name),
            native_id=container.image_native_id,
        )  # fmt: skip
    source = {
        "source": str(container.pk),
        "native_id": container.native_id,
        "start": start,
        "changes": changes,
    }
    wish, secrets = sealed(source, container)

    def free() -> None:
        if Container.objects.filter(engine_id=container.engine_id, name=name).exists():
            raise Refused(
                "name_in_use",
                _('There is a container "%(name)s" already: choose another name.') % {"name": name},
            )

    return services.submit(
        kind, actor=actor, engine=container.engine, target=target, team=container.team, params=wish, secrets=secrets,
        idempotency_key=idempotency_key, check=free,
    )  # fmt: skip
