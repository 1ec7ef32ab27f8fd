"""S-67 and more. Who may open which socket from where, and what is answered to whom."""

from __future__ import annotations

import asyncio
import json
import time
import uuid

import pytest
from asgiref.sync import sync_to_async

from accounts import group_mappings
from accounts.access import SYSTEM
from accounts.models import GroupMapping, PermissionSet
from containers_app import owning
from dashboard import patience
from operations import sockets
from streams import bell, hub
from streams.connection import aclient
from streams.stats import publish
from tests.sockets import HOST, ORIGIN, Browser, deaf, served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def clean_hub():
    yield
    await hub.close()


@pytest.fixture(autouse=True)
def _quick(clean_hub, monkeypatch):
    monkeypatch.setattr(sockets, "RECHECK", 0.3)


@pytest.fixture
def engine_only(db):
    from operations.models import Engine

    return Engine.objects.create(name="no engine at all", endpoint="unix:///nowhere.sock")


@pytest.fixture
def blue(engine_only, team):
    from containers_app.models import Container

    return Container.objects.create(
        engine=engine_only, native_id="b" * 64, name="blue-web", team=team, state="running"
    )


@pytest.fixture
def operation(engine_only, team, bob):
    from operations.models import Operation

    return Operation.objects.create(
        kind="container.stop",
        engine=engine_only,
        team=team,
        actor=bob,
        actor_name="bob",
        target_type="container",
    )


def add_events(operation, *numbers):
    from operations.models import OperationEvent

    for n in numbers:
        OperationEvent.objects.create(
            operation=operation, seq=n, kind="log", data={"stream": 1, "text": f"line {n}"}
        )
    bell.ring(f"operation:{operation.pk}")


# --- Origin and credentials ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "http://evil.example", "http://localhost:9999", "http://localhost", "https://localhost:8000",
        "http://sub.localhost:8000", "http://localhost:8000.evil.example", "http://localhost:80000", "",
    ],
)  # fmt: skip
async def test_other_origins_are_refused_before_anything_is_said(origin, bob, client_for):
    browser = Browser("/ws/live/", await sync_to_async(client_for)(bob), origin=origin)
    assert not await browser.open()


async def test_our_own_origin_is_let_in(bob, client_for):
    browser = Browser("/ws/live/", await sync_to_async(client_for)(bob))
    assert await browser.open()
    await browser.disconnect()


async def test_a_host_that_is_not_ours_is_refused_although_it_equals_the_origin(bob, client_for):
    client = await sync_to_async(client_for)(bob)
    assert not await Browser(
        "/ws/live/", client, origin="http://rebound.example", host="rebound.example"
    ).open()


async def test_behind_https_only_the_public_address_is_let_in(bob, client_for, settings):
    settings.PUBLIC_URL, settings.SECURE = "https://dash.example", True
    client = await sync_to_async(client_for)(bob)
    browser = Browser("/ws/live/", client, origin="https://dash.example")
    assert await browser.open()
    await browser.disconnect()
    assert not await Browser("/ws/live/", client, origin=ORIGIN).open()
    assert not await Browser("/ws/live/", client, origin="http://dash.example").open()


async def test_without_a_session_nothing_is_opened():
    browser = Browser("/ws/live/")
    assert await browser.open()
    assert await browser.closed() == 4401


async def test_a_token_opens_a_socket_without_origin_but_not_beside_a_cookie(bob, client_for):
    from accounts import tokens

    _, secret = await sync_to_async(tokens.make)(bob, "script", ["read"])
    bearer = {"authorization": f"Bearer {secret}"}
    browser = Browser("/ws/live/", origin=None, **bearer)
    assert await browser.open()
    await browser.say({"subscribe": ["containers"]})
    assert "subscribed" in await browser.frame()
    await browser.disconnect()
    client = await sync_to_async(client_for)(bob)
    assert not await Browser("/ws/live/", client, origin=None, **bearer).open()
    wrong = Browser("/ws/live/", origin=None, authorization=f"Bearer {secret[:-1]}x")
    assert await wrong.open()
    assert await wrong.closed() == 4401


