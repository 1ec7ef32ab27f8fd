"""Packing lines, telling what a block cannot hold, and searching many of them."""

from __future__ import annotations

import time

import pytest
from django.http import Http404

from accounts.access import SYSTEM, Actor, Denied
from accounts.models import AuditEntry, Role
from containers_app import keep_rules, log_search
from containers_app.log_blocks import FULL, SPAN_NS, Block, literals, may_hold, places, unpack
from containers_app.log_search import BadPattern, Wish, search
from containers_app.models import Container, KeptLog, LogBlock, LogGap, LogRule
from engine.types import LogLine
from operations.models import Engine

T0 = 1_764_300_000 * 10**9
S = 10**9


def packed(*texts: str) -> tuple[bytes, bytes]:
    block = Block()
    block.add([LogLine(1 + i % 2, T0 + i, 1, text) for i, text in enumerate(texts)])
    return block.pack()


def test_what_is_packed_comes_back() -> None:
    texts = ["", "plain", "größer ✓", "nul \0 byte", "\ud800 half a pair", "x" * 200_000, "two\nlines", ""]
    lines = unpack(packed(*texts)[0])
    assert [line.ts_ns - T0 for line in lines] == list(range(8))
    assert [line.stream for line in lines] == [1, 2] * 4
    told = [line.text.decode() for line in lines]
    assert told == [*texts[:4], "? half a pair", texts[5], "two lines", ""]


def test_times_may_go_back() -> None:
    block = Block()
    block.add([LogLine(1, T0 + n, 1, "x") for n in (5, 3, 9, 3)])
    assert [line.ts_ns - T0 for line in unpack(block.pack()[0])] == [5, 3, 9, 3]
    assert (block.first_ns, block.last_ns) == (T0 + 3, T0 + 9)


def test_a_resumed_block_is_as_if_it_had_never_been_put_away() -> None:
    whole, half = Block(), Block()
    one, two = [LogLine(1, T0, 1, "Alpha")], [LogLine(2, T0 + 1, 1, "omega")]
    whole.add(one + two)
    half.add(one)
    again = Block()
    again.resume(half.pack()[0])
    again.add(two)
    assert again.pack()[0] == whole.pack()[0]
    assert may_hold(again.pack()[1], places(["alpha", "OMEGA"]))


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02abc", b"\x01not deflated"])
def test_what_is_no_block_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a block"):
        unpack(data)


def test_a_filter_rules_out_what_is_not_there_and_never_what_is() -> None:
    _, words = packed("GET /Orders/4711 declined", "STRASSE größe")
    for text in ("orders", "ders/47", "DECLINED", "ab", "", "straße", "GRÖSSE"):
        assert may_hold(words, places([text])), text
    for text in ("accepted", "4712", "needle"):
        assert not may_hold(words, places([text])), text


@pytest.mark.parametrize(
    ("pattern", "surely"),
    [
        ("declined", ["declined"]), ("order [0-9]+ declined", ["order ", " declined"]), ("abc|def", []),
        ("abcd?", ["abc"]), ("abcd*efg", ["abc", "efg"]), ("abcd{2}", ["abc"]), ("abc+d", ["abc"]),
        (r"a\.b\.c", ["a.b.c"]), (r"\bfoo\b", ["foo"]), ("(abc)?def", ["def"]), ("[]abc]def", ["def"]),
        ("[[:alpha:]]xyz", ["xyz"]), (r"\Qa*b\E", []), (r"\x41bcd", []), (r"\p{Greek}abc", []),
        ("{(}abc)?", []), ("(?i)Hello", ["Hello"]), ("a.c", []), (r"[\]]abc", ["abc"]),
    ],
)  # fmt: skip
def test_what_a_pattern_surely_holds(pattern: str, surely: list[str]) -> None:
    assert literals(pattern) == surely


# --- Searching -----------------------------------------------------------------------------------------


@pytest.fixture
def engine(db: None) -> Engine:
    return Engine.objects.create(name="test", endpoint="unix:///nonexistent.sock")


