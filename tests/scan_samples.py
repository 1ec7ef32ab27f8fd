"""Reports in the shapes that scanners write, about an image of one's choice. The weaknesses are known ones."""

from __future__ import annotations

import json
from typing import Any

LOOK = """
import hashlib, json, os, sys, tarfile
words = sys.argv[1:]
if words[0].startswith("docker-archive:"):
    path, shape = words[0].partition(":")[2], "grype"
else:
    assert words[0] == "image", words
    path, shape = words[words.index("--input") + 1], "trivy"
with tarfile.open(path) as tar:
    (one,) = json.load(tar.extractfile("manifest.json"))
    config = tar.extractfile(one["Config"]).read()
    files = sum(len(tarfile.open(fileobj=tar.extractfile(name)).getnames()) for name in one["Layers"])
image_id = "sha256:" + hashlib.sha256(config).hexdigest()
seen = f"{files} files, {len(os.environ)} variables: {' '.join(sorted(os.environ))}"
if shape == "trivy":
    found = {"VulnerabilityID": "CVE-2024-1", "PkgName": "busybox", "InstalledVersion": "1", "FixedVersion": "2",
             "Severity": "HIGH", "Title": seen}
    print(json.dumps({"SchemaVersion": 2, "Trivy": {"Version": "0.58.1"}, "ArtifactName": path,
        "ArtifactType": "container_image", "Metadata": {"ImageID": image_id},
        "Results": [{"Target": path, "Class": "os-pkgs", "Vulnerabilities": [found]}]}))
else:
    print(json.dumps({"matches": [], "source": {"type": "image", "target": {"imageID": image_id,
        "manifestDigest": image_id, "repoDigests": []}}, "descriptor": {"name": "grype", "version": "0.87.0"}}))
"""
"""What Trivy and Grype would say, of the very bytes that they are given."""
_CDX_ONE = {
    "id": "CVE-2019-1549",
    "source": {"name": "alpine", "url": "https://secdb.alpinelinux.org/"},
    "ratings": [
        {"source": {"name": "nvd"}, "score": 5.3, "severity": "medium", "method": "CVSSv31"},
        {"source": {"name": "redhat"}, "severity": "low"},
    ],
    "description": "Longer words.",
    "recommendation": "Upgrade libcrypto1.1 to version 1.1.1d-r0",
    "affects": [
        {
            "ref": "pkg:apk/alpine/libcrypto1.1@1.1.1b-r1",
            "versions": [{"version": "1.1.1b-r1", "status": "affected"}],
        },
        {
            "ref": "inner",
            "versions": [
                {"version": "2", "status": "affected"},
                {"range": "vers:generic/>=2.1", "status": "unaffected"},
            ],
        },
    ],
}


def trivy(image_id: str, *repo_digests: str, severity: str = "CRITICAL", **more: Any) -> dict[str, Any]:
    """``trivy image --format json``, schema 2."""
    return {
        "SchemaVersion": 2,
        "CreatedAt": "2024-12-20T12:20:30.000000005Z",
        "ArtifactName": "shop/app:1",
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "alpine", "Name": "3.9.4", "EOSL": True},
            "ImageID": image_id,
            "DiffIDs": ["sha256:" + "f" * 64],
            "RepoTags": ["shop/app:1"],
            "RepoDigests": list(repo_digests),
            "ImageConfig": {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": []},
            },
        },
        "Results": [
            {
                "Target": "shop/app:1 (alpine 3.9.4)",
                "Class": "os-pkgs",
                "Type": "alpine",
                "Vulnerabilities": [
                    _trivy_one("CVE-2019-14697", "musl", "1.1.20-r4", "1.1.20-r5", severity),
                    _trivy_one("CVE-2019-1549", "libcrypto1.1", "1.1.1b-r1", "1.1.1d-r0", "MEDIUM"),
                    _trivy_one("CVE-2019-1549", "libssl1.1", "1.1.1b-r1", "1.1.1d-r0", "MEDIUM"),
                ],
            },
            {
                "Target": "app/package-lock.json",
                "Class": "lang-pkgs",
                "Type": "npm",
                "Vulnerabilities": [_trivy_one("CVE-2021-23337", "lodash", "4.17.4", "", "HIGH")],
            },
            {"Target": "usr/bin/tool", "Class": "lang-pkgs", "Type": "gobinary"},
        ],
        **more,
    }


