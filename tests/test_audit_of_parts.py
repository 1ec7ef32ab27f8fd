"""S-88: what is known against the packages that Slipway is made of, and credentials in the history."""

from __future__ import annotations

import datetime as dt
import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import audit, setup

TODAY = dt.date(2026, 11, 29)
WEAK = {"id": "PYSEC-2026-1", "fix_versions": ["5.2.20"]}


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``answer(text)``: a program in the place of pip-audit and npm that prints this and keeps how it was called."""

    def set_up(text: str) -> Path:
        (tmp_path / "answer").write_text(text)
        program = tmp_path / "program"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat {tmp_path}/answer\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(audit, "tool", lambda _name: str(program))
        monkeypatch.setattr(setup, "npm", lambda: [str(program)])
        return tmp_path / "calls"

    return set_up


def test_a_known_weakness_of_a_package_fails_until_it_is_excepted_and_again_afterwards(
    answer: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-88. An exception has a day on which it ends."""
    calls = answer(json.dumps({"dependencies": [{"name": "django", "version": "5.2.19", "vulns": [WEAK]}]}))
    assert audit.python_packages(TODAY) == 1
    assert "FAIL django 5.2.19: PYSEC-2026-1, mended in 5.2.20" in capsys.readouterr().out
    assert "--ignore-vuln" not in calls.read_text()

    monkeypatch.setitem(audit.EXCEPTIONS, "PYSEC-2026-1", ("2026-11-29", "not reached"))
    audit.python_packages(TODAY)
    assert "--ignore-vuln PYSEC-2026-1" in calls.read_text()
    calls.unlink()
    audit.python_packages(TODAY + dt.timedelta(days=1))
    assert "--ignore-vuln" not in calls.read_text()


def test_what_could_not_be_looked_up_is_not_called_well(
    answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-88."""
    answer("ConnectionError: nobody is there")
    assert (audit.python_packages(TODAY), audit.browser_packages(TODAY)) == (2, 2)
    answer(json.dumps({"dependencies": [{"name": "django", "skip_reason": "not found"}]}))
    assert audit.python_packages(TODAY) == 2
    answer(json.dumps({"message": "405 Method Not Allowed"}))
    assert audit.browser_packages(TODAY) == 2
    assert "could not be looked up: 405 Method Not Allowed" in capsys.readouterr().out


def test_high_and_critical_weaknesses_of_the_browsers_packages_fail(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-88."""

    def found(severity: str) -> str:
        one = {"title": "A hole", "severity": severity, "url": "https://github.com/advisories/GHSA-xxxx"}
        return json.dumps({"vulnerabilities": {"htmx.org": {"via": ["another", one]}}})

    answer(found("moderate"))
    assert audit.browser_packages(TODAY) == 0
    answer(found("high"))
    assert audit.browser_packages(TODAY) == 1
    monkeypatch.setitem(audit.EXCEPTIONS, "GHSA-xxxx", ("2026-12-31", "not reached"))
    assert audit.browser_packages(TODAY) == 0


def test_a_credential_that_any_commit_brought_in_is_found_though_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """S-88. Put together here, so that this file is none."""
    monkeypatch.setattr(setup, "ROOT", tmp_path)

    def git(*words: str) -> None:
        author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *author, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    file = tmp_path / "settings.py"
    for text in ("nothing\n", f'KEY = "AKIA{"ABCD" * 4}"\n', "gone\n", "AKIA" + "IOSFODNN7EXAMPLE\n"):
        file.write_text(text)
        git("add", ".")
        git("commit", "-qm", "x")
        if text.startswith("nothing"):
            assert audit.credentials() == 0
    assert audit.credentials() == 1
    said = capsys.readouterr().out
    assert "history: 1 credentials" in said
    assert "ABCDABCDABCD" not in said


def test_each_exception_names_a_day_and_a_reason() -> None:
    """S-88."""
    for until, why in audit.EXCEPTIONS.values():
        assert dt.date.fromisoformat(until) < dt.date(2100, 1, 1)
        assert why
