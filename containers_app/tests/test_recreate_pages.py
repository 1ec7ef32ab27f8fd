"""The question before a container is made anew, on its page and by REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team, User
from containers_app.models import Container
from images_app.models import Image, Tag
from operations.models import Engine, Operation

ClientFor = Callable[..., Client]
HX = {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "dialog"}


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(
        name="quiet", endpoint="unix:///nowhere/docker.sock", status=Engine.Status.ONLINE
    )


@pytest.fixture
def web(engine: Engine, team: Team) -> Container:
    for number, digests in ((1, ["blue/app@sha256:" + "1" * 64]), (2, [])):
        image = Image.objects.create(
            engine=engine, native_id="sha256:" + str(number) * 64, team=team, name="blue/app", digests=digests
        )
        Tag.objects.create(
            engine=engine, image=image, name=f"blue/app:{number}", repository="blue/app", tag=number
        )
    return Container.objects.create(
        engine=engine, native_id="b" * 64, team=team, name="web", state="running", image_ref="blue/app:1",
        image_native_id="sha256:" + "1" * 64,
        healthcheck={"test": ["CMD", "true"], "interval": 5, "timeout": 3, "retries": 3},
        ports=[{"container": 80, "protocol": "tcp", "host": 8080, "host_ip": ""}],
    )  # fmt: skip


def page(client: Client, web: Container, **asked: Any) -> str:
    answer = client.get(reverse("containers:recreate", args=[web.pk]), asked, **HX)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_question_names_image_gate_and_what_happens(
    client_for: ClientFor, bob: User, web: Container
) -> None:
    text = page(client_for(bob), web)
    assert 'value="blue/app:1"' in text
    assert "Healthy within" in text
    assert "60 s to get healthy" in text
    assert "port 8080" in text
    assert "can be taken back for 24 h" in text
    assert "Remove for good" not in text
    # It came from a registry: asked for there again, unless somebody says otherwise.
    assert 'name="pull" value="1" checked' in text
    assert "pulled first" in text
    assert not Operation.objects.exists()


def test_the_plan_follows_what_is_typed(client_for: ClientFor, bob: User, web: Container) -> None:
    client, address = client_for(bob), reverse("containers:recreate", args=[web.pk])
    hx = {**HX, "HTTP_HX_TARGET": "recreate-plan"}
    text = client.get(address, {"image": "blue/app:2", "seconds": "7"}, **hx).content.decode()
    assert "<form" not in text
    assert "blue/app:1 → blue/app:2" in text
    assert "111111111111 → 222222222222" in text
    assert "7 s to get healthy" in text
    text = client.get(address, {"image": "No Such", "seconds": "7"}, **hx).content.decode()
    assert "err-t" in text
    assert client.get(address, {"image": "blue/app:2", "seconds": "7"}).content.decode().count("<html") == 1


def test_it_is_asked_for_and_followed(client_for: ClientFor, bob: User, web: Container) -> None:
    client, address = client_for(bob), reverse("containers:recreate", args=[web.pk])
    answer = client.post(address, {"image": "blue/app:2", "seconds": "30"})
    operation = Operation.objects.get()
    assert answer.headers["Location"] == reverse("operations:detail", args=[operation.pk])
    assert operation.kind == "container.recreate"
    assert operation.params == {
        "image": "blue/app:2", "pull": "missing", "timeout": 30, "steady": 10, "native_id": web.native_id,
    }  # fmt: skip
    text = client.get(reverse("containers:detail", args=[web.pk])).content.decode()
    assert "Recreating" in text


def test_the_same_image_stays_unsaid(client_for: ClientFor, bob: User, web: Container) -> None:
    client_for(bob).post(
        reverse("containers:recreate", args=[web.pk]), {"image": "blue/app:1", "pull": "1", "seconds": "60"}
    )
    assert Operation.objects.get().params["image"] == ""
    assert Operation.objects.get().params["pull"] == "always"


def test_what_is_wrong_is_told_at_its_field(client_for: ClientFor, bob: User, web: Container) -> None:
    answer = client_for(bob).post(
        reverse("containers:recreate", args=[web.pk]), {"image": "../x", "seconds": "0"}
    )
    assert answer.status_code == 200
    assert answer.content.decode().count("err-t") >= 2
    assert not Operation.objects.exists()


def test_a_viewer_is_not_offered_it_and_may_not(client_for: ClientFor, vic: User, web: Container) -> None:
    client = client_for(vic)
    assert "Recreate…" not in client.get(reverse("containers:detail", args=[web.pk])).content.decode()
    assert client.get(reverse("containers:recreate", args=[web.pk])).status_code == 403


def test_what_cannot_be_done_is_said_in_the_plan(client_for: ClientFor, bob: User, web: Container) -> None:
    Container.objects.update(inspect={"HostConfig": {"Privileged": True}})
    assert "only a site administrator" in page(client_for(bob), web)


def test_rest_asks_for_it(api_for: Callable[..., Any], bob: User, vic: User, web: Container) -> None:
    address = f"/api/v1/containers/{web.pk}/recreate/"
    assert api_for(vic).post(address, {}, format="json").status_code == 403
    client = api_for(bob)
    plan = client.post(f"{address}?dry_run=1", {"image": "blue/app:2"}, format="json").json()
    assert (plan["kind"], plan["would_run"]) == ("container.recreate", True)
    for wrong in (
        {"gate": {"timeout": 0}},
        {"gate": {"x": 1}},
        {"image": 5},
        {"pull": "yes"},
        {"imagee": "x"},
    ):
        answer = client.post(address, wrong, format="json")
        assert answer.status_code == 400, wrong
        assert answer.json()["errors"]
    assert not Operation.objects.exists()
    answer = client.post(address, {"image": "blue/app:2", "gate": {"steady": 3}}, format="json")
    assert answer.status_code == 202
    params = Operation.objects.get().params
    assert (params["image"], params["pull"], params["timeout"], params["steady"]) == (
        "blue/app:2",
        "missing",
        60,
        3,
    )
    assert client.post(address, {}, format="json").status_code == 409


def test_rest_says_which_guard_rail(api_for: Callable[..., Any], bob: User, web: Container) -> None:
    Container.objects.update(inspect={"HostConfig": {"NetworkMode": "host"}})
    answer = api_for(bob).post(f"/api/v1/containers/{web.pk}/recreate/", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (403, "policy_denied")
