"""Asking for copies of volumes, as `containers_app.operations` has it; that is where everybody finds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.models import Team
from containers_app import volume_copies, volume_files
from containers_app.models import Volume
from engine import names
from engine.fields import Fields
from engine.specs import SpecError, VolumeSpec
from operations import pace, policies, services
from operations.models import Engine, Operation
from operations.previews import is_preview
from operations.services import Refused, Target


def is_free(engine: Engine, name: str) -> Callable[[], None]:
    """Says at once what the engine would say."""

    def check() -> None:
        if Volume.objects.filter(engine=engine, native_id=name).exists():
            raise Refused(
                "name_in_use",
                _('There is a volume "%(name)s" already: choose another name.') % {"name": name},
            )

    return check


def request_volume_clone(
    volume: Volume, body: Mapping[str, Any], *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for a copy of a volume, ``{"name"}``; it belongs to whom the volume belongs to."""
    target = Target("volume", str(volume.pk), volume.name, services.lock("volume", volume.pk))
    services.authorize("volume.clone", actor=actor, target=target, team_id=volume.team_id)
    fields = Fields(body)
    name = fields.named("name", names.volume_name)
    fields.finish()
    if fields.errors:
        raise SpecError(fields.errors)
    return services.submit(
        "volume.clone", actor=actor, engine=volume.engine, target=target, team=volume.team,
        params={"native_id": volume.native_id, "name": name}, idempotency_key=idempotency_key,
        check=is_free(volume.engine, str(name)),
    )  # fmt: skip


def request_volume_export(volume: Volume, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for a tar of all that is in a volume."""
    target = Target("volume", str(volume.pk), volume.name, services.lock("volume", volume.pk))
    return services.submit(
        "volume.export", actor=actor, engine=volume.engine, target=target, team=volume.team,
        params={"native_id": volume.native_id}, idempotency_key=idempotency_key,
    )  # fmt: skip


def request_volume_import(
    body: Mapping[str, Any],
    archive: IO[bytes],
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for a new volume made of a tar, plain or compressed, ``{"name", "labels"?}``; it will be the team's."""
    kind = "volume.import"
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    target = Target("volume", "", str(body.get("name") or "")[:255])
    services.authorize(kind, actor=actor, target=target, team_id=team_id)
    spec = VolumeSpec.parse({key: value for key, value in body.items() if key in ("name", "labels")})
    with services.denials(kind, actor=actor, target=target, team_id=team_id):
        policies.check(spec, actor=actor, team_id=team_id)
    check = is_free(engine, spec.name)
    check()  # before all of it is read
    target = Target("volume", "", spec.name, services.lock("engine", engine.pk, "volume", spec.name))
    pace.before(kind, actor=actor, lock_key=target.lock_key, idempotency_key=idempotency_key)
    path, digest = volume_files.spool(archive)
    # The same wish once more is known by the same name of its file.
    kept = volume_files.file_of(f"{digest[:32]}-{spec.name[:80]}-{engine.pk.hex[:12]}.tar")
    params = {"name": spec.name, "labels": dict(spec.labels), "file": kept.name, "size": path.stat().st_size}
    try:
        if not is_preview():
            path = path.rename(kept)
        operation = services.submit(
            kind, actor=actor, engine=engine, target=target, team=team, params=params,
            idempotency_key=idempotency_key, check=check,
        )  # fmt: skip
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if operation.ended:  # asked before with this key
        path.unlink(missing_ok=True)
    return operation


__all__ = ["request_volume_clone", "request_volume_export", "request_volume_import", "volume_copies"]
