"""Lists of a thousand and of five thousand containers: how soon they are there, how much comes, how they scroll."""

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

MANY, HUGE = 1000, 5000
ROUNDS = 40
_PATHS = {
    "the list": "/containers/",
    "its last page": "/containers/?page=10",
    "what a filter finds in it": "/containers/?q=many-77",
}
_SCROLL = """() => new Promise(done => {
  const area = document.querySelector('#containers'), took = [], tasks = []
  const seen = list => { for (const one of list.getEntries()) tasks.push(one.duration) }
  new PerformanceObserver(seen).observe({ type: 'longtask' })
  let last = performance.now(), n = 0
  const turn = now => {
    took.push(now - last)
    last = now
    area.scrollTop += 60
    if (n++ < 60) requestAnimationFrame(turn); else setTimeout(() => done([took, tasks]), 100)
  }
  requestAnimationFrame(turn)
})"""


_FILL = f"""
from django.utils import timezone
from containers_app.models import Container
from operations.models import Engine
engine, now = Engine.objects.create(name="huge", endpoint="unix:///nowhere/huge.sock"), timezone.now()
Container.objects.bulk_create(
    Container(
        engine=engine, name=f"row-{{n:04}}", native_id=f"{{n:064x}}", image_ref="shop/web:1.4", state="running",
        created_at=now, started_at=now, stack=f"stack-{{n // 25:03}}",
        labels={{"com.docker.compose.project": f"stack-{{n // 25:03}}"}},
        ports=[{{"container": 80, "protocol": "tcp", "host": 20000 + n, "host_ip": ""}}],
    )
    for n in range({HUGE})
)
"""


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
    raw = []
    for _ in range(5):
        began = time.perf_counter()
        docker_client.api.containers(all=True)
        raw.append((time.perf_counter() - began) * 1000)
    floor = f"{percentile(raw, 0.5):.0f} ms (all of them, as JSON)"
    first_bytes(MANY, _PATHS, visitor, tell, floor)
    scrolled(MANY, visitor, tell)


def test_five_thousand_containers(site: Site, tell: Tell, visit: object) -> None:
    """Of an engine that is away: rows alone, since no test engine holds as many."""
    site.app.manage("shell", "-c", _FILL)
    try:
        visitor: Visitor = visit(site.app)  # type: ignore[operator]
        visitor.sign_in("admin", PASSWORD)
        paths = {
            "the list": "/containers/",
            "its last page": "/containers/?page=50",
            "a filter": "/containers/?q=row-4900",
        }
        first_bytes(HUGE, paths, visitor, tell)
        scrolled(HUGE, visitor, tell)
        page = visitor.go("/containers/")
        began = time.perf_counter()
        page.get_by_role("searchbox").fill("row-4900")
        page.locator("tr[data-name=row-4900]").wait_for()
        page.wait_for_function("document.querySelectorAll('#containers tr[data-row]').length === 1")
        found = (time.perf_counter() - began) * 1000
        tell(
            f"{HUGE:,} containers: typed to found, in the page",
            f"{found:.0f} ms",
            "",
            "< 600 ms",
            found < 600,
        )
        page = visitor.go("/containers/")
        began = time.perf_counter()
        page.get_by_role("link", name="Last page").click()
        page.locator("tr[data-name=row-4999]").wait_for()
        turned = (time.perf_counter() - began) * 1000
        page.keyboard.press("p")
        page.locator("tr[data-name=row-4899]").wait_for()
        tell(
            f"{HUGE:,} containers: to the last page, in the page",
            f"{turned:.0f} ms",
            "",
            "< 1000 ms",
            turned < 1000,
        )
    finally:
        site.app.manage(
            "shell", "-c", "from operations.models import Engine; Engine.objects.get(name='huge').delete()"
        )


def first_bytes(many: int, paths: dict[str, str], visitor: Visitor, tell: Tell, raw: str = "") -> None:
    """How soon the first byte of each of these pages is there, and how much comes."""
    cookies = "; ".join(f"{one['name']}={one['value']}" for one in visitor.context.cookies())
    headers = {"Cookie": cookies, "Accept-Encoding": "gzip"}
    for what, path in paths.items():
        took, size = [], 0
        connection = HTTPConnection("127.0.0.1", visitor.app.port)
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
            f"{many:,} containers: {what}, first byte, p50", f"{seen:.0f} ms, {size / 1000:.0f} KB", raw,
            "< 150 ms, < 300 KB", seen < 150 and size < 300_000,
        )  # fmt: skip


def scrolled(many: int, visitor: Visitor, tell: Tell) -> None:
    """How soon the list is drawn, and how it scrolls."""
    page = visitor.go("/containers/")
    drawn = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    tell(f"{many:,} containers: first paint of the page", f"{drawn:.0f} ms", "", "< 1000 ms", drawn < 1000)
    page.wait_for_timeout(1000)
    frames, tasks = page.evaluate(_SCROLL)
    usual, slow, longest = percentile(frames, 0.5), percentile(frames, 0.95), max(tasks, default=0)
    tell(
        f"{many:,} containers: scrolled through a page, a frame, p50 and p95; longest task",
        f"{usual:.0f}, {slow:.0f} ms; {f'{longest:.0f} ms' if longest else 'none of 50 ms'}", "", "≤ 34 ms, < 50 ms",
        slow <= 34 and longest < 50,
    )  # fmt: skip
