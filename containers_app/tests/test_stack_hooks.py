"""Webhooks that come in for a stack: all that a team has in it is made anew as one batch, and nobody else's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Membership, Role, Team, User
from containers_app import gate, hook_retries, hooks, needs, stacks, sync
from containers_app.models import Container, DeployHook, HookCall
from containers_app.tests.test_hooks import BODY, call, signed
from containers_app.tests.test_operations import Bench, Carry
from engine.base import Engine as EngineBackend
from operations.models import Engine, Operation
from operations.services import lock
from tests import rows

ApiFor = Callable[..., APIClient]


def service(engine: Engine, team: Team | None, name: str, needed: str = "", **fields: Any) -> Container:
    labels = {
        stacks.STACK_LABEL: "shop",
        stacks.SERVICE: name,
        needs.LABEL: needed,
        **fields.pop("labels", {}),
    }
    return rows.make_container(
        engine, team, f"shop-{name}-1", stack="shop", labels=labels, image_ref="blue/app:1", inspect={"Config": {}},
        **fields,
    )  # fmt: skip


@pytest.fixture
def shop(team: Team, other_team: Team) -> Engine:
    """Two of team blue, one of them needed by the other; one of red, and one of nobody, that carry the same label."""
    engine = rows.make_engine()
    service(engine, team, "web", "db:service_started:true")
    service(engine, team, "db")
    service(engine, other_team, "spy")
    service(engine, None, "stray")
    return engine


@pytest.fixture
def made(shop: Engine, bob: User, api_for: ApiFor) -> Callable[..., tuple[str, str]]:
    """``made(style)``: Bob makes one by REST; its path and its secret."""

    def make(style: str = "slipway", **wish: Any) -> tuple[str, str]:
        answer = api_for(bob).post(f"/api/v1/stacks/{shop.pk}/shop/hooks/", {"style": style, **wish})
        assert answer.status_code == 201, answer.data
        assert answer.data["team"] == "blue"
        return f"/api/v1/hooks/{answer.data['id']}/", answer.data["secret"]

    return make


@pytest.mark.parametrize("style", ["slipway", "github", "gitlab"])
def test_a_good_call_is_one_batch_in_the_order_of_a_start(
    style: str, made: Callable[..., tuple[str, str]]
) -> None:
    path, secret = made(style)
    answer = call(path, **signed(secret, style=style))
    assert answer.status_code == 202, answer.data
    asked = Operation.objects.order_by("step")
    assert [(one.kind, one.target_name, one.step, one.actor_name) for one in asked] == [
        ("container.recreate", "shop-db-1", 0, "bob"), ("container.recreate", "shop-web-1", 1, "bob"),
    ]  # fmt: skip
    assert answer.data == {
        "operation": None, "batch": str(asked[0].batch), "refused": [], "outcome": "Redeploying 2 of 2 containers",
    }  # fmt: skip
    assert asked[0].batch == asked[1].batch
    again = call(path, **signed(secret, style=style))
    assert again.data["batch"] == answer.data["batch"]  # joined, or known already
    assert Operation.objects.count() == 2


def test_what_another_team_or_nobody_has_under_that_label_is_neither_touched_nor_named(
    made: Callable[..., tuple[str, str]], shop: Engine, bob: User, client_for: Callable[..., Client]
) -> None:
    """S-22, S-24."""
    path, secret = made()
    answer = call(path, **signed(secret))
    assert answer.status_code == 202
    said = json.dumps(answer.data) + client_for(bob).get(f"/stacks/{shop.pk}/shop/hooks/").content.decode()
    assert "spy" not in said
    assert "stray" not in said
    assert not Operation.objects.exclude(target_name__in=("shop-web-1", "shop-db-1")).exists()


def test_whose_signature_is_not_right_learns_nothing_of_a_stack(
    made: Callable[..., tuple[str, str]],
) -> None:
    path, secret = made("github")
    good = signed(secret, style="github")
    wrong = [call(path), call(path, BODY + b" ", **good), call(f"{path[:-13]}{'0' * 12}/", **good)]
    assert {one.status_code for one in wrong} == {401}
    assert len({one.data["detail"] for one in wrong}) == 1
    assert not Operation.objects.exists()
    assert not HookCall.objects.exists()


def test_a_message_that_was_taken_has_no_effect_on_a_stack_again(
    made: Callable[..., tuple[str, str]],
) -> None:
    path, secret = made("github")
    first = call(path, **signed(secret, style="github"))
    Operation.objects.update(state="succeeded", idempotency_key="")
    assert call(path, **signed(secret, style="github")).data == first.data
    assert Operation.objects.count() == 2
    other = call(path, b"{}", **signed(secret, b"{}", style="github"))
    assert other.data["batch"] not in (None, first.data["batch"])
    assert Operation.objects.count() == 4


def test_a_push_to_another_branch_leaves_a_stack_alone(made: Callable[..., tuple[str, str]]) -> None:
    path, secret = made("github", branch="release/*")
    passed = call(path, **signed(secret, style="github"))
    assert (passed.status_code, passed.data["batch"], passed.data["operation"]) == (200, None, None)
    assert passed.data["outcome"] == "Nothing to do: this is no push to release/*."
    assert not Operation.objects.exists()
    body = b'{"ref": "refs/heads/release/2"}'
    assert call(path, body, **signed(secret, body, style="github")).status_code == 202


def test_who_cannot_be_made_anew_is_told_with_the_reason_and_holds_up_no_other(
    made: Callable[..., tuple[str, str]],
    shop: Engine,
    team: Team,
    bob: User,
    client_for: Callable[..., Client],
) -> None:
    path, secret = made()
    db = Container.objects.get(name="shop-db-1")
    rows.make_operation(
        shop, team, kind="container.stop", state="running", lock_key=lock("container", db.pk),
        target_name="shop-db-1", actor_name="tara",
    )  # fmt: skip
    answer = call(path, **signed(secret))
    assert answer.status_code == 202
    said = "tara asked to stop shop-db-1, and that is not finished yet."
    assert answer.data["refused"] == [{"container": "shop-db-1", "message": said}]
    words = "Redeploying 1 of 2 containers; what is held up now follows later"
    assert answer.data["outcome"] == words
    (begun,) = Operation.objects.filter(kind="container.recreate")
    shown = client_for(bob).get(f"/stacks/{shop.pk}/shop/hooks/").content.decode()
    assert f"shop-db-1: {said}" in shown
    assert f"/operations/{begun.pk}/" in shown
    hook_retries.go_on()
    assert HookCall.objects.count() == 1, "tara's stop is not finished"
    Operation.objects.update(state="succeeded")
    hook_retries.go_on()
    hook_retries.go_on()
    assert Operation.objects.get(kind="container.recreate", state="queued").target_name == "shop-db-1"
    assert HookCall.objects.first().outcome == "Redeploying 1 of 1 containers"  # type: ignore[union-attr]
    assert not HookCall.objects.filter(again=True).exists()


def test_where_nothing_can_be_made_anew_the_call_is_refused_and_may_come_again(
    made: Callable[..., tuple[str, str]], shop: Engine, bob: User, client_for: Callable[..., Client]
) -> None:
    path, secret = made("github")
    Container.objects.update(state="paused")
    answer = call(path, **signed(secret, style="github"))
    assert (answer.status_code, answer.data["code"]) == (409, "conflict")
    assert [one["container"] for one in answer.data["refused"]] == ["shop-db-1", "shop-web-1"]
    told = HookCall.objects.get()
    assert told.outcome == answer.data["detail"]
    assert told.outcome.startswith("None of its 2 containers can be made anew. shop-db-1: It is paused")
    german = client_for(bob).get(f"/stacks/{shop.pk}/shop/hooks/", headers={"Accept-Language": "de"})
    assert "None of its" not in german.content.decode()
    Container.objects.update(state="running")
    assert call(path, **signed(secret, style="github")).status_code == 202


def test_rights_over_a_stack_are_those_of_today(
    made: Callable[..., tuple[str, str]], bob: User, other_team: Team
) -> None:
    """S-23."""
    path, secret = made()
    Membership.objects.create(user=bob, team=other_team, role=Role.ADMIN)
    Membership.objects.filter(user=bob).exclude(team=other_team).update(role=Role.VIEWER)
    assert call(path, **signed(secret, at=1)).status_code == 403
    assert AuditEntry.objects.filter(verb="container.recreate", outcome="denied").count() == 2
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert call(path, **signed(secret, at=2)).status_code == 403
    Container.objects.filter(name__in=("shop-web-1", "shop-db-1")).update(stack="")
    assert call(path, **signed(secret, at=3)).status_code == 404
    assert not Operation.objects.exists()


def test_what_was_run_beside_the_services_is_not_made_anew(
    made: Callable[..., tuple[str, str]], shop: Engine, team: Team
) -> None:
    service(shop, team, "once", labels={stacks.ONE_OFF: "True"})
    path, secret = made()
    assert call(path, **signed(secret)).data["outcome"] == "Redeploying 2 of 2 containers"


def test_a_hook_of_a_stack_is_its_own_and_that_of_a_container_of_its_name_another(
    made: Callable[..., tuple[str, str]], shop: Engine, team: Team, bob: User, api_for: ApiFor
) -> None:
    made()
    namesake = rows.make_container(shop, team, "shop")
    api = api_for(bob)
    assert api.get(f"/api/v1/containers/{namesake.pk}/hooks/").data == {"results": []}
    (listed,) = api.get(f"/api/v1/stacks/{shop.pk}/shop/hooks/").data["results"]
    assert "secret" not in listed
    assert api.delete(f"/api/v1/containers/{namesake.pk}/hooks/{listed['id']}/").status_code == 404
    assert api.delete(f"/api/v1/stacks/{shop.pk}/shop/hooks/{listed['id']}/").status_code == 204
    assert not DeployHook.objects.exists()
    entries = AuditEntry.objects.filter(verb="hook.manage", outcome="succeeded").order_by("seq")
    assert [(one.target_type, one.target_name, one.team_id, one.detail["engine"]) for one in entries] == [
        ("stack", "shop", team.pk, shop.name)
    ] * 2
    assert entries[1].detail["forgotten"] is True


def test_whose_containers_are_meant_is_said_where_several_own_some(
    shop: Engine,
    alice: User,
    bob: User,
    vic: User,
    charlie: User,
    api_for: ApiFor,
    client_for: Callable[..., Client],
) -> None:
    place = f"/api/v1/stacks/{shop.pk}/shop/hooks/"
    answer = api_for(alice).post(place, {})
    assert (answer.status_code, list(answer.data["errors"])) == (400, ["team"])
    for team in ("blue", "red", None):
        assert api_for(alice).post(place, {"team": team}, format="json").status_code == 201
    assert api_for(bob).post(place, {"team": "red"}).status_code == 400
    assert [one["team"] for one in api_for(bob).get(place).data["results"]] == ["blue"]
    reds = DeployHook.objects.get(team__slug="red")
    assert api_for(bob).delete(f"{place}{reds.pk}/").status_code == 404
    assert api_for(vic).post(place, {}).status_code == 403
    assert api_for(charlie).get(place).data["results"][0]["team"] == "red"
    page = f"/stacks/{shop.pk}/shop/hooks/"
    assert 'name="team"' in client_for(alice).get(page).content.decode()
    assert 'name="team"' not in client_for(bob).get(page).content.decode()
    assert client_for(vic).get(page).status_code == 403
    assert client_for(vic).post(f"{page}{reds.pk}/forget/").status_code == 403
    assert b"hooks/" not in client_for(vic).get(f"/stacks/{shop.pk}/shop/").content
    assert page.encode() in client_for(bob).get(f"/stacks/{shop.pk}/shop/").content


def test_the_page_of_a_stack_shows_the_secret_once_and_closes_the_address(
    shop: Engine, client_for: Callable[..., Client], bob: User
) -> None:
    client, place = client_for(bob), f"/stacks/{shop.pk}/shop/hooks/"
    shown = client.post(place, {"style": "github", "branch": "main"}).content.decode()
    row = DeployHook.objects.get()
    assert (row.kind, row.name, row.branch) == ("stack", "shop", "main")
    secret = hooks.secrets.unseal(row.pk, row.sealed)["secret"]
    assert secret in shown
    assert secret not in client.get(place).content.decode()
    assert client.post(f"{place}{row.pk}/forget/").status_code == 302
    assert not DeployHook.objects.exists()


def test_a_stack_has_twenty_at_most(
    made: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "MOST", 1)
    made()
    with pytest.raises(AssertionError, match="It has 1 addresses"):
        made()


STAYS = 'CMD ["sh", "-c", "trap \'exit 0\' TERM; while :; do sleep 0.05; done"]'
TAG = "slipway-test/shop:1"


@dataclass
class Town:
    """The stack ``shop`` on a real engine: db and web of blue, and one of red's under the same label."""

    docker: docker.DockerClient
    busybox: str

    def build(self, version: int, command: str = STAYS) -> str:
        """Moves the tag to a new image; its id."""
        text = f"FROM {self.busybox}\nENV VERSION={version}\n{command}\n"
        return str(self.docker.images.build(fileobj=io.BytesIO(text.encode()), tag=TAG, rm=True)[0].id)

    def running(self) -> dict[str, tuple[str, str]]:
        """Name → the image and the id of what runs under it."""
        found = self.docker.containers.list(filters={"label": f"{stacks.STACK_LABEL}=shop"})
        return {one.name: (str(one.image.id), str(one.id)) for one in found}


