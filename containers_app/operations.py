"""Asking for changes of containers, volumes and networks: one function a wish, for pages, REST, admin and commands.

Each raises `engine.specs.SpecError` (not valid), `engine.errors.PolicyDenied` (guard rails),
`accounts.access.Denied` or Http404 (rights), and `operations.services.Refused` (not now).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.access import Actor
from accounts.models import Team
from containers_app import (
    commit,
    file_changes,
    gate,
    limits,
    own,
    prune,
    prune_plans,
    recreate,
    recreate_plan,
    removal,
    run,
    usage,
    vanished,
    verbs,
    volumes,
    written,
)
from containers_app.backup_asks import request_backup_remove, request_backup_restore, request_volume_backup
from containers_app.bodies import image_of
from containers_app.edit_asks import changes_of, request_duplicate, sealed
from containers_app.models import Container, PrunePlan, Volume
from containers_app.needs import Need
from containers_app.network_asks import (
    request_network_connect,
    request_network_create,
    request_network_disconnect,
    request_network_remove,
)
from containers_app.volume_asks import request_volume_clone, request_volume_export, request_volume_import
from engine import names
from engine.fields import Fields
from engine.specs import ContainerSpec, SpecError, VolumeSpec
from images_app import scan_gate
from operations import policies, registry, services, variables
from operations.batches import Batch
from operations.masking import withhold
from operations.models import Engine, Operation
from operations.services import Refused, Target

ACTIONS = ("start", "stop", "restart", "kill", "pause", "unpause", "rename", "update", "recreate", "remove")
STOP_TIMEOUT = 10
"""Seconds to end by itself, where neither the wish nor the container says."""

registry.target("container", lambda: Container.everything.select_related("engine"))
registry.target("volume", lambda: Volume.objects.select_related("engine"))


def request(
    container: Container,
    action: str,
    *,
    actor: Actor,
    params: Mapping[str, Any] | None = None,
    idempotency_key: str = "",
    batch: Batch | None = None,
    needs: Sequence[Need] = (),
    after: Operation | None = None,
    paced: bool = True,
) -> Operation:
    """Asks for one of `ACTIONS`, as a step of a ``batch`` where there is one; ``needs``: what a start waits for;
    ``after``: what has to succeed before. ``paced``: false where whoever calls has a pace of its own.

    ``params``: stop and restart ``timeout`` (seconds), kill ``signal``, rename ``name``, remove ``force``,
    ``volumes`` (anonymous ones too) and ``forever`` (not into the trash), recreate ``image``, ``pull``, ``gate``
    (``timeout``, ``steady``) and ``changes`` (see `engine.changes`); what is left out has its usual value.
    Start, restart and recreate take ``empty_volumes`` (empty ones in place of those whose data is gone). update
    ``restart_policy`` and ``resources`` as in the run body; what is left out stays.
    """
    if action not in ACTIONS:
        raise SpecError({"action": [f"One of {', '.join(ACTIONS)} is expected."]})
    kind = f"container.{action}"
    target = Target("container", str(container.pk), container.name, services.lock("container", container.pk))
    services.authorize(kind, actor=actor, target=target, team_id=container.team_id)
    wish = _params(container, action, params or {}, actor)
    with services.denials(kind, actor=actor, target=target, team_id=container.team_id):
        if action == "recreate":
            recreate.may(container, actor=actor, changes=recreate.changes_in(wish))
            _scanned(container, wish, actor, after)
        elif action == "update":
            policies.check(limits.kept(wish), actor=actor, team_id=container.team_id, name=container.name)
    wish, secrets = sealed({**wish, "needs": list(needs)} if needs else wish, container)
    return services.submit(
        kind,
        actor=actor,
        engine=container.engine,
        target=target,
        team=container.team,
        params={**wish, "native_id": container.native_id},
        secrets=secrets,
        idempotency_key=idempotency_key,
        check=vanished.check(container, wish) if action in vanished.STARTS else None,
        fetches=paced
        and action == "recreate"
        and run.fetches(wish["image"] or container.image_ref, pull=wish["pull"], engine=container.engine),
        batch=batch,
        after=after,
    )


def request_run(
    body: Mapping[str, Any],
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
    batch: Batch | None = None,
    after: Operation | None = None,
) -> Operation:
    """Asks for a new container, by the run body of the REST contract; it will be the team's."""
    kind = "container.run"
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    named = str(body.get("name") or body.get("image") or "")[:255]
    services.authorize(kind, actor=actor, target=Target("container", "", named), team_id=team_id)
    filled = variables.fill(
        {key: value for key, value in body.items() if key not in ("engine", "team")}, team_id=team_id
    )
    spec = ContainerSpec.parse(filled.body)
    lock = services.lock("engine", engine.pk, "name", spec.name) if spec.name else ""
    target = Target("container", "", spec.name or spec.image, lock)
    with services.denials(kind, actor=actor, target=target, team_id=team_id):
        run.allowed(spec, actor=actor, engine=engine, team_id=team_id)
        if not _is_yet_to_come(spec.image, spec.pull, after):
            scan_gate.check(spec.image, engine=engine, actor=actor, team_id=team_id, name=target.name)
        spec = policies.with_defaults(spec, team_id=team_id)
    params, secrets = withhold(spec.to_dict())
    return services.submit(
        kind,
        actor=actor,
        engine=engine,
        target=target,
        team=team,
        params={**params, variables.USES: filled.uses} if filled.uses else params,
        secrets=secrets,
        idempotency_key=idempotency_key,
        batch=batch,
        after=after,
        check=_is_free(Container.objects.filter(engine=engine, name=spec.name), "container", spec.name),
        fetches=run.fetches(spec.image, pull=spec.pull, engine=engine),
    )


