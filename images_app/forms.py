"""What people type about images: checked field by field, each message with what to do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import pgettext_lazy

from accounts.access import Actor
from engine import names
from engine.errors import Invalid
from images_app import registries
from images_app.contexts import pack
from images_app.models import Image, Registry
from operations.forms import Change

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".zip")
MOST_ARGS = 20


def reference(value: str, *, tag: bool = False) -> str:
    """A reference in its short form; what is wrong is told with what would be right."""
    value = value.strip()
    try:
        return str(names.tag_reference(value) if tag else names.ImageReference.parse(value))
    except Invalid as error:
        fixed = _repaired(value)
        raise (
            ValidationError(error.message, params={"fix": fixed}) if fixed else ValidationError(error.message)
        ) from None


def _repaired(value: str) -> str:
    """The nearest reference that is one, for a button to take; empty where there is none."""
    head, colon, tag = (
        value.strip().removeprefix("https://").removeprefix("docker pull ").strip().partition(":")
    )
    guess = re.sub(r"\s+", "-", head.lower()) + colon + re.sub(r"[^\w.:/-]+", "-", tag)
    try:
        return str(names.ImageReference.parse(guess)) if guess != value else ""
    except Invalid:
        return ""


class PullForm(Change):
    """An image to fetch from its registry."""

    permission = "image.pull"
    reference = forms.CharField(
        max_length=255,
        strip=True,
        label=_lazy("Image"),
        error_messages={"required": _lazy("Name an image, such as nginx:1.27.")},
    )

    registry = forms.ModelChoiceField(
        Registry.objects.none(),
        required=False,
        label=_lazy("Registry"),
        empty_label=_lazy("as the name says"),
    )

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, actor=actor, **options)
        self.registries = offer(self.fields["registry"], actor)

    def clean_reference(self) -> str:
        return reference(self.cleaned_data["reference"])


def offer(field: Any, actor: Actor) -> list[Registry]:
    """Lets one choose among the registries that one may know of, and returns them."""
    found = list(registries.visible(actor))
    field.queryset = Registry.objects.filter(pk__in=[row.pk for row in found])
    field.label_from_instance = lambda row: f"{row.name} ({row.host})"
    return found


class PushForm(forms.Form):
    """Where an image is sent to, and under which name."""

    registry = forms.ModelChoiceField(
        Registry.objects.none(),
        required=False,
        label=_lazy("Registry"),
        empty_label=_lazy("as the name says"),
    )
    reference = forms.CharField(
        max_length=255,
        strip=True,
        label=_lazy("Name there"),
        error_messages={"required": _lazy("Name it, such as team/app:1.2.")},
    )

    def __init__(self, *args: Any, actor: Actor, **options: Any) -> None:
        super().__init__(*args, **options)
        self.registries = offer(self.fields["registry"], actor)

    def suggest(self, image: Image) -> None:
        """The name that it has there already, else one like the name that it has here."""
        tag = image.tags.first()
        if tag is None:
            return
        named = names.ImageReference.parse(tag.name)
        at = next((row for row in self.registries if row.host == named.registry), None)
        plain = f"{named.repository.removeprefix('library/')}:{named.tag}"
        only = self.registries[0] if len(self.registries) == 1 else None
        self.initial = {"registry": at or only, "reference": tag.name if at else plain}

    def clean_reference(self) -> str:
        return reference(self.cleaned_data["reference"], tag=True)


class FilesystemForm(Change):
    """A tar of a file system, to become an image."""

    permission = "image.build"
    reference = forms.CharField(
        max_length=255,
        strip=True,
        label=_lazy("Image"),
        error_messages={"required": _lazy("Name the image, such as team/web:1.")},
    )
    command = forms.CharField(max_length=1000, required=False, label=_lazy("Command"))
    archive = forms.FileField(
        label=_lazy("Tar of a file system"), error_messages={"required": _lazy("Choose a tar.")}
    )

    def clean_reference(self) -> str:
        return reference(self.cleaned_data["reference"], tag=True)

    def clean_command(self) -> list[str]:
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError:
            raise ValidationError(_("A quotation mark is missing.")) from None


class ImportForm(Change):
    """What docker save gave."""

    permission = "image.import"
    archive = forms.FileField(
        label=_lazy("Tar of images"), error_messages={"required": _lazy("Choose a tar.")}
    )


class ReportForm(forms.Form):
    """What a scanner wrote."""

    report = forms.FileField(label=_lazy("Report"), error_messages={"required": _lazy("Choose a report.")})

    def refuse(self, errors: Mapping[str, list[str]]) -> None:
        """What was wrong with it."""
        self.add_error("report", [text for texts in errors.values() for text in texts])


class ExportForm(forms.Form):
    """Which names of an image go along, and what else of its engine."""

    tags = forms.MultipleChoiceField(required=False)
    more = forms.CharField(required=False, max_length=4000, strip=True, label=_lazy("And these"))

    def __init__(self, *args: Any, image: Image, more: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.image, self.names = image, sorted(tag.name for tag in image.tags.all())
        field: Any = self.fields["tags"]
        field.choices = [(name, name) for name in self.names]
        self.initial = {"tags": self.names, "more": more}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.names and not self.wanted():
            raise ValidationError(_("Choose at least one name."))
        return data

    def wanted(self) -> list[str]:
        """Tags and ids, those that were typed too; without names its id."""
        chosen = [*self.cleaned_data.get("tags", [])] if self.names else [self.image.native_id]
        return [*chosen, *(word for word in re.split(r"[\s,]+", self.cleaned_data.get("more", "")) if word)]


class TagForm(forms.Form):
    """Another name for an image."""

    reference = forms.CharField(
        max_length=255,
        strip=True,
        label=_lazy("New tag"),
        error_messages={"required": _lazy("Name the tag, such as web:1.2.")},
    )

    def clean_reference(self) -> str:
        return reference(self.cleaned_data["reference"], tag=True)


class Files(forms.FileField):
    """Any number of files."""

    widget = forms.FileInput

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.widget.allow_multiple_selected = True

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        found = data if isinstance(data, list) else [data]
        return [super(Files, self).clean(file, initial) for file in found if file]


class BuildForm(Change):
    """A build: a Dockerfile that was typed, with files beside it, or a whole context as a tar."""

    permission = "image.build"
    source = forms.ChoiceField(
        choices=[("editor", "Dockerfile"), ("upload", _lazy("Folder or archive")), ("git", "Git")],
        initial="editor",
        label=_lazy("Build from"),
    )
    tags = forms.CharField(
        max_length=1000,
        label=_lazy("Tags"),
        error_messages={"required": _lazy("Name the image, such as hello:1.")},
    )
    dockerfile = forms.CharField(required=False, max_length=200_000, strip=False, label="Dockerfile")
    beside = Files(required=False, label=_lazy("Files beside it"))
    context = forms.FileField(required=False, allow_empty_file=False, label=_lazy("Folder or archive"))
    folder = forms.CharField(required=False, max_length=255, label=_lazy("Folder"))
    git = forms.CharField(required=False, max_length=700, label=_lazy("Repository"))
    git_ref = forms.CharField(required=False, max_length=200, label=_lazy("Branch, tag or commit"))
    git_dir = forms.CharField(required=False, max_length=500, label=_lazy("Folder in it"))
    git_username = forms.CharField(required=False, max_length=200, label=_lazy("Account"))
    git_password = forms.CharField(
        required=False, max_length=1000, strip=False, label=_lazy("Password or token")
    )
    git_dockerfile = forms.CharField(required=False, max_length=255, label=_lazy("Dockerfile in that folder"))
    dockerfile_path = forms.CharField(
        required=False, max_length=255, initial="Dockerfile", label=_lazy("Dockerfile in it")
    )
    target = forms.CharField(required=False, max_length=80, label=_lazy("Target"))
    builder = forms.ChoiceField(
        choices=[
            ("auto", _lazy("the engine's own")),
            ("buildkit", "BuildKit"),
            ("classic", pgettext_lazy("builder", "classic")),
        ],
        required=False, initial="auto", label=_lazy("Builder"),
    )  # fmt: skip
    then = forms.ChoiceField(
        choices=[
            ("", _lazy("nothing")),
            ("run", _lazy("run a container")),
            ("recreate", _lazy("put it into a container")),
        ],
        required=False,
        label=_lazy("Then"),
    )
    then_name = forms.CharField(required=False, max_length=128, label=_lazy("Name"))
    then_ports = forms.CharField(required=False, max_length=200, label=_lazy("Ports"))
    then_container = forms.CharField(required=False, max_length=36, label=_lazy("Container"))
    no_cache = forms.BooleanField(required=False)
    pull = forms.BooleanField(required=False)

    def clean_tags(self) -> list[str]:
        """One or more, separated by spaces or commas."""
        return [reference(word, tag=True) for word in re.split(r"[\s,]+", self.cleaned_data["tags"]) if word]

    def clean_context(self) -> UploadedFile | None:
        file = self.cleaned_data.get("context")
        if file and not str(file.name).lower().endswith(ARCHIVES):
            raise ValidationError(_("Send a tar or a zip, such as the output of tar -czf context.tar.gz ."))
        return file

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        data["dockerfile"] = data.get("dockerfile", "").replace("\r\n", "\n")
        if data.get("source") == "upload":
            if not data.get("context") and "context" not in self.errors:
                self.add_error("context", _("Choose a folder or an archive to build from."))
        elif data.get("source") == "git":
            if not data.get("git"):
                self.add_error("git", _("Name a repository, such as https://git.example/team/app.git"))
        elif not data["dockerfile"].strip():
            self.add_error("dockerfile", _("Write a Dockerfile, or start from an example."))
        data["build_args"] = self._args()
        names, values = self._list("secret_id"), self._list("secret_value")
        data["secrets"] = {
            name.strip(): value for name, value in zip(names, values, strict=False) if name.strip()
        }
        for name in [name for name, value in data["secrets"].items() if not value]:
            words = _("Build secret %(name)s has no value: type it. What was typed is never sent back here.")
            self.add_error(None, words % {"name": name[:40]})
        return data

    def clean_then_ports(self) -> list[dict[str, int]]:
        """``8080:80`` or ``80``, separated by spaces or commas."""
        found = []
        for word in re.split(r"[\s,]+", self.cleaned_data["then_ports"].strip()):
            if match := re.fullmatch(r"(?:(\d{1,5}):)?(\d{1,5})", word):
                found.append({"container": int(match[2]), **({"host": int(match[1])} if match[1] else {})})
            elif word:
                raise ValidationError(_("Write ports as 8080:80, the host's first."))
        return found

    def follow(self) -> dict[str, Any] | None:
        """What is to be done with the image, as `images_app.then` takes it."""
        data = self.cleaned_data
        if data["then"] == "run":
            return {"run": {"name": data["then_name"].strip() or None, "ports": data["then_ports"]}}
        return {"recreate": data["then_container"]} if data["then"] == "recreate" else None

    def arg_rows(self) -> list[tuple[str, str]]:
        """Build arguments as typed, with one empty row at the end."""
        rows = list(zip(self._list("arg_name"), self._list("arg_value"), strict=False))
        rows = rows or list((self.initial.get("build_args") or {}).items())
        return [*[row for row in rows if row[0] or row[1]][:MOST_ARGS], ("", "")]

    def secret_rows(self) -> list[str]:
        """Ids of secrets as typed, with one empty row at the end. What they hold is never sent back to a page."""
        typed = (name.strip() for name in self._list("secret_id"))
        return [*[name for name in typed if name][:MOST_ARGS], ""]

    def wrong(self) -> list[tuple[str, str, list[str]]]:
        """Fields with something wrong, each with its label and the messages."""
        found = []
        for name, messages in self.errors.items():
            label = str(self.fields[name].label) if name in self.fields else ""
            found.append((name, label, [str(message) for message in messages]))
        return found

    def wish(self) -> dict[str, Any]:
        """The keyword arguments of `request_build`."""
        data = self.cleaned_data
        wish = {
            key: data[key]
            for key in ("engine", "team", "tags", "build_args", "target", "no_cache", "pull", "secrets")
        }
        wish |= {"builder": data["builder"] or "auto", "then": self.follow()}
        if data["source"] == "upload":
            return {
                **wish,
                "context": data["context"].file,
                "dockerfile_path": data["dockerfile_path"] or "Dockerfile",
                "origin": {"kind": "folder", "name": data["folder"]} if data["folder"]
                else {"kind": "archive", "name": str(data["context"].name)},
            }  # fmt: skip
        if data["source"] == "git":
            names = ("ref", "dir", "username", "password")
            return {
                **wish,
                "context": None,
                "git_source": {"url": data["git"], **{name: data[f"git_{name}"] for name in names}},
                "dockerfile_path": data["git_dockerfile"] or "Dockerfile",
            }
        context = pack(data["beside"]) if data["beside"] else None
        return {**wish, "dockerfile": data["dockerfile"], "context": context}

    def _list(self, name: str) -> list[str]:
        return self.data.getlist(name) if hasattr(self.data, "getlist") else []

    def _args(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for typed, value in zip(self._list("arg_name"), self._list("arg_value"), strict=False):
            name = typed.strip()
            if not name and not value:
                continue
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                words = _("Build argument “%(name)s”: letters, digits and underscores, not a digit first.")
                self.add_error(None, words % {"name": name[:40]})
            elif name in found:
                self.add_error(None, _("Build argument %(name)s is there twice: leave one.") % {"name": name})
            found[name] = value
        return found
