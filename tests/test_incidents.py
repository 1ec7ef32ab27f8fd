"""What ends on a real engine becomes an incident by itself: how, who asked, the last lines. By the gateway."""

from __future__ import annotations

from datetime import timedelta

import pytest

from containers_app.models import Container, Incident
from engine.names import is_container_id
from operations.models import Engine
from streams import hub
from tests.gateways import aside, row, running, until
from tests.test_chronicle import online

pytestmark = [pytest.mark.django_db(transaction=True)]


async def incident(native_id, **fields):
    """The container's newest incident once it is like that."""
    assert is_container_id(native_id)
    wanted = Incident.objects.filter(native_id=native_id, **fields).order_by("-last_at")
    return (await until(wanted.afirst, 10))[0]


def texts(found):
    return [line[2] for line in found.lines]


async def test_an_error_of_the_application_with_its_last_lines(gateway, run):
    await online()
    # An engine takes the two streams apart: at once, the last line could be written before a hundred others.
    many = (
        "i=0; while [ $i -lt 250 ]; do echo line $i; i=$((i+1)); done; sleep 0.5;"
        " echo '<b>cannot go on</b>' >&2; exit 3"
    )
    made = await run("ended", many)
    found = await incident(made.id, lines_state="kept")
    assert (found.exit_code, found.asked, found.fault, found.oom, found.count) == (
        3,
        "itself",
        True,
        False,
        1,
    )
    assert len(found.lines) == 100
    assert {"line 160", "line 249", "<b>cannot go on</b>"} <= set(texts(found))
    assert [line[1] for line in found.lines if line[2].startswith("<b>")] == [2]
    assert 0 <= found.seconds < 10
    container = await row("ended")()
    assert (container.ended, container.trouble_until) == ("fault", None)


async def test_a_kill_from_a_terminal_is_from_outside(gateway, run):
    await online()
    made = await run("killed")
    await aside(made.kill)
    found = await incident(made.id)
    assert (found.exit_code, found.asked, found.fault) == (137, "outside", False)
    assert (await row("killed")()).ended == "outside"


async def test_a_stop_by_an_operation_names_who_asked(gateway, run, alice):
    from accounts.access import Actor
    from containers_app import operations
    from operations.tasks import run_operation

    await online()
    made = await run("stopped", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    container, _ = await until(row("stopped"))
    stop = await aside(operations.request, container, "stop", actor=Actor(user=alice))
    await aside(run_operation, str(stop.pk))
    found = await incident(made.id)
    assert (found.exit_code, found.asked, found.fault) == (7, "operation", False)
    assert (found.operation_id, found.actor_name) == (stop.pk, "alice")

    async def told():
        return (await row("stopped")()).ended == "asked"

    await until(told)


async def test_the_kernel_s_killer_is_told_from_any_other(gateway, run):
    await online()
    made = await run("hungry", "echo growing; tail /dev/zero", mem_limit="12m", memswap_limit="12m")
    found = await incident(made.id, kind="exit", lines_state="kept")
    assert (found.exit_code, found.oom, found.asked, found.fault) == (137, True, "itself", True)
    assert texts(found) == ["growing"]
    container = await row("hungry")()
    assert container.trouble.startswith("out of memory")
    assert not await Incident.objects.filter(kind="oom").aexists()


async def test_a_crash_loop_is_one_incident(gateway, run):
    await online()
    made = await run("loop", "echo again; exit 1", restart_policy={"Name": "always"})
    found = await incident(made.id, count__gte=4)
    assert await Incident.objects.filter(native_id=made.id).acount() == 1
    assert (found.asked, found.exit_code, found.fault) == ("itself", 1, True)
    container = await row("loop")()
    assert container.trouble.startswith("exit 1, ")
    assert container.trouble_until is not None


async def test_failing_checks_are_kept_with_what_the_check_wrote(gateway, run):
    await online()
    second = 1_000_000_000
    check = {
        "test": ["CMD-SHELL", "echo no answer; exit 1"],
        "interval": second,
        "retries": 1,
        "timeout": second,
    }
    made = await run("sick", healthcheck=check)
    found = await incident(made.id, kind="health")
    assert (found.open, found.error) == (True, "no answer")
    await aside(made.kill)
    assert not (await incident(made.id, kind="health", open=False)).open


async def test_what_ended_while_the_engine_was_away_is_found_afterwards(door, settings, run, busybox):
    settings.DOCKER_HOST = door.url
    async with running():
        await online()
        made = await run(
            "unheard", "echo started; while [ ! -e /end ]; do sleep 0.1; done; echo last words; exit 5"
        )
        await until(row("unheard"))
        door.shut()
        await until(Engine.objects.filter(status="unreachable").afirst, 3)
        await aside(made.exec_run, ["touch", "/end"])
        await aside(made.wait)
        await aside(_pause, 6)
        door.open()
        found = await incident(made.id, lines_state="kept")
        assert (found.exit_code, found.asked, found.fault) == (5, "unknown", True)
        assert texts(found)[-1] == "last words"
        assert await Container.objects.filter(name="unheard", ended="fault").aexists()
    await hub.close()


def _pause(seconds):
    import time

    time.sleep(seconds)


async def test_an_output_that_nobody_keeps_cannot_be_read_and_that_is_said(gateway, run):
    await online()
    made = await run("mute", "echo nobody hears; exit 4", log_config={"Type": "none"})
    found = await incident(made.id, lines_state="unreadable")
    assert (found.exit_code, found.fault, found.lines) == (4, True, [])


async def test_a_container_made_anew_by_hand_is_held_against_the_one_before(gateway, run, monkeypatch):
    from containers_app import run_ends

    monkeypatch.setattr(run_ends, "GOOD_IF_ASKED", timedelta(0))
    await online()
    first = await run("anew", environment={"MODE": "safe", "TOKEN": "canary-1"})
    await until(row("anew"))
    await aside(first.remove, force=True)
    await incident(first.id, asked="outside")
    second = await run("anew", "exit 1", environment={"MODE": "fast", "TOKEN": "canary-2"})
    found = await incident(second.id)
    changed = {one["path"]: (one["old"], one["new"]) for one in found.changed}
    assert changed["environment.MODE"] == ("safe", "fast")
    assert "canary" not in repr(changed)
