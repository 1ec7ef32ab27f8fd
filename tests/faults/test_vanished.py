"""A volume whose data somebody has taken from the engine's disk: nothing is started on an empty one in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from accounts.models import Team, User
from conftest import BUSYBOX
from containers_app.models import Volume
from operations.services import Refused
from operations.tasks import run_operation
from tests.faults.mortal import mortal_site
from tests.machine import said_by


def test_a_container_whose_volume_has_vanished_is_not_started_on_an_empty_one(
    transactional_db: None, team: Team, tara: User, tmp_path: Path
) -> None:
    with mortal_site(team, tara, tmp_path / "plan") as (engine, site):
        said_by(site.docker, BUSYBOX, ["sh", "-c", "echo precious > /data/file"], volumes=["data:/data"])
        site.docker.containers.create(BUSYBOX, ["cat", "/data/file"], name="reader", volumes=["data:/data"])
        site.look()
        engine.kill()
        shutil.rmtree(engine.folder / "data/volumes/data")
        engine.start()
        site.look()
        with pytest.raises(Refused) as refused:
            site.ask("container.start", "reader")
        assert refused.value.code == "volume_missing"
        assert site.docker.volumes.list() == []
        asked = site.ask("container.start", "reader", empty_volumes=True)
        run_operation(str(asked.pk))
        asked.refresh_from_db()
        assert asked.state == "succeeded", asked.error_message
        assert Volume.objects.get(native_id="data").team == team
        assert [one.name for one in site.docker.volumes.list()] == ["data"]
