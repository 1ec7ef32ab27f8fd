"""S-58: each kind of secret is planted once, everything is used and goes wrong; then all that is left is searched.

Searched are the body of every page and REST address, the panel, every file of the state folder (the database, logs,
spools), what the processes printed, each command that Redis got, each key it
holds, and the arguments of every process.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest
import redis
import requests
from django.urls import URLResolver, get_resolver

from tests import machine
from tests.bucket import bucket
from tests.receiver import receiver
from tests.registry import USER, registry
from tests.repositories import ACCOUNT, repository, served
from tests.test_crawl import links

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]
MOST_PAGES = 1500
_PLAIN = {
    b"canary-web": "page /containers/",
    b"canary-bad": "GET api/v1/operations/",
    b"canary-two": r".*\.sqlite3",
    b"Bad Gateway": "state/log/web.log",
    b"docker-registry": "called",
    b"team/app": "page /operations/",
    b"PGPASSWORD": "GET api/v1/containers/",
    b"slipway": "held",
}
"""What is searched for just so, and in which place it must be."""
PUSHED = "FROM {base}\nRUN --mount=type=secret,id=npm cat /run/secrets/npm; {then}\n"
OWN_PROCESS = ("an argument of docker exec", "called")
"""That process is the test's own, and may live long enough to be seen."""


