"""Rows as the engine would have made them, for tests that need no engine."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from accounts.models import Team, User
from containers_app.models import Container, Mount, Network, PrunePlan, Volume
from engine import scan_reports
from images_app import scans
from images_app.models import Build, Image, Layer, Scan, Tag, TagMove
from operations.models import Engine, Operation, OperationEvent, TrashItem

_numbers = itertools.count(1)


def hex64() -> str:
    """An id of the engine's own kind, another one each time."""
    return f"{next(_numbers):064x}"


def make_engine(name: str = "quiet", **fields: Any) -> Engine:
    """An engine that nobody asks."""
    fields = {"endpoint": f"unix:///nowhere/{name}.sock", "status": Engine.Status.ONLINE, **fields}
    return Engine.objects.create(name=name, **fields)


def make_container(engine: Engine, team: Team | None, name: str = "web", **fields: Any) -> Container:
    """A container that runs."""
    fields = {"state": "running", "created_at": timezone.now(), "started_at": timezone.now(), **fields}
    return Container.objects.create(engine=engine, team=team, name=name, native_id=hex64(), **fields)


def make_image(engine: Engine, team: Team | None, *tags: str, layers: int = 2, **fields: Any) -> Image:
    """An image with tags and layers, the last of them empty."""
    name = tags[0] if tags else ""
    image = Image.objects.create(
        engine=engine, team=team, name=name, native_id=f"sha256:{hex64()}", size=1_000_000, **fields
    )
    for tag in tags:
        repository, _, word = tag.rpartition(":")
        Tag.objects.create(engine=engine, image=image, name=tag, repository=repository, tag=word)
        TagMove.objects.create(engine=engine, name=tag, to_native_id=image.native_id)
    Layer.objects.bulk_create(
        Layer(
            image=image, index=i, digest=f"sha256:{hex64()}", command=f"RUN {i}", size=500, empty=i == layers
        )
        for i in range(layers + 1)
    )
    return image


def make_scan(image: Image, *found: scan_reports.Finding, **fields: Any) -> Scan:
    """A scan that its team brought just now."""
    counts = scans.counted(found)
    fields = {
        "team": image.team,
        "scanner": "Trivy",
        "version": "0.58.1",
        "scanned_at": timezone.now(),
        **fields,
    }
    return Scan.objects.create(
        digest=image.native_id, counts=counts, fixable=scans.counted(one for one in found if one.fixed),
        data=scans.packed(found), report=hex64(), **fields,
    )  # fmt: skip


def make_volume(
    engine: Engine, team: Team | None, name: str = "data", *users: Container, **fields: Any
) -> Volume:
    """A volume, mounted by these containers."""
    volume = Volume.objects.create(engine=engine, team=team, native_id=name, **fields)
    for container in users:
        Mount.objects.create(
            container=container, volume=volume, type="volume", source=name, target=f"/{name}"
        )
    return volume


def make_network(
    engine: Engine, team: Team | None, name: str = "front", *users: Container, **fields: Any
) -> Network:
    """A network that these containers are on, each with an address of its own and the alias ``<name>-alias``."""
    fields = {"driver": "bridge", "scope": "local", **fields}
    network = Network.objects.create(engine=engine, team=team, name=name, native_id=hex64(), **fields)
    for number, container in enumerate(users, 2):
        here = {
            "name": name, "native_id": network.native_id, "ip": f"10.20.0.{number}", "ip6": "", "mac": "",
            "aliases": [f"{container.name}-alias", container.native_id[:12]],
        }  # fmt: skip
        container.networks = [*container.networks, here]
        container.save(update_fields=["networks"])
    return network


def make_operation(engine: Engine, team: Team | None, **fields: Any) -> Operation:
    """An operation that has succeeded."""
    fields = {
        "kind": "container.stop",
        "state": "succeeded",
        "actor_name": "bob",
        "target_type": "container",
        "target_name": "web",
        "finished_at": timezone.now(),
        **fields,
    }
    return Operation.objects.create(engine=engine, team=team, **fields)


def make_build(engine: Engine, team: Team | None, **fields: Any) -> Build:
    """A build that has ended, with three lines of output."""
    operation = make_operation(engine, team, kind="image.build", target_type="image", target_name="app:1")
    OperationEvent.objects.bulk_create(
        OperationEvent(operation=operation, seq=seq, kind="log", data={"stream": 1, "text": f"line {seq}"})
        for seq in (2, 3, 5)
    )
    made = timezone.now() - timedelta(minutes=1)
    return Build.objects.create(
        engine=engine,
        team=team,
        operation=operation,
        tags=["app:1"],
        dockerfile="FROM scratch",
        created_at=made,
        **fields,
    )


def in_the_trash(
    kind: str, engine: Engine, team: Team | None, name: str = "gone", **fields: Any
) -> TrashItem:
    """Something that was removed a minute ago and can be taken back for an hour."""
    now = timezone.now()
    operation = Operation.objects.create(
        kind=f"{kind}.remove", state="succeeded", engine=engine, team=team, actor_name="somebody", target_type=kind,
        target_id=str(uuid4()), target_name=name, finished_at=now - timedelta(minutes=1),
    )  # fmt: skip
    facts = {"tags": [name], "trashed": True}
    fields = {"native_id": hex64(), "facts": facts, "state": "kept", **fields}
    return TrashItem.objects.create(
        operation=operation, engine=engine, team=team, kind=kind, target_id=operation.target_id, name=name,
        expires_at=now + timedelta(hours=1), **fields,
    )  # fmt: skip


def make_prune_plan(engine: Engine, user: User, *names: str, **fields: Any) -> PrunePlan:
    """A frozen plan that lists stopped containers of these names, 100 bytes each."""
    items = [
        {
            "kind": "containers", "id": str(uuid4()), "native_id": hex64(), "name": name, "size": 100, "image": "",
            "started_at": "",
        }
        for name in names or ("done",)
    ]  # fmt: skip
    fields = {"kinds": ["containers"], "expires_at": timezone.now() + timedelta(hours=1), **fields}
    return PrunePlan.objects.create(
        engine=engine, made_by=user, items=items, frees=100 * len(items), **fields
    )
