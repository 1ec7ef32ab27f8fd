"""The product's web process, which may be killed, and somebody who asks it again until there is an answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from uuid import uuid4

from accounts import tokens
from accounts.models import User
from accounts.permissions import SCOPES
from tests import machine
from tests.faults.conftest import Start

LOST = (OSError, http.client.HTTPException)
"""No answer, or half of one."""


class Web:
    """One address, and at most one process behind it."""

    def __init__(self, start: Start, user: User, pace: str = "product") -> None:
        self._start, self._pace, self.port = start, pace, machine.free_port()
        _, self._secret = tokens.make(user, "faults", SCOPES)
        self.lost: list[str] = []
        """Operations that were asked for again, since the first answer did not come."""
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, **environment: str) -> None:
        """Returns when it answers."""
        self.process = self._start("web", FAULTS_PORT=str(self.port), FAULTS_PACE=self._pace, **environment)
        machine.wait_for(self._answers, 60, "no web process", every=0.05)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, path: str, body: Mapping[str, Any], *, most: float = 60) -> str:
        """The id of the operation. Who gets no answer asks the same again with the same key, as often as it takes."""
        key, until = str(uuid4()), time.monotonic() + most
        first, lost = self._answered(path, body, key, until)
        again, _ = self._answered(path, body, key, until)
        assert again == first, "the same key, another operation"
        if lost:
            self.lost.append(first)
        return first

    def _answered(self, path: str, body: Mapping[str, Any], key: str, until: float) -> tuple[str, bool]:
        """The id, and whether an answer was lost on the way to it."""
        lost = False
        while True:
            try:
                return self._accepted(path, body, key), lost
            except LOST:
                lost = True
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def _accepted(self, path: str, body: Mapping[str, Any], key: str) -> str:
        status, said = self._call("POST", f"/api/v1{path}", body, key)
        assert status == 202, said
        return str(said["id"])

    def _answers(self) -> bool:
        try:
            return self._call("GET", "/healthz", None, "")[0] == 200
        except LOST:
            return False

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, key: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        return answer.status, json.loads(text) if path.startswith("/api/") else text
