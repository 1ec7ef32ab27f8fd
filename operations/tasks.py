"""What a worker is woken for. A message carries an id and nothing else; whatever it says, the rows decide."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.db import close_old_connections, connection

from accounts import anchors, notices, sessions
from operations import claims, registry, runner, services, trash
from operations.reads import TASK as READ
from streams import health

log = logging.getLogger(__name__)

TICK = 2.0
"""Seconds between two sweeps. They find at most a few rows, by index."""
TRASH_TICK = 30.0
"""Seconds between two looks for what has had its time in the trash."""

registry.every(3600)(sessions.forget_ended)
registry.every(5)(notices.wake)
_stopping = threading.Event()
_free = threading.Semaphore(2)


@shared_task(name=services.TASK)
def run_operation(operation_id: str) -> None:
    """Carries the operation out if there is one of that id that waits for it; an unknown id does nothing."""
    try:
        known = UUID(str(operation_id))
    except ValueError:
        log.warning("woken for %.60r, which is no operation", operation_id)
        return
    runner.run(known)


@shared_task(name=READ)
def answer_read(question: str) -> None:
    """Answers a signed question of the web process about an engine."""
    runner.answer(str(question))


@worker_ready.connect
def _begin(**_: Any) -> None:
    _stopping.clear()
    threading.Thread(target=_tick, name="sweeper", daemon=True).start()


@worker_shutting_down.connect
def _end(**_: Any) -> None:
    _stopping.set()


def _without_broker(operation_id: UUID) -> bool:
    """Redis only wakes us: we may as well look for ourselves, a few at a time. Those too many come again."""
    free = _free.acquire(blocking=False)
    if free:
        threading.Thread(target=_carry_out, args=(operation_id,), name="without-broker").start()
    return free


def _carry_out(operation_id: UUID) -> None:
    try:
        runner.run(operation_id)
    except Exception:
        log.exception("operation %s broke", operation_id)
    finally:
        _free.release()
        connection.close()


def _anchor() -> None:
    """Notes how far the audit trail goes; what is wrong with that must not keep operations waiting."""
    try:
        anchors.drop()
    except anchors.Torn as error:
        log.critical("The audit trail is not whole: %s. Run manage.py audit verify.", error)
    except Exception:
        log.exception("the audit trail could not be anchored")


def _do_chores(done: dict[int, float]) -> None:
    """What the apps have registered; one that breaks keeps no other waiting."""
    for number, (seconds, chore) in enumerate(registry.chores()):
        if time.monotonic() - done.get(number, -seconds) >= seconds:
            done[number] = time.monotonic()
            try:
                chore()
            except Exception:
                log.exception("a chore broke")


def _tick() -> None:
    """Until the worker ends: says that it is alive, sends again what was lost, purges, anchors the audit trail."""
    beaten = swept = anchored = 0.0
    done: dict[int, float] = {}
    while True:
        try:
            if time.monotonic() - beaten >= health.EVERY:
                health.beat("worker")
                beaten = time.monotonic()
            close_old_connections()
            claims.sweep(otherwise=_without_broker)
            if time.monotonic() - swept >= TRASH_TICK:
                trash.sweep()
                swept = time.monotonic()
            _do_chores(done)
            if time.monotonic() - anchored >= anchors.EVERY:
                _anchor()
                anchored = time.monotonic()
        except Exception:
            log.exception("sweep failed")
        finally:
            connection.close()
        if _stopping.wait(TICK):
            return
