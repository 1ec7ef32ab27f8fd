"""Whose things are: what nobody owns is given to a team, and what a team owns goes to another one.

A column of our rows and nothing on an engine. It counts at once: who may no longer see a thing loses its pages,
sockets and consoles within seconds. What happened before stays with the team that it happened in; a kept log goes
along, and so does the schedule of a volume's backups. For site administrators alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, require
from accounts.models import Team
from accounts.querysets import visible_to
from containers_app.attachments import is_own
from containers_app.backed import BackupSchedule
from containers_app.models import Container, Network, Volume
from images_app.models import Image
from operations.models import Operation
from operations.services import Refused, Target, denials
from streams import bell

PERMISSION = "object.move"
KINDS: dict[str, type[Any]] = {"container": Container, "volume": Volume, "network": Network, "image": Image}
MOST = 500


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that can belong to a team."""

    kind: str
    row: Any

    @property
    def key(self) -> str:
        """What names it in a form: ``volume:<uuid>``."""
        return f"{self.kind}:{self.row.pk}"

    @property
    def name(self) -> str:
        """What people call it; an image without a tag by its id."""
        return str(self.row.name) or self.row.native_id.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one: ``status`` 200, 404 or 409, with the REST contract's ``code`` where it was refused."""

    kind: str
    id: UUID
    name: str
    status: int = 200
    code: str = ""
    message: str = ""


def unowned(actor: Actor) -> list[Thing]:
    """What nobody owns and this actor may see, containers first; of each kind so many at most."""
    found: list[Thing] = []
    for kind, model in KINDS.items():
        rows = visible_to(actor, model.objects.filter(team=None)).select_related("engine")
        if kind == "container":
            rows = rows.select_related("image").prefetch_related("mounts__volume").defer("inspect")
        name = "native_id" if kind == "volume" else "name"
        found += [Thing(kind, row) for row in rows.order_by(name, "pk")[:MOST] if not _engine_s(row)]
    return found


def along(containers: Sequence[Container]) -> dict[UUID, list[Thing]]:
    """Of each container what would go along: its named volumes, networks and image, as far as they belong to the same
    team (or nobody), and no other of that team's containers uses them."""
    networks: dict[tuple[UUID, str], Network] = {
        (row.engine_id, row.native_id): row
        for row in Network.objects.filter(engine__in={c.engine_id for c in containers})
    }
    users = _users({c.team_id for c in containers})
    found: dict[UUID, list[Thing]] = {}
    for container in containers:
        things = [
            Thing("volume", m.volume) for m in container.mounts.all() if m.volume and not m.volume.anonymous
        ]
        here = (networks.get((container.engine_id, one.get("native_id", ""))) for one in container.networks)
        things += [Thing("network", row) for row in here if row and not is_own(row)]
        things += [Thing("image", container.image)] if container.image else []
        found[container.pk] = [
            thing for thing in things
            if thing.row.team_id == container.team_id
            and users.get(thing.key, set()) <= {container.pk}
        ]  # fmt: skip
    return found


def _users(teams: Iterable[UUID | None]) -> dict[str, set[UUID]]:
    """Which containers of these teams use what."""
    found: dict[str, set[UUID]] = {}
    by_native = {row.native_id: row.pk for row in Network.objects.only("native_id")}
    rows = Container.objects.filter(team__in=[team for team in teams if team]).prefetch_related("mounts")
    for row in rows.only("pk", "image", "networks", "team"):
        keys = [f"volume:{m.volume_id}" for m in row.mounts.all()] + [f"image:{row.image_id}"]
        keys += [f"network:{by_native.get(one.get('native_id', ''))}" for one in row.networks]
        for key in keys:
            found.setdefault(key, set()).add(row.pk)
    return found


def assign(items: Iterable[tuple[str, UUID]], team: Team | None, *, actor: Actor) -> list[Outcome]:
    """Gives each of these to a team, or (``None``) to nobody; one by one, what is refused does not hold up the others.

    Raises `Denied`; audited, a line for each and each team that it concerns.
    """
    _may(actor, team)
    return [_outcome(kind, pk, team, actor) for kind, pk in dict.fromkeys(items)]


def move(
    container: Container, team: Team | None, *, actor: Actor, with_it: Sequence[Thing] = ()
) -> list[Outcome]:
    """Gives a container and what goes along to a team: all of it or nothing. Raises `Denied` or `Refused`."""
    _may(actor, team)
    with transaction.atomic():
        wanted = [("container", container.pk), *((thing.kind, thing.row.pk) for thing in with_it)]
        done = [_outcome(kind, pk, team, actor) for kind, pk in wanted]
        if refused := next((one for one in done if one.status != 200), None):
            raise Refused(refused.code, refused.message, refused.status)
    return done


def _may(actor: Actor, team: Team | None) -> None:
    target = Target("team", str(team.pk) if team else "", team.name if team else "nobody")
    with denials(PERMISSION, actor=actor, target=target, team_id=None):
        require(actor, PERMISSION)


def _outcome(kind: str, pk: UUID, team: Team | None, actor: Actor) -> Outcome:
    model, team_id = KINDS[kind], team.pk if team else None
    with transaction.atomic():
        row = visible_to(actor, model.objects.select_for_update(of=("self",))).filter(pk=pk).first()
        if row is None or (team_id is None and row.team_id is None):
            return Outcome(kind, pk, "", 404, "not_found", _("No such object."))
        name = Thing(kind, row).name
        if _engine_s(row):
            return Outcome(kind, pk, name, 409, "conflict", _("This network is the engine's own."))
        if Operation.objects.active().filter(target_type=kind, target_id=str(pk)).exists():
            return Outcome(
                kind,
                pk,
                name,
                409,
                "conflict",
                _("%(name)s is being changed: try again when that is over.") % {"name": name},
            )
        if row.team_id != team_id:
            _given(kind, row, name, team, actor)
    return Outcome(kind, pk, name)


def _given(kind: str, row: Any, name: str, team: Team | None, actor: Actor) -> None:
    was, team_id = row.team, team.pk if team else None
    KINDS[kind].objects.filter(pk=row.pk).update(team=team)
    if kind == "volume":
        BackupSchedule.objects.filter(engine=row.engine_id, volume_name=row.native_id).update(team=team)
    transaction.on_commit(partial(bell.ring, f"{kind}:{row.pk}", f"{kind}s"), robust=True)
    detail = {"from": was.slug if was else None, "to": team.slug if team else None}
    for concerned in {was.pk if was else None, team_id} - {None} or {None}:
        audit.record(
            PERMISSION,
            actor,
            target_type=kind,
            target_id=row.pk,
            target_name=name,
            team_id=concerned,
            detail=detail,
        )


def _engine_s(row: Any) -> bool:
    """Networks that each engine has by itself belong to nobody for good."""
    return isinstance(row, Network) and is_own(row)
