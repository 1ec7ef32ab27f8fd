"""The audit trail as a chain: written in turn, kept by the database, and what verifying it finds."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone

from accounts import anchors, audit, chain, verification
from accounts.access import SYSTEM
from accounts.access import person as actor_for
from accounts.models import AuditEntry, AuditHead, Team, User
from tests import trail

WRITERS = 100


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    """A state directory without anchors."""
    settings.HOME = tmp_path
    return tmp_path


@pytest.fixture
def entries(db: None, home: Path, bob: User, team: Team) -> list[AuditEntry]:
    """Ten entries, the last of them anchored."""
    made = [
        audit.record(
            "container.stop", actor_for(bob, source="ui", ip="2001:db8::1"), target_name=f"web-{number}",
            team_id=team.pk, detail={"grace": 10.0, "big": 1e22, "part": 0.1, "names": ["é", None, True]},
        )
        for number in range(10)
    ]  # fmt: skip
    anchors.drop()
    return made


def run(*words: str) -> str:
    """What the command says."""
    said = io.StringIO()
    call_command("audit", *words, stdout=said)
    return said.getvalue()


# --- Written ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_hundred_writers_at_once_leave_one_chain() -> None:
    """S-85."""
    start = threading.Barrier(WRITERS)

    def write(number: int) -> int:
        try:
            start.wait()
            return audit.record("container.stop", SYSTEM, target_name=f"web-{number}").seq
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        numbers = list(pool.map(write, range(WRITERS)))
    assert sorted(numbers) == list(range(1, WRITERS + 1))
    found = verification.verify()
    assert (found.count, found.bad, found.why) == (WRITERS, None, "")


@pytest.mark.django_db(transaction=True)
def test_what_is_undone_leaves_no_gap() -> None:
    audit.record("auth.login", SYSTEM)
    with transaction.atomic():
        audit.record("auth.login", SYSTEM)
        transaction.set_rollback(True)
    assert audit.record("auth.login", SYSTEM).seq == 2
    assert verification.verify().bad is None


@pytest.mark.django_db(transaction=True)
def test_a_line_and_its_place_in_the_chain_are_there_together_or_not_at_all() -> None:
    audit.record("auth.login", SYSTEM)
    AuditHead.objects.update(seq=0, hash=chain.START)  # the number is taken: the entry cannot be written
    with pytest.raises(DatabaseError):
        audit.record("auth.logout", SYSTEM)
    assert AuditHead.objects.get().seq == 0


def test_names_that_no_database_takes_hold_nothing_up(db: None) -> None:
    entry = audit.record("auth.login", SYSTEM, name="a\0b\ud800", detail={"a\0": "\0", "n": float("nan")})
    entry.refresh_from_db()
    assert (entry.actor_name, entry.detail) == ("a�b?", {"a�": "�", "n": "nan"})
    assert verification.verify().bad is None


def test_the_same_facts_make_the_same_bytes_whichever_way_a_database_writes_them() -> None:
    facts: dict[str, Any] = dict.fromkeys(chain.FACTS, "")
    one = facts | {"detail": {"a": 1.0, "b": 1e22}, "ip": "2001:db8::1"}
    other = facts | {"detail": {"b": 10**22, "a": 1}, "ip": "2001:0DB8:0::0001"}
    assert chain.canonical(one) == chain.canonical(other)
    assert chain.canonical(one) != chain.canonical(one | {"ip": "2001:db8::2"})


# --- Kept ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.update(verb="container.start"),
        lambda rows: rows.delete(),
        lambda rows: rows.filter(pk=rows[0].pk)._raw_delete(rows.db),
        lambda rows: rows.first().save(),
    ],
)
def test_the_database_refuses_to_change_or_remove_an_entry(
    entries: list[AuditEntry], change: Callable[[Any], object]
) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(AuditEntry.objects.all())
    assert run("verify").startswith("10 entries, chain whole, newest ")


def test_the_database_refuses_what_passes_its_usual_triggers_by(entries: list[AuditEntry]) -> None:
    """S-85."""
    columns = ", ".join(field.column for field in AuditEntry._meta.fields)
    table = AuditEntry._meta.db_table
    sly = {
        "sqlite": "INSERT OR REPLACE INTO {0} ({1}) SELECT {1} FROM {0} WHERE seq = 5",
        "postgresql": "TRUNCATE {0} CASCADE",
    }[connection.vendor]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(sly.format(table, columns))
    assert verification.verify().bad is None


def test_people_and_teams_go_and_their_entries_stay_as_they_are(
    entries: list[AuditEntry], bob: User, team: Team, alice: User, api_for: Any, client_for: Any
) -> None:
    before = list(AuditEntry.objects.values())
    bob.delete()
    team.delete()
    assert list(AuditEntry.objects.values()) == before
    assert run("verify").startswith("10 entries, chain whole")
    row = api_for(alice).get("/api/v1/audit/?team=blue&actor=bob").json()["results"][0]
    assert (row["actor"], row["team"], row["seq"]) == ("bob", "blue", 10)
    page = client_for(alice).get("/audit/?actor=bob").content.decode()
    assert "since removed" in page
    assert client_for(alice).get(f"/admin/accounts/auditentry/{entries[0].pk}/change/").status_code == 200


# --- Verified -----------------------------------------------------------------------------------------


def _rows(seq: int) -> Any:
    return AuditEntry.objects.filter(seq=seq)


def _swap(one: int, other: int) -> None:
    _rows(one).update(seq=0)
    _rows(other).update(seq=one)
    _rows(0).update(seq=other)


def _swap_with_their_places(one: int, other: int) -> None:
    first, second = _rows(one).values().get(), _rows(other).values().get()
    for row, place in ((first, second), (second, first)):
        _rows(place["seq"]).update(**{k: v for k, v in row.items() if k not in ("id", "seq")})


def _cut_the_end_off() -> None:
    """By somebody who knows of the head, too."""
    AuditEntry.objects.filter(seq__gt=7).delete()
    AuditHead.objects.update(seq=7, hash=_rows(7).get().hash)


def _make_anew(from_: int, **changes: Any) -> None:
    """Another past, in which everything fits together, made without the key."""
    before = chain.START if from_ == 1 else _rows(from_ - 1).get().hash
    for entry in AuditEntry.objects.filter(seq__gte=from_).order_by("seq"):
        for name, value in changes.items():
            setattr(entry, name, value)
        entry.prev_hash = before
        key = chain._keys
        chain._keys = lambda _: {entry.key_id: b"a guess"}  # type: ignore[assignment] # noqa: B023
        before = entry.hash = chain.seal(chain.facts_of(entry), before)
        chain._keys = key
        entry.save()
    AuditHead.objects.update(hash=before)


TAMPERING: dict[str, tuple[Callable[[], object], int, str]] = {
    "edited verb": (lambda: _rows(4).update(verb="container.start"), 4, "seal"),
    "edited actor": (lambda: _rows(4).update(actor=None), 4, "seal"),
    "edited name": (lambda: _rows(4).update(actor_name="alice"), 4, "seal"),
    "edited team": (lambda: _rows(4).update(team_slug="red"), 4, "seal"),
    "edited time": (lambda: _rows(4).update(at=F("at") + timedelta(microseconds=1)), 4, "seal"),
    "edited detail": (lambda: _rows(4).update(detail={"grace": 11}), 4, "seal"),
    "edited address": (lambda: _rows(4).update(ip="2001:db8::2"), 4, "seal"),
    "edited hash": (lambda: _rows(4).update(hash="0" * 64), 4, "seal"),
    "edited row number": (lambda: _rows(4).update(id=100_000), 5, "older"),
    "another key's": (lambda: _rows(4).update(key_id="elsewhere"), 4, "not at hand"),
    "first row gone": (lambda: _rows(1).delete(), 1, "missing"),
    "middle row gone": (lambda: _rows(4).delete(), 4, "missing"),
    "middle row gone, the rest moved up": (
        lambda: (_rows(4).delete(), [_rows(n).update(seq=n - 1) for n in range(5, 11)]), 4, "follow"
    ),
    "end gone": (lambda: AuditEntry.objects.filter(seq__gt=7).delete(), 8, "anchored"),
    "end gone, and from the head": (_cut_the_end_off, 8, "anchored"),
    "all gone": (lambda: (AuditEntry.objects.all().delete(), AuditHead.objects.all().delete()), 1, "anchored"),
    "reordered": (lambda: _swap(4, 6), 4, "follow"),
    "reordered neighbours": (lambda: _swap_with_their_places(4, 5), 4, "follow"),
    "one row more in front": (lambda: _rows(1).update(seq=-1), 1, "-1"),
    "forged without the key": (lambda: _make_anew(4, actor_name="alice"), 4, "seal"),
    "forged from the beginning": (lambda: _make_anew(1, actor_name="alice"), 1, "seal"),
    "head set back": (lambda: AuditHead.objects.update(seq=9, hash=_rows(9).get().hash), 10, "head"),
    "head with another hash": (lambda: AuditHead.objects.update(hash="0" * 64), 10, "head"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found_and_the_first_bad_entry_named(what: str, entries: list[AuditEntry]) -> None:
    tamper, bad, why = TAMPERING[what]
    assert run("verify").startswith("10 entries, chain whole")
    with trail.unguarded():
        tamper()
    with pytest.raises(CommandError, match=f"^entry {bad}: .*{why}") as found:
        run("verify")
    assert found.value.returncode == 1


def test_an_earlier_day_put_back_is_found_though_its_chain_is_whole(entries: list[AuditEntry]) -> None:
    """Entries that were written after the rollback take the numbers, and the right key, of those that are gone."""
    with trail.unguarded():
        _cut_the_end_off()
    for number in range(5):
        audit.record("container.start", SYSTEM, target_name=f"db-{number}")
    assert verification.verify().bad == 10
    with pytest.raises(anchors.Torn, match="entry 10"):
        anchors.drop()
    with pytest.raises(CommandError, match="entry 10"):
        run("anchor")


def test_the_same_past_verifies_after_a_change_of_the_key_that_is_said(
    entries: list[AuditEntry], settings: Any
) -> None:
    old, settings.SECRET_KEY = settings.SECRET_KEY, "x" * 50
    assert "not at hand" in verification.verify().why
    settings.SECRET_KEY_FALLBACKS = [old]
    audit.record("auth.login", SYSTEM)
    assert AuditEntry.objects.values("key_id").distinct().count() == 2
    assert verification.verify().bad is None


def test_a_trail_is_read_in_pieces(
    entries: list[AuditEntry], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(verification, "PIECE", 3)
    with django_assert_num_queries(7):  # the head twice, four pieces, and nothing after them
        assert verification.verify().count == 10


def test_an_empty_trail_is_whole(db: None, home: Path) -> None:
    assert run("verify") == "0 entries, chain whole\n"
    assert run("anchor") == "Nothing has been recorded yet.\n"


def test_it_is_said_where_the_database_no_longer_refuses(
    entries: list[AuditEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    with trail.unguarded():
        assert run("verify").startswith("10 entries, chain whole")
        assert "no longer refuses" in capsys.readouterr().err
    run("verify")
    assert capsys.readouterr().err == ""


def test_the_trail_is_written_out_from_the_command_line(entries: list[AuditEntry]) -> None:
    today = f"{timezone.now():%Y-%m-%d}"
    assert run("export", "--since", today, "--until", today).count("\r\n") == 11
    assert run("export", "--until", "2020-01-01").startswith("seq,at,actor")
    with pytest.raises(CommandError, match="--since: Enter a valid date"):
        run("export", "--since", "yesterday")


# --- Anchored -----------------------------------------------------------------------------------------


def test_an_anchor_is_a_line_and_only_where_something_happened(entries: list[AuditEntry], home: Path) -> None:
    anchors.drop()
    (line,) = (home / "audit-anchor.log").read_text().splitlines()
    found = json.loads(line)
    assert sorted(found) == ["at", "hash", "seq"]
    assert (found["seq"], found["hash"]) == (10, entries[-1].hash)
    assert (home / "audit-anchor.log").stat().st_mode & 0o777 == 0o600
    audit.record("auth.login", SYSTEM)
    assert json.loads(run("anchor"))["seq"] == 11
    assert [anchor.seq for anchor in anchors.all_of_them()] == [10, 11]
    assert verification.verify().bad is None


@pytest.mark.parametrize(
    "line", ["half a li", '{"at": "x", "seq": 1}', '["a"]', '{"at": "2026-01-01T00:00:00+00:00"}']
)
def test_a_damaged_file_of_anchors_is_said(
    line: str, entries: list[AuditEntry], home: Path, client_for: Any, alice: User
) -> None:
    with (home / "audit-anchor.log").open("a") as file:
        file.write(line)
    assert "damaged" in verification.verify().why
    with pytest.raises(CommandError, match="no anchor"):
        run("anchor")
    assert "cannot be read" in client_for(alice).get("/audit/").content.decode()


def test_anchors_whose_numbers_go_down_are_said(entries: list[AuditEntry], home: Path) -> None:
    path = home / "audit-anchor.log"
    audit.record("auth.login", SYSTEM)
    anchors.drop()
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    assert "entry 10 was anchored after entry 11" in verification.verify().why


# --- Brought over -------------------------------------------------------------------------------------


@pytest.fixture
def before_the_chain(transactional_db: None) -> Iterator[Any]:
    """The apps as they were before there was a chain; afterwards all is as it should be again."""
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    executor.migrate([("accounts", "0002_set_up_and_attempts")])
    yield executor.loader.project_state([("accounts", "0002_set_up_and_attempts")]).apps
    MigrationExecutor(connection).migrate(executor.loader.graph.leaf_nodes())


def test_what_was_recorded_before_there_was_a_chain_is_chained(before_the_chain: Any, home: Path) -> None:
    from django.db.migrations.executor import MigrationExecutor

    old = {name: before_the_chain.get_model("accounts", name) for name in ("User", "Team", "AuditEntry")}
    user = old["User"].objects.create(username="bob")
    team = old["Team"].objects.create(slug="blue", name="Blue")
    for number in range(5):
        old["AuditEntry"].objects.create(
            actor=user, actor_name="bob", verb="a", outcome="b", team=team, pk=number * 3 + 1
        )
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert list(AuditEntry.objects.order_by("id").values_list("seq", "team_slug")) == [
        (number, "blue") for number in range(1, 6)
    ]
    audit.record("auth.login", SYSTEM)
    found = verification.verify()
    assert (found.count, found.why) == (6, "")
    with pytest.raises(DatabaseError, match="append-only"):
        AuditEntry.objects.update(verb="b")