def _trivy_one(id_: str, package: str, version: str, fixed: str, severity: str) -> dict[str, Any]:
    found = {
        "VulnerabilityID": id_,
        "PkgID": f"{package}@{version}",
        "PkgName": package,
        "PkgIdentifier": {"PURL": f"pkg:apk/alpine/{package}@{version}?arch=x86_64&distro=3.9.4"},
        "InstalledVersion": version,
        "Status": "fixed" if fixed else "affected",
        "SeveritySource": "nvd",
        "PrimaryURL": f"https://avd.aquasec.com/nvd/{id_.lower()}",
        "DataSource": {"ID": "alpine", "Name": "Alpine Secdb", "URL": "https://secdb.alpinelinux.org/"},
        "Title": f"{package}: something that should not happen",
        "Description": "Longer words.",
        "Severity": severity,
        "CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N", "V3Score": 5.3}},
        "References": [f"https://cve.example/{id_}"],
        "PublishedDate": "2019-09-10T17:15:00Z",
    }
    return {**found, "FixedVersion": fixed} if fixed else found


def grype(image_id: str, manifest: str = "sha256:" + "d" * 64, *repo_digests: str) -> dict[str, Any]:
    """``grype -o json``."""
    return {
        "matches": [
            _grype_one("CVE-2019-14697", "musl", "1.1.20-r4", ["1.1.20-r5"], "Critical"),
            _grype_one("CVE-2022-28391", "busybox", "1.34.1", [], "Negligible"),
        ],
        "source": {
            "type": "image",
            "target": {
                "userInput": "shop/app:1",
                "imageID": image_id,
                "manifestDigest": manifest,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "tags": ["shop/app:1"],
                "imageSize": 65,
                "layers": [
                    {
                        "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "digest": "sha256:" + "f" * 64,
                        "size": 65,
                    }
                ],
                "manifest": None,
                "config": None,
                "repoDigests": list(repo_digests),
                "architecture": "amd64",
                "os": "linux",
            },
        },
        "distro": {"name": "alpine", "version": "3.9.4", "idLike": []},
        "descriptor": {
            "name": "grype",
            "version": "0.87.0",
            "db": {"status": {"schemaVersion": "v6.0.2", "built": "2025-03-01T04:08:11Z", "valid": True}},
            "timestamp": "2025-03-02T10:00:00.123456789+01:00",
        },
    }


def _grype_one(id_: str, package: str, version: str, fixed: list[str], severity: str) -> dict[str, Any]:
    return {
        "vulnerability": {
            "id": id_,
            "dataSource": f"https://security.alpinelinux.org/vuln/{id_}",
            "namespace": "alpine:distro:alpine:3.9",
            "severity": severity,
            "urls": [f"https://security.alpinelinux.org/vuln/{id_}"],
            "cvss": [],
            "fix": {"versions": fixed, "state": "fixed" if fixed else "unknown"},
            "advisories": [],
        },
        "relatedVulnerabilities": [],
        "matchDetails": [{"type": "exact-direct-match", "matcher": "apk-matcher"}],
        "artifact": {
            "id": "7e7f175e7d1ab63a", "name": package, "version": version, "type": "apk", "locations": [],
            "language": "", "licenses": [], "cpes": [], "purl": f"pkg:apk/alpine/{package}@{version}",
        },
    }  # fmt: skip


def cyclonedx(*, image_id: str = "", repo_digest: str = "", spec: str = "1.5") -> dict[str, Any]:
    """``trivy image --format cyclonedx --scanners vuln``; until 1.4 tools are a list."""
    tool = {"type": "application", "group": "aquasecurity", "name": "trivy", "version": "0.58.1"}
    told = [{"name": "aquasecurity:trivy:DiffID", "value": "sha256:" + "f" * 64}]
    told += [{"name": "aquasecurity:trivy:ImageID", "value": image_id}] if image_id else []
    purl = f"pkg:oci/app@{repo_digest.replace(':', '%3A')}?arch=amd64" if repo_digest else ""
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "serialNumber": "urn:uuid:9ea52bd6-fcca-4de6-b58b-7abfef7b07cb",
        "version": 1,
        "metadata": {
            "timestamp": "2024-12-20T12:20:30+00:00",
            "tools": [tool] if spec == "1.4" else {"components": [tool]},
            "component": {
                "bom-ref": purl or "1882f79f937f7d91", "type": "container", "name": "shop/app:1", "purl": purl,
                "properties": told,
            },
        },
        "components": [
            {
                "bom-ref": "pkg:apk/alpine/libcrypto1.1@1.1.1b-r1", "type": "library", "name": "libcrypto1.1",
                "version": "1.1.1b-r1", "purl": "pkg:apk/alpine/libcrypto1.1@1.1.1b-r1",
                "components": [{"bom-ref": "inner", "type": "library", "name": "inner", "version": "2"}],
            }
        ],
        "vulnerabilities": [_CDX_ONE],
    }  # fmt: skip


def sent(report: Any) -> bytes:
    """As it comes over the wire."""
    return json.dumps(report).encode()
