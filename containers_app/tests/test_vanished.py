"""A container whose named volume has vanished is not started on an empty one, unless somebody asks for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import Team, User
from containers_app import operations
from containers_app.models import Container, Mount, Volume
from engine.fake import new_world
from operations import runner
from operations.models import Engine, Operation
from operations.plans import preview
from operations.services import Refused
from operations.tasks import run_operation
from tests.rows import make_container, make_engine, make_volume

GONE = "volume data is gone: starting would create an empty one"


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    """It has ended, and its volume is gone."""
    row = make_container(engine, team, state="exited", exit_code=0)
    Mount.objects.create(container=row, type="volume", source="data", target="/data")
    return row


@pytest.mark.parametrize("action", ["start", "restart", "recreate"])
def test_it_is_refused_before_anything_happens(action: str, web: Container, bob: User) -> None:
    actor = person(bob, source="ui")
    with pytest.raises(Refused, match="data is gone") as refused:
        operations.request(web, action, actor=actor)
    assert (refused.value.code, refused.value.details) == ("volume_missing", {"volumes": ["data"]})
    assert not Operation.objects.exists()
    plan = preview(lambda: operations.request(web, action, actor=actor), actor=actor).to_dict()
    assert plan["refused"]["code"] == "volume_missing"
    plan = preview(
        lambda: operations.request(web, action, actor=actor, params={"empty_volumes": True}), actor=actor
    ).to_dict()
    assert plan["would_run"]
    assert {"what": "Volume data", "detail": GONE, "size": None} in plan["lost"]
    assert operations.request(web, action, actor=actor, params={"empty_volumes": True}).state == "queued"


def test_what_is_there_and_what_has_no_name_hold_up_nothing(
    engine: Engine, team: Team, other_team: Team, bob: User
) -> None:
    row = make_container(engine, team, state="exited")
    make_volume(engine, other_team, "data", row)
    Mount.objects.create(container=row, type="volume", source="f" * 64, target="/anonymous")
    Mount.objects.create(container=row, type="bind", source="/srv", target="/srv")
    assert operations.request(row, "start", actor=person(bob, source="ui")).state == "queued"


def test_in_rest_it_is_a_conflict_of_its_own(
    web: Container, bob: User, api_for: Callable[..., APIClient]
) -> None:
    address = f"/api/v1/containers/{web.pk}/start/"
    answer = api_for(bob).post(address)
    assert (answer.status_code, answer.json()["code"]) == (409, "volume_missing")
    assert api_for(bob).post(address, {"empty_volumes": True}, format="json").status_code == 202


def test_the_page_asks_with_a_tick(web: Container, bob: User, client_for: Callable[..., Client]) -> None:
    client, there = client_for(bob), f"/containers/{web.pk}"
    asked = client.post(f"{there}/do/start/")
    assert (asked.status_code, asked["Location"]) == (302, f"{there}/ask/start/")
    page = client.get(asked["Location"]).content.decode()
    assert "Start it with an empty volume" in page
    assert "would create an empty one" in page
    assert not Operation.objects.exists()
    client.post(f"{there}/do/start/", {"force": "1", "sure": "1"})
    assert Operation.objects.get().params["empty_volumes"] is True
    page = client.get(f"{there}/recreate/").content.decode()
    assert "Make empty volumes" in page


def test_what_the_rows_do_not_know_yet_is_seen_on_the_engine(
    team: Team, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.connect import connect
    from engine.specs import ContainerSpec

    engine = make_engine("fake", endpoint="fake://vanished")
    with new_world("vanished") as world:
        world.add_image("app:1")
        backend = connect("fake://vanished", allow_fake=True)
        monkeypatch.setattr(runner, "backend", lambda _endpoint: backend)
        spec = ContainerSpec.parse(
            {"image": "app:1", "command": ["sleep", "100"], "mounts": [{"source": "data", "target": "/data"}]}
        )
        native_id = backend.create(spec, operation_id="11111111-1111-4111-8111-111111111111")
        row = make_container(engine, team, state="created")
        Container.objects.filter(pk=row.pk).update(native_id=native_id)
        row.refresh_from_db()
        make_volume(engine, team, "data", row)
        del world.volumes["data"]

        def ended(**params: Any) -> Operation:
            operation = operations.request(row, "start", actor=person(bob, source="ui"), params=params)
            run_operation(str(operation.pk))
            operation.refresh_from_db()
            return operation

        operation = ended()
        assert (operation.state, operation.error_code) == ("failed", "volume_missing")
        assert world.containers[native_id].state.value == "created"
        Volume.objects.all().delete()
        assert ended(empty_volumes=True).state == "succeeded"
