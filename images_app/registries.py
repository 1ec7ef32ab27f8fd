"""Registries: naming them, who may use which, and the credentials that a worker asks with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, Owner, rank, require
from accounts.models import Team
from accounts.permissions import SITE
from accounts.querysets import team_ids, visible_teams
from engine import names, outbound
from engine import registries as remote
from engine.errors import EngineError, NotFound
from engine.fields import Fields
from engine.specs import SpecError
from images_app.models import Registry
from operations import reads, secrets, services
from operations import registry as kinds
from operations.services import Target
from streams import bell

MOST_TEAMS = 200
LOOK = 20.0
"""Seconds that a page waits for a registry."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9 _.-]{0,59}", re.ASCII)
WHERE = ("host", "tls", "token_host", "username")
"""What says to whom the password goes, or whose it is: it is given anew with these."""

kinds.target("registry", Registry.objects.all)


# Who may


def visible(actor: Actor) -> QuerySet[Registry]:
    """Those that one's teams own or use; all of them for site administrators."""
    rows = Registry.objects.select_related("owner").prefetch_related("teams")
    if actor.user is None and actor.source == "system":
        return rows
    if actor.is_site_admin and actor.token_team_id is None:
        return rows
    return rows.filter(_of(team_ids(actor, Registry.read_permission))).distinct()


def _of(teams: list[Any]) -> Q:
    return Q(owner__in=teams) | Q(teams__in=teams)


def usable(actor: Actor, team_id: UUID | None) -> QuerySet[Registry]:
    """Those whose credentials serve what is this team's; for things of nobody, all that a site administrator has."""
    rows = Registry.objects.all()
    if team_id is not None:
        return rows.filter(_of([team_id])).distinct()
    system = actor.user is None and actor.source == "system"
    return rows if rank(actor, None) >= SITE or system else rows.none()


def may_manage(row: Registry, *, actor: Actor) -> None:
    """Raises `accounts.access.Denied` or Http404."""
    target = Target("registry", str(row.pk), row.name)
    with services.denials("registry.manage", actor=actor, target=target, team_id=row.owner_id):
        require(actor, "registry.manage", Owner(row.owner_id))


# Asking them


def gate() -> outbound.Gate:
    """Where a worker may go to ask a registry."""
    named, setting = settings.REGISTRY_HOSTS, "SLIPWAY_REGISTRY_HOSTS"
    return outbound.Gate(named, setting, "registry", "registry.example:5000", patience=10)


def at(row: Registry) -> remote.Registry:
    """The registry itself, with its credentials. For workers."""
    return remote.Registry(
        row.host,
        gate(),
        tls=row.tls,
        username=row.username,
        password=_password(row),
        token_host=row.token_host,
    )


def _password(row: Registry) -> str:
    return str(secrets.unseal(row.pk, row.sealed).get("password", ""))


def of_host(host: str, *, actor: Actor, team_id: UUID | None) -> Registry | None:
    """The one whose account serves references of this host: the team's own before one that it may use."""
    own = Case(When(owner=team_id, then=Value(0)), default=Value(1))
    return usable(actor, team_id).filter(host=host).order_by(own, "name").first()


def auth(reference: str, *, actor: Actor, team_id: UUID | None, chosen: str = "") -> dict[str, str] | None:
    """What an engine is given to fetch or send this image with; ``None``: nobody's credentials. For workers.

    ``chosen``: the id of a registry that was asked for; `NotFound` where it is gone, or not for them any more.
    """
    host = names.ImageReference.parse(reference).registry
    row = of_host(host, actor=actor, team_id=team_id)
    if chosen:
        row = usable(actor, team_id).filter(pk=chosen, host=host).first()
        if row is None:
            raise NotFound("The registry that was chosen is gone, or is not for this team any more.")
    if row is None or not row.sealed:
        return None
    address = "https://index.docker.io/v1/" if host == names.DEFAULT_REGISTRY else host
    return {"username": row.username, "password": _password(row), "serveraddress": address}


def auths(
    dockerfile: str, build_args: Iterable[str], *, actor: Actor, team_id: UUID | None
) -> dict[str, dict[str, str]]:
    """What an engine is given for the base images of a build, by host: of those that are named in it, and the hub's."""
    said = "\n".join([dockerfile, *build_args])
    found: dict[str, dict[str, str]] = {}
    own = Case(When(owner=team_id, then=Value(0)), default=Value(1))
    for row in usable(actor, team_id).exclude(sealed="").order_by(own, "name"):
        if row.host == names.DEFAULT_REGISTRY or row.host in said:
            found.setdefault(row.host, {"username": row.username, "password": _password(row)})
    return found


def check(row: Registry) -> None:
    """Looks whether it answers and takes the credentials, and keeps what came of it. For workers."""
    state, problem = Registry.State.OK, ""
    try:
        at(row).check()
    except EngineError as error:
        state, problem = Registry.State.FAILED, error.message[:500]
    same = Registry.objects.filter(pk=row.pk, host=row.host, tls=row.tls, sealed=row.sealed)
    same.update(state=state, problem=problem, checked_at=timezone.now())
    bell.ring("registries")


