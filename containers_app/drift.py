"""Drift: what a container is, against what it was asked to be, and against what its tag points at now.

Of a container that exists an engine changes its name, its restart policy, its limits and its networks, and nothing
else; one that was made anew from outside is held against all of the run before, see `drift_remade`. What was asked for
stands in ``asked``: the body of the run, then each change made through Slipway; for a container from elsewhere what it
was like when it was first seen. Worked out where rows are written, so that a list only has to read it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.access import Actor, require
from containers_app import drift_remade
from containers_app.models import Container
from engine.diff import differences
from images_app import newer, references
from images_app.models import Tag
from operations import registry
from operations.models import Engine, Operation, TrashItem
from operations.services import Target, denials
from streams import bell

OURS = ("slipway-new-", f"{TrashItem.NAMES}-")
"""Names that Slipway gives for a moment, or while something is in the trash: nobody asked for those."""
MOST = 40


def settings_of(row: Container | Mapping[str, Any]) -> dict[str, Any]:
    """What can change while it exists, of a row or of its columns' values, in the shape of the run body.

    ``networks`` is name → true, so that one more or less is one difference.
    """
    get: Callable[[str], Any] = row.__getitem__ if isinstance(row, Mapping) else partial(getattr, row)
    return {
        "name": get("name"),
        "restart_policy": {"name": get("restart_policy") or "no", "max_retries": get("restart_max_retries")},
        "resources": {
            "memory": max(0, get("memory_limit")),
            "cpus": round(get("cpu_limit"), 3),
            "pids": max(0, get("pids_limit")),
        },
        "networks": {str(network.get("name", "")): True for network in get("networks")},
    }


def first(values: Mapping[str, Any]) -> dict[str, Any]:
    """What counts as asked for of a container that nobody knew: as it is. Empty for what is on its way to its name."""
    return {} if str(values["name"]).startswith(OURS) else {**settings_of(values), "by": ""}


def found(row: Container) -> list[dict[str, Any]]:
    """``{path, old, new}`` of each setting that is not as it was asked to be."""
    if not row.asked or row.name.startswith(OURS):
        return []
    asked = {key: value for key, value in row.asked.items() if key not in ("by", drift_remade.KEY)}
    now = {key: value for key, value in settings_of(row).items() if key in asked}
    if fixed := row.asked.get(drift_remade.KEY):
        asked, now = {**asked, **fixed}, {**now, **drift_remade.of(row, fixed)}
    return [{"path": one.path, "old": one.old, "new": one.new} for one in differences(asked, now)][:MOST]


def remade(engine: Engine, keys: Collection[str]) -> None:
    """Of containers that are new here, in the same transaction: those that somebody has made anew from outside, under
    the name of one that Slipway has run, are held against what was asked for then.
    """
    rows = Container.everything.filter(engine=engine, native_id__in=list(keys))
    runs = drift_remade.requests(engine, rows) if keys else {}
    for row in rows.filter(pk__in=runs).prefetch_related("mounts"):
        body = runs[row.pk].params
        wanted = _over({**settings_of(row), "by": str(runs[row.pk].pk)}, of_run(body))
        if body.get("networks"):
            wanted["networks"] = dict.fromkeys(body["networks"], True)
        _note(row, {**wanted, drift_remade.KEY: drift_remade.of_run(body)})


def judge(engine: Engine, keys: Iterable[str]) -> None:
    """After these containers were written, in the same transaction: notes what differs, and since when."""
    rows = Container.everything.filter(engine=engine, native_id__in=list(keys))
    for row in rows.only("asked", "drift", "drift_at", "engine_id", *_COLUMNS):
        if not row.asked:
            row.asked = first({name: getattr(row, name) for name in _COLUMNS})
            rows.filter(pk=row.pk).update(asked=row.asked)
        _put(row)


_COLUMNS = (
    "name", "restart_policy", "restart_max_retries", "memory_limit", "cpu_limit", "pids_limit", "networks",
)  # fmt: skip


def _put(row: Container) -> bool:
    now = found(row)
    if now == row.drift:
        return False
    row.drift, row.drift_at = now, timezone.now() if now else None
    Container.everything.filter(pk=row.pk).update(drift=row.drift, drift_at=row.drift_at)
    return True


def agree(row: Container | None, *, by: Operation | None, asked: Mapping[str, Any] | None = None) -> None:
    """From now on this was asked for: as it is, with ``asked`` over it (parts of the run body that are set)."""
    if row is None:
        return
    _note(row, _over({**settings_of(row), "by": str(by.pk) if by else ""}, asked or {}))


def _over(wanted: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in asked.items():
        wanted[key] = {**wanted[key], **value} if isinstance(value, Mapping) and key != "networks" else value
    return wanted


def agree_on(row: Container | None, *keys: str, by: Operation) -> None:
    """The same of some settings alone; what else differs goes on differing."""
    if row is None:
        return
    now = settings_of(row)
    wanted = dict(row.asked or first(now_columns(row)))
    for key in keys:
        part, _, name = key.partition(".")
        if not name:
            wanted[part] = now[part]
        elif name in now[part]:
            wanted[part] = {**wanted.get(part, {}), name: now[part][name]}
        else:
            wanted[part] = {other: value for other, value in wanted.get(part, {}).items() if other != name}
    _note(row, {**wanted, "by": str(by.pk)})


def agree_on_network(by: Operation, name: str) -> None:
    """An operation has taken containers off this network, or has put them back on it."""
    for row in Container.everything.filter(engine=by.engine).exclude(drift=[]):
        if any(one["path"] == f"networks.{name}" for one in row.drift):
            agree_on(row, f"networks.{name}", by=by)


def accept(row: Container, *, actor: Actor) -> None:
    """Takes its settings of now for what was asked for. Raises `accounts.access.Denied` or Http404. No change of an
    engine, so no operation; but a line in the audit trail.
    """
    target = Target("container", str(row.pk), row.name)
    with denials("container.accept", actor=actor, target=target, team_id=row.team_id):
        require(actor, "container.update", row)
    with transaction.atomic():
        audit.record(
            "container.accept", actor, target_type="container", target_id=row.pk, target_name=row.name,
            team_id=row.team_id, detail={"drift": row.drift},
        )  # fmt: skip
        agree(row, by=None)


def now_columns(row: Container) -> dict[str, Any]:
    """The columns that settings are made of."""
    return {name: getattr(row, name) for name in _COLUMNS}


def _note(row: Container, wanted: dict[str, Any]) -> None:
    row.asked = wanted
    Container.everything.filter(pk=row.pk).update(asked=wanted)
    if _put(row):
        bell.ring("containers", f"container:{row.pk}")


def of_run(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run body can drift: what it says itself, and not what it leaves to the engine."""
    asked: dict[str, Any] = {}
    if body.get("name"):
        asked["name"] = body["name"]
    if body.get("restart_policy"):
        asked["restart_policy"] = dict(body["restart_policy"])
    given = {key: value for key, value in (body.get("resources") or {}).items() if value}
    if given:
        asked["resources"] = {**given, **({"cpus": round(given["cpus"], 3)} if "cpus" in given else {})}
    return asked


