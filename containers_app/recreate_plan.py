"""What making a container anew would do: which image it gets, what stays of the old one, and what its gate is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from accounts.access import Actor
from accounts.querysets import foreign_to
from containers_app import bodies, interop, plans, vanished
from containers_app.models import Container
from images_app.models import Image, Tag
from operations.models import Operation
from operations.plans import Item, Plan, listed, undo
from operations.retold import inside

_LIVE = ("running", "restarting")


def recreating(operation: Operation, actor: Actor) -> Plan:
    """The plan of ``container.recreate``."""
    container = plans.target(operation)
    if container is None:
        return Plan(lead=_("It is gone."))
    plan = Plan(button=_("Recreate container"), lead=_gate(container, operation))
    undo(plan)
    vanished.tell(plan, container)
    plans.lose(plan, container, plans.written_by(container, actor), actor)
    plan.changed.append(_image(container, operation, actor))
    changes = operation.params.get("changes") or {}
    plan.changed += settings(container, changes)
    if container.state in _LIVE:
        plan.stopped.append(Item(container.name, inside(container.get_state_display())))
        if ports := plans.serving(container):
            words = ngettext(
                "does not answer until the new one runs", "do not answer until the new one runs", len(ports)
            )
            plan.affected.append(Item(listed(ports), words))
    plan.affected += plans.dependents(container, actor)
    plan.kept.append(
        Item(_("Name and all other settings"), "", _("values of variables too"))
        if changes
        else Item(_("Name and settings"), "", _("environment, ports, limits, labels"))
    )
    mounts = list(container.mounts.select_related("volume"))
    plan.kept += plans.things(container, mounts)[1:]
    nameless = [mount.target for mount in mounts if mount.volume and mount.volume.anonymous]
    if nameless:
        plan.kept.append(Item(_("Volumes without a name"), _("at %(names)s") % {"names": listed(nameless)}))
    return plan


def image_in(container: Container, reference: str, actor: Actor) -> Image | None:
    """The image that this reference points at on its engine now, and that this team may use."""
    if reference.startswith("sha256:"):
        rows = Image.objects.filter(engine_id=container.engine_id, native_id=reference)
    else:
        tags = Tag.objects.filter(engine_id=container.engine_id, name=reference)
        rows = Image.objects.filter(pk__in=tags.values("image"))
    foreign = foreign_to(actor, rows, container.team_id)
    return rows.exclude(pk__in=foreign.values("pk")).first()


_WORDS = {
    "command": _lazy("Command"),
    "entrypoint": _lazy("Entrypoint"),
    "environment": _lazy("Variables"),
    "secrets": _lazy("Secrets"),
    "ports": _lazy("Ports"),
    "mounts": _lazy("Mounts"),
    "networks": _lazy("Networks"),
    "hostname": _lazy("Host name"),
    "user": _lazy("User"),
    "working_dir": _lazy("Working directory"),
    "tty": _lazy("Terminal"),
    "init": _lazy("Small init"),
    "restart_policy": _lazy("Restart policy"),
    "resources": _lazy("Limits"),
    "healthcheck": _lazy("Health check"),
    "labels": _lazy("Labels"),
    "cap_add": _lazy("Added capabilities"),
    "cap_drop": _lazy("Dropped capabilities"),
    "read_only": _lazy("Read-only root"),
    "privileged": _lazy("Privileged"),
}


def settings(container: Container, changes: Mapping[str, Any]) -> list[Item]:
    """What changes of its settings, a line each."""
    before = bodies.of(container)
    known = {"environment": before.body.get("environment", {}), "secrets": dict.fromkeys(before.hidden),
             "labels": before.body.get("labels", {})}  # fmt: skip
    found = []
    for key, value in changes.items():
        if key in known:
            text = _names({**known["secrets"], **known[key]} if key == "environment" else known[key], value)
        else:
            text = interop.in_words(key, value)
        found.append(Item(str(_WORDS.get(key, key)), text))
    return found


def _names(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Which names are new, have another value, or go. A value of ``None`` stays."""
    made = [name for name in after if name not in before]
    other = [
        name
        for name, value in after.items()
        if name in before and value is not None and value != before[name]
    ]
    gone = [name for name in before if name not in after and before[name] is not None]
    words = ((made, _("%(names)s new")), (other, _("%(names)s changed")), (gone, _("%(names)s removed")))
    parts = [text % {"names": listed(names)} for names, text in words if names]
    return ", ".join(parts) or _("in another order")


def _image(container: Container, operation: Operation, actor: Actor) -> Item:
    wanted = str(operation.params["image"]) or container.image_ref
    found = image_in(container, wanted, actor)
    pulls = operation.params["pull"] == "always" and not wanted.startswith("sha256:")
    before = container.image_native_id.removeprefix("sha256:")[:12]
    same_image = not pulls and found is not None and found.native_id == container.image_native_id
    after = _("pulled first, the newest of its name") if pulls or found is None else found.short_id
    same = wanted == container.image_ref
    change = wanted if same else f"{container.image_ref or before} → {wanted}"
    return Item(_("Image"), change, _("the same as now") if same_image else f"{before} → {after}")


def _gate(container: Container, operation: Operation) -> str:
    if container.state not in _LIVE:
        return _("It does not run, so the new one is not started either.")
    if container.healthcheck:
        return _(
            "The new one has %(timeout)s s to get healthy. If it does not, the old one comes back by itself."
        ) % {"timeout": operation.params["timeout"]}
    return _(
        "It has no health check: the new one has to run %(steady)s s without a restart. If "
        "it does not, the old one comes back by itself."
    ) % {"steady": operation.params["steady"]}