def look(row: Registry, *, actor: Actor) -> Registry:
    """Has a worker check it now, and returns it as it is then: not checked yet where no worker is to be had."""
    with suppress(EngineError):
        reads.read("registry.check", row, actor=actor, deadline=LOOK)
    return visible(actor).get(pk=row.pk)


def within(row: Registry, reference: str) -> str:
    """The reference with this registry's host before it, where none was typed. Raises `SpecError` or `Invalid`."""
    found = names.ImageReference.parse(reference)
    if found.registry != row.host and found.registry == names.DEFAULT_REGISTRY:
        typed = reference.strip()
        found = names.ImageReference.parse(f"{row.host}/{typed}" if len(row.host) + len(typed) < 255 else "")
    if found.registry != row.host:
        said = _("This image is at %(there)s, not at %(host)s.")
        raise SpecError({"registry": [said % {"there": found.registry, "host": row.host}]})
    return str(found)


# Naming them


def add(body: Mapping[str, Any], *, actor: Actor, owner: Team | None) -> Registry:
    """Names one: ``{"name", "host", "username"?, "password"?, "tls"?, "token_host"?, "teams"?}``.

    The password is sealed, and never shown again. Raises `SpecError`, `accounts.access.Denied` or Http404.
    """
    row = Registry(owner=owner)
    may_manage(row, actor=actor)
    return _write(row, body, actor)


def change(row: Registry, body: Mapping[str, Any], *, actor: Actor) -> Registry:
    """Changes what is said. Where the password would go elsewhere, it has to be given again."""
    may_manage(row, actor=actor)
    return _write(row, body, actor)


def drop(row: Registry, *, actor: Actor) -> None:
    """Forgets it, with its password. What is in it stays there."""
    may_manage(row, actor=actor)
    with transaction.atomic():
        _noted(row, actor, {"host": row.host, "forgotten": True})
        row.delete()


def _write(row: Registry, body: Mapping[str, Any], actor: Actor) -> Registry:
    was = {key: getattr(row, key) for key in WHERE}
    fields = Fields(body)
    password, teams = _read(row, fields, actor)
    moved = [key for key in WHERE if getattr(row, key) != was[key]]
    if password is None and row.sealed and moved:
        fields.fail("password", _("Give the password again: it was saved for another host or account."))
    if fields.errors:
        raise SpecError(fields.errors)
    if password is not None:
        row.sealed = secrets.seal(row.pk, {"password": password}) if password else ""
    if moved or password is not None:
        row.state, row.problem, row.checked_at = Registry.State.UNCHECKED, "", None
    try:
        with transaction.atomic():
            row.save()
            if teams is not None:
                row.teams.set(teams)
            _noted(row, actor, {"host": row.host, "changed": sorted(set(map(str, body)))})
    except IntegrityError:
        raise SpecError({"name": [_("There is a registry of this name already.")]}) from None
    return row


def _read(row: Registry, fields: Fields, actor: Actor) -> tuple[str | None, list[Team] | None]:
    """Puts what is said into the row; the password and the teams, ``None`` where nothing is said of them."""
    row.name = str(fields.string("name", row.name, longest=60)).strip()
    if not _NAME.fullmatch(row.name):
        fields.fail("name", _("A name of letters, digits, spaces, dots and dashes is expected."))
    row.host = fields.named("host", names.registry_host, row.host) or ""
    row.tls = fields.boolean("tls", row.tls)
    row.username = str(fields.string("username", row.username, longest=255, empty=True))
    if ":" in row.username:
        fields.fail("username", _("A user name holds no colon."))
    token_host = fields.string("token_host", row.token_host, longest=200, empty=True)
    row.token_host = str(token_host).strip().lower()
    if row.token_host and not names.is_host(row.token_host):
        fields.fail("token_host", _("A host such as auth.example is expected, without https:// before it."))
    password = fields.string("password", None, longest=8192, empty=True)
    if password and not row.username:
        fields.fail("username", _("A password belongs to a user name."))
    teams = fields.strings("teams", None, most=MOST_TEAMS, total=20_000, longest=100)
    fields.finish()
    if not row.host and "host" not in fields.errors:
        fields.fail("host", _("A host such as registry.example:5000 is expected."))
    elif row.host and (problem := gate().problem(f"{'https' if row.tls else 'http'}://{row.host}")):
        fields.fail("tls" if not row.tls else "host", problem)
    return password, _teams(fields, teams, actor)


def _teams(fields: Fields, slugs: Any, actor: Actor) -> list[Team] | None:
    if slugs is None:
        return None
    found = list(visible_teams(actor).filter(slug__in=slugs))
    if missing := set(slugs) - {team.slug for team in found}:
        fields.fail("teams", _("There is no team %(name)s.") % {"name": min(missing)})
    return found


def _noted(row: Registry, actor: Actor, detail: Mapping[str, Any]) -> None:
    audit.record(
        "registry.manage", actor, target_type="registry", target_id=str(row.pk), target_name=row.name,
        team_id=row.owner_id, detail=detail,
    )  # fmt: skip
