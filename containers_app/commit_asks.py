"""Asking for a container as an image, or as a tar: for pages and REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import commit
from containers_app.models import Container
from engine import names
from engine.errors import Invalid
from engine.specs import SpecError
from images_app import references
from operations import services
from operations.models import Operation
from operations.services import Target

FIELDS = ("repository", "tag", "message")


def request_commit(
    container: Container, body: Mapping[str, Any], *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for an image of it, ``{"repository", "tag"?, "message"?}``. Raises `SpecError` and what `submit` does."""
    kind = "container.commit"
    target = Target("container", str(container.pk), container.name, services.lock("container", container.pk))
    services.authorize(kind, actor=actor, target=target, team_id=container.team_id)
    reference, message = reference_of(body), str(body.get("message") or "")
    if len(message) > commit.MOST_MESSAGE:
        raise SpecError(
            {"message": [_("At most %(most_message)s characters.") % {"most_message": commit.MOST_MESSAGE}]}
        )
    with services.denials(kind, actor=actor, target=target, team_id=container.team_id):
        references.may_tag([reference], actor=actor, engine=container.engine, team_id=container.team_id)
    return services.submit(
        kind, actor=actor, engine=container.engine, target=target, team=container.team,
        params={"native_id": container.native_id, "reference": reference, "message": message},
        idempotency_key=idempotency_key,
    )  # fmt: skip


def reference_of(body: Mapping[str, Any]) -> str:
    """``repository:tag``; raises `SpecError` beside the field that is wrong."""
    unknown = {key: [_("Unknown field.")] for key in body if key not in FIELDS}
    if unknown:
        raise SpecError(unknown)
    repository, tag = str(body.get("repository") or "").strip(), str(body.get("tag") or "latest").strip()
    if not repository:
        raise SpecError({"repository": [_("Give the image a name, such as team/app.")]})
    if ":" in repository.rpartition("/")[2] or "@" in repository:
        raise SpecError({"repository": [_("The name without its tag: that has a field of its own.")]})
    try:
        names.tag_reference(f"{repository}:latest")
    except Invalid as error:
        raise SpecError({"repository": [error.message]}) from None
    try:
        return str(names.tag_reference(f"{repository}:{tag}"))
    except Invalid as error:
        raise SpecError({"tag": [error.message]}) from None


def request_export(container: Container, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for a tar of its whole file system, to be fetched for a day."""
    return services.submit(
        "container.export", actor=actor, engine=container.engine, team=container.team,
        target=Target("container", str(container.pk), container.name),
        params={"native_id": container.native_id}, idempotency_key=idempotency_key,
    )  # fmt: skip
