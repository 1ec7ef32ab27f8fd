"""Rows of containers, volumes and networks from what an engine says. The only writer of those facts.

Events are hints: they say which rows may be wrong, and an inspection says what is true. A container's facts are
written only over older ones (``seen_at``), since several processes look at the same container.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts.models import Team
from containers_app import chronicle, drift, facts
from containers_app.models import Container, Mount, Network, Volume
from engine.base import Engine as EngineBackend
from engine.types import ContainerInfo, ContainerState, Event
from images_app.models import Image
from operations import trash
from operations.models import Engine
from operations.projection import Report, chunks, differs, inspected, listed, newer
from streams import bell

# What happens inside a container and leaves its facts as they are.
_INSIDE = {
    "exec_create", "exec_start", "exec_detach", "exec_die", "top", "attach", "detach", "resize", "copy",
    "archive-path", "extract-to-dir", "export", "commit",
}  # fmt: skip

LIVE = (ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.RESTARTING)


def reconcile(engine: Engine, backend: EngineBackend) -> Report:
    """Makes the rows equal to the engine. Raises `engine.errors.EngineError`.

    One list of each kind, then an inspection of those containers alone that the list shows to be new or changed.
    """
    began = time.monotonic()
    report = Report()
    _sync_volumes(engine, backend)
    _sync_networks(engine, backend)
    _sync_containers(engine, backend, report)
    link_images(engine)
    drift.images(engine)
    report.seconds = time.monotonic() - began
    return report


def apply(engine: Engine, backend: EngineBackend, events: Sequence[Event]) -> None:
    """Looks again at what these events may have changed. Raises `engine.errors.EngineError`."""
    kinds = {event.type for event in events}
    dirty = {event.native_id for event in events if event.type == "container" and event.action not in _INSIDE}
    if "volume" in kinds and any(e.type == "volume" and e.action in ("create", "destroy") for e in events):
        _sync_volumes(engine, backend)
    if "network" in kinds:
        if any(e.type == "network" and e.action not in ("connect", "disconnect") for e in events):
            _sync_networks(engine, backend)
        if not dirty:
            # Somebody connects a container that runs: the event names the network alone.
            _sync_containers(engine, backend, Report())
    if dirty:
        _look(engine, backend, dirty, Report())
    if "image" in kinds:
        link_images(engine)
        drift.images(engine)


def look_at_all(engine: Engine, backend: EngineBackend) -> None:
    """Inspects every container: of a change of limits or networks an engine's list says nothing, and its event may
    have come while nobody listened. Raises `engine.errors.EngineError`.
    """
    mine = Container.objects.filter(engine=engine)
    _look(engine, backend, list(mine.values_list("native_id", flat=True)), Report())
    for chunk in chunks(
        mine.filter(asked={}).values_list("native_id", flat=True)
    ):  # from before drift was known
        with transaction.atomic():
            drift.judge(engine, chunk)


def refresh(
    engine: Engine, backend: EngineBackend, native_id: str, *, team: Team | None = None
) -> Container | None:
    """Looks again at one container after one of our own changes; its row, or ``None`` where it is gone.

    With a ``team``, a container that nobody owns becomes theirs, and so do the volumes that came with it.
    """
    _sync_volumes(engine, backend)
    _look(engine, backend, [native_id], Report(), team=team)
    # Gone between the inspection and the writing: nobody would tell us again.
    if not Container.everything.filter(engine=engine, native_id=native_id).exists():
        return None
    _look(engine, backend, [native_id], Report())
    row = Container.everything.filter(engine=engine, native_id=native_id).first()
    if row and team:
        _take_volumes(row, team)
    return row


def refresh_volumes(engine: Engine, backend: EngineBackend) -> None:
    """Looks again at the volumes after one of our own changes."""
    _sync_volumes(engine, backend)


def refresh_networks(engine: Engine, backend: EngineBackend, containers: Collection[str] = ()) -> None:
    """Looks again at the networks after one of our own changes, and at these containers that are on them."""
    _sync_networks(engine, backend)
    _look(engine, backend, containers, Report())


def put_sizes(engine: Engine, sizes: Mapping[str, int]) -> None:
    """Notes what the engine has counted: volume name → bytes."""
    rows = [row for row in Volume.objects.filter(engine=engine) if row.native_id in sizes]
    for row in rows:
        row.size, row.sized_at = sizes[row.native_id], timezone.now()
    Volume.objects.bulk_update(rows, ["size", "sized_at"], batch_size=200)
    if rows:
        bell.ring("volumes")


def link_images(engine: Engine) -> None:
    """Points containers at the rows of their images, in one statement: either may have been seen first."""
    there = Image.everything.filter(engine=engine, native_id=OuterRef("image_native_id"))
    Container.everything.filter(engine=engine, image=None, image_native_id__in=_image_ids(engine)).update(
        image=Subquery(there.values("pk")[:1])
    )


def _image_ids(engine: Engine) -> Any:
    return Image.everything.filter(engine=engine).values("native_id")


# Containers


def _sync_containers(engine: Engine, backend: EngineBackend, report: Report) -> None:
    seen = timezone.now()
    summaries = {summary.native_id: summary for summary in backend.containers()}
    columns = ("native_id", "fingerprint", "state", "started_at", "finished_at")
    rows = {row["native_id"]: row for row in Container.everything.filter(engine=engine).values(*columns)}
    wanted = [
        key
        for key, summary in summaries.items()
        if key not in rows or facts.outdated(rows[key], summary.fingerprint, summary.state_since)
    ]
    report.seen = len(summaries)
    _look(engine, backend, wanted, report)
    _forget(engine, rows.keys() - summaries.keys(), seen, report)


def _look(
    engine: Engine, backend: EngineBackend, ids: Collection[str], report: Report, *, team: Team | None = None
) -> None:
    """Inspects these containers and writes what is true now; forgets those that are gone."""
    seen = timezone.now()
    gone: list[str] = []

    def there() -> Iterable[ContainerInfo]:
        for native_id, info in inspected(ids, backend.container):
            if info is None:
                gone.append(native_id)
            else:
                yield info

    for chunk in chunks(there()):
        with transaction.atomic():
            _save(engine, seen, chunk, report, team)
    _forget(engine, gone, seen, report)


def _save(
    engine: Engine, seen: datetime, infos: Sequence[ContainerInfo], report: Report, team: Team | None
) -> None:
    """Upserts what differs, unless somebody has looked later."""
    ids = [info.native_id for info in infos]
    rows = {row.native_id: row for row in Container.everything.filter(engine=engine, native_id__in=ids)}
    write: dict[str, dict[str, Any]] = {}
    for info in infos:
        row = rows.get(info.native_id)
        if row is None or not newer(row.seen_at, seen):
            values = facts.container_facts(info)
            if row is None or differs(row, values):
                write[info.native_id] = values
    images = dict(
        Image.everything.filter(engine=engine, native_id__in={v["image_native_id"] for v in write.values()})
        .values_list("native_id", "pk")
    )  # fmt: skip
    Container.everything.bulk_create(
        [
            Container(
                engine=engine, native_id=key, team=team, seen_at=seen,
                image_id=images.get(values["image_native_id"]), asked=drift.first(values), **values,
            )
            for key, values in write.items()
        ],
        update_conflicts=True,
        unique_fields=["engine", "native_id"],
        update_fields=["seen_at", "image", *next(iter(write.values()), {})],
    )  # fmt: skip
    if team:
        Container.everything.filter(engine=engine, native_id__in=ids, team=None).update(team=team)
    drift.judge(engine, [key for key in write if key in rows])  # what is new was asked for as it is
    _another_end(rows, write)
    _out_of_trash(rows.values(), infos, seen)
    pks = dict(Container.everything.filter(engine=engine, native_id__in=ids).values_list("native_id", "pk"))
    moved = _save_mounts(engine, [info for info in infos if info.native_id in pks], pks)
    _used(engine, [info for info in infos if info.native_id in write])
    added = {key for key in write if key not in rows}
    drift.remade(engine, added)
    report.added += len(added)
    report.changed += len(write) - len(added)
    changed = {pks[key] for key in write} | moved
    _ring(changed, images.values() if added else ())


def _used(engine: Engine, infos: Iterable[ContainerInfo]) -> None:
    """When volumes were last mounted by something that ran: now, or when that ended."""
    when: dict[str, datetime] = {}
    for info in infos:
        last = timezone.now() if info.state in LIVE else info.finished_at
        for mount in info.mounts:
            if mount.type == "volume" and last and (mount.source not in when or when[mount.source] < last):
                when[mount.source] = last
    for name, last in when.items():
        older = Q(last_used_at=None) | Q(last_used_at__lt=last)
        Volume.objects.filter(older, engine=engine, native_id=name).update(last_used_at=last)


def _another_end(rows: Mapping[str, Container], write: Mapping[str, Mapping[str, Any]]) -> None:
    """What is known of how they ended is of an earlier end."""
    told = [
        row.pk
        for key, row in rows.items()
        if row.ended and key in write and write[key]["finished_at"] != row.finished_at
    ]
    if told:
        Container.everything.filter(pk__in=told).update(ended=Container.Ended.UNKNOWN)


def _out_of_trash(rows: Iterable[Container], infos: Sequence[ContainerInfo], seen: datetime) -> None:
    """Somebody has renamed or started what was in the trash: it is not there any more."""
    found = {info.native_id: info for info in infos}
    left = [
        row.pk
        for row in rows
        if row.trashed_at
        and row.trashed_at < seen
        and (found[row.native_id].state in LIVE or not trash.is_container_name(found[row.native_id].name))
    ]
    if left:
        Container.everything.filter(pk__in=left).update(trashed_at=None)
        trash.left("container", left)


def _save_mounts(engine: Engine, infos: Sequence[ContainerInfo], pks: Mapping[str, Any]) -> set[Any]:
    """Makes the mounts those of the engine; the containers where they were not."""
    stored: dict[Any, dict[str, dict[str, Any]]] = {}
    fields = ("type", "source", "read_only")
    for mount in Mount.objects.filter(container__in=pks.values()).values("container_id", "target", *fields):
        stored.setdefault(mount["container_id"], {})[mount["target"]] = {key: mount[key] for key in fields}
    wanted = {pks[info.native_id]: facts.mount_facts(info) for info in infos}
    changed = {pk for pk, mounts in wanted.items() if stored.get(pk, {}) != mounts}
    if not changed:
        return set()
    names = {m["source"] for pk in changed for m in wanted[pk].values() if m["type"] == "volume"}
    volumes = dict(Volume.objects.filter(engine=engine, native_id__in=names).values_list("native_id", "pk"))
    Mount.objects.filter(container__in=changed).delete()
    Mount.objects.bulk_create(
        Mount(
            container_id=pk,
            target=target,
            volume_id=volumes.get(mount["source"]) if mount["type"] == "volume" else None,
            **mount,
        )
        for pk in changed
        for target, mount in wanted[pk].items()
    )
    transaction.on_commit(lambda: bell.ring("volumes"), robust=True)
    return changed


def _forget(engine: Engine, ids: Collection[str], seen: datetime, report: Report) -> None:
    """Deletes the rows of containers that are gone, unless somebody has seen them since."""
    for chunk in chunks(ids):
        with transaction.atomic():
            rows = Container.everything.filter(engine=engine, native_id__in=chunk, seen_at__lte=seen)
            found = dict(rows.values_list("pk", "image_id"))
            if found:
                running = rows.filter(state__in=[state.value for state in LIVE])
                Volume.objects.filter(mounts__container__in=running).update(last_used_at=timezone.now())
                trash.lost("container", found)
                chronicle.forgotten(found)
                Container.everything.filter(pk__in=found).delete()
                report.removed += len(found)
                _ring(found, [image for image in found.values() if image])


def _ring(containers: Iterable[Any], images: Iterable[Any]) -> None:
    """After the commit: these containers changed, and with them how much these images are used."""
    topics = [f"container:{pk}" for pk in containers]
    if topics:
        topics.append("containers")
        used = [f"image:{pk}" for pk in set(images)]
        topics += ["images", *used] if used else []
        transaction.on_commit(lambda: bell.ring(*topics), robust=True)


# Volumes and networks


def _sync_volumes(engine: Engine, backend: EngineBackend) -> None:
    seen = timezone.now()
    wanted = {info.name: facts.volume_facts(info) for info in backend.volumes() if len(info.name) <= 255}
    if _put(engine, Volume, wanted, seen):
        _link_volumes(engine)


def _sync_networks(engine: Engine, backend: EngineBackend) -> None:
    seen = timezone.now()
    wanted = {info.native_id: facts.network_facts(info) for info in backend.networks()}
    _put(engine, Network, wanted, seen)


def _put(
    engine: Engine, model: type[Volume | Network], wanted: Mapping[str, dict[str, Any]], seen: datetime
) -> bool:
    """Makes the rows those of the list, unless a newer list was written; whether anything changed."""
    mine: QuerySet[Any] = model._default_manager.filter(engine=engine)
    rows: dict[str, Any] = {row.native_id: row for row in mine}
    write = {key: v for key, v in wanted.items() if key not in rows or differs(rows[key], v)}
    if not write and rows.keys() == wanted.keys():
        return False
    with transaction.atomic():
        if not listed(engine, model._meta.model_name or "", seen):
            return False
        mine.bulk_create(
            [model(engine=engine, native_id=key, seen_at=seen, **values) for key, values in write.items()],
            update_conflicts=True,
            unique_fields=["engine", "native_id"],
            update_fields=["seen_at", *next(iter(write.values()), {})],
        )
        gone = [
            pk
            for pk, key in mine.filter(seen_at__lte=seen).values_list("pk", "native_id")
            if key not in wanted
        ]
        mine.filter(pk__in=gone).delete()
        topic = f"{model._meta.model_name}s"
        transaction.on_commit(lambda: bell.ring(topic), robust=True)
    return True


def _link_volumes(engine: Engine) -> None:
    """Points mounts at the rows of their volumes: either may have been seen first."""
    there = Volume.objects.filter(engine=engine, native_id=OuterRef("source"))
    known = Volume.objects.filter(engine=engine).values("native_id")
    Mount.objects.filter(container__engine=engine, volume=None, type="volume", source__in=known).update(
        volume=Subquery(there.values("pk")[:1])
    )


def _take_volumes(container: Container, team: Team) -> None:
    """Volumes that the engine made for this container belong to its team.

    Both times are the engine's own; those of volumes have no fractions of a second.
    """
    if container.created_at:
        since = container.created_at.replace(microsecond=0)
        mine = container.mounts.filter(volume__created_at__gte=since).values("volume")
        Volume.objects.filter(pk__in=mine, team=None).update(team=team)
