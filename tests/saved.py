"""Files of images, as `docker save` makes them, with one layer each."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any


def tar(files: Mapping[str, bytes]) -> bytes:
    """A plain tar of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def parts(images: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Name → what its one file holds: the entries without the list, and the list."""
    files: dict[str, bytes] = {}
    listed = []
    for name, data in images.items():
        layer = tar({"said": data})
        digest = hashlib.sha256(layer).hexdigest()
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
        settings = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/said"]}, "rootfs": rootfs}
        config = json.dumps({**settings, "history": [{"created_by": "said"}]}).encode()
        place, about = f"{digest}/layer.tar", f"{hashlib.sha256(config).hexdigest()}.json"
        files |= {place: layer, about: config}
        listed.append({"Config": about, "RepoTags": [name], "Layers": [place]})
    return files, listed


def saved(images: Mapping[str, bytes]) -> bytes:
    """The whole file."""
    files, listed = parts(images)
    return tar({**files, "manifest.json": json.dumps(listed).encode()})
