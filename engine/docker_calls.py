"""Calls to an engine that end when they must: a hard deadline, cancelling, and errors of our own.

Each call runs on a thread of its own (daemon, 0.1 ms to start) while the caller waits for it, for the deadline, or
for being cancelled, whichever is first. The caller is then free whatever the engine does; the wire is cut, which
ends the thread too. No more than `MOST_AT_ONCE` of them exist for one engine, those still ending included, so that an
engine that hangs cannot eat this process: further calls are refused before anything was sent.
"""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from docker.errors import APIError, DockerException
from urllib3.exceptions import HTTPError

from engine.base import ShouldStop, never
from engine.certificates import words
from engine.docker_errors import from_text
from engine.docker_transport import AnswerTooLarge, Client, Endpoint
from engine.errors import AnswerLost, Cancelled, DeadlineExceeded, EngineError, Unreachable

T = TypeVar("T")

NEWEST_API = (1, 51)
"""The newest interface that was tested; an engine's own newest may have shapes that nobody here has seen."""
OLDEST_API = (1, 41)
MOST_AT_ONCE = 32
LOOK_EVERY = 0.1
"""Seconds between two looks at whether the caller was cancelled."""
TICK = 0.04

_NONSENSE = (ValueError, KeyError, TypeError, RecursionError)
_FAILURES = (DockerException, requests.RequestException, HTTPError, OSError, *_NONSENSE)


class Calls:
    """Runs calls on one engine. Safe to use from several threads and after a fork."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._version = ""
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._idle: deque[Client] = deque(maxlen=4)

    def run(
        self,
        work: Callable[[Client], T],
        *,
        deadline: float,
        writes: bool = False,
        should_stop: ShouldStop = never,
    ) -> T:
        """Does ``work`` with a fresh client, within ``deadline`` seconds of wall clock.

        ``writes``: a broken connection then means `AnswerLost` (the engine may have done it) instead of `Unreachable`.
        """
        with self._started(lambda client: [work(client)], deadline, writes, should_stop) as results:
            result: T = next(results)
            return result

    @contextmanager
    def stream(
        self,
        work: Callable[[Client], Iterator[T]],
        *,
        deadline: float,
        writes: bool = False,
        should_stop: ShouldStop = never,
    ) -> Generator[Iterator[T | None]]:
        """What ``work`` yields on its thread, handed over in order; leaving the context cuts the wire.

        ``None`` comes in between whenever nothing came for `TICK` seconds, so that the caller can do other things.
        """
        with self._started(work, deadline, writes, should_stop, TICK) as results:
            yield results

    @contextmanager
    def _started(
        self,
        work: Callable[[Client], Any],
        deadline: float,
        writes: bool,
        should_stop: ShouldStop,
        tick: float = 0,
    ) -> Generator[Iterator[Any]]:
        ends = time.monotonic() + deadline
        # With less than a tenth of the time left the call could only end as "perhaps done".
        if not self._slots.acquire(timeout=deadline * 0.9):
            raise Unreachable("Too many calls are waiting for this engine already.")
        # The wire's own patience is only a second line behind the deadline, for a caller that died.
        call = _Call(self._client(deadline + 5), deadline, writes)
        thread = threading.Thread(
            target=call.thread, args=(self._prepared, work, self._done), name="engine-call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._done(call.client)
            raise Unreachable("This process has no thread left for a call to the engine.") from None
        try:
            yield call.results(ends, should_stop, tick)
        finally:
            call.cut()

    def _client(self, patience: float) -> Client:
        try:
            client = self._idle.pop()
        except IndexError:
            return Client(self.endpoint, patience=patience)
        client.renew(patience)
        return client

    def _done(self, client: Client) -> None:
        client.close()
        self._idle.append(client)
        self._slots.release()

    def _prepared(self, client: Client) -> None:
        """Agrees on the version of the interface, once an engine (its `min(newest, ours)`)."""
        if not self._version:
            self._version = agree(client.version(api_version=False))
        client.use_version(self._version)

    def forget_version(self) -> None:
        """The engine may have been replaced by another version: ask again at the next call."""
        self._version = ""


class _Call:
    """One call: its thread puts results into a short queue, its caller takes them."""

    def __init__(self, client: Client, deadline: float, writes: bool) -> None:
        self.client = client
        self.wire = client.wire
        self.deadline = deadline
        self.writes = writes
        self.queue: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=64)

    def thread(
        self, prepare: Callable[[Client], None], work: Callable[[Client], Any], done: Callable[[Client], None]
    ) -> None:
        try:
            prepare(self.client)
            for result in work(self.client):
                self._put("result", result)
            self._put("end", None)
        except EngineError as error:
            self._put("error", error)
        except _FAILURES as error:
            self._put("error", self._mapped(error))
        except BaseException as error:  # noqa: BLE001 - a fault of ours: the caller raises it, never this thread
            self._put("error", error)
        finally:
            done(self.client)

    def _put(self, kind: str, value: Any) -> None:
        while not self.wire.is_cut:
            try:
                self.queue.put((kind, value), timeout=0.5)
            except queue.Full:
                continue
            return

    def results(self, ends: float, should_stop: ShouldStop, tick: float) -> Iterator[Any]:
        step = tick or (LOOK_EVERY if should_stop is not never else self.deadline)
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(f"The engine did not answer within {self.deadline:g} seconds.")
            if should_stop is not never and should_stop():
                raise Cancelled("Cancelled on its way.")
            try:
                kind, value = self.queue.get(timeout=min(left, step))
            except queue.Empty:
                if tick:
                    yield None
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value

    def cut(self) -> None:
        self.wire.cut()

    def _mapped(self, error: BaseException) -> EngineError:
        if isinstance(error, APIError) and error.response is not None:
            return from_text(str(error.explanation or ""), error.response.status_code)
        told = _of_tls(error)
        # Since TLS 1.3 an engine refuses our certificate only after the handshake, before it reads anything.
        if told and (not self.wire.connected or "CERTIFICATE" in (told.reason or "")):
            return Unreachable(words(told))
        if not self.wire.connected:
            return Unreachable(
                "The engine does not answer: nothing listens at its address, or access is refused."
            )
        if self.writes:
            return AnswerLost("The connection to the engine broke, or its answer did not arrive whole.")
        if isinstance(error, AnswerTooLarge):
            return EngineError("The engine's answer is too large.")
        if isinstance(error, _NONSENSE):
            return EngineError("The engine's answer makes no sense.")
        return Unreachable("The connection to the engine broke.")


def _of_tls(error: BaseException | None) -> ssl.SSLError | None:
    """What TLS said, below what the libraries have wrapped it in."""
    for _ in range(8):
        if error is None or isinstance(error, ssl.SSLError):
            return error
        inner = next((one for one in error.args if isinstance(one, BaseException)), None)
        error = getattr(error, "reason", None) if inner is None else inner
        error = error if isinstance(error, BaseException) else None
    return None


def agree(answer: Any) -> str:
    """The version of the interface to speak, from the answer to ``/version``."""
    try:
        newest = _numbers(answer["ApiVersion"])
        oldest = _numbers(answer.get("MinAPIVersion") or "1.24")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EngineError("This does not answer like a container engine.") from None
    version = min(newest, NEWEST_API)
    if version < OLDEST_API:
        raise EngineError("This engine is too old: version 20.10 or newer is needed.")
    if version < oldest:
        raise EngineError("This engine is newer than what Slipway knows.")
    return f"{version[0]}.{version[1]}"


def _numbers(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