async def test_what_is_no_socket_is_refused(bob, client_for):
    assert not await Browser("/ws/nothing/", await sync_to_async(client_for)(bob)).open()


async def test_a_session_that_ends_ends_its_sockets(bob, client_for):
    """S-12."""
    client = await sync_to_async(client_for)(bob)
    browser = Browser("/ws/live/", client)
    await browser.open()
    await sync_to_async(client.logout)()
    assert await browser.closed() == 4401


async def test_a_disabled_account_loses_its_sockets(bob, client_for):
    """S-12."""
    browser = Browser("/ws/live/", await sync_to_async(client_for)(bob))
    await browser.open()
    bob.is_active = False
    await bob.asave()
    assert await browser.closed() == 4401


async def test_a_new_password_ends_the_sockets_of_other_sessions(bob, client_for):
    """S-12."""
    browser = Browser("/ws/live/", await sync_to_async(client_for)(bob))
    await browser.open()
    await sync_to_async(bob.set_password)("another long password")
    await bob.asave()
    assert await browser.closed() == 4401


async def test_one_person_cannot_open_sockets_without_end(bob, client_for, settings):
    """S-79."""
    settings.SOCKETS = 2
    client = await sync_to_async(client_for)(bob)
    browsers = [Browser("/ws/live/", client) for _ in range(3)]
    for browser in browsers:
        assert await browser.open()
    assert await browsers[2].closed() == 4429
    for browser in browsers[:2]:
        await browser.disconnect()


# --- /ws/live/ -----------------------------------------------------------------------------------------


@pytest.fixture
async def live(bob, client_for):
    browser = Browser("/ws/live/", await sync_to_async(client_for)(bob))
    assert await browser.open()
    yield browser
    await browser.disconnect()


async def test_bells_reach_the_page(live):
    await live.say({"subscribe": ["containers", "images"]})
    assert (await live.frame())["subscribed"].keys() == {"containers", "images"}
    await sync_to_async(bell.ring)("containers")
    frame = await live.frame()
    assert frame["topic"] == "containers"
    assert frame["seq"] > 1_700_000_000_000
    await live.say({"unsubscribe": ["containers"]})
    await sync_to_async(bell.ring)("images")
    assert (await live.frame())["topic"] == "images"
    await sync_to_async(bell.ring)("containers")
    assert await live.receive_nothing(0.3)


async def test_what_changed_before_the_page_subscribed_is_told(live):
    made = int(time.time() * 1000) - 1
    await sync_to_async(bell.ring)("containers")
    await live.say({"subscribe": ["containers", "images"], "after": {"containers": made, "images": made}})
    frames = [await live.frame(), await live.frame()]
    assert [f["topic"] for f in frames if "topic" in f] == ["containers"]


async def test_events_of_an_operation_come_all_and_in_order(live, operation):
    topic = f"operation:{operation.pk}"
    await sync_to_async(add_events)(operation, *range(1, 11))
    await live.say({"subscribe": [topic], "after": {topic: 4}})
    await live.frame()
    frame = await live.frame()
    assert [e["seq"] for e in frame["events"]] == [5, 6, 7, 8, 9, 10]
    for n in range(11, 31):
        await sync_to_async(add_events)(operation, n)
    seen = []
    while len(seen) < 20:
        seen += [e["seq"] for e in (await live.frame())["events"]]
    assert seen == list(range(11, 31))


@pytest.mark.parametrize(
    "frame",
    [
        "{", "nonsense", "[]", "[1,2]", "null", "1", '"x"', "\x00", "[" * 10_000, '{"a":' * 5000,
        {"type": "group.send"}, {"type": "engine_event", "subscribe": ["containers"]}, {"subscribe": "containers"},
        {"subscribe": [1]}, {"subscribe": ["containers"] * 300}, {"subscribe": ["../containers"]},
        {"subscribe": ["container:x"]}, {"subscribe": [["containers"]]}, {"after": []}, {"after": {"containers": "1"}},
        {"after": {"containers": -1}}, {"after": {"containers": 1.5}}, {"rows": ["x"]}, {"rows": {}},
        {"unsubscribe": {}}, {"subscribe": ["nothing"]}, {"subscribe": ["\ud800"]},
    ],
)  # fmt: skip
async def test_malformed_frames_are_answered_and_the_socket_goes_on(live, frame, caplog):
    """S-21."""
    await live.say(frame)
    assert (await live.frame())["type"] == "error"
    await live.frames(0.05)
    await live.say({"subscribe": ["containers"]})
    assert "subscribed" in await live.frame()
    assert "Traceback" not in caplog.text


