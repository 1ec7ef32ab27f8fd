"""Registries, asked by their own interface (the distribution API, version 2). Workers alone do.

Credentials go to the host that they were saved for, and to the one that is named as its token host; whatever a
registry says of other places gets none. What comes back is hostile until it has been looked at: it is bounded, names
that are none are left out, and a manifest's digest is counted, not believed.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from engine import names, outbound
from engine.docker_errors import clean
from engine.errors import (
    AuthRequired,
    Conflict,
    EngineError,
    ImageNotFound,
    RegistryBusy,
    RegistryUnreachable,
)
from engine.words import kept

HUB = "docker.io"
_HUB_HOST, _HUB_TOKENS = "registry-1.docker.io", "auth.docker.io"
DEADLINE = 15.0
"""Seconds for one request, whatever the other side does."""
MOST = 4 * 1024 * 1024
"""Bytes of one answer."""
MOST_NAMES = 20_000
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``headers`` by name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Names in order, and whether there are more behind the last one."""

    names: list[str]
    more: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tag points at. ``size`` is what is fetched, in bytes, of the first platform; ``created`` may be empty."""

    digest: str
    size: int
    created: str
    platforms: list[str]


@dataclass(slots=True)
class Registry:
    """One registry, and whose credentials it is asked with. Safe to share between threads."""

    host: str
    gate: outbound.Gate
    tls: bool = True
    username: str = ""
    password: str = field(default="", repr=False)
    token_host: str = ""
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def check(self) -> None:
        """Whether it answers, and takes the credentials. Raises `EngineError`."""
        answer = self._ask("GET", "/v2/")
        if answer.status == 404:
            raise RegistryUnreachable(f"What answers at {self.host} is no registry.")
        self._need(answer, 200)

    def repositories(self, most: int, after: str = "") -> Page:
        """Raises `Conflict` where it lists none to this account: many registries do not."""
        answer = self._ask("GET", "/v2/_catalog", {"n": most, **({"last": after} if after else {})})
        if answer.status in (400, 401, 403, 404, 405, 501):
            self.check()  # else it is the account that it does not take
            raise Conflict("This registry does not list its repositories. Type the name of one.")
        self._need(answer, 200)
        return self._page(answer, "repositories", names.is_repository, most, after)

    def tags(self, repository: str, most: int, after: str = "") -> Page:
        """The tags of a repository by name. Many registries send all of them, whatever was asked for."""
        path = f"/v2/{quote(repository)}/tags/list"
        answer = self._ask("GET", path, {"n": most, **({"last": after} if after else {})})
        self._need(answer, 200)
        return self._page(answer, "tags", names.is_tag, most, after)

    def digest(self, repository: str, reference: str) -> str:
        """What a tag points at now. A question for the heads alone, which no registry counts as a pull."""
        answer = self._ask(
            "HEAD", f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}", accept=MANIFESTS
        )
        self._need(answer, 200)
        digest = answer.headers.get("docker-content-digest", "")
        if not names.is_digest(digest):
            raise RegistryUnreachable("The registry does not say which digest its tag has.")
        return digest

    def facts(self, repository: str, reference: str) -> Facts:
        """The manifest that a tag or digest points at, in short."""
        digest, manifest = self._manifest(repository, reference)
        platforms, first = [], manifest
        if isinstance(found := manifest.get("manifests"), list):
            known = [one for one in map(_mapping, found[:64]) if _platform(one) != "unknown/unknown"]
            platforms = [name for one in known if (name := _platform(one))]
            inner = next((d for one in known if names.is_digest(d := str(one.get("digest", "")))), "")
            first = self._manifest(repository, inner)[1] if inner else {}
        layers = first.get("layers")
        sizes = [_number(_mapping(one).get("size")) for one in (layers if isinstance(layers, list) else [])]
        config = self._config(repository, str(_mapping(first.get("config")).get("digest", "")))
        own = "/".join(str(config.get(key, "")) for key in ("os", "architecture")).strip("/")
        created = clean(str(config.get("created") or ""))[:40]
        return Facts(digest, sum(sizes), created, platforms or [clean(own)[:40]] if own else platforms)

    def delete(self, repository: str, digest: str) -> None:
        """Removes a manifest with all tags that point at it. Raises `Conflict` where it lets nobody."""
        answer = self._ask("DELETE", f"/v2/{quote(repository)}/manifests/{digest}")
        if answer.status in (400, 405, 501):
            raise Conflict("This registry does not let tags be removed.")
        self._need(answer, 202, 200, 204)

    def _manifest(self, repository: str, reference: str) -> tuple[str, Mapping[str, Any]]:
        path = f"/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}"
        answer = self._ask("GET", path, accept=MANIFESTS)
        self._need(answer, 200)
        return f"sha256:{hashlib.sha256(answer.body).hexdigest()}", _object(answer)

    def _config(self, repository: str, digest: str) -> Mapping[str, Any]:
        """Empty where it lies elsewhere: nobody follows to a place that a registry names."""
        if not names.is_digest(digest):
            return {}
        answer = self._ask("GET", f"/v2/{quote(repository)}/blobs/{digest}")
        return _object(answer) if answer.status == 200 else {}

    def _page(self, answer: Answer, key: str, valid: Any, most: int, after: str) -> Page:
        found = _object(answer).get(key)
        there = {name for name in found[:MOST_NAMES] if isinstance(name, str) and valid(name)} if isinstance(
            found, list
        ) else set()  # fmt: skip
        ordered = sorted(name for name in there if name > after)
        return Page(ordered[:most], len(ordered) > most or ("link" in answer.headers and bool(ordered)))

    # Asking

    def _base(self) -> str:
        return f"{'https' if self.tls else 'http'}://{_HUB_HOST if self.host == HUB else self.host}"

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        accept: tuple[str, ...] = ("application/json",),
    ) -> Answer:
        """Asks, and once more with what the registry wants to see. The last answer, whatever its status."""
        where = f"{path}?{urlencode(query)}" if query else path
        scope = _scope(method, path)
        headers = {"Accept": ", ".join(accept), "User-Agent": "Slipway"}
        known = self._tokens.get(scope, "")
        answer = self._sent(self._base(), method, where, {**headers, **_authorization(known)})
        if answer.status != 401:
            return answer
        self._tokens.pop(scope, None)
        found = self._credentials(answer.headers.get("www-authenticate", ""), scope)
        if not found:
            return answer
        answer = self._sent(self._base(), method, where, {**headers, **_authorization(found)})
        if answer.status != 401:
            self._tokens[scope] = found
        return answer

    def _credentials(self, challenge: str, scope: str) -> str:
        """The value of ``Authorization`` that this challenge asks for; empty for none."""
        kind, _, rest = challenge.partition(" ")
        basic = (
            base64.b64encode(f"{self.username}:{self.password}".encode()).decode() if self.password else ""
        )
        if kind.lower() == "basic":
            return f"Basic {basic}" if basic else ""
        if kind.lower() != "bearer":
            return ""
        said = {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
        return f"Bearer {self._token(said, scope, basic)}"

    def _token(self, said: Mapping[str, str], scope: str, basic: str) -> str:
        realm = said.get("realm", "")
        try:
            parts = urlsplit(realm)
            netloc, secure = parts.netloc.lower(), parts.scheme == "https"
        except ValueError:
            netloc, secure, parts = "", False, urlsplit("")
        if not netloc or (self.tls and not secure):
            raise AuthRequired("The registry names no place to sign in at that could be trusted.")
        if basic and netloc not in self._trusted():
            raise AuthRequired(
                f"The registry wants the sign-in to go to {clean(netloc)[:100]}. If that is right, name it as the"
                " token host; credentials go nowhere else.",
                token_host=clean(netloc)[:100],
            )
        query = {"service": said.get("service", "")[:255]} if said.get("service") else {}
        if wanted := said.get("scope", scope)[:500]:
            query["scope"] = wanted
        headers = {"Accept": "application/json", "User-Agent": "Slipway"}
        if basic:
            headers["Authorization"] = f"Basic {basic}"
        where = f"{parts.path or '/'}?{'&'.join(filter(None, (parts.query, urlencode(query))))}"
        answer = self._sent(f"{parts.scheme}://{netloc}", "GET", where, headers)
        if answer.status in (400, 401, 403):
            raise AuthRequired(self._wrong())
        self._need(answer, 200)
        found = _object(answer)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\w.~+/=-]{1,16384}", token, re.ASCII):
            raise AuthRequired("The registry's sign-in gave no token.")
        return token

    def _trusted(self) -> set[str]:
        own = {_HUB_HOST, _HUB_TOKENS} if self.host == HUB else {self.host}
        return own | ({self.token_host} if self.token_host else set())

    def _wrong(self) -> str:
        if self.password:
            return kept("The registry does not take this user name and password.")
        return kept("The registry wants a user name and a password.")

    def _sent(self, base: str, method: str, where: str, headers: Mapping[str, str]) -> Answer:
        try:
            with _bounded(self.gate.connect(base)) as connection:
                connection.putrequest(method, where, skip_accept_encoding=True)
                for name, value in headers.items():
                    connection.putheader(name, value)
                connection.endheaders()
                answer = connection.getresponse()
                body = answer.read(MOST + 1)
        except outbound.Refused as error:
            raise RegistryUnreachable(str(error)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = outbound.why(error)
            raise RegistryUnreachable(f"{self.host} does not answer as a registry does: {reason}.") from None
        if len(body) > MOST:
            raise RegistryUnreachable(f"{self.host} sends more than a registry has to say.")
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, body)

    def _need(self, answer: Answer, *wanted: int) -> None:
        status = answer.status
        if status in wanted:
            return
        if status == 401:
            raise AuthRequired(self._wrong())
        if status == 403:
            raise AuthRequired("The registry denies this to this account.")
        if status == 404:
            raise ImageNotFound("The registry has no such repository or tag.")
        if status == 429:
            raise RegistryBusy("The registry wants to be asked less often.", seconds=_retry(answer.headers))
        if 300 <= status < 400:
            raise RegistryUnreachable(f"{self.host} sends on to another address, which is not followed.")
        raise RegistryUnreachable(f"{self.host} answered with the error {status}.")


@contextmanager
def _bounded(connection: http.client.HTTPConnection) -> Iterator[http.client.HTTPConnection]:
    """Cut when the time is up: a timeout of a socket alone lets who sends a byte at a time go on for ever."""
    wire = connection.sock

    def cut() -> None:
        with suppress(OSError):
            wire.shutdown(2)

    timer = threading.Timer(DEADLINE, cut)
    timer.daemon = True
    timer.start()
    began = time.monotonic()
    try:
        yield connection
    except (OSError, http.client.HTTPException):
        if time.monotonic() - began >= DEADLINE:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        connection.close()


def _authorization(value: str) -> dict[str, str]:
    return {"Authorization": value} if value else {}


def _scope(method: str, path: str) -> str:
    """What a token has to be good for, in the words of the token protocol; empty for a look at the front door."""
    if path == "/v2/_catalog":
        return "registry:catalog:*"
    found = re.fullmatch(r"/v2/(.+)/(?:manifests|blobs|tags)/[^/]+", path)
    return f"repository:{found[1]}:{'delete' if method == 'DELETE' else 'pull'}" if found else ""


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise RegistryUnreachable("The registry's answer makes no sense.") from None
    return _mapping(found)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 53 else 0


def _platform(one: Mapping[str, Any]) -> str:
    told = _mapping(one.get("platform"))
    words = [str(told.get(key) or "") for key in ("os", "architecture", "variant")]
    return clean("/".join(filter(None, words)))[:40]


def _retry(headers: Mapping[str, str]) -> int:
    text = headers.get("retry-after", "")
    return min(int(text), 86_400) if text.isascii() and text.isdigit() else 0


__all__ = ["EngineError", "Facts", "Page", "Registry"]
