"""Cleaning up by itself: which rules keep what, when it runs and in whose name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from containers_app import prune_policies, sync
from containers_app.models import Container, PrunePlan, PrunePolicy
from containers_app.prune_rules import Rules
from containers_app.tests.test_operations import Bench, Carry
from containers_app.tests.test_prune import stopped
from containers_app.unused import unused
from engine.base import Engine as EngineBackend
from engine.disk import CacheRecord, DiskUsage
from images_app import sync as image_sync
from images_app.models import TagMove
from operations import reads, tasks
from operations.models import Engine, Operation
from tests.rows import (
    make_container,
    make_engine,
    make_image,
    make_network,
    make_operation,
    make_prune_plan,
    make_volume,
)

ApiFor = Callable[..., APIClient]
LIST = "/api/v1/prune/policies/"
NOW = timezone.now()
OLD = NOW - timedelta(days=40)


@pytest.fixture(autouse=True)
def usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions to the engine are answered at once, in this process."""

    def send(name: str, args: tuple[str], **options: Any) -> None:
        if name == reads.TASK:
            tasks.answer_read(args[0])

    monkeypatch.setattr(reads.current_app, "send_task", send)


@pytest.fixture
def policy(alice: User) -> Callable[..., PrunePolicy]:
    """``policy(engine, kinds=…)``: Alice keeps one that is due."""

    def make(engine: Engine, **wish: Any) -> PrunePolicy:
        row = prune_policies.wished({"kinds": ["containers"], **wish}, engine)
        prune_policies.save(row, actor=person(alice, source="ui"))
        PrunePolicy.objects.filter(pk=row.pk).update(next_at=NOW - timedelta(days=2))
        row.refresh_from_db()
        return row

    return make


MakePolicy = Callable[..., PrunePolicy]


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        ("web-*", True), ("web-1", True), ("WEB-1", False), ("eb-1", False), ("shop/app", True),
        ("shop/app:1.*", True), ("shop/*", True), ("app", False), ("label=keep", True), ("label=k*", True),
        ("label=env=prod", True), ("label=env=pro*", True), ("label=env=test", False), ("label=en", False),
        ("keep", False), ("[", False),
    ],
)  # fmt: skip
def test_a_pattern_keeps_names_and_labels(pattern: str, kept: bool) -> None:
    item = {
        "name": "web-1", "tags": ["shop/app:1.2"], "labels": {"keep": "", "env": "prod"}, "since": "", "kind": "images",
    }  # fmt: skip
    assert Rules(keep=(pattern,)).keeps(item, NOW) is kept


@pytest.mark.parametrize(
    ("since", "kept"),
    [
        ("2026-03-01T00:00:00+00:00", False), ("2026-03-05T00:00:00+00:00", True), ("", True), ("soon", True),
        ("2026-03-01T00:00:00.123456789Z", False), ("2026-03-01T00:00:00", True),
    ],
)  # fmt: skip
def test_what_is_young_or_of_unknown_age_stays(since: str, kept: bool) -> None:
    item = {"name": "a", "labels": {}, "since": since}
    assert Rules(older_days=7).keeps(item, datetime(2026, 3, 10, tzinfo=UTC)) is kept


def test_rules_keep_the_young_the_newest_and_what_these_stand_on(db: None, team: Team) -> None:
    engine = make_engine()
    make_container(engine, team, "old", state="exited", created_at=OLD, started_at=OLD, finished_at=OLD)
    make_container(engine, team, "young", state="exited", created_at=OLD, finished_at=NOW)
    make_volume(engine, team, "data", created_at=OLD, last_used_at=NOW)
    make_network(engine, team, "left", created_at=OLD, labels={"keep": ""})
    for number in range(4):
        make_image(engine, team, f"shop/app:{number}", created_at=OLD + timedelta(days=number))
    base = make_image(engine, team, created_at=OLD)
    make_image(engine, team, "tool:1", created_at=NOW, parent_id=base.native_id)
    used = timezone.now().isoformat()
    cache = (
        CacheRecord("low", (), "regular", "base", 10, False, False, OLD.isoformat()),
        CacheRecord("top", ("low",), "regular", "copy", 10, False, False, used),
        CacheRecord("alone", (), "regular", "run", 10, False, False, OLD.isoformat()),
    )
    found = unused(engine, DiskUsage(0, {}, {}, {}, cache=cache))
    kinds = ["containers", "images", "unused_images", "named_volumes", "networks", "build_cache"]

    def names(rules: Rules) -> set[str]:
        return {item["name"] for item in found.items(kinds, rules)}

    everything = names(Rules())
    assert len(everything) == 13
    assert names(Rules(older_days=30)) == {"old", "left", "run"}, "what was pulled today is young"
    TagMove.objects.filter(name__startswith="shop/").update(at=OLD)
    found = unused(engine, found.usage)
    assert names(Rules(older_days=30)) == {
        "old",
        "left",
        "run",
        "shop/app:0",
        "shop/app:1",
        "shop/app:2",
        "shop/app:3",
    }
    assert everything - names(Rules(keep_tags=2)) == {"shop/app:2", "shop/app:3", "tool:1", str(base)}
    assert everything - names(Rules(keep=("label=keep",))) == {"left"}
    assert all("labels" not in item for item in found.items(kinds, Rules(keep=("x",))))