async def test_bytes_are_answered_and_huge_frames_end_the_socket(live):
    await live.send_to(bytes_data=b"\x00\xff")
    assert (await live.frame())["code"] == "invalid"
    await live.say(json.dumps({"subscribe": ["x" * 1_000_000]}))
    assert await live.closed() == 4400


async def test_a_flood_of_frames_ends_the_socket(live):
    """S-79."""
    for _ in range(sockets.MOST_FRAMES + 1):
        await live.say({"unsubscribe": []})
    assert await live.closed() == 4429


async def test_foreign_objects_are_refused_as_if_they_were_not_there(charlie, client_for, blue, operation):
    """S-19."""
    from accounts.models import AuditEntry

    browser = Browser("/ws/live/", await sync_to_async(client_for)(charlie))
    await browser.open()
    foreign = [f"container:{blue.pk}", f"operation:{operation.pk}"]
    await browser.say({"subscribe": [*foreign, f"container:{uuid.uuid4()}", "containers"]})
    frames = [await browser.frame() for _ in range(4)]
    errors = {f["topic"]: (f["code"], f["detail"]) for f in frames if f.get("type") == "error"}
    assert len(errors) == 3
    assert set(errors.values()) == {("not_found", "No such object.")}
    assert frames[3]["subscribed"].keys() == {"containers"}
    await sync_to_async(add_events)(operation, 1)
    await sync_to_async(bell.ring)(*foreign)
    assert await browser.receive_nothing(0.3)
    assert await AuditEntry.objects.filter(outcome="denied", actor=charlie).acount() == 2
    await sync_to_async(bell.ring)("containers")
    assert (await browser.frame())["topic"] == "containers"
    await browser.disconnect()


async def test_nobody_guesses_without_end(live):
    for _ in range(4):
        await live.say({"subscribe": [f"container:{uuid.uuid4()}" for _ in range(30)]})
    assert await live.closed() == 4429


async def test_ones_own_objects_are_heard(live, blue):
    topic = f"container:{blue.pk}"
    await live.say({"subscribe": [topic]})
    assert (await live.frame())["subscribed"] == {topic: 0}
    await sync_to_async(bell.ring)(topic)
    assert (await live.frame())["topic"] == topic


async def test_rights_that_are_taken_away_end_the_topic(live, bob, operation):
    """S-12."""
    topic = f"operation:{operation.pk}"
    await live.say({"subscribe": [topic]})
    await live.frame()
    await bob.memberships.all().adelete()
    frame = await live.frame()
    assert (frame["type"], frame["topic"]) == ("error", topic)
    await sync_to_async(add_events)(operation, 1)
    assert await live.receive_nothing(0.4)


async def test_a_group_that_is_gone_ends_the_topic(live, bob, team, blue):
    """S-12: by a sign-in elsewhere, on the socket that is open."""
    crew = await GroupMapping.objects.acreate(group="crew", team=team, role="operator")
    await bob.memberships.aupdate(mapping=crew)
    topic = f"container:{blue.pk}"
    await live.say({"subscribe": [topic]})
    assert (await live.frame())["subscribed"] == {topic: 0}
    await sync_to_async(group_mappings.judge)(bob, {"id_token": {"groups": ["others"]}}, ip=None)
    frame = await live.frame()
    assert (frame["type"], frame["topic"]) == ("error", topic)


async def test_a_set_that_is_changed_ends_the_topic(live, bob, team, blue):
    """S-12: whoever has it, on the socket that is open."""
    held = await PermissionSet.objects.acreate(team=team, name="hers", permissions=["container.logs"])
    await bob.memberships.aupdate(role="custom", permission_set=held)
    topic = f"container:{blue.pk}"
    await live.say({"subscribe": [topic]})
    assert (await live.frame())["subscribed"] == {topic: 0}
    await PermissionSet.objects.filter(pk=held.pk).aupdate(permissions=["image.read"])
    frame = await live.frame()
    assert (frame["type"], frame["topic"]) == ("error", topic)


