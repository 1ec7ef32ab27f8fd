"""A list asks the database as often for forty rows as for ten, and as often as `query_counts.json` says.

After a change that is meant: ``pytest tests/test_query_counts.py --write-baselines``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit
from accounts.access import Actor
from containers_app.models import Container, EngineEvent, Mount, Network, Volume, VolumeBackup
from images_app.models import Build, Image, Layer, Tag
from operations.models import Engine, Operation, OperationEvent

if TYPE_CHECKING:
    from accounts.models import Team, User

BASELINE = Path(__file__).with_name("query_counts.json")
LISTS = [
    "/containers/",
    "/containers/?view=attention",
    "/stacks/",
    "/images/",
    "/builds/",
    "/volumes/",
    "/volumes/backups/",
    "/networks/",
    "/engines/",
    "/operations/",
    "/events/",
    "/audit/",
    "/account/",
    "/teams/",
    "/guard-rails/",
    "/guard-rails/rules/",
    "/api/v1/containers/",
    "/api/v1/stacks/",
    "/api/v1/care/",
    "/api/v1/policies/findings/",
    "/api/v1/policies/exceptions/",
    "/api/v1/images/",
    "/api/v1/tags/",
    "/api/v1/builds/",
    "/api/v1/volumes/",
    "/api/v1/backups/",
    "/api/v1/networks/",
    "/api/v1/operations/",
    "/api/v1/engines/",
    "/api/v1/events/",
    "/api/v1/audit/",
    "/api/v1/teams/",
    "/api/v1/tokens/",
]


@pytest.fixture
def quiet_engine(db: None) -> Engine:
    """An engine that nobody asks."""
    return Engine.objects.create(
        name="quiet", endpoint="unix:///nowhere/docker.sock", status=Engine.Status.ONLINE
    )


def _fill(engine: Engine, team: Team, user: User, first: int, last: int) -> None:
    """One of everything for each number, each with what hangs on it."""
    now = timezone.now()
    for number in range(first, last):
        native_id = f"{number:064x}"
        operation = Operation.objects.create(
            kind="image.build", state="succeeded", engine=engine, team=team, actor=user, actor_name=user.username,
            target_type="image", target_name=f"blue/app:{number}", finished_at=now,
        )  # fmt: skip
        OperationEvent.objects.create(
            operation=operation, seq=1, kind="log", data={"stream": 1, "text": "hello"}
        )
        image = Image.objects.create(
            engine=engine, team=team, native_id=f"sha256:{native_id}", name=f"blue/app:{number}", size=number
        )
        Tag.objects.create(
            engine=engine, image=image, name=f"blue/app:{number}", repository="blue/app", tag=str(number)
        )
        Layer.objects.create(image=image, index=0, digest=f"sha256:{native_id}", command="ADD", size=number)
        Build.objects.create(engine=engine, team=team, operation=operation, image=image, tags=[image.name])
        volume = Volume.objects.create(engine=engine, team=team, native_id=f"data-{number}", size=number)
        VolumeBackup.objects.create(
            engine=engine, team=team, volume_name=volume.name, key=f"{number}.tar.gz", digest=native_id, size=1,
            held=1, entries=1,
        )  # fmt: skip
        Network.objects.create(engine=engine, team=team, native_id=native_id, name=f"net-{number}")
        container = Container.objects.create(
            engine=engine, team=team, native_id=native_id, name=f"web-{number}", image=image, image_ref=image.name,
            state=["running", "exited", "restarting"][number % 3], exit_code=number % 3,
            started_at=now - timedelta(hours=number), finished_at=now, stack="shop" if number % 2 else "",
            ports=[{"container": 80, "protocol": "tcp", "host": 8000 + number, "host_ip": ""}],
        )  # fmt: skip
        Mount.objects.create(
            container=container, volume=volume, type="volume", source=volume.name, target="/data"
        )
        Operation.objects.create(
            kind="container.stop", state="succeeded", engine=engine, team=team, actor=user, actor_name=user.username,
            target_type="container", target_id=str(container.pk), target_name=container.name, finished_at=now,
        )  # fmt: skip
        EngineEvent.objects.create(
            engine=engine, type="container", action="die", native_id=native_id, name=container.name, team=team,
            container=container, operation=operation, time_ns=number + 1, at=now, exit_code=1,
        )  # fmt: skip
        audit.record("container.stop", Actor(user=user), target_type="container", target_name=container.name)


def _count(client: Client, path: str) -> int:
    client.get(path)  # what is read once and kept is no part of the count
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(path)
    assert response.status_code == 200, f"{path}: {response.status_code}"
    return len(queries)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_asks_no_oftener_for_more_rows(
    path: str, client_for: Callable[..., Client], tara: User, team: Team, quiet_engine: Engine, request: Any
) -> None:
    client = client_for(tara)
    _fill(quiet_engine, team, tara, 0, 10)
    few = _count(client, path)
    _fill(quiet_engine, team, tara, 10, 40)
    many = _count(client, path)
    assert many == few, f"{path} asks {many} times for 40 rows and {few} times for 10"
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if request.config.getoption("--write-baselines"):
        BASELINE.write_text(json.dumps(known | {path: few}, indent=2, sort_keys=True) + "\n")
    else:
        assert few == known.get(path), f"{path} asks {few} times; the baseline says {known.get(path)}"


def test_the_baseline_knows_no_other_lists() -> None:
    assert set(json.loads(BASELINE.read_text())) == set(LISTS)
