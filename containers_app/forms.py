"""What people type about containers and volumes that exist or are to be: small forms. The big one is `run_form`."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

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
