"""A registry's own interface, against a small registry that can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.errors import AuthRequired, Conflict, ImageNotFound, RegistryBusy, RegistryUnreachable
from engine.outbound import Gate
from engine.registries import Registry

BASIC = "Basic " + base64.b64encode(b"porter:quiet").decode()
CONFIG = b'{"os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z"}'
LAYERS = [{"size": 1000}, {"size": 24}, {"size": "many"}, 7]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


MANIFEST = json.dumps({"config": {"digest": digest_of(CONFIG)}, "layers": LAYERS}).encode()
INDEX = json.dumps(
    {
        "manifests": [
            {"digest": "sha256:" + "0" * 64, "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": digest_of(MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}},
            {
                "digest": digest_of(MANIFEST),
                "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
            },
        ]
    }
).encode()


@dataclass
class Place:
    """What it has, what was asked of it and with which credentials. ``sign_in``: basic, bearer or none."""

    host: str = ""
    sign_in: str = "basic"
    realm: str = ""
    answer: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pages: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Answers for the `Place` of its class."""

    protocol_version = "HTTP/1.1"
    place: Place

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _found(self) -> tuple[int, bytes, dict[str, str]]:
        place, given = self.place, self.headers.get("Authorization", "")
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        place.asked.append((f"{self.command} {path}", given))
        if path == "/token":
            scope = query.get("scope", [""])[0]
            wrong = given not in ("", BASIC) or query["service"] != ["it"]
            return (401, b"", {}) if wrong else (200, json.dumps({"token": f"for.{len(scope)}"}).encode(), {})
        challenge = {
            "basic": 'Basic realm="it"',
            "bearer": f'Bearer realm="{place.realm}",service="it"',
        }.get(place.sign_in)
        if challenge and not (
            given == BASIC if place.sign_in == "basic" else given.startswith("Bearer for.")
        ):
            return 401, b"", {"WWW-Authenticate": challenge}
        if place.answer:
            return place.answer, b"", place.headers
        if path == "/v2/":
            return 200, b"{}", {}
        data, headers = place.pages.get(path, (b"", {}))
        return (200, data, headers) if data else (404, b"", {})

    def _do(self) -> None:
        status, data, headers = self._found()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Docker-Content-Digest", digest_of(data))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_DELETE = _do  # noqa: N815 - names of the base class


@pytest.fixture
def place() -> Iterator[Place]:
    found = Place()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"place": found}))
    found.host = f"127.0.0.1:{server.server_port}"
    found.realm = f"http://{found.host}/token"
    found.pages = {
        "/v2/_catalog": (b'{"repositories": ["team/app", "NOT ONE", 5, "b/c"]}', {}),
        "/v2/team/app/tags/list": (b'{"tags": ["3", "1", "2", "<b>"]}', {}),
        "/v2/team/app/manifests/1": (MANIFEST, {}),
        "/v2/team/app/manifests/2": (INDEX, {}),
        f"/v2/team/app/manifests/{digest_of(MANIFEST)}": (MANIFEST, {}),
        f"/v2/team/app/blobs/{digest_of(CONFIG)}": (CONFIG, {}),
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def gate(*named: str) -> Gate:
    return Gate(named, "SLIPWAY_REGISTRY_HOSTS", "registry", "registry.example", patience=5)


def at(place: Place, **other: str) -> Registry:
    account = {"username": "porter", "password": "quiet", **other}
    return Registry(place.host, gate("127.0.0.1"), tls=False, **account)


def test_names_digests_sizes_and_platforms_are_told_and_what_is_no_name_is_left_out(place: Place) -> None:
    registry = at(place)
    registry.check()
    assert registry.repositories(50).names == ["b/c", "team/app"]
    page = registry.tags("team/app", 2)
    assert (page.names, page.more) == (["1", "2"], True)
    assert registry.tags("team/app", 2, after="2").names == ["3"]
    assert registry.digest("team/app", "1") == digest_of(MANIFEST)
    facts = registry.facts("team/app", "1")
    assert (facts.digest, facts.size, facts.platforms) == (digest_of(MANIFEST), 1024, ["linux/amd64"])
    assert facts.created == "2026-01-02T03:04:05Z"
    several = registry.facts("team/app", "2")
    assert (several.digest, several.size) == (digest_of(INDEX), 1024)
    assert several.platforms == ["linux/amd64", "linux/arm/v7"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, AuthRequired, "denies"),
        (404, ImageNotFound, "no such"),
        (429, RegistryBusy, "less often"),
        (307, RegistryUnreachable, "not followed"),
        (500, RegistryUnreachable, "500"),
    ],
)
def test_a_refusal_is_told_in_words(place: Place, status: int, error: type[Exception], words: str) -> None:
    place.answer, place.headers = status, {"Retry-After": "70", "Location": "http://169.254.169.254/"}
    with pytest.raises(error, match=words) as told:
        at(place).digest("team/app", "1")
    if isinstance(told.value, RegistryBusy):
        assert told.value.details == {"seconds": 70}


