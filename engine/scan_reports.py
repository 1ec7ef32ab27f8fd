"""Reports of vulnerability scanners, read from what anybody sends. Pure.

Three shapes are known: what Trivy writes (``--format json``), what Grype writes (``-o json``), and CycloneDX from 1.4
up with ``vulnerabilities``. Each says which image it is about: that is all that ties it to one, so a report that
names none is refused. All of it is hostile: its size, its depth, every text in it and every address.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from engine.errors import Invalid
from engine.words import gettext

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
"""The worst first."""
MOST_BYTES = 16 * 2**20
MOST_PARTS = 1_500_000
"""Values in a report, as far as commas and brackets tell: what is made of them takes much more memory than the text."""
MOST_FINDINGS = 20_000
MOST_NAMES = 200
"""Digests that a report names its image by."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RANKS = {"negligible": "low", "info": "low", "informational": "low", "none": "low", "moderate": "medium"}
_UPGRADE = re.compile(r"to version (\S+(?:, \S+)*)")
_FIXED_RANGE = re.compile(r"vers:\w+/>=(.+)")


class Finding(NamedTuple):
    """One weakness in one package; ``fixed`` is empty where no version mends it, ``link`` begins with ``https://``."""

    id: str
    package: str
    version: str
    fixed: str
    severity: str
    title: str
    link: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a scanner found. ``image_id`` is the digest of the image's settings, ``digests`` are those of its manifests
    as registries know it; one of the two may be missing. Times are ``None`` where it tells none."""

    scanner: str
    version: str
    scanned_at: datetime | None
    database_at: datetime | None
    image_id: str
    digests: frozenset[str]
    findings: tuple[Finding, ...]

    def is_of(self, native_id: str, known: frozenset[str]) -> bool:
        """Whether it is about the image of this id that registries know by these digests.

        A digest may stand for the images of several platforms. So where an engine's id is that of the settings, as it
        is unless the id is itself one of the digests, another id means another image.
        """
        if self.image_id == native_id:
            return True
        if self.image_id and native_id not in known:
            return native_id in self.digests
        return bool(self.digests & (known | {native_id}))


def parse(data: bytes) -> Report:
    """The report in ``data``. Raises `Invalid` with what is wrong with it, for people."""
    found = _loaded(data)
    if found.get("bomFormat") == "CycloneDX":
        report = _cyclonedx(found)
    elif isinstance(found.get("SchemaVersion"), int) and "ArtifactType" in found:
        report = _trivy(found)
    elif isinstance(found.get("matches"), list):
        report = _grype(found)
    else:
        raise Invalid(
            gettext(
                "This is no report that is known here: trivy image --format json, grype -o json, or CycloneDX with"
                " vulnerabilities."
            )
        )
    if not report.image_id and not report.digests:
        raise Invalid(
            gettext(
                "The report does not say by a digest which image it is about: scan the image by its name or id."
            )
        )
    return report


def _loaded(data: bytes) -> Mapping[str, Any]:
    if len(data) > MOST_BYTES:
        raise Invalid(gettext("The report is larger than %(n)s MB.") % {"n": MOST_BYTES // 2**20})
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MOST_PARTS:
        raise Invalid(gettext("The report holds more values than are read."))
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, numbers of thousands of digits, too deep
        raise Invalid(gettext("The report is not JSON that can be read.")) from None
    return _object(found)


# Trivy: https://trivy.dev/latest/docs/configuration/reporting/


def _trivy(found: Mapping[str, Any]) -> Report:
    if found.get("ArtifactType") != "container_image":
        raise Invalid(_no_image())
    about, own = _object(found.get("Metadata")), _object(found.get("Trivy"))
    return Report(
        "Trivy", _text(own.get("Version"), 60), _time(found.get("CreatedAt")), None,
        _digest(about.get("ImageID")), _digests(_items(about.get("RepoDigests"), MOST_NAMES)),
        _gathered(_of_trivy(found)),
    )  # fmt: skip


def _of_trivy(found: Mapping[str, Any]) -> Iterator[Finding]:
    for part in _items(found.get("Results"), MOST_FINDINGS):
        for one in map(_object, _items(_object(part).get("Vulnerabilities"), MOST_FINDINGS)):
            yield _finding(
                id=one.get("VulnerabilityID"), package=one.get("PkgName"), version=one.get("InstalledVersion"),
                fixed=one.get("FixedVersion"), severity=one.get("Severity"),
                title=one.get("Title") or one.get("Description"), link=one.get("PrimaryURL"),
            )  # fmt: skip


# What Grype writes has no page of its own: its models say it (grype/presenter/models).


def _grype(found: Mapping[str, Any]) -> Report:
    source, told = _object(found.get("source")), _object(found.get("descriptor"))
    if source.get("type") != "image":
        raise Invalid(_no_image())
    about, db = _object(source.get("target")), _object(told.get("db"))
    built = db.get("built") or _object(db.get("status")).get("built")
    digests = [about.get("manifestDigest"), *_items(about.get("repoDigests"), MOST_NAMES)]
    return Report(
        "Grype", _text(told.get("version"), 60), _time(told.get("timestamp")), _time(built),
        _digest(about.get("imageID")), _digests(digests), _gathered(_of_grype(found)),
    )  # fmt: skip


def _of_grype(found: Mapping[str, Any]) -> Iterator[Finding]:
    for match in map(_object, _items(found.get("matches"), MOST_FINDINGS)):
        one, package = _object(match.get("vulnerability")), _object(match.get("artifact"))
        fixed = ", ".join(_text(v, 60) for v in _items(_object(one.get("fix")).get("versions"), 1000)[:20])
        yield _finding(
            id=one.get("id"), package=package.get("name"), version=package.get("version"), fixed=fixed,
            severity=one.get("severity"), title=one.get("description"), link=one.get("dataSource"),
        )  # fmt: skip


# CycloneDX: https://cyclonedx.org/docs/1.6/json/


def _cyclonedx(found: Mapping[str, Any]) -> Report:
    if not re.fullmatch(r"1\.(?:[4-9]|1\d)", str(found.get("specVersion"))[:10]):
        raise Invalid(gettext("CycloneDX is read from version 1.4 up."))
    if not isinstance(found.get("vulnerabilities"), list):
        raise Invalid(gettext("This lists parts, and no vulnerabilities: it is no scan."))
    about = _object(found.get("metadata"))
    image = _object(about.get("component"))
    told = {
        _text(one.get("name"), 80): one.get("value")
        for one in map(_object, _items(image.get("properties"), 1000))
    }
    named = [image.get(key) for key in ("version", "purl", "bom-ref", "name")]
    named += [value for name, value in told.items() if name.endswith("RepoDigest")]
    tool = _tool(about.get("tools"))
    return Report(
        _text(tool.get("name"), 60).capitalize() or "CycloneDX", _text(tool.get("version"), 60),
        _time(about.get("timestamp")), None,
        next((_digest(value) for name, value in told.items() if name.endswith("ImageID")), ""),
        _digests(named), _gathered(_of_cyclonedx(found)),
    )  # fmt: skip


def _tool(tools: Any) -> Mapping[str, Any]:
    """The first that is named: a list until 1.4, an object of components from 1.5 up."""
    listed = tools if isinstance(tools, list) else _object(tools).get("components")
    return next(map(_object, _items(listed, 100)), {})


def _of_cyclonedx(found: Mapping[str, Any]) -> Iterator[Finding]:
    parts = _parts(found.get("components"))
    for one in map(_object, _items(found.get("vulnerabilities"), MOST_FINDINGS)):
        # Sources differ on how severe it is: the worst of them counts.
        ratings = [_severity(_object(r).get("severity")) for r in _items(one.get("ratings"), 100)]
        severity = min((r for r in ratings if r != "unknown"), key=SEVERITIES.index, default="unknown")
        source = _object(one.get("source")).get("url")
        upgrade = _UPGRADE.search(_text(one.get("recommendation"), 2000))
        title = one.get("description") or one.get("detail")
        for part in map(_object, _items(one.get("affects"), MOST_FINDINGS)) or [{}]:
            package, version = parts.get(_text(part.get("ref"), 500), ("", ""))
            fixed = _mended(part) or (upgrade[1].rstrip(".") if upgrade else "")
            yield _finding(
                id=one.get("id"), package=package or part.get("ref"), version=version, fixed=fixed,
                severity=severity, title=title, link=source,
            )  # fmt: skip


def _mended(part: Mapping[str, Any]) -> str:
    found = []
    for one in map(_object, _items(part.get("versions"), 1000)[:50]):
        if one.get("status") == "unaffected":
            version = _text(one.get("version"), 60) or _text(one.get("range"), 80)
            match = _FIXED_RANGE.fullmatch(version)
            found.append(match[1] if match else version)
    return ", ".join(found)


def _parts(components: Any) -> dict[str, tuple[str, str]]:
    """Name and version of each part, by what it is referred to; parts may hold parts."""
    found: dict[str, tuple[str, str]] = {}
    left = [components]
    while left:
        for one in map(_object, _items(left.pop(), 200_000)):
            if ref := _text(one.get("bom-ref"), 500):
                found[ref] = (_text(one.get("name"), 200), _text(one.get("version"), 120))
            if one.get("components"):
                left.append(one["components"])
    return found


# Single values


def _finding(**told: Any) -> Finding:
    return Finding(
        _text(told["id"], 80), _text(told["package"], 200), _text(told["version"], 120), _text(told["fixed"], 200),
        _severity(told["severity"]), _text(told["title"], 300), _link(told["link"]),
    )  # fmt: skip


def _gathered(every: Iterator[Finding]) -> tuple[Finding, ...]:
    """Each weakness of a package once, as severe as it is told anywhere; the worst first."""
    found: dict[tuple[str, str, str], Finding] = {}
    for one in every:
        if not one.id:
            raise Invalid(gettext("The report holds a vulnerability without an id."))
        key = one[:3]
        before = found.get(key)
        if before is None or SEVERITIES.index(one.severity) < SEVERITIES.index(before.severity):
            found[key] = one
        if len(found) > MOST_FINDINGS:
            raise Invalid(_too_many())
    return tuple(sorted(found.values(), key=lambda one: (SEVERITIES.index(one.severity), one)))


def _severity(value: Any) -> str:
    word = _text(value, 20).lower()
    word = _RANKS.get(word, word)
    return word if word in SEVERITIES else "unknown"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list):
        return []
    if len(value) > most:
        raise Invalid(_too_many())
    return value


def _text(value: Any, longest: int) -> str:
    """One line of what can be printed: no controls, no marks that turn text around, no halves of characters."""
    if not isinstance(value, str):
        return ""
    words = " ".join(value[: 4 * longest].split())
    return "".join(letter for letter in words if letter.isprintable())[:longest]


def _digest(value: Any) -> str:
    text = _text(value, 80)
    return text if _DIGEST.fullmatch(text) else ""


def _digests(values: list[Any]) -> frozenset[str]:
    """Those that stand in names, versions and package addresses."""
    texts = [unquote(_text(value, 1000)) for value in values]
    return frozenset(match[0] for text in texts for match in _DIGEST.finditer(text))


def _link(value: Any) -> str:
    text = _text(value, 400)
    try:
        parts = urlsplit(text)
        plain = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return ""
    return text if plain and " " not in text else ""


def _time(value: Any) -> datetime | None:
    text = _text(value, 40)
    # Nanoseconds are more than Python reads.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC) if found.year > 1 else None
    except OverflowError:
        return None


def _no_image() -> str:
    return gettext("The report is about something else than an image.")


def _too_many() -> str:
    return gettext("The report lists more than is read here: at most %(n)s vulnerabilities.") % {
        "n": MOST_FINDINGS
    }
