"""Scans of images: whose report it is, what it is about, what is kept of it, and who reads it (S-54)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.access import person
from accounts.models import AuditEntry, Team, User
from images_app import scans
from images_app.models import Image, Scan
from operations.models import Engine
from tests.rows import make_engine, make_image, make_scan
from tests.scan_samples import cyclonedx, grype, sent, trivy

ApiFor = Callable[..., APIClient]
REPO = "sha256:" + "c" * 64


@pytest.fixture
def engine(db: None) -> Engine:
    """Nobody asks it."""
    return make_engine()


@pytest.fixture
def image(engine: Engine, team: Team) -> Image:
    """One of team blue that a registry knows."""
    return make_image(engine, team, "shop/app:1", digests=[f"shop/app@{REPO}"])


def bring(api: APIClient, image: Image, report: Any) -> Any:
    """The answer."""
    return api.generic("POST", f"/api/v1/images/{image.pk}/scans/", sent(report), "application/json")


def test_a_report_is_kept_and_read(
    api_for: ApiFor, tara: User, vic: User, charlie: User, image: Image
) -> None:
    """S-54."""
    at = f"/api/v1/images/{image.pk}/scans/"
    made = bring(api_for(tara), image, trivy(image.native_id))
    assert made.status_code == 201, made.content
    row = made.json()
    assert (row["scanner"], row["team"], row["actor_name"], row["by_worker"]) == (
        "Trivy",
        "blue",
        "tara",
        False,
    )
    assert row["counts"] == {"critical": 1, "high": 1, "medium": 2, "low": 0, "unknown": 0}
    assert row["fixable"] == {"critical": 1, "high": 0, "medium": 2, "low": 0, "unknown": 0}
    assert AuditEntry.objects.get(verb="image.report").detail["found"] == row["counts"]
    # The same report again, as a pipeline does it that was not answered: one scan.
    assert bring(api_for(tara), image, trivy(image.native_id)).status_code == 200
    assert bring(api_for(tara), image, grype(image.native_id)).status_code == 201
    api = api_for(vic)
    newest, first = api.get(at).json()["results"]
    assert (newest["scanner"], first["id"]) == ("Grype", row["id"])
    since = api.get(f"{at}{newest['id']}/").json()["since"]
    assert (since["scan"], [one["package"] for one in since["new"]]) == (row["id"], ["busybox"])
    assert [one["package"] for one in since["gone"]] == ["lodash", "libcrypto1.1", "libssl1.1"]
    assert api.get(f"{at}{first['id']}/").json()["since"] is None
    found = f"{at}{first['id']}/findings/"
    assert [one["package"] for one in api.get(found).json()["results"]] == [
        "musl", "lodash", "libcrypto1.1", "libssl1.1",
    ]  # fmt: skip
    assert [one["id"] for one in api.get(found, {"fixable": 0}).json()["results"]] == ["CVE-2021-23337"]
    page = api.get(found, {"q": "1549 ssl", "severity": "medium"}).json()
    assert [one["package"] for one in page["results"]] == ["libssl1.1"]
    page = api.get(found, {"limit": 3}).json()
    assert [one["package"] for one in api.get(page["next"]).json()["results"]] == ["libssl1.1"]
    assert api.get(found, {"severity": "awful"}).status_code == 400
    for path in (at, f"{at}{first['id']}/", found):
        assert api_for(charlie).get(path).status_code == 404


def test_who_may_bring_one(api_for: ApiFor, bob: User, vic: User, charlie: User, image: Image) -> None:
    report = trivy(image.native_id)
    assert [bring(api_for(who), image, report).status_code for who in (bob, vic, charlie)] == [403, 403, 403]
    assert not Scan.objects.exists()
    assert AuditEntry.objects.filter(verb="image.report", outcome="denied").count() == 3


@pytest.mark.parametrize("shape", [trivy, grype])
def test_a_report_about_another_image_is_refused(
    shape: Callable[..., Any], api_for: ApiFor, tara: User, image: Image
) -> None:
    no = bring(api_for(tara), image, shape("sha256:" + "9" * 64))
    assert no.status_code == 400
    assert no.json()["errors"]["report"] == [
        f"The report is about another image, 999999999999: this one is {image.short_id}."
    ]
    # Not even where the registry's digest is the same: that of several platforms is one.
    assert bring(api_for(tara), image, trivy("sha256:" + "9" * 64, f"shop/app@{REPO}")).status_code == 400
    assert not Scan.objects.exists()


def test_cyclonedx_is_known_by_the_registrys_digest(api_for: ApiFor, tara: User, image: Image) -> None:
    assert bring(api_for(tara), image, cyclonedx()).status_code == 400
    assert bring(api_for(tara), image, cyclonedx(repo_digest="sha256:" + "9" * 64)).status_code == 400
    assert bring(api_for(tara), image, cyclonedx(repo_digest=REPO)).status_code == 201
    huge = api_for(tara).generic(
        "POST", f"/api/v1/images/{image.pk}/scans/", b" " * (16 * 2**20 + 5), "application/json"
    )
    assert "16 MB" in huge.json()["errors"]["report"][0]


def test_what_is_no_report_by_its_kind_is_refused_in_words(
    api_for: ApiFor, client_for: Callable[..., Client], tara: User, image: Image
) -> None:
    path, form = (
        f"/api/v1/images/{image.pk}/scans/",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--',
    )
    for client in (api_for(tara), client_for(tara)):
        for kind in (
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "text/plain",
            "",
        ):
            answer = client.generic("POST", path, form, kind)
            assert (answer.status_code, list(answer.json()["errors"])) == (400, ["report"]), (
                kind,
                answer.content,
            )


def test_a_report_from_the_future_never_grows_old_so_it_is_refused(
    api_for: ApiFor, tara: User, image: Image
) -> None:
    late, soon = ((timezone.now() + timedelta(minutes=n)).isoformat() for n in (60, 5))
    assert "future" in str(bring(api_for(tara), image, trivy(image.native_id, CreatedAt=late)).json())
    made = bring(api_for(tara), image, trivy(image.native_id, CreatedAt=soon))
    assert made.status_code == 201
    assert Scan.objects.get().scanned_at <= timezone.now()


def test_a_scan_is_of_the_digest_and_counts_for_who_brought_it(
    api_for: ApiFor, alice: User, tara: User, image: Image, other_team: Team, team: Team
) -> None:
    """S-54: a false report of one team opens no gate of another's."""
    elsewhere = Image.objects.create(engine=make_engine("second"), native_id=image.native_id, team=team)
    foreign = Image.objects.create(engine=make_engine("third"), native_id=image.native_id, team=other_team)
    bring(api_for(tara), image, trivy(image.native_id))
    assert scans.of_image(elsewhere).count() == 1
    assert scans.of_image(foreign).count() == 0
    digest = image.native_id
    pairs = [(digest, team.pk), (digest, other_team.pk), (digest, None)]
    assert set(scans.newest(pairs)) == {(digest, team.pk)}
    assert bring(api_for(alice), image, grype(image.native_id)).json()["team"] is None
    assert {scan.scanner for scan in scans.newest(pairs).values()} == {"Grype"}
    assert scans.of_image(foreign).count() == 1


def test_the_newest_are_kept_and_those_of_images_that_are_gone_go(
    api_for: ApiFor, tara: User, image: Image, other_team: Team
) -> None:
    now = timezone.now()
    for n in range(12):
        report = trivy(image.native_id, CreatedAt=(now - timedelta(days=n)).isoformat())
        scans.bring(image, sent(report), actor=person(tara, source="api"))
    kept = list(scans.of_image(image))
    # An old report that is brought late stays too, until the next one comes.
    assert len(kept) == scans.KEPT + 1
    assert kept[-1].scanned_at == now - timedelta(days=11)
    theirs = make_scan(image, team=other_team)
    lost = make_scan(make_image(image.engine, other_team), team=other_team)
    Image.objects.filter(native_id=lost.digest).delete()
    assert scans.drop_unused() == 0
    Scan.objects.update(received_at=now - timedelta(days=31))
    assert scans.drop_unused() == 1
    assert Scan.objects.filter(pk=theirs.pk).exists()