async def test_figures_come_for_what_is_visible_alone(live, bob, blue, other_team):
    from containers_app.models import Container

    foreign = await Container.objects.acreate(
        engine_id=blue.engine_id, native_id="c" * 64, name="red", team=other_team, state="running"
    )
    connection = aclient()
    await publish(connection, [[str(blue.pk), 0.25, 1000, 0, None, None, None, None, 3, 1]])
    rows = [str(blue.pk), str(foreign.pk), str(blue.engine_id)]
    await live.say({"subscribe": ["stats"], "rows": rows})
    assert "subscribed" in await live.frame()
    assert await live.frame() == {"topic": "stats", "rows": [[str(blue.pk), 0.25, 1000]]}
    both = [[str(pk), 0.5, 2000, 0, None, None, None, None, 3, 2] for pk in (foreign.pk, blue.pk)]
    await publish(connection, both)
    assert await live.frame() == {"topic": "stats", "rows": [[str(blue.pk), 0.5, 2000]]}
    # What an engine's containers use together is known to whoever may know of engines.
    await publish(connection, [[str(blue.engine_id), 1.5, 9000, 0, 1, 1, 1, 1, 3, 3]])
    assert await live.frame() == {"topic": "stats", "rows": [[str(blue.engine_id), 1.5, 9000]]}
    await publish(connection, [[str(blue.pk), *[None] * 8, 4]])  # it has ended: no figure
    assert await live.receive_nothing(0.2)
    await bob.memberships.all().adelete()
    await asyncio.sleep(0.8)
    await live.frames(0.05)
    await publish(connection, both)
    assert not [f for f in await live.frames() if f.get("topic") == "stats"]
    await connection.aclose()


async def test_a_hundred_pages_share_one_subscription(bob, client_for):
    client = await sync_to_async(client_for)(bob)
    browsers = [Browser("/ws/live/", client) for _ in range(100)]
    for browser in browsers:
        await browser.open()
        await browser.say({"subscribe": ["containers"]})
        await browser.frame()
    connection = aclient()
    assert (await connection.pubsub_numsub(bell.CHANNEL))[0][1] == 1
    await sync_to_async(bell.ring)("containers")
    for browser in browsers:
        assert (await browser.frame())["topic"] == "containers"
    for browser in browsers:
        await browser.disconnect()
    assert not hub.get()._listeners
    await connection.aclose()


# --- /ws/logs/ -----------------------------------------------------------------------------------------


@pytest.fixture
async def log(blue):
    """What the gateway would do: `log(n)` writes lines up to number n."""
    from streams.ring import Writer

    connection = aclient()
    writer = Writer(connection, f"logs:{blue.pk}")
    await writer.open()
    await writer.say('{"state":"following","detail":""}')

    async def write(until, batch=10):
        while writer.last < until:
            first = writer.last + 1
            numbers = range(first, min(until, first + batch - 1) + 1)
            rows = [[n, str(blue.pk), str(n * 10**9), 1 + n % 2, f"line {n}"] for n in numbers]
            await writer.append(json.dumps(rows)[1:-1].encode(), len(rows))
        return writer

    yield write
    await connection.aclose()


async def numbers_until(browser, last):
    seen, gaps = [], []
    while not seen or seen[-1] < last:
        frame = await browser.frame()
        if frame["type"] == "lines":
            seen += [line[0] for line in frame["lines"]]
            assert frame["seq"] == seen[-1]
        elif frame["type"] == "gap":
            gaps.append((frame["lines"], frame["cause"]))
    return seen, gaps


async def watching(client, query):
    browser = Browser(f"/ws/logs/?{query}", client)
    assert await browser.open()
    return browser


