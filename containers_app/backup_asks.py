"""Asking for backups and restores, saying when backups are made by themselves, and naming stores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import SYSTEM, Actor, Owner, require
from accounts.querysets import visible_to
from containers_app import backups, stores
from containers_app.backed import BackupSchedule, BackupStore, VolumeBackup
from containers_app.models import Volume
from containers_app.schedules import AGAIN, next_after
from engine import names
from engine.errors import Invalid, SelfProtected
from engine.fields import Fields
from engine.specs import SpecError
from operations import registry, secrets, services
from operations.models import Operation
from operations.services import Refused, Target
from streams import bell

MOST_PATHS = 1000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_./-]{0,198}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{2,60}", re.ASCII)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9 _.-]{0,59}", re.ASCII)
_KEY = re.compile(r"[!-~]{3,128}", re.ASCII)

registry.target("backup", lambda: VolumeBackup.objects.select_related("engine").defer("index"))


def request_volume_backup(
    volume: Volume,
    *,
    actor: Actor,
    store: BackupStore | None = None,
    keep: int = 0,
    scheduled: bool = False,
    idempotency_key: str = "",
) -> Operation:
    """Asks for a backup. ``keep``: how many of its schedule's stay afterwards, 0 for all."""
    target = Target("volume", str(volume.pk), volume.name, services.lock("volume", volume.pk))
    return services.submit(
        "volume.backup", actor=actor, engine=volume.engine, target=target, team=volume.team,
        params={
            "native_id": volume.native_id, "store": str(store.pk) if store else "", "keep": keep,
            "scheduled": scheduled,
        },
        idempotency_key=idempotency_key,
    )  # fmt: skip


