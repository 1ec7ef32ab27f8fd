"""Naming an engine, changing what it is reached by, forgetting it. For site administrators: who reaches one owns it.

Nothing is saved before a worker has reached the engine that way. The certificates travel to the worker sealed, lie
sealed in the database, and are never shown again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import Actor, Owner, require
from engine.certificates import NAMES, Certificates
from engine.docker_transport import Endpoint
from engine.errors import EngineError, Invalid
from engine.fields import Fields
from engine.specs import SpecError
from operations import reads, secrets, trash, trial
from operations.models import Engine, EngineKeys, TrashItem
from operations.plans import Item, Plan
from operations.services import Refused
from streams import bell

LONGEST_NAME = 60
# S-74: what needs no key is named by who runs the server, not by who is signed in to it.
NO_SOCKET = (
    "The server’s configuration does not name this socket. Who runs Slipway allows it with"
    " SLIPWAY_ENGINE_SOCKETS={}."
)
NO_TLS = "It needs TLS: give the CA, a certificate and its key. Who reaches an engine owns its machine."
# What is counted in a plan: related name → words for one, for several, and what becomes of the thing itself.
COUNTED = {
    "containers": ("container", "containers", "untouched"),
    "images": ("image", "images", "untouched"),
    "volumes": ("volume", "volumes", "untouched"),
    "networks": ("network", "networks", "untouched"),
}
LOST = {
    "operations": ("operation", "operations", "the audit log keeps its lines"),
    "happened": ("event", "events", ""),
    "incidents": ("incident", "incidents", ""),
    "builds": ("build", "builds", "with its log"),
    "kept_logs": ("kept log", "kept logs", "what Slipway has kept of its lines"),
    "consoles": ("console session", "console sessions", "with its recording"),
    "trash": ("thing in the trash", "things in the trash", "can no longer be taken back"),
    "backups": ("backup", "backups", "its file stays where it is, and can no longer be restored from here"),
    "backup_schedules": ("schedule of backups", "schedules of backups", ""),
}


def allowed(actor: Actor) -> None:
    """Engines are the site's. Raises `accounts.access.Denied` or Http404."""
    require(actor, "engine.manage")
    require(actor, "engine.manage", Owner(None))


def add_engine(body: Mapping[str, Any], *, actor: Actor) -> Engine:
    """Names one that answers: ``{"name", "endpoint", "ca"?, "cert"?, "key"?}``.

    Raises `SpecError` (also where it does not answer, or is known already), `Refused` or `Denied`.
    """
    allowed(actor)
    f = Fields(body)
    name = _name(f)
    endpoint = str(f.string("endpoint", "", longest=255) or "").strip()
    given = _given(f)
    f.finish()
    if f.errors:
        raise SpecError(f.errors)
    keys = Certificates.parse(given) if any(given.values()) else None
    row = Engine(name=name, endpoint=endpoint)
    _free(row)
    facts = _reached(row, keys, actor)
    row.native_id, row.version = facts["native_id"], facts["version"]
    row.keys_at = timezone.now() if keys else None
    _saved(row, keys, actor, {"endpoint": endpoint, "added": True, "tls": bool(keys)})
    return row


def change_engine(row: Engine, body: Mapping[str, Any], *, actor: Actor) -> Engine:
    """Another ``name``, or other certificates (``ca``, ``cert`` and ``key``, all three). Raises as `add_engine`."""
    allowed(actor)
    f = Fields(body)
    name = _name(f) if "name" in body else row.name
    given = _given(f)
    f.finish()
    if f.errors:
        raise SpecError(f.errors)
    keys = Certificates.parse(given) if any(given.values()) else None
    row.name = name
    _free(row)
    if keys:
        if _reached(row, keys, actor)["native_id"] != row.native_id and row.native_id:
            raise SpecError({"cert": [_("Another engine answers there now: add that one by itself.")]})
        row.keys_at = timezone.now()
    _saved(row, keys, actor, {"endpoint": row.endpoint, "renamed": name, "tls": bool(keys)})
    return row


def forget_engine(row: Engine, *, actor: Actor) -> None:
    """Takes away the rows of an engine; nothing is asked of the engine itself. Raises `Refused` or `Denied`."""
    allowed(actor)
    with transaction.atomic():
        row = Engine.objects.select_for_update().get(pk=row.pk)
        if why := blocked(row):
            raise Refused("in_use", why)
        kept = row.trash.filter(state=TrashItem.State.KEPT).exclude(path="")
        files = list(kept.values_list("path", flat=True))
        pk = row.pk
        row.delete()
        audit.record(
            "engine.manage", actor, target_type="engine", target_id=pk, target_name=row.name,
            detail={"endpoint": row.endpoint, "forgotten": True},
        )  # fmt: skip
        transaction.on_commit(lambda: _forgotten(files), robust=True)


