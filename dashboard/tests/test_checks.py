"""What `manage.py check` says of the engines."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import checks
from operations.models import Engine


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("20.10.24", 1),
        ("20.10.24+dfsg1", 1),
        ("29.5.0", 1),
        ("29.5.1", 0),
        ("30.0.0", 0),
        ("", 0),
        ("strange", 0),
    ],
)
def test_an_engine_with_a_known_weakness_is_told(version: str, told: int) -> None:
    """S-87."""
    Engine.objects.all().delete()
    Engine.objects.create(name="old", endpoint="unix:///nowhere.sock", version=version)
    found = list(checks.engines(databases=["default"]))
    assert [one.id for one in found] == ["slipway.W006"] * told
    assert all("CVE-2026-41567" in one.msg and "old" in one.msg for one in found)
    assert list(checks.engines(databases=None)) == []  # a plain check asks no database


def test_a_scanner_of_another_name_is_told(settings: Any) -> None:
    for named, told in (("", []), ("trivy", []), ("/opt/grype", []), ("/opt/scan.sh", ["slipway.W007"])):
        settings.SCANNER = named
        assert [one.id for one in checks.strength() if one.id == "slipway.W007"] == told
