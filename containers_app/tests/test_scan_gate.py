"""The gate that images pass by their scans, on a real engine (S-54)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import docker
import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import Actor
from accounts.models import AuditEntry, Team, User
from containers_app import findings
from containers_app import sync as container_sync
from containers_app.models import Container
from engine.base import Engine as EngineBackend
from engine.names import OPERATION_LABEL
from engine.scan_reports import Finding
from images_app import scans, sync
from images_app.models import Image, Scan
from operations.models import Engine, Operation
from operations.policy import Policy
from tests import rows
from tests.scan_samples import sent, trivy

ApiFor = Callable[..., APIClient]
Carry = Callable[[], list[Operation]]
POLICIES, RUN = "/api/v1/policies/", "/api/v1/containers/"
TAG = "shop/gate:1"


@pytest.fixture
def build(docker_client: docker.DockerClient, busybox: str) -> Iterator[Callable[[str], str]]:
    """``build("one")``: an image of its own under `TAG`; its id."""

    def make(word: str) -> str:
        text = f"FROM {busybox}\nRUN echo {word} >/word\nCMD sleep 600\n"
        image, _ = docker_client.images.build(
            fileobj=io.BytesIO(text.encode()), tag=TAG, rm=True, forcerm=True
        )
        return str(image.id)

    yield make
    for found in docker_client.containers.list(all=True, filters={"ancestor": TAG}):
        found.remove(force=True)
    for row in docker_client.containers.list(all=True):
        if row.name.startswith("gated"):
            row.remove(force=True)
    docker_client.images.remove(TAG, force=True)


@pytest.fixture
def image(
    build: Callable[[str], str], engine_row: Engine, engine_backend: EngineBackend, team: Team
) -> Image:
    """One of team blue's, without a scan."""
    return known(build("one"), engine_row, engine_backend, team)


def known(native_id: str, row: Engine, backend: EngineBackend, team: Team) -> Image:
    sync.reconcile(row, backend)
    Image.objects.filter(native_id=native_id).update(team=team)
    return Image.objects.get(native_id=native_id)


def demand(api_for: ApiFor, alice: User, *, team: str = "", **rule: Any) -> None:
    body = {"rules": {"scan": rule}, **({"team": team} if team else {})}
    answer = api_for(alice).post(POLICIES, body, format="json")
    assert answer.status_code == 200, answer.content


def bring(api_for: ApiFor, who: User, image: Image, *, days: float = 0, **report: Any) -> None:
    at = (timezone.now() - timedelta(days=days)).isoformat()
    data = sent(trivy(image.native_id, CreatedAt=at, **report))
    path = f"/api/v1/images/{image.pk}/scans/"
    answer = api_for(who).generic("POST", path, data, "application/json")
    assert answer.status_code == 201, answer.content


def run(api_for: ApiFor, who: User, name: str = "gated", **more: Any) -> Any:
    return api_for(who).post(RUN, {"image": TAG, "name": name, "pull": "never", **more}, format="json")


def test_no_scan_no_container_until_somebody_allows_it_for_a_while(
    api_for: ApiFor, alice: User, tara: User, bob: User, image: Image, run_operations: Carry
) -> None:
    """S-54."""
    demand(api_for, alice, required=True, block="critical")
    no = run(api_for, bob)
    assert (no.status_code, no.json()["code"], no.json()["rule"]) == (
        403,
        "policy_denied",
        "scanned_images_only",
    )
    assert no.json()["field"] == "image"
    assert no.json()["detail"].startswith(f"{TAG} has no scan: bring a scanner's report, or have it scanned.")
    assert not Operation.objects.exists()
    missing = api_for(bob).post(RUN, {"image": "shop/nowhere:1"}, format="json").json()
    assert "shop/nowhere:1 is not on this engine yet: pull it first, have it scanned" in missing["detail"]
    plan = api_for(bob).post(f"{RUN}?dry_run=1", {"image": TAG, "name": "gated"}, format="json").json()
    assert (plan["would_run"], plan["refused"]["rule"]) == (False, "scanned_images_only")

    bring(api_for, tara, image)
    no = run(api_for, bob).json()
    assert no["rule"] == "no_severe_vulnerabilities"
    assert (
        f"{TAG} has known vulnerabilities (critical or worse, 1 in packages): CVE-2019-14697." in no["detail"]
    )
    # Only a site administrator lets it through, with a reason and an end, by the name of the image.
    wish = {
        "team": "blue", "name": TAG, "rule": "no_severe_vulnerabilities", "reason": "replaced in May",
        "expires_at": (timezone.now() + timedelta(days=2)).isoformat(),
    }  # fmt: skip
    assert api_for(tara).post(f"{POLICIES}exceptions/", wish, format="json").status_code == 403
    assert api_for(alice).post(f"{POLICIES}exceptions/", wish, format="json").status_code == 201
    assert run(api_for, bob).status_code == 202
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message
    assert AuditEntry.objects.filter(verb="container.run", outcome="denied").count() == 3


