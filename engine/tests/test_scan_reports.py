"""Reports of scanners: the three shapes, whom they are about, and what a hostile one may not do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from engine import scan_reports
from engine.errors import Invalid
from engine.scan_reports import parse
from tests.scan_samples import cyclonedx, grype, sent, trivy

ID, OTHER, REPO = ("sha256:" + letter * 64 for letter in "abc")


def test_what_trivy_writes() -> None:
    found = parse(sent(trivy(ID, f"shop/app@{REPO}")))
    assert (found.scanner, found.image_id, found.digests) == ("Trivy", ID, {REPO})
    assert found.scanned_at == datetime(2024, 12, 20, 12, 20, 30, tzinfo=UTC)
    assert [(one.severity, one.id, one.package, one.fixed) for one in found.findings] == [
        ("critical", "CVE-2019-14697", "musl", "1.1.20-r5"), ("high", "CVE-2021-23337", "lodash", ""),
        ("medium", "CVE-2019-1549", "libcrypto1.1", "1.1.1d-r0"),
        ("medium", "CVE-2019-1549", "libssl1.1", "1.1.1d-r0"),
    ]  # fmt: skip
    assert found.findings[0].link == "https://avd.aquasec.com/nvd/cve-2019-14697"


def test_what_grype_writes() -> None:
    found = parse(sent(grype(ID, OTHER, f"shop/app@{REPO}")))
    assert (found.scanner, found.version, found.image_id) == ("Grype", "0.87.0", ID)
    assert found.digests == {OTHER, REPO}
    assert found.database_at == datetime(2025, 3, 1, 4, 8, 11, tzinfo=UTC)
    assert found.scanned_at == datetime(2025, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
    assert [(one.severity, one.package, one.fixed) for one in found.findings] == [
        ("critical", "musl", "1.1.20-r5"), ("low", "busybox", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("spec", ["1.4", "1.5", "1.6"])
def test_cyclonedx_with_vulnerabilities(spec: str) -> None:
    found = parse(sent(cyclonedx(image_id=ID, repo_digest=REPO, spec=spec)))
    assert (found.scanner, found.version, found.image_id, found.digests) == ("Trivy", "0.58.1", ID, {REPO})
    assert [(one.severity, one.package, one.version, one.fixed) for one in found.findings] == [
        ("medium", "inner", "2", "2.1"), ("medium", "libcrypto1.1", "1.1.1b-r1", "1.1.1d-r0"),
    ]  # fmt: skip


def test_a_digest_may_stand_for_several_platforms_an_id_does_not() -> None:
    report = parse(sent(trivy(ID, f"shop/app@{REPO}")))
    assert report.is_of(ID, frozenset())
    assert not report.is_of(OTHER, frozenset({REPO}))  # the other platform of the same name
    # Where an engine knows images by their manifests, the id of the settings says nothing.
    assert report.is_of(REPO, frozenset({REPO}))
    assert not report.is_of(OTHER, frozenset({OTHER}))
    by_digest = parse(sent(cyclonedx(repo_digest=REPO)))
    assert by_digest.is_of(ID, frozenset({REPO}))
    assert not by_digest.is_of(ID, frozenset({OTHER}))


def _without(report: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in report.items() if key not in names}


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (cyclonedx(), "does not say by a digest"),
        (trivy("no digest"), "does not say by a digest"),
        ({**trivy(ID), "ArtifactType": "filesystem"}, "something else than an image"),
        ({**grype(ID), "source": {"type": "directory", "target": "/"}}, "something else than an image"),
        (_without(cyclonedx(image_id=ID), "vulnerabilities"), "it is no scan"),
        (cyclonedx(image_id=ID, spec="1.3"), "from version 1.4"),
        ({"anything": 1}, "no report that is known"),
        ([], "no report that is known"),
        (None, "no report that is known"),
        ({**trivy(ID), "Results": [{"Vulnerabilities": [{}]}]}, "without an id"),
        ({**trivy(ID), "Results": [{}] * 20_001}, "more than is read"),
    ],
)
def test_what_is_no_scan_of_an_image_is_refused_in_words(report: Any, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        parse(sent(report))


def test_a_hostile_report_costs_little_and_says_little(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"[" * 200_000, b"\xff", b"", b'{"SchemaVersion": ' + b"9" * 5000 + b"}"):
        with pytest.raises(Invalid, match="not JSON"):
            parse(data)
    with pytest.raises(Invalid, match="more values"):
        parse(b"[" + b"[]," * 1_000_000 + b"[]]")
    with pytest.raises(Invalid, match="larger"):
        parse(b" " * (scan_reports.MOST_BYTES + 1))
    odd = trivy(ID, CreatedAt={"not": "a time"})
    odd["Metadata"]["RepoDigests"] = [7, None, {"a": 1}]
    odd["Results"] = [
        5, None, {"Vulnerabilities": "many"},
        {"Vulnerabilities": [
            {"VulnerabilityID": "CVE-1\u202e\ud800\x00\n" + "9" * 500, "PkgName": ["x"], "Severity": "AWFUL",
             "PrimaryURL": link, "Title": "a\nb" + "c" * 9000, "InstalledVersion": str(number)}
            for number, link in enumerate((
                "javascript:alert(1)", "http://plain.example", "https://user@host.example/", "https:///nowhere",
                "https://[bad", 7, "https://fine.example/x",
            ))
        ]},
    ]  # fmt: skip
    found = parse(json.dumps(odd).encode())
    assert found.scanned_at is None
    assert {one.link for one in found.findings} == {"", "https://fine.example/x"}
    assert {one.severity for one in found.findings} == {"unknown"}
    assert all(one.id.isprintable() and len(one.id) == 80 and len(one.title) == 300 for one in found.findings)


def test_the_same_weakness_of_a_package_counts_once_and_as_its_worst() -> None:
    report = trivy(ID)
    (one, *_rest) = report["Results"][0]["Vulnerabilities"]
    report["Results"].append({"Vulnerabilities": [{**one, "Severity": "LOW"}]})
    report["Results"][0]["Vulnerabilities"].append(dict(one))
    musl = [found for found in parse(sent(report)).findings if found.package == "musl"]
    assert [found.severity for found in musl] == ["critical"]
