"""The run form filled in from a container that exists: what was changed in it, and nothing else, is the wish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from accounts.access import Actor
from containers_app import bodies, duplicate, gate, run_typed
from containers_app.models import Container
from containers_app.run_form import RunForm
from engine import names
from engine.changes import FIELDS, KEEPING, ChangeSpec
from engine.docker_text import MASK

_FLAGS = ("tty", "init", "read_only", "privileged")
_COLUMNS = {
    "port": ("host", "container", "protocol"), "network": ("name",), "env": ("name", "value", "kept"),
    "mount": ("type", "source", "target"), "label": ("name", "value"),
}  # fmt: skip
_TICKS = {"env": "secret", "mount": "read_only"}


class _Unjudged(RunForm):
    """What a container has is taken as it is, even where nobody might ask for it here."""

    def judge(self) -> None:
        pass


class EditForm(RunForm):
    """A container in its place, with something changed. The values of secrets are not in it, and stay."""

    permission = "container.recreate"
    fixed = "name"
    seconds = forms.IntegerField(min_value=1, max_value=gate.LONGEST, required=False)

    def __init__(self, *args: Any, container: Container, actor: Actor) -> None:
        self.container = container
        before = bodies.of(container)
        self.before = _initial(before, container) | self.first()
        super().__init__(*args, actor=actor, initial=self.before)
        for name in ("engine", "team"):
            del self.fields[name]
        self.fields[self.fixed].widget.attrs["readonly"] = True
        self.fields["seconds"].initial = gate.TIMEOUT if container.healthcheck else gate.STEADY

    def first(self) -> dict[str, Any]:
        """What it begins with beside the settings."""
        return {"auto_remove": False}

    def judge(self) -> None:
        ChangeSpec.parse(self.changes())
        for key in ("command", "entrypoint", "healthcheck", "labels"):
            if MASK in repr(self.changes().get(key)):
                self.refuse({key: [_("A part of it is hidden here: type it in full, or leave it as it is.")]})

    def changes(self) -> dict[str, Any]:
        """Any part of the run body that is other now; null where a value stays."""
        now, before = _complete(self.body()), _complete(self._unchanged())
        found = {key: now[key] for key in FIELDS if now[key] != before[key]}
        for key in KEEPING:
            if key in found:
                found[key] = {
                    name: None if value == before[key].get(name, ...) else value
                    for name, value in found[key].items()
                }
        if "resources" in found:
            found["resources"] = {k: v for k, v in now["resources"].items() if v != before["resources"][k]}
        return found

    def _unchanged(self) -> dict[str, Any]:
        """What would be sent if nobody had typed anything."""
        form = _Unjudged(_sent(self.before), actor=self.actor)
        form.fields.pop("name")
        form.is_valid()
        return form.body()

    def wish(self) -> dict[str, Any]:
        """The body of a recreation."""
        said = self.cleaned_data
        changes, image = self.changes(), said.get("image") or ""
        seconds = said.get("seconds") or self.fields["seconds"].initial
        found: dict[str, Any] = {"pull": said.get("pull") == "always"}
        found["gate"] = {"timeout" if self.container.healthcheck else "steady": seconds}
        if image and image != self.before["image"]:
            found["image"] = names.image_target(image)
        return found | ({"changes": changes} if changes else {})


class DuplicateForm(EditForm):
    """Another one beside it. Its host ports are the engine's to choose unless some are typed."""

    permission = "container.duplicate"
    fixed = "image"

    def first(self) -> dict[str, Any]:
        ports = [{**port, "host": ""} for port in self.before_ports()]
        return {
            "name": duplicate.free_name(self.container),
            "ports": ports,
            "start": True,
            "auto_remove": False,
        }

    def before_ports(self) -> list[dict[str, Any]]:
        """Its ports as the form would show them."""
        found: list[dict[str, Any]] = run_typed.typed(bodies.of(self.container).body)["ports"]
        return found

    def wish(self) -> dict[str, Any]:
        changes, name = self.changes(), self.cleaned_data.get("name")
        found: dict[str, Any] = {
            "start": bool(self.cleaned_data.get("start")),
            **({"name": name} if name else {}),
        }
        return found | ({"changes": changes} if changes else {})


def _initial(settings: bodies.Settings, container: Container) -> dict[str, Any]:
    secret = str(container.labels.get(names.SECRETS_LABEL, "")).split(",")
    hidden = [{"name": n, "value": "", "secret": n in secret, "kept": n} for n in settings.hidden]
    found = run_typed.typed(settings.body)
    return {**found, "envs": [*found["envs"], *hidden]}


def _sent(initial: Mapping[str, Any]) -> QueryDict:
    """The form as a browser would send it."""
    data = QueryDict(mutable=True)
    for name, value in initial.items():
        if not isinstance(value, list) and value not in (None, False):
            data[name] = "1" if value is True else str(value)
    for prefix, columns in _COLUMNS.items():
        for at, row in enumerate(initial.get(f"{prefix}s", ())):
            for column in columns:
                data.appendlist(f"{prefix}_{column}", str(row.get(column) or ""))
            if (tick := _TICKS.get(prefix)) and row.get(tick):
                data.appendlist(f"{prefix}_{tick}", str(at))
    return data


def _complete(body: Mapping[str, Any]) -> dict[str, Any]:
    """Every field that can change, with its usual value where it was left out."""
    return {key: body.get(key, False if key in _FLAGS else None) for key in FIELDS}
