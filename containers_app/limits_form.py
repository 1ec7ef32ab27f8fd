"""The form of limits and restart policy: how they are set now, and what somebody has made of that."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import pgettext_lazy

from containers_app import limits
from containers_app.forms import PLAIN
from containers_app.models import Container
from containers_app.run_form import RESTARTS
from containers_app.run_typed import bytes_of, megabytes
from engine.parsing import SMALLEST_MEMORY
from engine.specs import SpecError

LEAST = SMALLEST_MEMORY // 1024**2
NO_LIMIT = _lazy("no limit")
# Where a message about the body stands in the form.
_PLACES = {
    "resources.memory": "memory",
    "resources.cpus": "cpus",
    "resources.pids": "pids",
    "restart_policy.name": "restart",
    "restart_policy.max_retries": "retries",
}


def _figure(hint: Any = NO_LIMIT, mode: str = "decimal") -> forms.TextInput:
    return forms.TextInput(attrs={**PLAIN, "inputmode": mode, "placeholder": hint})


class LimitsForm(forms.Form):
    """Prefilled, and remembers with what: only what the person has changed is asked for."""

    memory = forms.CharField(label=_lazy("Memory"), required=False, max_length=20, widget=_figure())
    cpus = forms.FloatField(
        label=_lazy("CPU cores"),
        required=False,
        widget=_figure(),
        error_messages={"invalid": _lazy("A number of cores is expected, such as 0.5.")},
    )
    pids = forms.IntegerField(
        label=_lazy("Processes"),
        required=False,
        widget=_figure(mode="numeric"),
        error_messages={"invalid": _lazy("A whole number is expected, such as 200.")},
    )
    restart = forms.ChoiceField(label=pgettext_lazy("label", "Restart"), choices=RESTARTS)
    retries = forms.IntegerField(
        label=_lazy("Restarts at most"),
        required=False,
        min_value=0,
        max_value=1000,
        widget=_figure(mode="numeric"),
    )

    def __init__(self, asked: QueryDict | None = None, *, container: Container) -> None:
        self.container = container
        initial = {
            "memory": megabytes(container.memory_limit),
            "cpus": f"{container.cpu_limit:.6g}" if container.cpu_limit else "",
            "pids": container.pids_limit if container.pids_limit > 0 else "",
            "restart": container.restart_policy or "no",
            "retries": container.restart_max_retries or "",
        }
        super().__init__(asked, initial=initial)
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean_memory(self) -> int:
        """In bytes, 0 for no limit."""
        found = bytes_of(self.cleaned_data["memory"])
        if 0 < found < SMALLEST_MEMORY:
            raise ValidationError(_("At least %(least)s MB: engines refuse less.") % {"least": LEAST})
        return found

    def clean(self) -> dict[str, Any]:
        """Everything that is wrong with what was changed, told at once."""
        data = super().clean() or self.cleaned_data
        if data.get("restart") != "on-failure":
            self.errors.pop("retries", None)  # hidden, and not asked for
        if wish := self.wish():
            try:
                limits.wanted(self.container, wish)
            except SpecError as error:
                self.refuse(error)
        return data

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract; empty where nothing was changed. What is wrong is not in it."""
        said = self.cleaned_data
        changed = set(self.changed_data) & set(said)
        resources = {key: said[key] or 0 for key in ("memory", "cpus", "pids") if key in changed}
        wish: dict[str, Any] = {"resources": resources} if resources else {}
        again = said.get("restart") == "on-failure"
        if "restart" in changed or ("retries" in changed and again):
            retries = (said.get("retries") or 0) if again else 0
            wish["restart_policy"] = {"name": said["restart"], "max_retries": retries}
        return wish

    def refuse(self, error: SpecError) -> None:
        """Puts the messages beside their fields."""
        for path, messages in error.errors.items():
            self.add_error(_PLACES.get(path), messages)