@pytest.fixture
def town(
    engine_row: Engine, engine_backend: EngineBackend, docker_client: docker.DockerClient, team: Team,
    other_team: Team, bob: User, busybox: str, run_operations: Carry, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Town]:  # fmt: skip
    monkeypatch.setattr(gate, "STEADY", 1)
    town = Town(docker_client, busybox)
    town.build(1)
    bench = Bench(engine_row, team, bob, busybox, run_operations)
    for name, needed in (("db", ""), ("web", "db:service_started:true")):
        labels = {stacks.STACK_LABEL: "shop", stacks.SERVICE: name, needs.LABEL: needed}
        bench.container(name=f"shop-{name}-1", image=TAG, command=None, labels=labels)
    spy = docker_client.containers.run(
        TAG, name="shop-spy-1", labels={stacks.STACK_LABEL: "shop"}, detach=True, network_mode="none"
    )
    sync.reconcile(engine_row, engine_backend)
    Container.objects.filter(name="shop-spy-1").update(team=other_team)
    yield town
    spy.remove(force=True)


def test_on_a_real_engine_a_stack_runs_the_moved_tag_after_one_signed_call(
    town: Town, engine_row: Engine, bob: User, api_for: ApiFor, run_operations: Carry
) -> None:
    row = api_for(bob).post(f"/api/v1/stacks/{engine_row.pk}/shop/hooks/", {"style": "github"}).data
    path, before = f"/api/v1/hooks/{row['id']}/", town.running()
    first = before["shop-spy-1"]
    second = town.build(2)
    assert call(path, **signed("guessed", style="github")).status_code == 401
    assert run_operations() == []
    assert town.running() == before
    answer = call(path, **signed(row["secret"], style="github"))
    assert answer.status_code == 202, answer.data
    ended = {one.target_name: one for one in run_operations()}
    assert {name: one.state for name, one in ended.items()} == {
        "shop-db-1": "succeeded", "shop-web-1": "succeeded",
    }  # fmt: skip
    assert ended["shop-db-1"].finished_at <= ended["shop-web-1"].started_at
    after = town.running()
    assert {after[name][0] for name in ended} == {second}
    assert after["shop-spy-1"] == first
    assert call(path, **signed(row["secret"], style="github")).data == answer.data
    assert run_operations() == []
    assert town.running() == after


def test_on_a_real_engine_the_old_containers_of_a_stack_are_back_where_the_new_ones_are_not_well(
    town: Town, engine_row: Engine, bob: User, api_for: ApiFor, run_operations: Carry
) -> None:
    row = api_for(bob).post(f"/api/v1/stacks/{engine_row.pk}/shop/hooks/", {"style": "github"}).data
    before = town.running()
    town.build(2, 'CMD ["sh", "-c", "exit 3"]')
    answer = call(f"/api/v1/hooks/{row['id']}/", **signed(row["secret"], style="github"))
    assert answer.status_code == 202, answer.data
    ended = run_operations()
    assert [(one.state, one.error_code) for one in ended] == [("failed", "gate_failed")] * 2
    assert town.running() == before