@pytest.fixture
def put(engine):
    """``put(name, {seconds: text}, team)``: a kept log in blocks of two lines."""

    def make(name, lines, team=None, per_block=2):
        log, _ = KeptLog.objects.get_or_create(
            engine=engine, native_id=name.ljust(64, "0"), defaults={"name": name, "team": team}
        )
        rows = sorted(lines.items())
        for begin in range(0, len(rows), per_block):
            block = Block()
            block.add([LogLine(1, T0 + at * S, 1, text) for at, text in rows[begin : begin + per_block]])
            data, words = block.pack()
            LogBlock.objects.create(
                log=log, first_ns=block.first_ns, last_ns=block.last_ns, lines=len(block), data=data,
                words=words, size=len(data) + len(words),
            )  # fmt: skip
        first, last = T0 + rows[0][0] * S, T0 + rows[-1][0] * S
        KeptLog.objects.filter(pk=log.pk).update(
            first_ns=first, last_ns=last, lines=len(rows), size=sum(log.blocks.values_list("size", flat=True))
        )
        return log

    return make


def found(**wish):
    return [hit.text for hit in search(KeptLog.objects.all(), Wish(**wish)).hits]


def test_lines_of_all_logs_come_from_new_to_old(put) -> None:
    put("web", {n: f"web {n} ok" for n in range(0, 100, 2)})
    put("db", {n: f"db {n} ok" for n in range(1, 100, 20)}, per_block=5)
    everything = found(most=500)
    assert len(everything) == 55
    assert [int(text.split()[1]) for text in everything] == sorted(
        (int(text.split()[1]) for text in everything), reverse=True
    )
    assert found(text="DB 4") == ["db 41 ok"]
    assert found(text="DB 4", case=True) == []
    assert found(text="b 4[0-4] o", regex=True) == ["web 44 ok", "web 42 ok", "db 41 ok", "web 40 ok"]
    assert found(text="ok", since_ns=T0 + 10 * S, until_ns=T0 + 12 * S) == ["web 10 ok"]


@pytest.mark.parametrize("most", [1, 3, 7])
def test_going_on_tells_everything_once(put, most) -> None:
    put("web", {n: f"{n}" for n in range(0, 60, 2)})
    put("db", {n: f"{n}" for n in range(1, 60, 6)}, per_block=5)
    told, before = [], ""
    while True:
        step = search(KeptLog.objects.all(), Wish(before=before, most=most))
        assert len(step.hits) <= most
        told += [int(hit.text) for hit in step.hits]
        before = step.more
        if not before:
            break
    assert told == sorted({*range(0, 60, 2), *range(1, 60, 6)}, reverse=True)


def test_a_search_without_time_still_comes_to_an_end(put) -> None:
    put("web", {n: f"{n}" for n in range(30)})
    told, before, steps = [], "", 0
    while steps < 100:
        step = search(KeptLog.objects.all(), Wish(before=before), seconds=0)
        told += [int(hit.text) for hit in step.hits]
        before, steps = step.more, steps + 1
        if not before:
            break
    assert told == list(range(29, -1, -1))
    assert steps > 3


@pytest.mark.parametrize(
    "pattern",
    [
        "^two$",
        "two$",
        "^t",
        r"\Atwo",
        r"two\z",
        r"\btwo\b",
        "(?i)TWO",
        "t(?:w|x)o",
        "(?P<a>t)wo",
        r"\Qtwo",
        r"\Btwo|two\B|^two",
    ],
)
def test_a_pattern_means_each_line_and_not_the_block(put, pattern) -> None:
    put("web", {1: "one", 2: "two", 3: "three"}, per_block=3)
    assert "two" in found(text=pattern, regex=True)
    assert found(text="one\\stwo|one[^x]two", regex=True) == []


def test_a_pattern_that_would_backtrack_for_ever_does_not(put) -> None:
    put("web", {1: "a" * 5000 + "!"})
    began = time.monotonic()
    assert found(text="(a+)+$", regex=True) == []
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("wish", [{"text": "(", "regex": True}, {"text": "x" * 501}, {"before": "1-2"}])
def test_what_cannot_be_asked_is_said(put, wish) -> None:
    put("web", {1: "x"})
    with pytest.raises(BadPattern):
        found(**wish)


