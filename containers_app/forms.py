"""What people type about containers and volumes that exist or are to be: small forms. The big one is `run_form`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from containers_app import gate
from containers_app.models import Container
from engine import names
from engine.errors import Invalid
from operations.forms import Change

SIGNALS = (
    ("KILL", "KILL: end it now"),
    ("TERM", "TERM: ask it to end"),
    ("INT", "INT: as Ctrl C does"),
    ("QUIT", "QUIT: end with a dump"),
    ("HUP", "HUP: often means read your settings again"),
    ("USR1", "USR1: its own meaning"),
    ("USR2", "USR2: its own meaning"),
)
_PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


class KillForm(forms.Form):
    """Which signal."""

    signal = forms.ChoiceField(choices=SIGNALS, initial="KILL", label="Signal")


class RenameForm(forms.Form):
    """Another name."""

    name = forms.CharField(
        label="New name",
        max_length=255,
        widget=forms.TextInput(attrs={**_PLAIN, "autofocus": True}),
        error_messages={"required": "Give it a name."},
    )

    def __init__(self, *args: object, container: Container, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.container = container

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        try:
            name = names.container_name(name)
        except Invalid as error:
            raise ValidationError(error.message) from None
        if name == self.container.name:
            raise ValidationError("This is its name already.")
        if Container.objects.filter(engine_id=self.container.engine_id, name=name).exists():
            raise ValidationError(f"Another container is called {name}.")
        return name


class RecreateForm(forms.Form):
    """Which image, and what its gate is."""

    image = forms.CharField(
        label="Image",
        max_length=255,
        widget=forms.TextInput(attrs={**_PLAIN, "autofocus": True}),
        error_messages={"required": "Name an image, such as nginx:1.27."},
    )
    pull = forms.BooleanField(label="Pull it first", required=False)
    seconds = forms.IntegerField(label="Gate", min_value=1, max_value=gate.LONGEST)

    def __init__(self, asked: QueryDict | None = None, *, container: Container, pull: bool = False) -> None:
        self.checked = bool(container.healthcheck)
        usual = gate.TIMEOUT if self.checked else gate.STEADY
        initial = {"image": container.image_ref or container.image_native_id, "pull": pull, "seconds": usual}
        super().__init__(asked, initial=initial)

    def clean_image(self) -> str:
        """Empty where it is the one that it has."""
        given = str(self.cleaned_data["image"]).strip()
        if given == self.initial["image"]:
            return ""
        try:
            return names.image_target(given)
        except Invalid as error:
            raise ValidationError(error.message) from None

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        found = self.cleaned_data if self.is_bound else {**self.initial, "image": ""}
        limits = {"timeout" if self.checked else "steady": found["seconds"]}
        image = {"image": found["image"]} if found["image"] else {}
        return {**image, "pull": bool(found["pull"]), "gate": limits}


class VolumeForm(Change):
    """A volume to be made."""

    permission = "volume.create"
    name = forms.CharField(
        label="Name",
        max_length=255,
        widget=forms.TextInput(attrs={**_PLAIN, "autofocus": True}),
        error_messages={"required": "Give it a name, so that it can be found again."},
    )

    def clean_name(self) -> str:
        try:
            return names.volume_name(self.cleaned_data["name"])
        except Invalid as error:
            raise ValidationError(error.message) from None
