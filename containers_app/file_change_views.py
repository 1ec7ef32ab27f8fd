"""Pages that change files of a container or a volume: upload, edit, rename, delete. Each asks for an operation."""

from __future__ import annotations

import base64
import io
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from containers_app import file_changes, files
from containers_app.file_space import Space
from containers_app.file_views import as_text, asked, both, page
from engine.errors import Conflict, EngineError
from engine.files import joined, parent, shown
from engine.files import name as checked
from engine.specs import SpecError
from operations.plans import preview
from operations.services import Refused
from operations.web import Told, submitted, toast, why

MOST_AT_ONCE = 50
"""Files of one upload."""


class NameForm(forms.Form):
    """Another name for a file."""

    name = forms.CharField(max_length=255, strip=False, label=_lazy("New name"))


def _upload(request: HttpRequest, space: Space) -> HttpResponseBase:
    """Each file becomes an operation. Pages send one at a time, to tell how far each is; of a folder with ``below``,
    its place in there."""
    folder, below = asked(request), request.POST.get("below", "")
    sent: list[Any] = request.FILES.getlist("files")[:MOST_AT_ONCE]
    if not sent:
        return toast(request, _("Choose a file first."), "bad", to=space.url("browse", folder))
    wishes = [
        file_changes.request_write(
            space.row, joined(joined(folder, below), str(file.name)), file, actor=space.actor, folders=bool(below),
            replace=bool(request.POST.get("replace")),
        )
        for file in sent
    ]  # fmt: skip
    about = {"name": shown(str(sent[0].name)), "n": len(sent)}
    if len(sent) == 1:
        told = Told(
            _("Uploading %(name)s") % about, _("Uploaded %(name)s") % about,
            _("Uploading %(name)s failed") % about,
        )  # fmt: skip
    else:
        told = Told(
            _("Uploading %(n)s files") % about, _("Uploaded %(n)s files") % about,
            _("Uploading %(n)s files failed") % about,
        )  # fmt: skip
    return submitted(request, wishes[-1], told=told, to=space.url("browse", folder))


def _edit(request: HttpRequest, space: Space) -> HttpResponseBase:
    """A small text, to be changed; what has changed meanwhile is not written over."""
    path = asked(request)
    if request.method == "POST":
        text, digest = request.POST.get("text", ""), request.POST.get("digest", "")
        if request.POST.get("newlines") != "crlf":  # forms send both, whatever the file has
            text = text.replace("\r\n", "\n")
        data = io.BytesIO(text.encode(errors="replace"))
        operation = file_changes.request_write(
            space.row, path, data, actor=space.actor, replace=bool(digest), digest=digest
        )
        about = {"path": shown(path)}
        told = Told(
            _("Writing %(path)s") % about, _("Wrote %(path)s") % about, _("Writing %(path)s failed") % about
        )
        return submitted(request, operation, told=told, to=space.url("file", path))
    new = request.GET.get("name", "")
    if new:
        path = joined(path, checked(new))
    context: dict[str, Any] = {"path": path}
    try:
        context |= _text_of(space, path, new=bool(new))
    except EngineError as error:
        context["problem"] = error.message
    return page(request, space, "edit", context)


def _text_of(space: Space, path: str, *, new: bool) -> dict[str, Any]:
    if new:
        return {"text": "", "digest": "", "newlines": "lf", "new": True}
    found = space.read("peek", path)
    data = base64.b64decode(found["data"])
    text = as_text(data, whole=True) if found["whole"] else None
    if text is None:
        most = files.PEEK // 1024
        raise Conflict(
            _("Only text of up to %(most)s KB can be edited here: download it, and upload it again.")
            % {"most": most}
        )
    space.record(path)
    newlines = "crlf" if "\r\n" in text else "lf"
    return {"text": text, "digest": found["digest"], "newlines": newlines, "file": found["info"]}


def _new(request: HttpRequest, space: Space) -> HttpResponseBase:
    """Asks what a new file is called; the editor makes it when it is written."""
    context = {"form": NameForm(), "action": space.url("edit-file")}
    return _question(request, space, asked(request), "files/new.html", context)


def _rename(request: HttpRequest, space: Space) -> HttpResponseBase:
    """Asks for another name, then gives it."""
    path = asked(request)
    name = path.rpartition("/")[2]
    form = NameForm(request.POST or None, initial={"name": name})
    if form.is_valid():
        if form.cleaned_data["name"] == name:
            form.add_error("name", _("That is its name."))
        else:
            try:
                operation = file_changes.request_rename(
                    space.row, path, form.cleaned_data["name"], actor=space.actor
                )
                about = {"name": shown(name)}
                told = Told(
                    _("Renaming %(name)s") % about, _("Renamed %(name)s") % about,
                    _("Renaming %(name)s failed") % about,
                )  # fmt: skip
                return submitted(request, operation, told=told, to=space.url("browse", parent(path)))
            except (SpecError, Refused) as error:
                form.add_error("name", why(error))
    return _question(request, space, path, "files/rename.html", {"form": form})


def _erase(request: HttpRequest, space: Space) -> HttpResponseBase:
    """Shows what would be lost, then asks for it."""
    path = asked(request)
    if request.method == "POST":
        operation = file_changes.request_erase(space.row, path, actor=space.actor)
        about = {"path": shown(path)}
        told = Told(
            _("Deleting %(path)s") % about,
            _("Deleted %(path)s") % about,
            _("Deleting %(path)s failed") % about,
        )
        return submitted(request, operation, told=told, to=space.url("browse", parent(path)))
    plan = preview(lambda: file_changes.request_erase(space.row, path, actor=space.actor), actor=space.actor)
    return _question(request, space, path, "files/erase.html", {"plan": plan})


def _question(
    request: HttpRequest, space: Space, path: str, template: str, context: dict[str, Any]
) -> HttpResponse:
    context |= {
        "space": space, "path": path, "name": path.rpartition("/")[2], "back": space.url("browse", parent(path)),
        "action": context.get("action", request.path),
    }  # fmt: skip
    return render(request, _dialog(request, template), context)


def _dialog(request: HttpRequest, template: str) -> str:
    return f"{template}#dialog" if "HX-Request" in request.headers else template


container_upload, volume_upload = both(_upload, "write", "POST")
container_edit, volume_edit = both(_edit, "write", "GET", "HEAD", "POST")
container_new, volume_new = both(_new, "write", "GET", "HEAD")
container_rename, volume_rename = both(_rename, "write", "GET", "HEAD", "POST")
container_erase, volume_erase = both(_erase, "write", "GET", "HEAD", "POST")