def request_backup_restore(
    backup: VolumeBackup, body: Mapping[str, Any], *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for what a backup holds to be put into a volume, ``{"volume"?, "paths"?}``.

    ``volume``: the name of one that is there, into which it is written, or of one that is made; without, the one that
    was backed up. ``paths``: files and folders of it; without, everything.
    """
    kind = "volume.recover"
    target = Target("volume", "", backup.volume_name)
    services.authorize(kind, actor=actor, target=target, team_id=backup.team_id)
    fields = Fields(body)
    name = fields.named("volume", names.volume_name, backup.volume_name)
    paths = fields.strings("paths", (), most=MOST_PATHS, total=256 * 1024, longest=4096)
    fields.finish()
    if fields.errors:
        raise SpecError(fields.errors)
    there = Volume.objects.filter(engine_id=backup.engine_id, native_id=name)
    volume = visible_to(actor, there).first()
    if volume is None and there.exists():
        raise Refused(
            "name_in_use", _('There is a volume "%(name)s" already: choose another name.') % {"name": name}
        )
    lock = services.lock("engine", backup.engine_id, "volume", name)
    if volume:
        lock = services.lock("volume", volume.pk)
    target = Target("volume", str(volume.pk) if volume else "", str(name), lock)
    if volume:
        with services.denials(kind, actor=actor, target=target, team_id=volume.team_id):
            require(actor, kind, volume)
    cleaned = sorted({path.strip("/") for path in paths if path.strip("/")})
    return services.submit(
        kind, actor=actor, engine=backup.engine, target=target, team=volume.team if volume else backup.team,
        params={"backup": str(backup.pk), "name": str(name), "paths": cleaned, "new": volume is None},
        idempotency_key=idempotency_key,
    )  # fmt: skip


def request_backup_remove(backup: VolumeBackup, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for a backup to be removed from its store."""
    target = Target("backup", str(backup.pk), str(backup), services.lock("backup", backup.pk))
    return services.submit(
        "backup.remove", actor=actor, engine=backup.engine, target=target, team=backup.team,
        params={"backup": str(backup.pk)}, idempotency_key=idempotency_key,
    )  # fmt: skip


# By themselves


def schedule_of(volume: Volume) -> BackupSchedule | None:
    """When this volume is backed up by itself."""
    found = BackupSchedule.objects.filter(engine_id=volume.engine_id, volume_name=volume.native_id)
    return found.select_related("store").first()


def put_schedule(volume: Volume, body: Mapping[str, Any], *, actor: Actor) -> BackupSchedule:
    """Says when: ``{"every": "day", "hour"?: 3, "keep"?: 7, "store"?: id}``. Raises `SpecError`, or as `require`."""
    require(actor, "backup.schedule", volume)
    fields = Fields(body)
    every = fields.choice("every", "day", BackupSchedule.Every.values)
    hour, keep = fields.integer("hour", 3, 0, 23), fields.integer("keep", 7, 1, 365)
    store = fields.string("store", None, longest=36)
    fields.finish()
    found = _store(store, fields)
    if fields.errors:
        raise SpecError(fields.errors)
    wish = {"every": every, "hour": hour, "keep": keep, "store": found, "team": volume.team}
    with transaction.atomic():
        row, _ = BackupSchedule.objects.update_or_create(
            engine_id=volume.engine_id, volume_name=volume.native_id,
            defaults={**wish, "next_at": next_after(timezone.now(), every, hour), "created_by": actor.user},
        )  # fmt: skip
        _noted(
            "backup.schedule",
            volume,
            actor,
            {"every": every, "hour": hour, "keep": keep, "store": str(found or "")},
        )
    return row


def _store(asked: str | None, fields: Fields) -> BackupStore | None:
    if not asked:
        return None
    try:
        found = BackupStore.objects.filter(pk=names.operation_id(asked)).first()
    except Invalid:
        found = None
    if found is None:
        fields.fail("store", _("There is no such store."))
    return found


def drop_schedule(volume: Volume, *, actor: Actor) -> bool:
    """It is not backed up by itself any more; whether it was."""
    require(actor, "backup.schedule", volume)
    with transaction.atomic():
        gone, _ = BackupSchedule.objects.filter(
            engine_id=volume.engine_id, volume_name=volume.native_id
        ).delete()
        if gone:
            _noted("backup.schedule", volume, actor, {"every": ""})
    return bool(gone)


def _noted(verb: str, volume: Volume, actor: Actor, detail: Mapping[str, Any]) -> None:
    audit.record(
        verb, actor, target_type="volume", target_id=str(volume.pk), target_name=volume.name,
        team_id=volume.team_id, detail=detail,
    )  # fmt: skip
    transaction.on_commit(lambda: bell.ring(f"volume:{volume.pk}"), robust=True)


@registry.every(20)
def ask_for_due() -> int:
    """Asks for the backups whose time has come; how many. What was missed while nobody was here comes once."""
    now, asked = timezone.now(), 0
    for row in BackupSchedule.objects.filter(next_at__lte=now).select_related("store")[:50]:
        later = next_after(now, row.every, row.hour)
        if not BackupSchedule.objects.filter(pk=row.pk, next_at=row.next_at).update(next_at=later):
            continue  # another worker was faster
        volume = Volume.objects.filter(engine_id=row.engine_id, native_id=row.volume_name).first()
        if volume is None:
            continue
        try:
            request_volume_backup(volume, actor=SYSTEM, store=row.store, keep=row.keep, scheduled=True)
            asked += 1
        except (Refused, SelfProtected):
            BackupSchedule.objects.filter(pk=row.pk).update(next_at=min(later, now + AGAIN))
    return asked


# Stores


def add_store(body: Mapping[str, Any], *, actor: Actor) -> BackupStore:
    """Names a bucket, ``{"name", "endpoint", "bucket", "access_key", "secret_key", "region"?, "prefix"?}``.

    The secret key is sealed, and never shown again. Raises `SpecError` or `Denied`.
    """
    allowed(actor)
    f = Fields(body)
    row = BackupStore(
        name=_one(f, "name", _NAME, _("A name of letters, digits, spaces, dots and dashes is expected.")),
        bucket=_one(f, "bucket", _BUCKET, _("The name of a bucket is expected.")),
        access_key=_one(f, "access_key", _KEY, _("The access key is expected.")),
        region=_one(f, "region", _REGION, _("A region such as eu-central-1 is expected."), "us-east-1"),
        prefix=_one(f, "prefix", _PREFIX, _("A folder such as backups/slipway is expected."), ""),
        endpoint=str(f.string("endpoint", "", longest=255)),
    )
    secret = _one(f, "secret_key", _KEY, _("The secret key is expected."))
    f.finish()
    if problem := stores.endpoint_problem(row.endpoint):
        f.fail("endpoint", problem)
    if ".." in row.prefix:
        f.fail("prefix", _("A folder without dots is expected."))
    if f.errors:
        raise SpecError(f.errors)
    row.endpoint, row.sealed = row.endpoint.rstrip("/"), secrets.seal(row.pk, {"secret": secret})
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record("store.manage", actor, target_name=row.name, detail={"endpoint": row.endpoint})
    except IntegrityError:
        raise SpecError({"name": [_("There is a store of this name already.")]}) from None
    return row


def _one(f: Fields, key: str, pattern: re.Pattern[str], words: str, usual: str | None = None) -> str:
    value = str(f.string(key, usual or "", longest=255, empty=True)).strip()
    if value == (usual if usual is not None else None):
        return value
    if not pattern.fullmatch(value):
        f.fail(key, words)
    return value


def drop_store(row: BackupStore, *, actor: Actor) -> None:
    """Forgets a bucket; what is in it stays there. Raises `Refused` while backups or schedules name it."""
    allowed(actor)
    try:
        with transaction.atomic():
            audit.record("store.manage", actor, target_name=row.name, detail={"endpoint": ""})
            row.delete()
    except ProtectedError:
        raise Refused(
            "in_use", _("Backups or schedules name %(name)s: remove those first.") % {"name": row.name}
        ) from None


def allowed(actor: Actor) -> None:
    """Stores are the site's. Raises `accounts.access.Denied` or Http404."""
    require(actor, "store.manage")
    require(actor, "store.manage", Owner(None))


__all__ = ["backups"]
