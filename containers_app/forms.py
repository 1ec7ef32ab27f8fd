"""What people type about containers and volumes that exist or are to be: small forms. The big one is `run_form`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import Actor
from containers_app import gate, verbs
from containers_app.models import Container
from engine import names
from engine.errors import Invalid
from operations.forms import Change

SIGNALS = (
    ("KILL", _lazy("KILL: end it now")),
    ("TERM", _lazy("TERM: ask it to end")),
    ("INT", _lazy("INT: as Ctrl C does")),
    ("QUIT", _lazy("QUIT: end with a dump")),
    ("HUP", _lazy("HUP: often means read your settings again")),
    ("USR1", _lazy("USR1: its own meaning")),
    ("USR2", _lazy("USR2: its own meaning")),
)
PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


class StopForm(forms.Form):
    """How long it has to end by itself."""

    timeout = forms.IntegerField(
        label=_lazy("Grace period"),
        min_value=0,
        max_value=verbs.LONGEST_STOP,
        widget=forms.NumberInput(attrs={"autofocus": True}),
        error_messages={"required": _lazy("Say how many seconds it has.")},
    )


class KillForm(forms.Form):
    """Which signal."""

    signal = forms.ChoiceField(choices=SIGNALS, initial="KILL", label=_lazy("Signal"))

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        return dict(self.cleaned_data)


class PolicyForm(forms.Form):
    """A restart policy for several."""

    restart = forms.ChoiceField(
        label=_lazy("Restart"),
        choices=(
            ("no", _lazy("never")),
            ("unless-stopped", _lazy("unless stopped")),
            ("always", _lazy("always")),
            ("on-failure", _lazy("on failure")),
        ),
        initial="unless-stopped",
    )
    retries = forms.IntegerField(label=_lazy("Restarts at most"), required=False, min_value=0, max_value=1000)

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        retries = (said.get("retries") or 0) if said["restart"] == "on-failure" else 0
        return {"restart_policy": {"name": said["restart"], "max_retries": retries}}


class RenameForm(forms.Form):
    """Another name."""

    name = forms.CharField(
        label=_lazy("New name"),
        max_length=255,
        widget=forms.TextInput(attrs={**PLAIN, "autofocus": True}),
        error_messages={"required": _lazy("Give it a name.")},
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
            raise ValidationError(_("This is its name already."))
        if Container.objects.filter(engine_id=self.container.engine_id, name=name).exists():
            raise ValidationError(_("Another container is called %(name)s.") % {"name": name})
        return name


class RecreateForm(forms.Form):
    """Which image, and what its gate is."""

    image = forms.CharField(
        label=_lazy("Image"),
        max_length=255,
        widget=forms.TextInput(attrs={**PLAIN, "autofocus": True}),
        error_messages={"required": _lazy("Name an image, such as nginx:1.27.")},
    )
    pull = forms.BooleanField(label=_lazy("Pull it first"), required=False)
    empty_volumes = forms.BooleanField(
        label=_lazy("Make empty volumes in place of those that are gone"), required=False
    )
    seconds = forms.IntegerField(label=_lazy("Gate"), min_value=1, max_value=gate.LONGEST)

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
        empty = {"empty_volumes": True} if found.get("empty_volumes") else {}
        return {**image, **empty, "pull": bool(found["pull"]), "gate": limits}


def text_area(label: Any, hint: str) -> forms.CharField:
    """A field of ``name=value`` lines; see `pairs`."""
    area = forms.Textarea(attrs={**PLAIN, "rows": "3", "placeholder": hint})
    return forms.CharField(label=label, required=False, max_length=10_000, widget=area)


def pairs(text: str) -> dict[str, str]:
    """``name=value`` a line; raises `ValidationError`."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = line.partition("=")
        if not key.strip():
            raise ValidationError(_('"%(line)s" has no name: write name=value.') % {"line": line[:60]})
        found[key.strip()] = value.strip() if equals else ""
    return found


class Named(Change):
    """A volume that is to be made, in one way or another."""

    name = forms.CharField(
        label=_lazy("Name"),
        max_length=255,
        widget=forms.TextInput(attrs={**PLAIN, "autofocus": True}),
        error_messages={"required": _lazy("Give it a name, so that it can be found again.")},
    )

    def clean_name(self) -> str:
        try:
            return names.volume_name(self.cleaned_data["name"])
        except Invalid as error:
            raise ValidationError(error.message) from None


class VolumeForm(Named):
    """An empty volume. What its driver does is a site administrator's to say."""

    permission = "volume.create"
    driver = forms.CharField(
        label=_lazy("Driver"),
        required=False,
        max_length=128,
        widget=forms.TextInput(attrs={**PLAIN, "placeholder": "local"}),
    )
    options = text_area(_lazy("Driver options"), "type=tmpfs\ndevice=tmpfs")
    labels = text_area(_lazy("Labels"), "tier=backend")

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, actor=actor, **options)
        self.site = actor.is_site_admin
        if not self.site:
            del self.fields["driver"], self.fields["options"]

    def clean_options(self) -> dict[str, str]:
        return pairs(self.cleaned_data["options"])

    def clean_labels(self) -> dict[str, str]:
        return pairs(self.cleaned_data["labels"])

    def wish(self) -> dict[str, Any]:
        """The body of the REST contract."""
        said = self.cleaned_data
        driver = said.get("driver") or "local"
        return {
            "name": said["name"],
            "driver": driver,
            "options": said.get("options") or {},
            "labels": said["labels"],
        }

    @property
    def more_is_wrong(self) -> bool:
        """Whether the folded part has to be open."""
        return any(name in self.errors or self.data.get(name) for name in ("driver", "options", "labels"))


class ImportForm(Named):
    """A volume made of an archive."""

    permission = "volume.import"
    archive = forms.FileField(
        label=_lazy("Archive"),
        widget=forms.FileInput(attrs={"class": "file"}),
        error_messages={"required": _lazy("Choose a tar, plain or compressed.")},
    )


class CloneForm(forms.Form):
    """What the copy is called."""

    name = forms.CharField(
        label=_lazy("Name of the copy"),
        max_length=255,
        widget=forms.TextInput(attrs={**PLAIN, "autofocus": True}),
        error_messages={"required": _lazy("Give it a name, so that it can be found again.")},
    )
