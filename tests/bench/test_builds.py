"""From a word that a step of a build says until a page has it, against the engine's own stream in the same run."""

from __future__ import annotations

import asyncio
import io
import json
import re
import tarfile
import time
import uuid
from collections.abc import Iterable, Iterator

import docker
import pytest

from engine.buildkit_trace import Said, trace
from engine.docker_transport import json_objects
from tests.bench.conftest import Tell
from tests.bench.figures import percentile
from tests.bench.site import Site

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

STEPS = 30
MORE = 100.0
"""Milliseconds that a line may be on its way from the engine to the page, at the median."""

_SAID = re.compile(r"said (\d+\.\d+)")


def dockerfile(base: str) -> str:
    """Each step says the machine's own clock three times; nothing of it is in the cache."""
    words = "for i in 1 2 3; do echo said $(cut -d' ' -f1 /proc/uptime); sleep 0.05; done"
    return f"FROM {base}\n" + "".join(f"RUN {words} # {uuid.uuid4().hex}\n" for _ in range(STEPS))


def late(text: str) -> list[float]:
    """Milliseconds that the words in ``text`` were on their way. The clock ticks each 10 ms."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return [(now - float(match)) * 1000 for match in _SAID.findall(text)]


def raw(client: docker.DockerClient, base: str, builder: str) -> list[float]:
    """The same on the engine's own connection, read as plainly as one can."""
    context, text = io.BytesIO(), dockerfile(base).encode()
    with tarfile.open(fileobj=context, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    url = client.api._url("/build")
    params = {"t": "bench/raw:1", "rm": "1", "version": "2" if builder == "buildkit" else "1"}
    with client.api.post(url, data=context.getvalue(), params=params, stream=True) as answer:
        return [ms for said in _words(answer.raw.stream(65536, decode_content=False)) for ms in late(said)]


def _words(pieces: Iterable[bytes]) -> Iterator[str]:
    for event in json_objects(iter(pieces)):
        if event.get("id") == "moby.buildkit.trace":
            yield from (one.text for one in trace(event["aux"]) if isinstance(one, Said))
        elif event.get("stream"):
            yield str(event["stream"])


async def ours(site: Site, base: str, builder: str) -> list[float]:
    """Of each line, from the step to a page's socket."""
    wish = {"dockerfile": dockerfile(base), "tags": ["bench/ours:1"], "builder": builder}
    _, asked = site.app.api(site.token, "POST", "/api/v1/images/build/", wish)
    topic, found = f"operation:{asked['id']}", list[float]()
    async with site.socket("/ws/live/") as socket:
        await socket.send(json.dumps({"subscribe": [topic]}))
        while True:
            frame = json.loads(await socket.recv())
            for event in frame.get("events", ()):
                if event["kind"] == "log":
                    found += late(event["data"]["text"])
                elif event["kind"] == "state" and event["data"]["state"] in ("succeeded", "failed"):
                    assert event["data"]["state"] == "succeeded", event
                    return found


@pytest.mark.parametrize("builder", ["buildkit", "classic"])
def test_a_build_is_watched_as_it_happens(
    site: Site, docker_client: docker.DockerClient, busybox: str, tell: Tell, builder: str
) -> None:
    floor, found = raw(docker_client, busybox, builder), asyncio.run(ours(site, busybox, builder))
    assert len(found) >= 3 * STEPS
    p50, least = percentile(found, 0.5), percentile(floor, 0.5)
    shown = [f"{percentile(one, 0.5):.0f} / {percentile(one, 0.95):.0f} ms" for one in (found, floor)]
    what = f"build of {STEPS} steps, {'BuildKit' if builder == 'buildkit' else builder}: a line to the page, p50 / p95"
    tell(what, *shown, f"raw + {MORE:.0f} ms", p50 <= least + MORE)
    assert p50 <= least + MORE