def test_lines_around_a_moment_have_their_gaps(put) -> None:
    log = put("web", {n: f"{n}" for n in range(20)})
    LogGap.objects.create(log=log, from_ns=T0 + 9 * S, to_ns=T0 + 10 * S, lines=4, cause="load")
    around = log_search.around(log, T0 + 10 * S, before=2, after=2)
    told = [row.lines if isinstance(row, LogGap) else row.text for row in around.rows]
    assert told == ["8", "9", 4, "10", "11"]
    assert (around.older, around.newer) == (True, True)


def test_shown_lines_hold_nothing_that_a_terminal_obeys() -> None:
    mark = log_search.marker(Wish(text="red"))
    assert mark("\x1b[31mthe RED\x1b[0m one\x07") == [("the ", False), ("RED", True), (" one", False)]


# --- Bounds, rights ------------------------------------------------------------------------------------


def test_what_is_too_old_goes(put) -> None:
    now = int((time.time_ns() - T0) / S)
    log = put("old", dict.fromkeys((now - 8 * 86400, now - 8 * 86400 + 1, now - 10, now - 5), "x"))
    assert keep_rules.purge() == 1
    log.refresh_from_db()
    assert log.lines == 2
    assert log.first_ns == T0 + (now - 10) * S


def test_the_oldest_go_where_it_is_too_much(put, settings) -> None:
    settings.LOG_HISTORY_DAYS, settings.LOG_HISTORY_MB = 100_000, 1
    put("a", dict.fromkeys(range(0, 40, 2), "x"))
    put("b", dict.fromkeys(range(1, 40, 2), "x"))
    LogBlock.objects.update(size=100_000)
    KeptLog.objects.update(size=1_000_000)
    assert keep_rules.purge() == 10
    assert min(LogBlock.objects.values_list("last_ns", flat=True)) >= T0 + 20 * S
    assert sum(KeptLog.objects.values_list("size", flat=True)) == 1_000_000


def test_only_the_owning_team_reads_and_switches(put, engine, person, team) -> None:
    from accounts.models import Team

    other = Team.objects.create(slug="green", name="Green")
    mine, theirs = put("mine", {1: "secret"}, team), put("theirs", {2: "secret"}, other)
    nobodys = put("nobodys", {3: "secret"})
    viewer, operator = (Actor(user=person(role, team, role)) for role in (Role.VIEWER, Role.OPERATOR))
    assert set(keep_rules.logs(viewer)) == {mine}
    assert set(keep_rules.logs(SYSTEM)) == {mine, theirs, nobodys}
    assert [hit.log for hit in search(keep_rules.logs(viewer), Wish(text="secret")).hits] == [mine]
    ours, foreign = (
        Container.objects.create(engine=engine, native_id=n * 64, name="web", team=owner, state="running")
        for n, owner in (("a", team), ("b", other))
    )
    with pytest.raises(Denied):
        keep_rules.switch(ours, on=True, actor=viewer)
    with pytest.raises(Http404):
        keep_rules.switch(foreign, on=True, actor=operator)
    with pytest.raises(Denied):
        keep_rules.switch(team, on=True, actor=operator)
    assert not LogRule.objects.exists()
    keep_rules.switch(ours, on=True, actor=operator)
    keep_rules.switch(ours, on=True, actor=operator)
    assert LogRule.objects.count() == 1
    assert [row.pk for row in keep_rules.wanted(engine.pk) or []] == [ours.pk], "not the other team's web"
    keep_rules.switch(ours, on=False, actor=operator)
    told = list(AuditEntry.objects.order_by("seq").values_list("verb", "outcome"))
    assert told == [
        ("logs.keep", "denied"), ("logs.keep", "denied"), ("logs.keep_team", "denied"),
        ("logs.keep", "succeeded"), ("logs.keep", "succeeded"),
    ]  # fmt: skip


def test_blocks_are_bounded_in_size_and_time() -> None:
    assert Block.fits(0, 0, 0, LogLine(1, T0, 1, "x" * FULL * 2)), "one line always fits"
    assert not Block.fits(T0, T0, FULL, LogLine(1, T0, 1, "x"))
    assert not Block.fits(T0, T0, 10, LogLine(1, T0 + SPAN_NS + 1, 1, "x"))