def test_what_a_rule_counts(
    api_for: ApiFor, alice: User, tara: User, bob: User, image: Image, team: Team
) -> None:
    def refused() -> str:
        answer = api_for(bob).post(f"{RUN}?dry_run=1", {"image": TAG}, format="json").json()
        return "" if answer["would_run"] else str(answer["refused"]["rule"])

    required, severe = "scanned_images_only", "no_severe_vulnerabilities"
    demand(api_for, alice, block="low")
    assert refused() == ""  # no scan, and none is required
    bring(api_for, tara, image, days=5, severity="HIGH")
    assert refused() == severe
    demand(api_for, alice, required=True, block="critical")
    assert refused() == ""
    demand(api_for, alice, required=True, days=5)
    assert refused() == ""
    demand(api_for, alice, required=True, days=4)
    assert refused() == required
    demand(api_for, alice, required=True, worker=True)
    assert refused() == required  # it was brought
    lodash, day = {"id": "cve-2021-23337", "reason": "not reached"}, timezone.now().date()
    musl = {"id": "CVE-2019-14697", "reason": "mended in May", "until": day.isoformat()}
    demand(api_for, alice, block="high", ignored=[lodash, musl])
    assert refused() == ""
    demand(
        api_for,
        alice,
        block="high",
        ignored=[lodash, {**musl, "until": (day - timedelta(days=1)).isoformat()}],
    )
    assert refused() == severe
    demand(api_for, alice, block="high", ignored=[musl])
    assert refused() == severe  # lodash has no version that mends it
    demand(api_for, alice, block="high", ignored=[musl], fixable=True)
    assert refused() == ""
    # A team only takes away: what it ignores, the site still counts.
    demand(api_for, alice, block="high")
    demand(api_for, alice, team="blue", block="critical", ignored=[lodash, musl])
    assert refused() == severe
    demand(api_for, alice, block="critical")
    demand(api_for, alice, team="blue", block="high")
    assert refused() == severe


def test_another_teams_report_opens_nothing(
    api_for: ApiFor, alice: User, tara: User, bob: User, image: Image, other_team: Team
) -> None:
    demand(api_for, alice, required=True)
    bring(api_for, tara, image)
    Scan.objects.update(team=other_team)
    assert run(api_for, bob).json()["rule"] == "scanned_images_only"