def test_what_is_closed_says_so(place: Place) -> None:
    del place.pages["/v2/_catalog"]
    with pytest.raises(Conflict, match="does not list"):
        at(place).repositories(5)
    with pytest.raises(AuthRequired, match="does not take"):
        at(place, password="loud").repositories(5)
    place.answer = 405
    with pytest.raises(Conflict, match="removed"):
        at(place).delete("team/app", digest_of(MANIFEST))


def test_a_wrong_password_and_a_missing_one_are_told_apart(place: Place) -> None:
    with pytest.raises(AuthRequired, match="does not take"):
        at(place, password="loud").check()
    with pytest.raises(AuthRequired, match="wants a user name"):
        at(place, username="", password="").check()
    assert [given for _, given in place.asked if "porter" in given] == []


def test_a_token_is_fetched_with_the_account_and_kept_for_its_scope(place: Place) -> None:
    place.sign_in = "bearer"
    registry = at(place)
    registry.check()
    registry.digest("team/app", "1")
    registry.digest("team/app", "1")
    signed = [given for asked, given in place.asked if asked == "GET /token"]
    assert signed == [BASIC, BASIC], "one for the front door, one for the repository"
    with pytest.raises(AuthRequired, match="does not take"):
        at(place, password="loud").check()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_credentials_go_to_another_host_only_where_it_is_named(place: Place, elsewhere: bool) -> None:
    """S-59."""
    place.sign_in = "bearer"
    port = place.host.rpartition(":")[2]
    place.realm = f"http://localhost:{port}/token"
    registry = Registry(
        place.host, gate("127.0.0.1", "localhost"), tls=False, username="porter", password="quiet",
        token_host=f"localhost:{port}" if elsewhere else "",
    )  # fmt: skip
    if elsewhere:
        registry.check()
        return
    with pytest.raises(AuthRequired, match="token host") as told:
        registry.check()
    assert told.value.details["token_host"] == f"localhost:{port}"
    assert [asked for asked, _ in place.asked] == ["GET /v2/"]


def test_a_sign_in_within_networks_of_ones_own_is_not_visited(place: Place) -> None:
    place.sign_in, place.realm = "bearer", "http://169.254.169.254/latest"
    with pytest.raises(RegistryUnreachable, match="SLIPWAY_REGISTRY_HOSTS"):
        at(place, username="", password="").check()
    with pytest.raises(RegistryUnreachable, match="SLIPWAY_REGISTRY_HOSTS"):
        Registry(place.host, gate(), tls=False).check()
    with pytest.raises(RegistryUnreachable, match="TLS"):
        Registry(place.host, gate("127.0.0.1"), tls=True).check()


@pytest.mark.parametrize("data", [b"<html>", b"[]", b'{"tags": {"a": 1}}', b'{"tags": null}'])
def test_nonsense_is_an_error_or_nothing(place: Place, data: bytes) -> None:
    place.pages["/v2/team/app/tags/list"] = (data, {})
    if data == b"<html>":
        with pytest.raises(RegistryUnreachable, match="no sense"):
            at(place).tags("team/app", 5)
    else:
        assert at(place).tags("team/app", 5).names == []
