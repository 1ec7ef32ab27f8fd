"""From what happens on the engine to the fragment in an open page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import docker
import pytest
from docker.models.containers import Container

from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site
from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

CYCLES = 30
WATCH = """id => {
  window.seen = []
  const row = () => document.getElementById(`c-${id}`)
  const text = () => row()?.querySelector('.c-status').textContent.trim().slice(0, 2)
  let before = text()
  new MutationObserver(() => {
    const now = text()
    if (now !== before) { before = now; window.seen.push([performance.timeOrigin + performance.now(), now]) }
  }).observe(document.querySelector('main'), { childList: true, subtree: true, characterData: true, attributes: true })
}"""


class Events:
    """The engine's own stream, read plainly: when each was stamped, and when it was here."""

    def __init__(self) -> None:
        self.stamps: list[tuple[str, float]] = []
        self.delays: list[float] = []

    @contextmanager
    def read(self, client: docker.DockerClient, name: str) -> Iterator[None]:
        stream = client.api.events(decode=True, filters={"container": name, "event": ["die", "start"]})

        def work() -> None:
            for event in stream:
                stamp = event["timeNano"] / 1e6
                self.delays.append(time.time() * 1000 - stamp)
                self.stamps.append((event["Action"], stamp))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stream.close()
            thread.join(5)

    def stamp(self, number: int, action: str) -> float:
        """Of the how manieth event."""
        found = wait_for(lambda: len(self.stamps) > number and self.stamps[number], 10, "no event")
        assert found[0] == action
        return float(found[1])


def test_an_event_shows_in_the_page(
    site: Site,
    run: Callable[..., Container],
    tell: Tell,
    docker_client: docker.DockerClient,
    visit: Callable[..., Visitor],
) -> None:
    for n in range(20):
        run(f"beside-{n}", "sleep 1000")
    container = run("blinker", "sleep 1000")
    row = site.row("blinker")
    visitor = visit(site.app)
    visitor.sign_in("admin", PASSWORD)
    page = visitor.go("/containers/")
    page.wait_for_selector(f"#c-{row['id']}")
    page.wait_for_timeout(1500)
    page.evaluate(WATCH, row["id"])
    events, late = Events(), []
    with events.read(docker_client, "blinker"):
        for cycle in range(CYCLES):
            for step, (act, action) in enumerate(((container.kill, "die"), (container.start, "start"))):
                before = page.evaluate("seen.length")
                act()
                stamp = events.stamp(2 * cycle + step, action)
                page.wait_for_function("n => seen.length > n", arg=before, timeout=10_000)
                late.append(page.evaluate("n => seen[n][0]", before) - stamp)
                page.wait_for_timeout(900)
    for part, most in ((0.5, 60), (0.99, 200)):
        seen = percentile(late, part)
        raw = percentile(events.delays, part)
        tell(
            f"an event in an open page, p{part * 100:.0f}", f"{seen:.0f} ms", f"{raw:.1f} ms (event stream)",
            f"≤ {most} ms", seen <= most,
        )  # fmt: skip
