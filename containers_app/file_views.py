"""Pages that browse the files of a container or a volume: one code, one look, two doors."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from accounts.access import actor_of, can, require, requires
from containers_app import files, present, queries
from containers_app.file_space import Space, fetched
from containers_app.models import Container
from containers_app.views import tab_of
from engine.errors import EngineError, Invalid
from engine.files import clean, joined, parent, shown
from operations.remains import moment
from operations.web import answers, leaves_when_gone

SHOWN = 1000
"""Entries of a page; a part of a name finds the others."""
IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
HEX = 512


def of_container(request: HttpRequest, pk: UUID, what: str) -> Space:
    """The files of a container, for who may that with them: ``files`` or ``write``."""
    actor = actor_of(request)
    row = get_object_or_404(present.one(actor), pk=pk)
    require(actor, f"container.{what}", row)
    return Space(row, "container", actor)


def of_volume(request: HttpRequest, pk: UUID, what: str) -> Space:
    """The files of a volume, likewise."""
    actor = actor_of(request)
    row = get_object_or_404(queries.volumes(actor), pk=pk)
    require(actor, f"volume.{what}", row)
    return Space(row, "volume", actor)


def asked(request: HttpRequest) -> str:
    """The path that the address or the form names, the root where it names none; else it is no request of ours."""
    try:
        return clean((request.POST if request.method == "POST" else request.GET).get("path") or "/")
    except Invalid as error:
        raise BadRequest(error.message) from None


Inside = Callable[[HttpRequest, Space], HttpResponseBase]
Door = Callable[..., HttpResponseBase]


def both(view: Inside, what: str, *methods: str) -> tuple[Door, Door]:
    """The same page for containers and for volumes: two addresses, each with its own permission."""
    return _door(view, "container", what, methods), _door(view, "volume", what, methods)


def _door(view: Inside, kind: str, what: str, methods: tuple[str, ...]) -> Door:
    find = of_container if kind == "container" else of_volume

    @require_http_methods(list(methods))
    @requires(f"{kind}.{what}")
    @answers
    @leaves_when_gone
    def door(request: HttpRequest, pk: UUID) -> HttpResponseBase:
        return view(request, find(request, pk, what))

    return door


def _browse(request: HttpRequest, space: Space) -> HttpResponse:
    path, find = asked(request), request.GET.get("find", "")[:200]
    context: dict[str, Any] = {"path": path, "find": find}
    try:
        found = space.read("files", path)
        at = found["path"]
        entries = [one for one in found["entries"] if find.lower() in one["name"].lower()]
        context |= {
            "path": at, "complete": found["complete"], "count": len(found["entries"]),
            "entries": [_line(space, at, one) for one in entries[:SHOWN]], "more": max(0, len(entries) - SHOWN),
        }  # fmt: skip
    except EngineError as error:
        context["problem"] = error.message
    return page(request, space, "browse", context)


def _line(space: Space, folder: str, one: dict[str, Any]) -> dict[str, Any]:
    """An entry with where it leads; a link may be either."""
    at = joined(folder, one["name"])
    urls: dict[str, str] = {}
    if one["usable"] and one["kind"] in ("folder", "file", "link"):
        urls = {"url": space.url("file" if one["kind"] == "file" else "browse", at)}
        if one["kind"] != "link":
            urls["download"] = space.url("fetch", at)
    if one["usable"]:
        urls |= {"erase": space.url("erase", at)}
        urls |= {"rename": space.url("rename-file", at)} if one["kind"] in ("file", "link") else {}
    modified = moment(one["modified_at"])
    # Images that are made again and again alike have no times.
    return {**one, **urls, "path": at, "modified": modified if modified and modified.year > 1970 else None}


def _view(request: HttpRequest, space: Space) -> HttpResponse:
    path = asked(request)
    context: dict[str, Any] = {"path": path}
    try:
        found = space.read("peek", path)
        space.record(path)
        context |= {
            "file": found["info"],
            "modified": moment(found["info"]["modified_at"]),
            **_content(found),
        }
    except EngineError as error:
        context["problem"] = error.message
    return page(request, space, "file", context)


def _content(found: dict[str, Any]) -> dict[str, Any]:
    """The file as text, as a picture, or as its first bytes."""
    data = base64.b64decode(found["data"])
    told = {"whole": found["whole"], "digest": found["digest"]}
    picture = next((kind for magic, kind in IMAGES.items() if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        picture = "webp"
    if picture and found["whole"]:
        return {**told, "picture": f"data:image/{picture};base64,{found['data']}"}
    if (text := as_text(data, whole=found["whole"])) is not None:
        return {**told, "text": text, "lines": text.count("\n") + bool(text and not text.endswith("\n"))}
    return {**told, "dump": _dump(data[:HEX])}


def as_text(data: bytes, *, whole: bool) -> str | None:
    """UTF-8 without zero bytes, else ``None``; where it was cut, the last letter may be half there."""
    if b"\0" in data:
        return None
    for cut in range(1 if whole else 4):
        try:
            return data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None


def _dump(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {letters}")
    return "\n".join(lines)


def page(request: HttpRequest, space: Space, name: str, context: dict[str, Any]) -> HttpResponse:
    path = str(context["path"])
    context |= {
        "space": space, "crumbs": _crumbs(space, path), "here": shown(posixpath.basename(path)),
        "browse_url": space.url("browse"), "up_url": space.url("browse", parent(path)) if path != "/" else "",
        "upload_url": space.url("upload"), "rename_url": space.url("rename-file", path),
        "edit_url": space.url("edit-file", path), "most": files.most_bytes(),
        "may_write": can(space.actor, f"{space.kind}.write", space.row),
        **{f"{name}_url": space.url(name, path) for name in ("fetch", "file", "new", "erase")},
    }  # fmt: skip
    if isinstance(space.row, Container):
        return tab_of(request, space.row, name, context, tab="files", part=f"files/_{name}.html")
    context |= {"volume": space.row, "tab": "files", **queries.volume_rights(space.actor, space.row)}
    part = "HX-Request" in request.headers
    return render(request, f"files/_{name}.html" if part else f"volumes/{name}.html", context)


def _crumbs(space: Space, path: str) -> list[tuple[str, str]]:
    """Each folder on the way, with its address."""
    found, at = [], ""
    for part in path.strip("/").split("/") if path.startswith("/") and path != "/" else []:
        at = f"{at}/{part}"
        found.append((shown(part), space.url("browse", at)))
    return found


def _download(request: HttpRequest, space: Space) -> HttpResponseBase:
    path = asked(request)
    try:
        return fetched(space, path)
    except EngineError as error:
        context = {"path": path, "problem": error.message}
        return page(request, space, "file", context)


container_files, volume_files = both(_browse, "files", "GET", "HEAD")
container_file, volume_file = both(_view, "files", "GET", "HEAD")
container_download, volume_download = both(_download, "files", "GET", "HEAD")
