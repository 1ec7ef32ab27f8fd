"""The audit trail of a whole Slipway: anchored by the worker, verified and exported beside it."""

from __future__ import annotations

import csv
import http.client
import io

from tests import machine


def test_the_worker_anchors_what_is_recorded_and_all_of_it_verifies(live_app: machine.LiveApp) -> None:
    anchors = live_app.home / "state" / "audit-anchor.log"
    machine.wait_for(anchors.exists, 90, "the worker anchors nothing")
    assert '"seq": ' in anchors.read_text().splitlines()[0]
    assert "chain whole, newest" in live_app.manage("audit", "verify")


def test_the_table_comes_from_the_server_as_a_download(live_app: machine.LiveApp) -> None:
    token = live_app.token("admin", "admin")
    connection = http.client.HTTPConnection("127.0.0.1", live_app.port, timeout=30)
    connection.request("GET", "/api/v1/audit/?format=csv", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    head, *rows = csv.reader(io.TextIOWrapper(answer, encoding="utf-8", newline=""))
    connection.close()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert head[:3] == ["seq", "at", "actor"]
    assert rows[0][3] == "audit.export"
    assert rows[-1][:1] + rows[-1][3:4] == ["1", "auth.setup"]
