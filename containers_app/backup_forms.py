"""What people type about backups: where, when, what of them comes back, and how a store is reached."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from containers_app.forms import PLAIN
from containers_app.models import BackupSchedule, BackupStore, VolumeBackup
from engine import names
from engine.errors import Invalid


def _stores() -> forms.ModelChoiceField:
    return forms.ModelChoiceField(
        BackupStore.objects.all(),
        required=False,
        empty_label=_lazy("The folder of backups"),
        label=_lazy("Where"),
    )


class BackupForm(forms.Form):
    """Where it is kept."""

    store = _stores()


class ScheduleForm(forms.Form):
    """When, how many stay, and where they are kept."""

    every = forms.ChoiceField(choices=BackupSchedule.Every.choices, label=_lazy("How often"), initial="day")
    hour = forms.IntegerField(label=_lazy("At"), min_value=0, max_value=23, initial=3)
    keep = forms.IntegerField(label=_lazy("Keep"), min_value=1, max_value=365, initial=7)
    store = _stores()

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        store = str(said["store"].pk) if said["store"] else None
        return {"every": said["every"], "hour": said["hour"], "keep": said["keep"], "store": store}


class RestoreForm(forms.Form):
    """Into which volume, and what of the backup."""

    volume = forms.CharField(
        label=_lazy("Into the volume"), max_length=255, widget=forms.TextInput(attrs=PLAIN)
    )
    part = forms.ChoiceField(
        choices=(("all", _lazy("Everything")), ("some", _lazy("Some files and folders")))
    )

    def __init__(self, asked: QueryDict | None, *, backup: VolumeBackup) -> None:
        self.ticked = asked.getlist("paths") if asked is not None else []
        super().__init__(asked, initial={"volume": backup.volume_name, "part": "all"})

    def clean_volume(self) -> str:
        try:
            return names.volume_name(self.cleaned_data["volume"])
        except Invalid as error:
            raise ValidationError(error.message) from None

    def clean(self) -> dict[str, Any]:
        """What is ticked counts only where some was chosen."""
        said = super().clean() or self.cleaned_data
        said["paths"] = self.ticked if said.get("part") == "some" else []
        if said.get("part") == "some" and not said["paths"]:
            self.add_error("part", _("Tick the files and folders that are to come back."))
        return said

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        return {"volume": self.cleaned_data["volume"], "paths": self.cleaned_data["paths"]}


def _text(label: Any, hint: str, *, required: bool = True, **more: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={**PLAIN, "placeholder": hint})
    return forms.CharField(label=label, max_length=255, required=required, widget=widget, **more)


class StoreForm(forms.Form):
    """A bucket of an S3-compatible store."""

    name = _text(_lazy("Name"), "offsite")
    endpoint = _text(_lazy("Address"), "https://s3.eu-central-1.amazonaws.com")
    bucket = _text(_lazy("Bucket"), "slipway-backups")
    region = _text(_lazy("Region"), "us-east-1", required=False)
    folder = _text(_lazy("Folder in it"), "slipway", required=False)
    access_key = _text(_lazy("Access key"), "")
    secret_key = forms.CharField(
        label=_lazy("Secret key"),
        max_length=128,
        widget=forms.PasswordInput(attrs={**PLAIN, "autocomplete": "new-password"}),
    )

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        body = {key: value for key, value in said.items() if value and key != "folder"}
        return {**body, "prefix": said["folder"]}