def test_a_due_policy_removes_its_list_in_the_name_of_its_maker(
    engine_row: Engine, team: Team, bob: User, alice: User, busybox: str, run_operations: Carry,
    engine_backend: EngineBackend, docker_client: docker.DockerClient, policy: MakePolicy, api_for: ApiFor,
) -> None:  # fmt: skip
    for name in ("left-1", "left-2", "prod-1"):
        stopped(docker_client, busybox, name, "head -c 1000 /dev/zero > /out")
    docker_client.volumes.create("data")
    image_sync.reconcile(engine_row, engine_backend)
    sync.reconcile(engine_row, engine_backend)
    row = policy(engine_row, name="Nightly", keep=["prod-*"])
    assert prune_policies.run_due() == 1
    assert prune_policies.run_due() == 0, "what was missed comes once"
    operation = Operation.objects.get(kind="engine.prune")
    assert (operation.actor, operation.source, operation.params["policy"]) == (alice, "system", "Nightly")
    Bench(engine_row, team, bob, busybox, run_operations)._done(operation)
    assert operation.result == {"removed": 2, "skipped": [], "freed": 2000, "measured": 2000}
    assert [one.name for one in docker_client.containers.list(all=True)] == ["prod-1"]
    assert [one.name for one in docker_client.volumes.list()] == ["data"], "volumes go only when asked for"
    row.refresh_from_db()
    assert (row.looked, row.enabled) == ("", True)
    assert row.next_at > timezone.now()
    lines = AuditEntry.objects.filter(verb="engine.prune", operation_id=operation.pk).order_by("pk")
    assert [(line.actor_name, line.outcome) for line in lines] == [
        ("alice", "accepted"),
        ("alice", "succeeded"),
    ]

    told = api_for(alice).get(f"{LIST}{row.pk}/").json()
    assert [(run["freed"], run["removed"], run["state"]) for run in told["runs"]] == [(2000, 2, "succeeded")]
    plan = api_for(alice).get(f"{LIST}{row.pk}/plan/").json()
    assert (plan["items"], plan["waits"]) == ([], "")

    stopped(docker_client, busybox, "left-3")
    sync.reconcile(engine_row, engine_backend)
    plan = api_for(alice).get(f"{LIST}{row.pk}/plan/").json()
    assert [item["name"] for item in plan["items"]] == ["left-3"]
    answer = api_for(alice).post(f"{LIST}{row.pk}/run/", {"plan": plan["id"]}, format="json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "engine.prune")


def test_a_policy_whose_maker_lost_the_rights_is_paused_and_says_so(
    alice: User, policy: MakePolicy, api_for: ApiFor, person: Callable[..., User]
) -> None:
    engine, other = make_engine(), person("ada", is_superuser=True)
    make_container(engine, None, "done", state="exited")
    row = policy(engine)
    User.objects.filter(pk=alice.pk).update(is_superuser=False)
    assert prune_policies.run_due() == 0
    row.refresh_from_db()
    assert (row.enabled, "alice may not clean up any more" in row.problem) == (False, True)
    assert not Operation.objects.exists()
    assert (
        AuditEntry.objects.filter(verb="prune.manage", outcome="denied", target_id=str(row.pk)).count() == 1
    )
    assert prune_policies.run_due() == 0
    answer = api_for(other).patch(f"{LIST}{row.pk}/", {"enabled": True}, format="json").json()
    assert (answer["enabled"], answer["problem"], answer["made_by"]) == (True, "", "ada")


def test_a_policy_made_by_a_token_ends_with_it(alice: User, api_for: ApiFor) -> None:
    make_engine()
    answer = api_for(alice).post(LIST, {"kinds": ["containers"]}, format="json")
    row = PrunePolicy.objects.get(pk=answer.json()["id"])
    assert row.token_key
    assert prune_policies.actor_of(row)
    alice.tokens.all().delete()
    prune_policies.run_due()
    row.refresh_from_db()
    assert not row.enabled


def test_it_waits_for_its_threshold_and_for_the_engine(
    alice: User, policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    make_container(engine, None, "done", state="exited")
    row, total = policy(engine, only_over=10**10, every="week"), [5 * 10**9]
    monkeypatch.setattr(
        prune_policies.prune_plans, "look",
        lambda engine, actor: unused(engine, DiskUsage(total[0], {}, {}, {}) if total[0] else None),
    )  # fmt: skip

    def due() -> tuple[int, str, timedelta]:
        PrunePolicy.objects.update(next_at=NOW - timedelta(days=2))
        asked = prune_policies.run_due()
        row.refresh_from_db()
        return asked, row.looked, row.next_at - timezone.now()

    asked, words, _ = due()
    assert (asked, words) == (0, "It begins above 10 GB; 5 GB are taken.")
    total[0] = 0
    asked, words, later = due()
    assert (asked, words) == (0, "It begins above 10 GB, and the engine did not count in time.")
    assert later <= timedelta(minutes=10)
    total[0] = 11 * 10**9
    assert due()[:2] == (1, "")
    assert due()[:2] == (0, "Not now: alice asked to clean up quiet, and that is not finished yet.")
    Engine.objects.update(status=Engine.Status.UNREACHABLE)
    assert due()[:2] == (0, "The engine did not answer.")
    PrunePolicy.objects.update(enabled=False)
    assert due()[0] == 0


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"kinds": []}, "kinds"), ({"kinds": ["everything"]}, "kinds.0"), ({"older_days": 0}, "older_days"),
        ({"keep_tags": "2"}, "keep_tags"), ({"hour": 24}, "hour"), ({"every": "year"}, "every"), ({"name": ""}, "name"),
        ({"only_over": -1}, "only_over"), ({"keep": [""]}, "keep.0"), ({"force": True}, "force"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(api_for: ApiFor, alice: User, wish: Any, field: str) -> None:
    make_engine()
    answer = api_for(alice).post(LIST, wish, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.json()
    assert not PrunePolicy.objects.exists()


def test_policies_are_made_changed_listed_and_removed_by_site_administrators_alone(
    api_for: ApiFor, alice: User, tara: User, team: Team
) -> None:
    engine, api = make_engine(), api_for(alice)
    made = api.post(LIST, {"kinds": ["networks", "containers"], "older_days": 7}, format="json")
    assert made.status_code == 201
    row = made.json()
    assert (row["kinds"], row["name"], row["every"], row["hour"]) == (
        ["containers", "networks"],
        "Clean up",
        "day",
        3,
    )
    assert api.post(LIST, {}, format="json").json()["errors"]["name"], "one of a name on an engine"
    changed = api.patch(f"{LIST}{row['id']}/", {"older_days": None, "every": "hour"}, format="json").json()
    assert (changed["older_days"], changed["every"], changed["kinds"]) == (None, "hour", row["kinds"])
    assert [one["id"] for one in api.get(f"{LIST}?engine={engine.pk}&enabled=1").json()["results"]] == [
        row["id"]
    ]
    assert api.get(f"{LIST}?enabled=0").json()["results"] == []
    for user in (tara,):
        assert api_for(user).get(LIST).status_code == 403
        assert api_for(user).post(LIST, {}, format="json").status_code == 403
        assert api_for(user).patch(f"{LIST}{row['id']}/", {"hour": 1}, format="json").status_code in (
            403,
            404,
        )
        assert api_for(user).post(f"{LIST}{row['id']}/run/").status_code in (403, 404)
    assert api_for(alice, team=team).post(LIST, {"name": "x"}, format="json").status_code in (403, 404)
    assert api.delete(f"{LIST}{row['id']}/").status_code == 204
    verbs = AuditEntry.objects.filter(verb="prune.manage", outcome="succeeded").count()
    assert verbs == 3
    assert not PrunePolicy.objects.exists()


def test_a_plan_of_another_policy_is_not_run(api_for: ApiFor, alice: User, policy: MakePolicy) -> None:
    engine = make_engine()
    make_container(engine, None, "done", state="exited")
    one, other = policy(engine, name="one"), policy(engine, name="other")
    plan = prune_policies.look(other, actor=person(alice, source="ui"))[0]
    answer = api_for(alice).post(f"{LIST}{one.pk}/run/", {"plan": str(plan.pk)}, format="json")
    assert answer.status_code == 404
    preview = api_for(alice).post(f"{LIST}{one.pk}/run/?dry_run=1").json()
    assert (preview["kind"], preview["lost"][0]["what"]) == ("engine.prune", "1 stopped container")
    assert not Operation.objects.exists()
    assert Container.objects.count() == 1


TYPED = {
    "name": "Nightly",
    "kinds": "containers",
    "older_days": "30",
    "every": "day",
    "hour": "4",
    "keep": "a\n\nb",
}


def test_the_form_shows_what_a_policy_would_do_before_it_is_kept(
    client_for: Callable[[User], Client], alice: User
) -> None:
    engine, browser, part = make_engine(), client_for(alice), {"HX-Request": "true"}
    assert "Nothing is cleaned up by itself" in browser.get("/prune/policies/").content.decode()
    make_container(engine, None, "done", state="exited", created_at=OLD, started_at=OLD, finished_at=OLD)
    new = "/prune/policies/new/"
    form = browser.get(f"{new}?engine={engine.pk}").content.decode()
    assert "What it would do now" in form
    assert ">done<" in form
    late = browser.get(new, {**TYPED, "older_days": "50"}, headers=part).content.decode()
    assert "Nothing would go now" in late
    assert "<html" not in late
    wrong = {**TYPED, "older_days": "0"}
    assert "put right first" in browser.get(new, wrong, headers=part).content.decode()
    assert browser.post(new, wrong).status_code == 200
    assert browser.post(new, {**TYPED, "only_over": "0.5"}).status_code == 302
    row = PrunePolicy.objects.get()
    assert (row.keep, row.only_over, row.older_days) == (["a", "b"], 5 * 10**8, 30)
    assert browser.post(f"/prune/policies/{row.pk}/edit/", TYPED).status_code == 302
    row.refresh_from_db()
    assert row.only_over is None
    assert "of this name on quiet already" in browser.post(new, TYPED).content.decode()


def test_pages_show_policies_their_runs_and_what_they_would_do(
    client_for: Callable[[User], Client], alice: User, tara: User, policy: MakePolicy
) -> None:
    engine, browser = make_engine(), client_for(alice)
    make_container(engine, None, "done", state="exited")
    row = policy(engine, name="Nightly")
    result = {"freed": 500, "removed": 2, "skipped": [{"name": "x", "reason": "Used."}]}
    for end in ({"result": result}, {"state": "failed"}):
        asked = make_operation(engine, None, kind="engine.prune", **{"state": "succeeded", **end})
        make_prune_plan(engine, alice, policy=row, operation=asked)
    page = browser.get(f"/prune/policies/{row.pk}/").content.decode()
    assert "500 B freed" in page
    assert "1: x, Used." in page
    assert "Remove these now" not in page, "a part of the page asks for it"
    looked = browser.get(f"/prune/policies/{row.pk}/?look=1").content.decode()
    assert "Remove these now" in looked
    assert "Nightly" in browser.get("/prune/policies/").content.decode()
    assert "Lost for good" in looked
    plan = PrunePlan.objects.get(policy=row, operation=None)
    asks = f"/prune/policies/{row.pk}/run/?plan={plan.pk}"
    assert f'data-dialog-from="{asks}"' in looked
    question = browser.get(asks).content.decode()
    for words in (
        "Remove these now?",
        "1 stopped container",
        "not into the trash",
        "Remove 1 thing</button>",
    ):
        assert words in question, words
    assert PrunePlan.objects.get(pk=plan.pk).operation is None
    assert browser.post(f"/prune/policies/{row.pk}/run/", {"plan": str(plan.pk)}).status_code == 302
    browser.post(f"/prune/policies/{row.pk}/switch/", {"on": "0"})
    assert not PrunePolicy.objects.get().enabled
    assert client_for(tara).get("/prune/policies/").status_code == 403
    assert "stays among the operations" in browser.get(f"/prune/policies/{row.pk}/remove/").content.decode()
    browser.post(f"/prune/policies/{row.pk}/remove/")
    after = browser.get(f"/prune/policies/{row.pk}/", headers={"HX-Request": "true"})
    assert "slipway:gone" in after.headers["HX-Trigger"], "a page that is open on it leaves"
    assert not PrunePolicy.objects.exists()