def test_the_worker_judges_the_very_image_that_is_run(
    api_for: ApiFor, alice: User, tara: User, bob: User, image: Image, build: Callable[[str], str],
    engine_row: Engine, engine_backend: EngineBackend, team: Team, run_operations: Carry,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    demand(api_for, alice, required=True)
    bring(api_for, tara, image)
    assert run(api_for, bob).status_code == 202
    other = build("two")  # the name moves while it waits
    (late,) = run_operations()
    assert (late.state, late.error_code) == ("failed", "policy_denied"), late.error_message
    assert "has no scan" in late.error_message
    assert not docker_client.containers.list(all=True, filters={"name": "gated"})
    bring(api_for, tara, known(other, engine_row, engine_backend, team))
    assert run(api_for, bob).status_code == 202
    (done,) = run_operations()
    assert done.state == "succeeded", done.error_message


def test_what_is_there_goes_on_and_is_not_made_anew(
    api_for: ApiFor, alice: User, tara: User, bob: User, image: Image, engine_row: Engine,
    engine_backend: EngineBackend, run_operations: Carry,
) -> None:  # fmt: skip
    assert run(api_for, bob).status_code == 202
    run_operations()
    container_sync.reconcile(engine_row, engine_backend)
    row = Container.objects.get(name="gated")
    at, api = f"{RUN}{row.pk}/", api_for(bob)
    # Asked for before the rule: the worker says no, and the old one runs on.
    for verb, body in (("recreate", {}), ("duplicate", {"name": "gated-2"})):
        assert api.post(f"{at}{verb}/", body, format="json").status_code == 202
    demand(api_for, alice, required=True)
    assert {one.error_code for one in run_operations()} == {"policy_denied"}
    for verb, body in (
        ("recreate", {}), ("recreate", {"changes": {"user": "1"}}), ("duplicate", {"name": "gated-2"}),
    ):  # fmt: skip
        assert api.post(f"{at}{verb}/", body, format="json").json()["rule"] == "scanned_images_only"
    found = api.get(f"{POLICIES}findings/?advice=0").json()["results"]
    assert [(one["name"], one["rule"], one["by"]) for one in found] == [
        ("gated", "scanned_images_only", "site")
    ]
    for verb in ("stop", "start"):
        assert api.post(f"{at}{verb}/", {}, format="json").status_code == 202
        assert {one.state for one in run_operations()} == {"succeeded"}
    bring(api_for, tara, image)
    assert api.get(f"{POLICIES}findings/?advice=0").json()["results"] == []
    assert api.post(f"{at}recreate/", {}, format="json").status_code == 202
    assert {one.state for one in run_operations()} == {"succeeded"}


def test_findings_read_each_scan_once_however_many_containers_and_rules_there_are(
    api_for: ApiFor, alice: User, team: Team, other_team: Team, django_assert_max_num_queries: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    engine = rows.make_engine()
    bad = Finding("CVE-2024-1", "musl", "1", "", "critical", "", "")
    for n in range(12):
        image = rows.make_image(engine, team, f"app:{n}")
        rows.make_scan(image, *[bad] * 3, team=None)
        for owner in (team, other_team):
            for copy in range(2):
                rows.make_container(
                    engine, owner, f"app-{copy}-{n}-{owner.slug}", image_ref=f"app:{n}",
                    image_native_id=image.native_id,
                )  # fmt: skip
    demand(api_for, alice, required=True, block="critical")
    demand(api_for, alice, team="blue", block="high")
    read: list[int] = []
    unpack = zlib.decompress
    monkeypatch.setattr(scans.zlib, "decompress", lambda data: read.append(1) or unpack(data))
    with django_assert_max_num_queries(20):
        found = findings.found(Actor(user=alice), rule="no_severe_vulnerabilities")
    assert len(found.findings) == 48
    assert len(read) == 12


def test_what_is_yet_to_be_fetched_is_judged_when_it_is_there(
    api_for: ApiFor, alice: User, tara: User, bob: User, charlie: User, image: Image, other_team: Team,
    run_operations: Carry, engine_row: Engine, engine_backend: EngineBackend,
) -> None:  # fmt: skip
    """The image of today may be just what a new one is to mend; and another team's is not in the way of one's own."""
    bring(api_for, tara, image)
    assert run(api_for, bob).status_code == 202
    run_operations()
    container_sync.reconcile(engine_row, engine_backend)
    demand(api_for, alice, block="critical")
    at = f"{RUN}{Container.objects.get(name='gated').pk}/recreate/"
    no = api_for(bob).post(at, {"pull": False}, format="json")
    assert (no.status_code, no.json()["rule"]) == (403, "no_severe_vulnerabilities")
    assert api_for(bob).post(at, {"pull": True}, format="json").status_code == 202
    assert run(api_for, bob, "gated-2", pull="always").status_code == 202
    Operation.objects.all().delete()

    no = run(api_for, charlie, "gated-3", pull="missing").json()
    assert (no["rule"], "not on this engine yet" in no["detail"]) == ("scanned_images_only", True), (
        "blue's alone"
    )
    Image.objects.filter(pk=image.pk).update(digests=["shop/gate@sha256:" + "a" * 64])
    assert run(api_for, charlie, "gated-3", pull="missing").status_code == 202
    (done,) = run_operations()
    assert done.state == "failed", "there is no such registry, and blue's image is not red's"
    assert "was not pulled" in done.error_message or "registry" in done.error_message, done.error_message


def test_what_a_lost_worker_has_made_is_judged_before_it_is_started(
    api_for: ApiFor, alice: User, bob: User, image: Image, run_operations: Carry, docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    """Nobody knows whether that attempt came to judge it."""
    assert run(api_for, bob).status_code == 202
    asked = Operation.objects.get()
    docker_client.containers.create(TAG, name="gated", labels={OPERATION_LABEL: str(asked.pk)})
    demand(api_for, alice, required=True)
    (done,) = run_operations()
    assert (done.state, done.error_code) == ("failed", "policy_denied"), done.error_message
    assert not docker_client.containers.list(all=True, filters={"name": "gated"})


def test_a_build_that_is_run_is_judged_when_it_is_built(
    api_for: ApiFor, alice: User, bob: User, busybox: str, image: Image, run_operations: Carry,
    docker_client: docker.DockerClient,
) -> None:  # fmt: skip
    demand(api_for, alice, required=True)
    api_for(alice).post(POLICIES, {"binds_site": True}, format="json")
    body = {
        "dockerfile": f"FROM {busybox}\nRUN echo fresh >/fresh\n", "tags": [TAG],
        "then": {"run": {"name": "gated"}},
    }  # fmt: skip
    assert api_for(bob).post("/api/v1/images/build/", body, format="json").status_code == 202
    built, ran = run_operations()
    assert (built.state, ran.state, ran.error_code) == ("succeeded", "failed", "policy_denied")
    assert not docker_client.containers.list(all=True, filters={"name": "gated"})


def test_a_rule_is_a_closed_world(api_for: ApiFor, alice: User) -> None:
    for rule, field in (
        ({"required": "yes"}, "scan.required"), ({"block": "awful"}, "scan.block"), ({"days": 3}, "scan.days"),
        ({"fixable": True}, "scan.fixable"), ({"ignored": [{"id": "CVE-1"}]}, "scan.ignored.0.reason"),
        ({"ignored": [{"reason": "x"}]}, "scan.ignored.0.id"), ({"severity": "high"}, "scan.severity"),
        ({"ignored": [{"id": "C", "reason": "x", "until": "May"}]}, "scan.ignored.0.until"),
    ):  # fmt: skip
        answer = api_for(alice).post(POLICIES, {"rules": {"scan": rule}}, format="json")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.content
    demand(api_for, alice, required=True, days=30)
    site = api_for(alice).get(POLICIES).json()["results"][0]
    assert site["said"] == {"scan": {"required": True, "days": 30}}
    assert [one["days"] for one in site["rules"]["scans"]] == [30]


def test_the_rule_is_typed_and_told(
    client_for: Callable[..., Client], alice: User, vic: User, db: None, team: Team
) -> None:
    boss = client_for(alice)
    form = {
        "scan_required": "1", "scan_days": "30", "scan_block": "high", "scan_fixable": "1",
        "scan_ignored": "CVE-2024-1 2030-01-31 not reached\nCVE-2024-2 for good\n",
    }  # fmt: skip
    assert boss.post("/guard-rails/rules/edit/", form).status_code == 302
    said = Policy.objects.get(team=None).rules["scan"]
    assert said == {
        "required": True, "block": "high", "fixable": True, "days": 30,
        "ignored": [
            {"id": "CVE-2024-1", "reason": "not reached", "until": "2030-01-31"},
            {"id": "CVE-2024-2", "reason": "for good", "until": None},
        ],
    }  # fmt: skip
    typed = boss.get("/guard-rails/rules/edit/").content.decode()
    assert "CVE-2024-1 2030-01-31 not reached\nCVE-2024-2 for good" in typed
    assert boss.post("/guard-rails/rules/edit/?team=blue", {"scan_block": "critical"}).status_code == 302
    told = client_for(vic).get("/guard-rails/rules/?team=blue").content.decode()
    assert "required, at most 30 days old; blocked from high up, where a version mends it" in told
    assert "ignoring CVE-2024-1, CVE-2024-2" in told
    assert "blocked from critical up" in told
    wrong = boss.post(
        "/guard-rails/rules/edit/", {"scan_days": "30", "scan_ignored": "CVE-1"}
    ).content.decode()
    assert "Say why, for whoever reads it later." in wrong
    assert "counts where one is required" in wrong
