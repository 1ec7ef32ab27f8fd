"""What operators may do in the admin: look at facts, ask for operations, say whose a thing is; and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Team, User
from containers_app.models import Container, Mount, Network, Volume
from images_app.models import Build, Image, Layer, Tag, TagMove
from operations.models import Engine, Listing, Operation, OperationEvent

Sign = Callable[[User], Client]
FACTS = [
    Container,
    Volume,
    Network,
    Mount,
    Image,
    Tag,
    TagMove,
    Layer,
    Build,
    Engine,
    Operation,
    OperationEvent,
    Listing,
]


@pytest.fixture
def things(team: Team) -> dict[type, Any]:
    """One of everything, of team blue."""
    engine = Engine.objects.create(name="quiet", endpoint="unix:///nowhere/docker.sock")
    image = Image.objects.create(engine=engine, native_id="sha256:" + "a" * 64, team=team, name="blue/app:1")
    web = Container.objects.create(
        engine=engine, native_id="b" * 64, team=team, name="web", state="running", image=image
    )
    data = Volume.objects.create(engine=engine, native_id="data", team=team)
    asked = Operation.objects.create(kind="container.stop", engine=engine, team=team, target_name="web")
    return {
        Engine: engine,
        Image: image,
        Container: web,
        Volume: data,
        Operation: asked,
        Network: Network.objects.create(engine=engine, native_id="c" * 64, name="front", team=team),
        Mount: Mount.objects.create(container=web, volume=data, type="volume", source="data", target="/data"),
        Tag: Tag.objects.create(
            engine=engine, image=image, name="blue/app:1", repository="blue/app", tag="1"
        ),
        TagMove: TagMove.objects.create(engine=engine, name="blue/app:1"),
        Layer: Layer.objects.create(image=image, index=0, command="FROM x"),
        Build: Build.objects.create(engine=engine, team=team, tags=["blue/app:1"]),
        OperationEvent: OperationEvent.objects.create(operation=asked, seq=1, kind="state"),
        Listing: Listing.objects.create(engine=engine, kind="image", at=timezone.now()),
    }


def address(model: type, page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def act(client: Client, model: type, action: str, *rows: Any, **more: str) -> Any:
    data = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(address(model, "changelist"), data)


@pytest.mark.parametrize("model", FACTS)
def test_each_model_is_listed_searched_and_shown(
    model: type, things: dict[type, Any], alice: User, client_for: Sign
) -> None:
    client = client_for(alice)
    assert client.get(address(model, "changelist"), {"q": "web"}).status_code == 200
    assert client.get(address(model, "change", things[model].pk)).status_code == 200


@pytest.mark.parametrize("model", FACTS)
def test_nothing_is_added_or_deleted_by_hand(
    model: type, things: dict[type, Any], alice: User, client_for: Sign
) -> None:
    client = client_for(alice)
    assert client.get(address(model, "add")).status_code == 403
    assert client.post(address(model, "delete", things[model].pk), {"post": "yes"}).status_code == 403
    act(client, model, "delete_selected", things[model], post="yes")
    assert model.objects.filter(pk=things[model].pk).exists()  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", FACTS)
def test_each_model_can_be_searched_and_filtered(model: type) -> None:
    known = admin.site._registry[model]
    assert known.search_fields
    assert known.list_filter


def test_an_action_asks_for_an_operation_as_the_admin(
    things: dict[type, Any], alice: User, client_for: Sign
) -> None:
    Operation.objects.all().delete()
    answer = act(client_for(alice), Container, "stop", things[Container])
    assert answer.status_code == 302
    operation = Operation.objects.get()
    assert (operation.kind, operation.source, operation.actor, operation.state) == (
        "container.stop",
        "admin",
        alice,
        "queued",
    )
    assert AuditEntry.objects.get(verb="container.stop").source == "admin"


@pytest.mark.parametrize(
    ("model", "kind"),
    [(Container, "container.remove"), (Volume, "volume.remove"), (Image, "image.remove")],
)
def test_a_removal_asks_first(
    model: type, kind: str, things: dict[type, Any], alice: User, client_for: Sign
) -> None:
    client = client_for(alice)
    Operation.objects.all().delete()
    page = act(client, model, "remove", things[model])
    assert page.status_code == 200
    assert str(things[model]) in page.content.decode()
    assert not Operation.objects.exists()
    act(client, model, "remove", things[model], sure="yes")
    assert Operation.objects.get().kind == kind


def test_operations_are_cancelled_and_retried(things: dict[type, Any], alice: User, client_for: Sign) -> None:
    client = client_for(alice)
    act(client, Operation, "cancel", things[Operation])
    things[Operation].refresh_from_db()
    assert things[Operation].state == "cancelled"
    act(client, Operation, "retry", things[Operation])
    assert Operation.objects.filter(state="queued").count() == 1


def test_a_refusal_is_told_and_changes_nothing(
    things: dict[type, Any], alice: User, client_for: Sign
) -> None:
    Operation.objects.update(state="succeeded")
    answer = act(client_for(alice), Operation, "cancel", things[Operation])
    assert answer.status_code == 302
    assert Operation.objects.get().cancel_requested_at is None


def test_a_site_administrator_says_whose_a_thing_is_and_the_facts_stay(
    things: dict[type, Any], other_team: Team, alice: User, client_for: Sign
) -> None:
    web, client = things[Container], client_for(alice)
    form = {
        "team": other_team.pk,
        "name": "hacked",
        "state": "dead",
        "mounts-TOTAL_FORMS": "0",
        "mounts-INITIAL_FORMS": "0",
    }
    assert client.post(address(Container, "change", web.pk), form).status_code == 302
    web.refresh_from_db()
    assert (web.team, web.name, web.state) == (other_team, "web", "running")
    assert AuditEntry.objects.get().verb == "container.assign"


def test_staff_of_another_team_see_nothing_and_can_ask_for_nothing(
    things: dict[type, Any], charlie: User, client_for: Sign
) -> None:
    User.objects.filter(pk=charlie.pk).update(is_staff=True)
    charlie.refresh_from_db()
    client = client_for(charlie)
    Operation.objects.all().delete()
    assert "web" not in client.get(address(Container, "changelist")).content.decode()
    assert client.get(address(Container, "change", things[Container].pk)).status_code == 302
    act(client, Container, "stop", things[Container])
    assert not Operation.objects.exists()


def test_sealed_secrets_are_not_shown(things: dict[type, Any], alice: User, client_for: Sign) -> None:
    Operation.objects.update(sealed="gAAAA-canary")
    page = client_for(alice).get(address(Operation, "change", things[Operation].pk))
    assert "canary" not in page.content.decode()