async def test_what_the_engine_left_out_is_told_at_its_place(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    writer = await log(20)
    told = {"lines": None, "cause": "rotation", "from": "20000000000", "to": "21000000000"}
    await writer.note(json.dumps(told))
    await log(30)
    browser = await watching(client, f"container={blue.pk}")
    frames = [await browser.frame() for _ in range(4)]
    kinds = [(frame["type"], frame.get("seq")) for frame in frames if frame["type"] != "state"]
    assert kinds == [("lines", 20), ("gap", 21), ("lines", 30)]
    gap = next(frame for frame in frames if frame["type"] == "gap")
    assert {name: gap[name] for name in told} == told
    await browser.disconnect()
    # Who has the lines before it gets it; who has it does not get it again.
    for cursor, wanted in ((20, ["gap", "lines"]), (21, ["lines"])):
        browser = await watching(client, f"container={blue.pk}&after={writer.epoch}:{cursor}")
        assert [(await browser.frame())["type"] for _ in wanted] == wanted
        await browser.disconnect()
    await hub.close()


async def test_a_late_viewer_gets_what_is_there_and_then_what_comes(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    writer = await log(50)
    browser = await watching(client, f"container={blue.pk}")
    frame = await browser.frame()
    assert frame["container"] == str(blue.pk)
    assert frame["epoch"] == writer.epoch
    assert frame["lines"][0] == [1, str(blue.pk), "1000000000", 2, "line 1"]
    assert [line[0] for line in frame["lines"]] == list(range(1, 51))
    assert (await browser.frame())["state"] == "following"
    await log(60)
    assert await numbers_until(browser, 60) == (list(range(51, 61)), [])
    await browser.disconnect()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&tail=7", range(44, 51)), ("&tail=10", range(41, 51)), ("&tail=1000", range(1, 51)),
        ("&since=30", range(30, 51)), ("&since=1970-01-01T00:00:45Z", range(45, 51)),
        ("&since=30&tail=2", range(30, 51)), ("&after={epoch}:33", range(34, 51)), ("&since=999999d", range(1, 51)),
        ("&after={id}:{epoch}:40", range(41, 51)),
    ],
)  # fmt: skip
async def test_the_past_begins_where_it_was_asked_to(bob, client_for, blue, log, query, expected):
    client = await sync_to_async(client_for)(bob)
    writer = await log(50)
    browser = await watching(client, f"container={blue.pk}" + query.format(epoch=writer.epoch, id=blue.pk))
    assert await numbers_until(browser, 50) == (list(expected), [])
    await browser.disconnect()