def _forgotten(files: list[str]) -> None:
    bell.ring("engines", "containers", "images", "volumes", "networks", "operations", "trash")
    for path in files:
        trash.file_of(path).unlink(missing_ok=True)


def blocked(row: Engine) -> str:
    """Why an engine cannot be forgotten now; empty where it can."""
    if row.configured:
        return _(
            "This engine is the one of the server's configuration: it would come again by itself. Start Slipway"
            " with another DOCKER_HOST first."
        )
    if row.operations.active().exists():
        return _("Operations run on this engine: wait for their end, or cancel them.")
    return ""


def plan_of(row: Engine) -> Plan:
    """What would be forgotten, and what stays."""
    return Plan(
        lead=_("Slipway forgets this engine. The engine itself is asked nothing: all that is on it stays."),
        button=_("Forget the engine"),
        blocked=blocked(row),
        no_undo=_("an engine that is added again is listed anew, without its past."),
        lost=_counted(row, LOST),
        kept=_counted(row, COUNTED),
        kind="engine.manage",
    )


def _counted(row: Engine, of: Mapping[str, tuple[str, str, str]]) -> list[Item]:
    found = []
    for name, (one, several, fate) in of.items():
        number = cast("models.Manager[Any]", getattr(row, name)).count()
        if number:
            found.append(Item(f"{number} {one if number == 1 else several}", fate))
    return found


def _name(f: Fields) -> str:
    name = " ".join(str(f.string("name", "", longest=LONGEST_NAME) or "").split())
    if (not name or not name.isprintable()) and "name" not in f.errors:
        f.fail("name", _("A name is expected."))
    return name


def _given(f: Fields) -> dict[str, str]:
    return {name: str(f.string(name, "", longest=65536, empty=True) or "").strip() for name in NAMES}


def _free(row: Engine) -> None:
    """Raises `SpecError` where another row has its name, its address or its engine."""
    others, errors = Engine.objects.exclude(pk=row.pk), {}
    if others.filter(name__iexact=row.name).exists():
        errors["name"] = [_("Another engine has this name.")]
    if other := others.filter(endpoint=row.endpoint).first():
        errors["endpoint"] = [_("%(other)s is reached by this address already.") % {"other": other}]
    if row.native_id and (other := others.filter(native_id=row.native_id).first()):
        errors["endpoint"] = [
            _(
                "This engine is known as %(other)s. Where it is a copy of that machine, remove its engine-id file."
            )
            % {"other": other}
        ]
    if errors:
        raise SpecError(errors)


def _saved(row: Engine, keys: Certificates | None, actor: Actor, detail: Mapping[str, Any]) -> None:
    values = {name: getattr(keys, name) for name in NAMES} if keys else {}
    try:
        with transaction.atomic():
            # First: others who do the same wait here until we have ended.
            audit.record(
                "engine.manage", actor, target_type="engine", target_id=row.pk, target_name=row.name,
                detail=detail,
            )  # fmt: skip
            _free(row)
            if row._state.adding:
                row.save(force_insert=True)
            else:
                row.save(update_fields=["name", "keys_at"] if keys else ["name"])
            if keys:
                sealed = secrets.seal(row.pk, values)
                EngineKeys.objects.update_or_create(engine=row, defaults={"sealed": sealed})
            transaction.on_commit(lambda: bell.ring("engines"), robust=True)
    except IntegrityError:
        raise SpecError({"name": [_("Another engine has this name or address.")]}) from None


# Reaching it, in a worker


def _reached(row: Engine, keys: Certificates | None, actor: Actor) -> dict[str, Any]:
    """Who answers there: ``{"native_id", "version"}``. Raises `SpecError` for the address where nobody does."""
    try:
        where = Endpoint.parse(row.endpoint, keys)
    except Invalid as error:
        raise SpecError({"endpoint": [error.message]}) from None
    if where.path and where.path not in settings.ENGINE_SOCKETS:
        raise SpecError({"endpoint": [NO_SOCKET.format(where.path)]})
    if where.host and not keys:
        raise SpecError({"endpoint": [NO_TLS]})
    wish = {"endpoint": row.endpoint, **({name: getattr(keys, name) for name in NAMES} if keys else {})}
    params = {"for": str(row.pk), "sealed": secrets.seal(row.pk, wish)}
    try:
        found = reads.read(trial.KIND, None, actor=actor, params=params, deadline=trial.PATIENCE + 2)
    except EngineError as error:
        raise Refused(
            "unavailable", _("It could not be tried: %(message)s") % {"message": error.message}, 503
        ) from error
    if found["trouble"]:
        raise SpecError({"endpoint": [found["trouble"]]})
    row.native_id = row.native_id or found["native_id"]
    _free(row)
    return found