# Images


def images(engine: Engine) -> None:
    """Notes of each container of an engine which image its tag points at now, where that is another one.

    Three queries at most where nothing has moved, however many there are.
    """
    named = Tag.objects.filter(engine=engine).values_list("name", "image__native_id")
    tags = {references.tag_of(name): native_id for name, native_id in named}
    columns = ("pk", "image_ref", "image_native_id", "drift_image")
    moved: dict[str, list[Any]] = {}
    for pk, reference, has, noted in Container.objects.filter(engine=engine).values_list(*columns):
        points = tags.get(references.tag_of(reference), has)
        wanted = points if points != has else ""
        if wanted != noted:
            moved.setdefault(wanted, []).append(pk)
    with transaction.atomic():
        for native_id, pks in moved.items():
            Container.objects.filter(pk__in=pks).update(drift_image=native_id)
    if moved:
        bell.ring("containers", *(f"container:{pk}" for pks in moved.values() for pk in pks))
    _at_registries(engine)


def _at_registries(engine: Engine) -> None:
    """Notes of each container whether the registry has another image under its tag than the one that it runs."""
    at = {references.tag_of(name): digest for name, digest in newer.of_engine(engine.pk).items()}
    rows, moved = Container.objects.filter(engine=engine), {}
    if not at:
        rows = rows.exclude(drift_remote="")
    for row in rows.only("image_ref", "drift_remote", "image__digests").select_related("image"):
        digest, has = at.get(references.tag_of(row.image_ref), ""), row.image.digests if row.image else []
        wanted = digest if has and not any(str(one).endswith(f"@{digest}") for one in has) else ""
        if wanted != row.drift_remote:
            moved[row.pk] = wanted
    for pk, wanted in moved.items():
        Container.objects.filter(pk=pk).update(drift_remote=wanted)
    if moved:
        bell.ring("containers", *(f"container:{pk}" for pk in moved))


@registry.every(10)
def note_newer() -> None:
    """What registries have said, and what people want to hear of it, on the containers."""
    for engine in Engine.objects.filter(tag_checks__isnull=False).distinct():
        _at_registries(engine)