async def test_reconnecting_with_a_cursor_loses_and_repeats_nothing(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    seen, after = [], ""
    for until in (23, 57, 58, 140):
        writer = await log(until, batch=7)
        browser = await watching(client, f"container={blue.pk}{after}")
        seen += (await numbers_until(browser, until))[0]
        await browser.disconnect()
        after = f"&after={writer.epoch}:{seen[-1]}"
    assert seen == list(range(1, 141))


async def test_what_the_ring_has_dropped_is_announced(bob, client_for, blue, log, monkeypatch):
    monkeypatch.setattr("streams.ring.MOST_LINES", 100)
    client = await sync_to_async(client_for)(bob)
    writer = await log(500)
    browser = await watching(client, f"container={blue.pk}&after={writer.epoch}:50")
    seen, gaps = await numbers_until(browser, 500)
    assert seen[0] == 401
    assert gaps == [(350, "load")]
    await browser.disconnect()


async def test_a_cursor_of_another_epoch_is_told_of_the_restart(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    await log(20)
    browser = await watching(client, f"container={blue.pk}&after=17:3")
    assert await numbers_until(browser, 20) == (list(range(1, 21)), [(None, "restart")])
    await browser.disconnect()


async def test_logs_of_others_are_not_there(charlie, client_for, blue, log):
    client = await sync_to_async(client_for)(charlie)
    await log(20)
    browser = await watching(client, f"container={blue.pk}")
    assert (await browser.frame())["code"] == "not_found"
    assert await browser.closed() == 4404


@pytest.mark.parametrize(
    "query",
    [
        "", "container=", "container=x", "container=../x", "container={id}&tail=x", "container={id}&tail=-1",
        "container={id}&tail=500001", "container={id}&since=yesterday", "container={id}&after=1",
        "container={id}&after=x:y", "container={id}&q=1", "container={id}&tail=1&tail=2", "%ff=1",
        "container={id}&after=00000000-0000-0000-0000-000000000000:1:2", "container={id}&since=9999-99-99T00:00:00",
    ],
)  # fmt: skip
async def test_malformed_addresses_are_refused(bob, client_for, blue, query):
    browser = await watching(await sync_to_async(client_for)(bob), query.format(id=blue.pk))
    assert (await browser.frame())["code"] == "invalid"
    assert await browser.closed() == 4400


async def test_who_may_no_longer_read_a_log_is_cut_off(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    await log(5)
    browser = await watching(client, f"container={blue.pk}")
    await numbers_until(browser, 5)
    await bob.memberships.all().adelete()
    assert await browser.closed() in (4408, 4410)


async def test_who_reads_nothing_delays_the_end_of_nobody_elses_rights(
    bob, tara, client_for, blue, log, monkeypatch
):
    """S-12: on a real connection that takes no byte any more, also not why it ends."""
    writer = await log(1)
    other, mine = [await sync_to_async(client_for)(user) for user in (tara, bob)]
    browser = await watching(other, f"container={blue.pk}")
    await numbers_until(browser, 1)
    gone, ends = asyncio.Event(), patience.PatientSocket.connection_lost
    monkeypatch.setattr(patience, "LINGER", 0.5)
    monkeypatch.setattr(
        patience.PatientSocket, "connection_lost", lambda self, why: (gone.set(), ends(self, why))
    )
    async with served() as port, deaf(port, f"/ws/logs/?container={blue.pk}", mine):
        for n in range(2, 42):
            line = json.dumps([n, str(blue.pk), str(n * 10**9), 1, "x" * 16_000])
            await writer.append(line.encode(), 1)
        await numbers_until(browser, 41)
        await bob.memberships.all().adelete()
        await asyncio.sleep(2 * sockets.RECHECK)
        await tara.memberships.all().adelete()
        assert await browser.closed(3) in (4408, 4410)
        await browser.disconnect()
        async with asyncio.timeout(3):  # and who reads nothing is cut off, too
            while True:
                await asyncio.sleep(0.05)
                if not sockets._crowd().sockets:
                    break
        async with asyncio.timeout(3):
            await gone.wait()  # with its connection, however much is left to be read


async def test_a_container_that_goes_to_another_team_takes_its_log_along(
    bob, client_for, blue, log, other_team
):
    """S-32."""
    client = await sync_to_async(client_for)(bob)
    await log(5)
    browser = await watching(client, f"container={blue.pk}")
    await numbers_until(browser, 5)
    await sync_to_async(owning.move)(blue, other_team, actor=SYSTEM)
    assert await browser.closed() in (4408, 4410)


async def test_a_removed_container_ends_its_log(bob, client_for, blue, log):
    client = await sync_to_async(client_for)(bob)
    await log(5)
    browser = await watching(client, f"container={blue.pk}")
    await numbers_until(browser, 5)
    await blue.adelete()
    assert await browser.closed() == 4410


async def test_readings_come_one_by_one(bob, client_for, blue):
    browser = Browser(f"/ws/stats/?container={blue.pk}", await sync_to_async(client_for)(bob))
    await browser.open()
    connection = aclient()
    await asyncio.sleep(0.3)
    await publish(connection, [[str(blue.pk), 0.5, 2000, 4000, 1.0, 2.0, 3.0, 4.0, 5, 6]])
    frame = await browser.frame()
    assert frame["type"] == "stats"
    assert (frame["cpu"], frame["memory"], frame["memory_limit"], frame["pids"]) == (0.5, 2000, 4000, 5)
    await browser.disconnect()
    await connection.aclose()


def test_every_socket_declares_what_it_needs():
    from accounts.access import SIGNED_IN
    from accounts.permissions import PERMISSIONS
    from dashboard.sockets import consumers

    assert {c.permission for c in consumers.values()} <= {*PERMISSIONS, SIGNED_IN}


def test_the_host_of_these_tests_is_one_of_ours(settings):
    assert HOST.partition(":")[0] in settings.ALLOWED_HOSTS
