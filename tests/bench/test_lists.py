"""A list of a thousand containers: how soon its first byte is there, and how much comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import docker
import pytest

from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site
from tests.browser.visitor import Visitor
from tests.machine import PASSWORD, wait_for

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

MANY = 1000
ROUNDS = 40
_PATHS = {
    "the list": "/containers/",
    "its last page": "/containers/?page=10",
    "what a filter finds in it": "/containers/?q=many-77",
}
_SCROLL = """() => new Promise(done => {
  const area = document.querySelector('#containers'), took = []
  let last = performance.now(), n = 0
  const turn = now => {
    took.push(now - last)
    last = now
    area.scrollTop += 60
    if (n++ < 60) requestAnimationFrame(turn); else done(took)
  }
  requestAnimationFrame(turn)
})"""


@pytest.fixture
def thousand(docker_client: docker.DockerClient, busybox: str, site: Site) -> Iterator[None]:
    """As many containers, made and not started, in forty stacks."""

    def make(number: int) -> str:
        labels = {"com.docker.compose.project": f"stack-{number % 40:02}"}
        made = docker_client.containers.create(
            busybox, ["sleep", "1000"], name=f"many-{number:04}", labels=labels, network_mode="none",
            ports={"80/tcp": 20000 + number},
        )  # fmt: skip
        return str(made.id)

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(make, range(MANY)))

    def known() -> bool:
        _, found = site.app.api(site.token, "GET", f"/api/v1/containers/?q=many-{MANY - 1:04}")
        return bool(found["results"])

    wait_for(known, 120, "not all are known", every=1)
    time.sleep(5)
    yield
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: docker_client.api.remove_container(one, force=True), ids))


def test_a_thousand_containers(
    thousand: None, site: Site, tell: Tell, visit: object, docker_client: docker.DockerClient
) -> None:
    visitor: Visitor = visit(site.app)  # type: ignore[operator]
    visitor.sign_in("admin", PASSWORD)
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in visitor.context.cookies())
    headers = {"Cookie": cookies, "Accept-Encoding": "gzip"}
    raw = []
    for _ in range(5):
        began = time.perf_counter()
        docker_client.api.containers(all=True)
        raw.append((time.perf_counter() - began) * 1000)
    for what, path in _PATHS.items():
        took, size = [], 0
        connection = HTTPConnection("127.0.0.1", site.app.port)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            took.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200
            size = len(answer.read())
        connection.close()
        seen = percentile(took, 0.5)
        tell(
            f"{MANY:,} containers: {what}, first byte, p50", f"{seen:.0f} ms, {size / 1000:.0f} KB",
            f"{percentile(raw, 0.5):.0f} ms (all of them, as JSON)", "< 150 ms, < 300 KB",
            seen < 150 and size < 300_000,
        )  # fmt: skip
    page = visitor.go("/containers/")
    page.wait_for_timeout(1000)
    frames = page.evaluate(_SCROLL)
    usual, slow = percentile(frames, 0.5), percentile(frames, 0.95)
    tell(
        f"{MANY:,} containers: scrolled through a page, a frame, p50 and p95",
        f"{usual:.0f}, {slow:.0f} ms",
        "",
        "≤ 34 ms",
        slow <= 34,
    )