class Watch(threading.Thread):
    """What Redis is told, and how processes are called, while all this goes on."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis.from_url(url)
        self.seen: set[bytes] = set()
        self.called: set[bytes] = set()
        self.over = threading.Event()
        self.listening = threading.Event()

    def run(self) -> None:
        threading.Thread(target=self._processes, daemon=True).start()
        with (
            suppress(redis.ConnectionError),  # where a test has failed, it ends under our ears
            self.client.monitor() as commands,  # type: ignore[no-untyped-call]
        ):
            self.listening.set()
            for command in commands.listen():
                self.seen.add(command["command"].encode(errors="surrogateescape"))
                if self.over.is_set():
                    return

    def _processes(self) -> None:
        while not self.over.wait(0.02):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.called.add(entry.read_bytes())
                except OSError:
                    continue

    def end(self) -> None:
        """One command more, so that the listening ends too."""
        self.over.set()
        self.client.ping()
        self.join(10)

    def held(self) -> Iterator[bytes]:
        """What Redis still has."""
        for key in self.client.scan_iter(count=1000):
            yield key + b" " + (self.client.dump(key) or b"")


class Site:
    """One Slipway, everything it answered, and what must not be found."""

    def __init__(self, app: machine.LiveApp) -> None:
        self.app = app
        self.bearer = app.token("admin", "read", "operate", "write", "admin")
        self.planted: dict[str, str] = {"the token": self.bearer.rpartition(".")[2]}
        self.bodies: dict[str, bytes] = {}
        self.browser = requests.Session()

    def plant(self, name: str) -> str:
        """A secret that is nowhere else. Letters and digits alone: no way of writing it down changes it."""
        self.planted[name] = f"canary{uuid4().hex}"
        return self.planted[name]

    def call(self, method: str, path: str, body: Any = None, *, give: bool = False) -> Any:
        """Its document, or its text. ``give``: this answer gives something away once, as it should."""
        answer = requests.request(
            method, f"{self.app.url}/api/v1{path}", json=body, timeout=90,
            headers={"Authorization": f"Bearer {self.bearer}", "Prefer": "wait=60"},
        )  # fmt: skip
        if not give:
            self.bodies[f"{method} {path} {len(self.bodies)}"] = answer.content
        assert answer.status_code < 500 or answer.status_code in (502, 503, 504), answer.text
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text

    def sign_in(self) -> None:
        """As a person; with a wrong password first."""
        for password in (self.plant("a wrong password"), machine.PASSWORD):
            page = self.browser.get(f"{self.app.url}/login/", timeout=30)
            found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
            assert found is not None
            self.browser.post(
                f"{self.app.url}/login/", timeout=30, headers={"Referer": f"{self.app.url}/login/"},
                data={"csrfmiddlewaretoken": found[1], "login": "admin", "username": "admin", "password": password},
            )  # fmt: skip
        assert (
            self.browser.get(f"{self.app.url}/account/", timeout=30, allow_redirects=False).status_code == 200
        )

    def crawl(self, *starts: str) -> int:
        """Every page that links lead to, a way of each to be seen; how many."""
        todo, seen = deque(starts), set[str]()
        while todo and len(seen) < MOST_PAGES:
            address = todo.popleft()
            path = address.partition("?")[0]
            if path in seen or path.startswith(("/api/", "/logout", "/admin/logout")):
                continue
            seen.add(path)
            answer = self.browser.get(f"{self.app.url}{address}", timeout=60)
            assert answer.status_code < 500, (address, answer.text[:500])
            self.bodies[f"page {address}"] = answer.content
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                todo.extend(links(answer.text, path))
        return len(seen)

    def rest(self) -> None:
        """Every list, and of each row its own address and all below it."""
        plain: list[str] = []
        below: list[str] = []
        for path in _rest(get_resolver().url_patterns):
            (below if "<" in path else plain).append(path)
        for path in plain:
            rows = self._read(path)
            for row in (rows.get("results") or [] if isinstance(rows, dict) else [])[:20]:
                for one in below:
                    if (
                        isinstance(row, dict)
                        and "id" in row
                        and re.fullmatch(rf"{path}<uuid:\w+>/(\w|[-/])*", one)
                    ):
                        self._read(re.sub(r"<uuid:\w+>", str(row["id"]), one))

    def _read(self, path: str) -> Any:
        answer = requests.get(
            f"{self.app.url}/{path}", headers={"Authorization": f"Bearer {self.bearer}"}, timeout=60
        )
        self.bodies[f"GET {path}"] = answer.content
        return (
            answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else None
        )


def _rest(patterns: Any, before: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _rest(pattern.url_patterns, path)
        elif hasattr(pattern.callback, "cls") and hasattr(pattern.callback.cls, "get") and "^" not in path:
            yield path


@pytest.fixture
def site(engine_url: str, busybox: str) -> Iterator[Site]:
    """A Slipway of its own: what others leave in a database is not searched."""
    app = machine.LiveApp(
        engine_url, SLIPWAY_ADMIN_USER="admin", SLIPWAY_ADMIN_PASSWORD=machine.PASSWORD,
        SLIPWAY_REGISTRY_HOSTS="127.0.0.1", SLIPWAY_GIT_HOSTS="127.0.0.1", SLIPWAY_WEBHOOK_HOSTS="127.0.0.1",
        SLIPWAY_BACKUP_HOSTS="127.0.0.1",
    )  # fmt: skip
    try:
        yield Site(app.start())
    finally:
        app.discard()


def _containers(site: Site, base: str, client: docker.DockerClient) -> None:
    """Run well, run badly, edited, made anew, exported, and called by somebody with the docker command."""
    team = {"team": "blue"}
    site.call("POST", "/teams/", {"slug": "blue", "name": "Blue"})
    kept = site.call(
        "POST", "/variables/", {**team, "name": "API", "value": site.plant("a team's secret"), "secret": True}
    )
    given = {
        "environment": {
            "DB_PASSWORD": site.plant("a variable by its name"),
            "DATABASE_URL": f"postgres://shop:{site.plant('an address with a password')}@db/shop",
            "FROM_TEAM": "Bearer ${{ API }}",
        },
        "secrets": {"HUSH": site.plant("a secret of a container")},
    }
    web = site.call("POST", "/containers/", {
        **team, "image": base, "name": "canary-web", "command": ["sleep", "600"], **given,
    })  # fmt: skip
    assert web["state"] == "succeeded", web
    bad = site.call("POST", "/containers/", {
        **team, "image": base, "name": "canary-bad", "command": ["/no/such/program"], **given,
    })  # fmt: skip
    assert bad["state"] == "failed", bad
    refused = site.call("POST", "/containers/", {**team, "image": base, "ports": "all", **given})
    assert "errors" in refused
    pk = web["target"]["id"]
    changed = {"changes": {"environment": {"DB_PASSWORD": site.plant("an edited variable")}}, "pull": False}
    anew = site.call("POST", f"/containers/{pk}/recreate/", changed)
    assert anew["state"] == "succeeded", anew
    pk = site.call("GET", "/containers/?name=canary-web")["results"][0]["id"]
    another = site.call("POST", f"/containers/{pk}/duplicate/", {"name": "canary-two", "start": False})
    assert another["state"] == "succeeded", another
    for how in ("run", "compose", "kubernetes"):
        assert "HUSH" in str(site.call("GET", f"/containers/{pk}/export/?as={how}"))
    site.call("PATCH", f"/variables/{kept['id']}/", {"value": site.plant("a team's newer secret")})
    client.containers.get("canary-web").exec_run(
        ["sh", "-c", f": {site.plant('an argument of docker exec')}"]
    )
    client.containers.run(
        base, ["sh", "-c", "exit 3"], name="canary-elsewhere", detach=True,
        environment={"PGPASSWORD": site.plant("a variable from elsewhere")},
    )  # fmt: skip


def _builds(site: Site, base: str, tmp_path: Path) -> None:
    for then in ("true", "exit 5"):
        secret = {"npm": site.plant(f"a secret of a build that ends with {then}")}
        built = site.call("POST", "/images/build/", {
            "dockerfile": PUSHED.format(base=base, then=then), "tags": ["canary:1"], "builder": "buildkit",
            "secrets": secret,
        })  # fmt: skip
        assert built["state"] == ("succeeded" if then == "true" else "failed"), built
    repository(tmp_path, "app", {"Dockerfile": f"FROM {base}\n"})
    (tmp_path / "private").mkdir()
    (tmp_path / "app.git").rename(tmp_path / "private" / "app.git")
    with served(tmp_path) as (url, _seen):
        for address in (url, "http://127.0.0.1:9"):
            site.call("POST", "/images/build/", {
                "tags": ["canary:2"],
                "git": {
                    "url": f"{address}/private/app.git", "username": ACCOUNT,
                    "password": site.plant(f"git at {address}"),
                },
            })  # fmt: skip


def _others(site: Site) -> None:
    """Registries, stores, receivers: each with what it refuses."""
    with registry() as place:
        kept = site.call("POST", "/registries/", {
            "name": "Canary", "host": place.host, "tls": False, "username": USER,
            "password": site.plant("a registry's wrong password"),
        })  # fmt: skip
        assert kept["state"] == "failed", kept
        site.call(
            "POST", "/images/pull/", {"reference": f"{place.host}/team/app:1", "registry": kept.get("id")}
        )
        site.call("POST", "/registries/", {
            "name": "Nobody", "host": "127.0.0.1:9", "tls": False, "username": USER,
            "password": site.plant("the password of a registry that is away"),
        })  # fmt: skip
    with bucket() as objects:
        for answer in (0, 500):
            objects.answer = answer
            site.call("POST", "/backup-stores/", {
                "name": f"Canary {answer}", "endpoint": objects.url, "bucket": "backups", "access_key": "AKIATEST",
                "secret_key": site.plant(f"the key of a store that answers {answer or 403}"),
            })  # fmt: skip
    with receiver() as hook:
        for mood in (500, "close"):
            hook.mood = mood
            made = site.call("POST", "/webhooks/", {
                "name": f"canary {mood}", "address": f"{hook.url}/{site.plant(f'an address that {mood}s')}",
                "secret": site.plant(f"the secret of one that {mood}s"),
            }, give=True)  # fmt: skip
            site.call("POST", f"/webhooks/{made['id']}/test/", {})
    token = site.call("POST", "/tokens/", {"name": "x", "scopes": ["read"], "days": 1}, give=True)
    if "token" in token:
        site.planted["another token"] = token["token"].rpartition(".")[2]
    for name in ("token", "api_key", "access_token"):
        query = f"{name}={site.plant(f'?{name}=')}"
        assert requests.get(f"{site.app.url}/api/v1/containers/?{query}", timeout=30).status_code == 401
        requests.get(f"{site.app.url}/containers/?{query}", timeout=30)


def _files(home: Path) -> Iterator[tuple[str, bytes]]:
    for path in home.rglob("*"):
        if path.is_file() and "static" not in path.parts:
            try:
                raw = path.read_bytes()
            except OSError:
                continue
            yield str(path.relative_to(home)), raw
            if raw[:2] == b"\x1f\x8b":
                yield f"{path.relative_to(home)} (unpacked)", gzip.decompress(raw)


def test_no_secret_is_left_anywhere(
    site: Site, busybox: str, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """S-58."""
    watch = Watch(f"unix://{_redis(site.app.home)}?db=0")
    watch.start()
    assert watch.listening.wait(10)
    site.sign_in()
    _containers(site, busybox, docker_client)
    _builds(site, busybox, tmp_path)
    _others(site)
    time.sleep(2)  # figures, events and messages are on their way
    site.rest()
    assert site.crawl("/", "/admin/", "/audit/", "/events/") > 150
    watch.end()

    places = list(site.bodies.items())
    places += [("printed", site.app.log.read_bytes()), *_files(site.app.home)]
    places += [("told", told) for told in watch.seen]
    places += [("called", called) for called in watch.called]
    places += [("held", held) for held in watch.held()]
    # It can be found: what is no secret is, wherever it should be.
    unseen = {
        (what, where) for what, where in _PLAIN.items()
        if not any(re.match(where, name) and what in body for name, body in places)
    }  # fmt: skip
    assert not unseen
    left = sorted({
        f"{what}: {where}" for where, body in places for what, secret in site.planted.items()
        if secret.encode() in body and (what, where) != OWN_PROCESS
    })  # fmt: skip
    assert not left, "\n".join(left)
    assert len(site.planted) > 20


def _redis(home: Path) -> Path:
    return next(path for path in home.rglob("redis.sock"))


@pytest.fixture(autouse=True)
def _taken_away(docker_client: docker.DockerClient) -> Iterator[None]:
    """What was made, whatever happened."""
    yield
    for row in docker_client.api.containers(all=True):
        if any(name.strip("/").startswith(("canary-", "slipway-trash-")) for name in row["Names"]):
            docker_client.api.remove_container(row["Id"], force=True, v=True)
    for tag in ("canary:1", "canary:2"):
        if docker_client.images.list(name=tag):
            docker_client.images.remove(tag, force=True)
