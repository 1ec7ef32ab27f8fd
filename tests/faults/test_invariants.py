"""The command that says whether what was promised holds: it finds what was broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from accounts.models import AuditEntry
from containers_app import operations as containers
from containers_app.models import Container
from operations import trash
from operations.models import Operation, OperationEvent, TrashItem
from operations.tasks import run_operation
from tests.faults.site import Site
from tests.trail import unguarded


def say(*words: str) -> tuple[int, dict[str, str], str]:
    """Exit code, verdict by invariant, and all that was printed."""
    out = StringIO()
    code = 0
    try:
        call_command("check_invariants", *words, stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    text = out.getvalue()
    return code, {line.split()[1]: line.split()[0] for line in text.splitlines() if line[0] != " "}, text


@pytest.fixture
def renamed(site: Site) -> Operation:
    """A container that was renamed, all well."""
    site.prepare([("container.rename", "web")])
    operation = site.ask("container.rename", "web")
    run_operation(str(operation.pk))
    operation.refresh_from_db()
    assert operation.state == "succeeded"
    return operation


def journal(site: Site, tmp_path: Path) -> Path:
    return site.door.write(tmp_path / "journal.jsonl")


def test_all_six_pass_where_all_is_well(site: Site, renamed: Operation, tmp_path: Path) -> None:
    code, verdicts, _ = say("--journal", str(journal(site, tmp_path)), "--settled")
    assert (code, verdicts) == (0, dict.fromkeys(("I1", "I2", "I3", "I4", "I5", "I6"), "PASS"))
    assert set(say("--no-engine")[1]) == {"I1", "I2", "I6"}


def lose_the_audit_line(operation: Operation) -> None:
    with unguarded():
        AuditEntry.objects.filter(operation_id=operation.pk, outcome="accepted").delete()


def leave_it_lying(operation: Operation) -> None:
    lapsed = timezone.now() - timedelta(minutes=5)
    Operation.objects.filter(pk=operation.pk).update(state="running", lease_until=lapsed)


def lose_an_event(operation: Operation) -> None:
    OperationEvent.objects.filter(operation=operation, seq=2).delete()


def forget_a_row(operation: Operation) -> None:
    Container.objects.filter(pk=operation.target_id).delete()


@pytest.mark.parametrize(
    ("damage", "name"),
    [(lose_the_audit_line, "I1"), (leave_it_lying, "I2"), (forget_a_row, "I5"), (lose_an_event, "I6")],
)
def test_what_is_broken_is_named(
    damage: Callable[[Operation], None], name: str, renamed: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.invariants.PAUSE", 0)
    damage(renamed)
    code, verdicts, text = say()
    assert (code, verdicts[name]) == (1, "FAIL")
    assert str(renamed.pk) in text or str(renamed.params["native_id"]) in text


def test_a_second_effect_and_a_late_one_are_named(site: Site, renamed: Operation, tmp_path: Path) -> None:
    path = journal(site, tmp_path)
    lines = path.read_text().splitlines()
    effect = json.loads(next(line for line in lines if "/rename" in line))
    path.write_text("\n".join([*lines, json.dumps({**effect, "at": effect["at"] + 60})]))
    code, verdicts, text = say("--no-engine", "--journal", str(path))
    assert (code, verdicts["I3"], verdicts["I4"]) == (1, "FAIL", "FAIL")
    assert f"{renamed.pk}: container.rename 2 times" in text


def test_of_the_same_change_asked_for_again_each_has_its_own_effect(
    site: Site, renamed: Operation, tmp_path: Path
) -> None:
    site.look()
    name, changes = renamed.params["name"], ("shop", "web", "shop")
    for wanted in changes:
        operation = containers.request(site.row(name), "rename", actor=site.actor, params={"name": wanted})
        run_operation(str(operation.pk))
        site.look()
        name = wanted
    assert Operation.objects.filter(state="succeeded").count() == 1 + len(changes)
    code, verdicts, text = say("--no-engine", "--journal", str(journal(site, tmp_path)))
    assert (code, verdicts["I3"], verdicts["I4"]) == (0, "PASS", "PASS"), text


def test_what_is_purged_from_the_trash_is_no_late_effect_of_its_removal(site: Site, tmp_path: Path) -> None:
    site.prepare([("container.remove", "web")])
    for ask in (
        lambda: site.ask("container.remove", "web"),
        lambda: trash.purge(TrashItem.objects.get(), actor=site.actor),
    ):
        operation = ask()
        run_operation(str(operation.pk))
        operation.refresh_from_db()
        assert operation.state == "succeeded"
    path = journal(site, tmp_path)
    assert say("--no-engine", "--journal", str(path))[0] == 0
    lines = path.read_text().splitlines()
    aside = json.loads(next(line for line in lines if "/rename" in line))
    path.write_text("\n".join([*lines, json.dumps({**aside, "at": aside["at"] + 60})]))
    code, verdicts, _ = say("--no-engine", "--journal", str(path))
    assert (code, verdicts["I3"], verdicts["I4"]) == (1, "FAIL", "FAIL")


def test_a_journal_that_is_none_is_refused(db: None, tmp_path: Path) -> None:
    (tmp_path / "no").write_text("what?")
    with pytest.raises(CommandError, match="journal cannot be read"):
        say("--journal", str(tmp_path / "no"))
