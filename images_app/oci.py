"""The list that engines want to see (``manifest.json``), for a file that has only an OCI layout: what podman, skopeo,
buildah and BuildKit write. The layout's own ``index.json`` names the same blobs.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import io
import json
import platform
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from engine import names
from engine.errors import Invalid
from operations.archives import Bad, shown

INDEX, LIST = "index.json", "manifest.json"
MOST = 200
"""Images in one file, and entries of one list."""
LARGEST = 8 * 1024 * 1024
"""Bytes of a list, and of one image's settings."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
Found = dict[str, Any]


def complete(path: Path) -> None:
    """Adds the list to a plain tar of ours, where it has a layout and no list. Raises `Bad`."""
    with tarfile.open(path, "r:") as tar:
        there = set(tar.getnames())
        if LIST in there or INDEX not in there:
            return
        data = json.dumps(list(_images(tar, _read(tar, INDEX)))).encode()
    entry = tarfile.TarInfo(LIST)
    entry.size, entry.mode = len(data), 0o644
    with tarfile.open(path, "a:", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(data))


def _images(tar: tarfile.TarFile, index: Found) -> Iterator[Found]:
    for one in _entries(index, INDEX):
        manifest = _read(tar, _blob(one))
        if "manifests" in manifest:
            manifest = _read(tar, _blob(_of_a_platform(tar, manifest, _blob(one))))
        config, layers = manifest.get("config"), manifest.get("layers")
        if not isinstance(config, dict) or not isinstance(layers, list) or len(layers) > MOST:
            raise Bad(_("%(name)s in it is no list of an image's layers.") % {"name": shown(_blob(one))})
        name = _name(one)
        yield {
            "Config": _blob(config), "Layers": [_blob(layer) for layer in layers],
            "RepoTags": [name] if name else [],
        }  # fmt: skip


def _of_a_platform(tar: tarfile.TarFile, index: Found, place: str) -> Found:
    """Of an image for several platforms, the one that is in the file; of several, the one for this machine."""
    there = set(tar.getnames())
    found: dict[str, Found] = {}
    for one in _entries(index, place):
        system = one.get("platform")
        if isinstance(system, dict) and system.get("os") not in ("unknown", None) and _blob(one) in there:
            found.setdefault(f"{system.get('os')}/{system.get('architecture')}", one)
    ours = f"linux/{_MACHINES.get(platform.machine(), platform.machine())}"
    if len(found) == 1:
        return found.popitem()[1]
    if ours in found:
        return found[ours]
    kinds = ", ".join(shown(system) for system in sorted(found)) or _("none")
    raise Bad(
        _("It holds an image for several platforms (%(kinds)s): write it for one of them.") % {"kinds": kinds}
    )


def _entries(index: Found, place: str) -> list[Found]:
    found = index.get("manifests")
    if (
        not isinstance(found, list)
        or not 0 < len(found) <= MOST
        or not all(isinstance(one, dict) for one in found)
    ):
        raise Bad(
            _("%(name)s in it is no list of 1 to %(most)s images.") % {"name": shown(place), "most": MOST}
        )
    return found


def _blob(one: Any) -> str:
    digest = one.get("digest") if isinstance(one, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise Bad(_("A digest in its lists makes no sense: those of sha256 are known here."))
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _name(one: Found) -> str:
    """The full name that its writer gave it; a tag alone (``latest``) is none."""
    said = one.get("annotations")
    for key in _NAMES:
        name = said.get(key) if isinstance(said, dict) else None
        if isinstance(name, str) and ("/" in name or ":" in name):
            try:
                return str(names.tag_reference(name))
            except Invalid:
                continue
    return ""


def _read(tar: tarfile.TarFile, name: str) -> Found:
    nowhere = _("%(name)s is named in its index.json, and not in it.") % {"name": shown(name)}
    found = parsed(tar, name, nowhere)
    if not isinstance(found, dict):
        raise Bad(_("Its %(name)s is no JSON.") % {"name": shown(name)})
    return found


def parsed(tar: tarfile.TarFile, name: str, otherwise: str) -> Any:
    """The JSON of one entry. Raises `Bad`: ``otherwise`` where there is none of that name."""
    try:
        return json.loads(content(tar, name, otherwise))
    except (ValueError, RecursionError):
        raise Bad(_("Its %(name)s is no JSON.") % {"name": shown(name)}) from None


def content(tar: tarfile.TarFile, name: str, otherwise: str) -> bytes:
    """What one small entry holds. Raises `Bad`: ``otherwise`` where there is none of that name."""
    try:
        member = tar.getmember(name)
    except KeyError:
        raise Bad(otherwise) from None
    data = tar.extractfile(member) if member.isreg() and member.size <= LARGEST else None
    if data is None:
        raise Bad(_("%(name)s in it is no file of a size that makes sense.") % {"name": shown(name)})
    return data.read()
