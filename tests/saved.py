"""Files of images, as `docker save` and writers of OCI archives make them, with one layer each."""

from __future__ import annotations

import gzip
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


def oci(
    images: Mapping[str, bytes], platforms: Mapping[str, tuple[str, ...]] | None = None, whole: bool = False
) -> bytes:
    """An OCI archive of these. An image with ``platforms`` is a list of them, where not ``whole`` with the blobs of the
    first alone."""
    files, listed = parts(images)
    made = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}

    def blob(data: bytes, there: bool = True) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        if there:
            made[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    index = []
    for one in listed:
        name = one["RepoTags"][0]
        layers = [blob(gzip.compress(files[layer], mtime=0)) for layer in one["Layers"]]
        manifest = {"schemaVersion": 2, "config": blob(files[one["Config"]]), "layers": layers}
        entry = blob(json.dumps(manifest).encode())
        if systems := (platforms or {}).get(name):
            several = []
            for n, system in enumerate(systems):
                kind, _, architecture = system.partition("/")
                here = entry if n == 0 else blob(json.dumps({**manifest, "n": n}).encode(), there=whole)
                several.append({**here, "platform": {"os": kind, "architecture": architecture}})
            entry = blob(json.dumps({"schemaVersion": 2, "manifests": several}).encode())
        index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})
    made["index.json"] = json.dumps({"schemaVersion": 2, "manifests": index}).encode()
    return tar(made)
