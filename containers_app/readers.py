"""What pages and REST ask of an engine about containers right now; runs in the worker, see `operations.reads`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from containers_app import sync
from containers_app.models import Container
from containers_app.written import SIZES_WITHIN, told_changes, written_files
from engine.base import Engine as EngineBackend
from operations import registry
from operations.models import Engine
from operations.reads import reader

CHANGES_WITHIN = 4.0
"""Seconds for asking how large changed files are."""

registry.target("engine", Engine.objects.all)


@reader("container.processes", target="container", permission="container.read")
def processes(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """``{"titles": […], "rows": [[…], …]}``, as `ps` on the engine's host shows them."""
    titles, rows = engine.processes(row.native_id)
    return {"titles": titles, "rows": rows}


@reader("container.changes", target="container", permission="container.read")
def changes(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The writable layer against the image: ``{"changes": [{"path", "kind", "size", "modified_at", "lost"}, …]}``."""
    mounts = [mount.target for mount in row.mounts.all()]
    return {"changes": told_changes(engine, row.native_id, mounts, within=CHANGES_WITHIN)}


@reader("container.written", target="container", permission="container.read")
def written(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """What would be lost with the writable layer, see `containers_app.written`; ``params``: ``within`` in seconds."""
    within = float(params.get("within", SIZES_WITHIN))
    return written_files(engine, row.native_id, [mount.target for mount in row.mounts.all()], within=within)


@reader("container.health", target="container", permission="container.read")
def health(engine: EngineBackend, row: Container, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Looks at it again, so that its row has the latest results: ``{"looked": true}``."""
    sync.refresh(row.engine, engine, row.native_id)
    return {"looked": True}


@reader("volume.sizes", target="engine", permission="volume.read")
def volume_sizes(engine: EngineBackend, row: Engine, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Has the engine count, and writes it to the rows of volumes: ``{"counted": n}``."""
    sizes = engine.volume_sizes()
    sync.put_sizes(row, sizes)
    return {"counted": len(sizes)}


@reader("engine.disk_usage", target="engine", permission="engine.prune")
def disk_usage(engine: EngineBackend, row: Engine, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """What everything takes, as `engine.disk.DiskUsage` has it; ``params``: ``deadline`` in seconds.

    Rows of volumes learn their sizes along.
    """
    found = engine.disk_usage(deadline=float(params["deadline"]))
    sync.put_sizes(row, found.volumes)
    return asdict(found)