def _is_yet_to_come(image: str, pull: str, after: Operation | None) -> bool:
    """Whether it is yet to be built or fetched: then the worker judges it alone. What is here by that name now may be
    just what it is to be replaced for."""
    built = after is not None and after.kind == "image.build"
    return built or (pull == "always" and not names.is_image_id(image))


def _scanned(container: Container, wish: Mapping[str, Any], actor: Actor, after: Operation | None) -> None:
    """Raises `PolicyDenied` where the scans of what it is to be made anew from do not allow that."""
    reference = str(wish["image"]) or image_of(container.image_ref, container.image_native_id)
    if _is_yet_to_come(reference, str(wish["pull"]), after):
        return
    scan_gate.check(
        reference, engine=container.engine, actor=actor, team_id=container.team_id, name=container.name
    )


def request_volume_create(
    body: Mapping[str, Any],
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for a new volume, ``{"name", "driver"?, "options"?, "labels"?}``; it will be the team's."""
    kind = "volume.create"
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    target = Target("volume", "", str(body.get("name") or "")[:255])
    services.authorize(kind, actor=actor, target=target, team_id=team_id)
    spec = VolumeSpec.parse({key: value for key, value in body.items() if key not in ("engine", "team")})
    target = Target("volume", "", spec.name, services.lock("engine", engine.pk, "volume", spec.name))
    with services.denials(kind, actor=actor, target=target, team_id=team_id):
        policies.check(spec, actor=actor, team_id=team_id)
    params, secrets = withhold(spec.to_dict())
    return services.submit(
        kind,
        actor=actor,
        engine=engine,
        target=target,
        team=team,
        params=params,
        secrets=secrets,
        idempotency_key=idempotency_key,
        check=_is_free(Volume.objects.filter(engine=engine, native_id=spec.name), "volume", spec.name),
    )


def request_copy(container: Container, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for a copy of the files that it has written outside its mounts."""
    return services.submit(
        "container.copy", actor=actor, engine=container.engine, team=container.team,
        target=Target("container", str(container.pk), container.name),
        params={"native_id": container.native_id}, idempotency_key=idempotency_key,
    )  # fmt: skip


def request_volume_remove(
    volume: Volume, *, actor: Actor, force: bool = False, forever: bool = False, idempotency_key: str = ""
) -> Operation:
    """Asks for a volume to be removed, with what is in it; ``forever``: without a copy to take back."""
    target = Target("volume", str(volume.pk), volume.name, services.lock("volume", volume.pk))
    return services.submit(
        "volume.remove",
        actor=actor,
        engine=volume.engine,
        target=target,
        team=volume.team,
        params={"native_id": volume.native_id, "force": force, "forever": forever},
        idempotency_key=idempotency_key,
    )


def request_prune(pk: UUID, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for exactly what the plan lists to be removed. A plan that was used gives the operation that used it.

    Raises `Refused`: ``plan_expired``, or ``conflict`` where it lists nothing or somebody else cleans up now.
    """
    prune_plans.allowed(actor)
    with transaction.atomic():
        plan = PrunePlan.objects.select_for_update().filter(pk=prune_plans.own(pk, actor=actor).pk).get()
        if plan.operation:
            return plan.operation
        engine, policy = plan.engine, plan.policy
        plan.operation = services.submit(
            prune_plans.KIND, actor=actor, engine=engine, team=None,
            params={"plan": str(plan.pk)} | ({"policy": policy.name} if policy else {}),
            target=Target("engine", str(engine.pk), engine.name, services.lock("engine", engine.pk, "prune")),
            idempotency_key=idempotency_key, check=lambda: prune_plans.is_good(plan),
        )  # fmt: skip
        plan.save(update_fields=["operation"])
    return plan.operation


_TAKEN = {
    "container": _('There is a container "%(name)s" already: choose another name.'),
    "volume": _('There is a volume "%(name)s" already: choose another name.'),
}


def taken(rows: QuerySet[Any], kind: str, name: str | None) -> str:
    """Says at once what the engine would say; what the rows do not know yet the engine still refuses."""
    return str(_TAKEN[kind]) % {"name": name} if name and rows.exists() else ""


def name_taken(engine: Engine, name: str | None) -> str:
    """Why no new container can be called so; empty where one can."""
    return taken(Container.objects.filter(engine=engine, name=name), "container", name)


def _is_free(rows: QuerySet[Any], kind: str, name: str | None) -> Callable[[], None]:
    def check() -> None:
        if words := taken(rows, kind, name):
            raise Refused("name_in_use", words)

    return check


def usual_stop(container: Container) -> int:
    """How many seconds it has to end by itself, where the wish does not say."""
    own = STOP_TIMEOUT if container.stop_timeout is None else container.stop_timeout
    return min(own, verbs.LONGEST_STOP)


def _params(container: Container, action: str, given: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """What the action needs, in full; raises `SpecError`."""
    if action == "update":
        return limits.wanted(container, given).to_dict()
    fields = Fields(given)
    found: dict[str, Any] = {}
    if action in ("stop", "restart"):
        found["timeout"] = fields.integer("timeout", usual_stop(container), 0, verbs.LONGEST_STOP)
    elif action == "kill":
        found["signal"] = fields.named("signal", names.signal, "KILL")
    elif action == "rename":
        found["name"] = fields.named("name", names.container_name)
    elif action == "remove":
        found |= {name: fields.boolean(name) for name in ("force", "volumes", "forever")}
    elif action == "recreate":
        found |= _recreation(container, fields, actor)
    if action in vanished.STARTS and fields.boolean("empty_volumes"):
        found["empty_volumes"] = True
    fields.finish()
    if fields.errors:
        raise SpecError(fields.errors)
    return found


def _recreation(container: Container, fields: Fields, actor: Actor) -> dict[str, Any]:
    """``pull`` left out: what came from a registry is asked for there again, what was built here is not."""
    image = fields.named("image", names.image_target, "")
    here = recreate_plan.image_in(container, image or container.image_ref, actor)
    pull = fields.boolean("pull", bool(here and here.digests))
    limits = fields.child("gate") or Fields({}, fields.errors)
    found = {
        "image": image, "pull": "always" if pull else "missing",
        "timeout": limits.integer("timeout", gate.TIMEOUT, 1, gate.LONGEST),
        "steady": limits.integer("steady", gate.STEADY, 1, gate.LONGEST), "changes": changes_of(fields),
    }  # fmt: skip
    limits.finish()
    return found


__all__ = [
    "ACTIONS", "commit", "file_changes", "own", "prune", "recreate", "removal", "request", "request_backup_remove",
    "request_backup_restore", "request_copy", "request_duplicate", "request_network_connect",
    "request_network_create", "request_network_disconnect", "request_network_remove", "request_prune", "request_run",
    "request_volume_backup", "request_volume_clone", "request_volume_create", "request_volume_export",
    "request_volume_import", "request_volume_remove", "run", "usage", "usual_stop", "verbs", "volumes", "written",
]  # fmt: skip
