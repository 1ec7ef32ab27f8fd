"""Single sign-on, with a provider that is small, real and on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from accounts import factors
from accounts.models import AuditEntry, User
from accounts.tests.test_second_factors import code_of

ClientFor = Callable[..., Client]
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
ID, SECRET = "slipway", "a secret of the client's own"


class Provider:
    """Signs in whoever ``sub`` names. ``claims`` and ``sign`` change what its ID token says and is signed with,
    ``info`` what it says besides; ``asked`` is what it was asked with last."""

    def __init__(self) -> None:
        self.sub, self.name = "0001", "sso-sam"
        self.claims: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.sign: dict[str, Any] = {"key": KEY, "algorithm": "RS256", "headers": {"kid": "1"}}
        self.codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.get(self)

            def do_POST(self) -> None:
                provider.token(self)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        """Discovery, keys, the page that signs in at once, and who it was."""
        url = urlsplit(handler.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/authorize":
            code = f"code-{len(self.codes)}"
            self.codes[code] = self.asked = asked
            handler.send_response(302)
            back = urlencode({"code": code, "state": asked["state"]})
            handler.send_header("Location", f"{asked['redirect_uri']}?{back}")
            handler.end_headers()
            return
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        answers = {
            "/.well-known/openid-configuration": {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
            },
            "/keys": {"keys": [{**public, "kid": "1", "alg": "RS256", "use": "sig"}]},
            "/userinfo": {
                "sub": self.sub, "preferred_username": self.name, "email": "vic@slipway.example", **self.info
            },
        }  # fmt: skip
        self.say(handler, 200, answers[url.path])

    def token(self, handler: BaseHTTPRequestHandler) -> None:
        """A code, once, for who began with it."""
        body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        given = {name: values[0] for name, values in parse_qs(body).items()}
        asked = self.codes.pop(given.get("code", ""), None)
        proof = base64.urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or given.get("client_secret") != SECRET
            or asked.get("code_challenge_method") != "S256"
            or asked.get("code_challenge") != proof.decode().rstrip("=")
        ):
            self.say(handler, 400, {"error": "invalid_grant"})
            return
        claims = {
            "iss": self.url,
            "aud": ID,
            "sub": self.sub,
            "exp": int(time.time()) + 60,
            "nonce": asked["nonce"],
        }
        signed = jwt.encode(claims | self.claims, **self.sign)
        self.say(handler, 200, {"access_token": "a", "token_type": "Bearer", "id_token": signed})

    def say(self, handler: BaseHTTPRequestHandler, status: int, members: dict[str, Any]) -> None:
        """JSON."""
        body = json.dumps(members).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    """It runs, and Slipway knows of it."""
    made = Provider()
    settings.OIDC = {
        "issuer": made.url, "client_id": ID, "secret": SECRET, "name": "Shipyard SSO", "unknown": "refuse",
        "groups": "groups", "scopes": ["openid", "profile", "email"],
    }  # fmt: skip
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


class Stay(urllib.request.HTTPRedirectHandler):
    """Looks at a redirection, and does not follow it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def away(client: Client, path: str, **form: str) -> str:
    """Where the browser is sent to."""
    page = client.post(path, form)
    assert "refresh" in page.content.decode()
    return str(page.context["to"])


def back(url: str) -> str:
    """What the provider sends it back with: a path of ours."""
    try:
        urllib.request.build_opener(Stay).open(url, timeout=10)
    except urllib.error.HTTPError as answer:
        there = urlsplit(answer.headers["Location"])
        return f"{there.path}?{there.query}"
    raise AssertionError("the provider sent nobody back")


def through(client: Client, path: str = "/login/sso/", **form: str) -> Any:
    """All of the way."""
    return client.get(back(away(client, path, **form)))


def linked(user: User, sub: str = "0001") -> None:
    """They have linked themselves before."""
    SocialAccount.objects.create(user=user, provider="sso", uid=sub)


def who(client: Client) -> Any:
    """Who is signed in."""
    page = client.get("/account/")
    return page.context["user"].username if page.status_code == 200 else None


def test_who_is_linked_is_let_in(client: Client, vic: User, provider: Provider) -> None:
    linked(vic)
    assert "Continue with Shipyard SSO" in client.get("/login/").content.decode()
    assert through(client, next="/volumes/")["Location"] == "/volumes/"
    assert who(client) == "vic"
    entry = AuditEntry.objects.get(verb="auth.login")
    assert (entry.outcome, entry.detail["by"]) == ("succeeded", ["socialaccount"])
    assert through(Client(), next="https://evil.example/")["Location"] == "/"


def test_the_second_step_is_asked_for_all_the_same(client: Client, vic: User, provider: Provider) -> None:
    linked(vic)
    secret = factors.new_secret()
    factors.add_app(vic, secret, code_of(secret))
    assert through(client)["Location"] == "/login/code/"
    assert who(client) is None
    client.post("/login/code/", {"code": code_of(secret, 1)})
    assert who(client) == "vic"


def test_nobody_is_let_in_by_a_name_or_an_address(client: Client, vic: User, provider: Provider) -> None:
    """Another place may give them to anybody."""
    User.objects.filter(pk=vic.pk).update(email="vic@slipway.example")
    provider.name = "vic"
    assert through(client)["Location"] == "/login/"
    assert "linked" in client.get("/login/").content.decode()
    assert who(client) is None
    assert AuditEntry.objects.get().detail["reason"] == "unknown"


def test_unknown_people_are_made_where_the_settings_say_so(
    client: Client, vic: User, provider: Provider, settings: Any
) -> None:
    """With a name that is free, without a password, in no team."""
    settings.OIDC = settings.OIDC | {"unknown": "create"}
    provider.name = "VIC"
    assert through(client)["Location"] == "/login/"
    provider.name = "sso-sam"
    assert through(client)["Location"] == "/"
    sam = User.objects.get(username="sso-sam")
    assert (sam.has_usable_password(), sam.is_staff, sam.is_superuser, sam.memberships.count()) == (
        False, False, False, 0,
    )  # fmt: skip
    assert who(client) == "sso-sam"
    assert through(Client())["Location"] == "/"
    assert User.objects.filter(username__startswith="sso").count() == 1
    client.post("/account/sso/unlink/")
    assert SocialAccount.objects.filter(user=sam).exists()


def test_one_links_oneself_while_signed_in(
    client_for: ClientFor, client: Client, vic: User, bob: User, provider: Provider
) -> None:
    mine = client_for(vic)
    assert through(mine, "/account/sso/link/")["Location"] == "/account/security/"
    assert SocialAccount.objects.get().user == vic
    through(client_for(bob), "/account/sso/link/")
    assert SocialAccount.objects.get().user == vic
    assert through(client)["Location"] == "/"
    assert who(client) == "vic"
    assert "signs you in here no longer" in mine.get("/account/sso/unlink/").content.decode()
    assert SocialAccount.objects.exists()
    mine.post("/account/sso/unlink/")
    assert not SocialAccount.objects.exists()
    assert set(AuditEntry.objects.values_list("verb", flat=True)) == {
        "auth.link",
        "auth.login",
        "auth.unlink",
    }


FORGED = {
    "another nonce": ({"nonce": "x"}, {}, "nonce"),
    "no nonce": ({"nonce": ""}, {}, "nonce"),
    "another audience": ({"aud": "other"}, {}, "Invalid id_token"),
    "another issuer": ({"iss": "https://evil.example"}, {}, "Invalid id_token"),
    "too old": ({"exp": 1}, {}, "Invalid id_token"),
    "another subject than the user info": ({"sub": "0002"}, {}, "somebody else's"),
    "another key": ({}, {"key": OTHER_KEY}, "Invalid id_token"),
    "a key that is not there": ({}, {"headers": {"kid": "2"}}, "Invalid 'kid'"),
    "no signature": ({}, {"key": None, "algorithm": "none"}, "no algorithm"),
    "a shared key": ({}, {"key": SECRET * 2, "algorithm": "HS256"}, "no algorithm"),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_token_that_is_not_for_this_very_try_opens_nothing(
    client: Client, vic: User, provider: Provider, what: str
) -> None:
    linked(vic)
    claims, sign, why = FORGED[what]
    provider.claims = claims
    provider.sign |= sign
    assert through(client)["Location"] == "/login/"
    assert who(client) is None
    entry = AuditEntry.objects.get()
    assert entry.outcome == "failed"
    assert why in entry.detail["reason"]


def test_an_answer_is_good_once_and_in_the_browser_that_asked(
    client: Client, vic: User, provider: Provider
) -> None:
    linked(vic)
    path = back(away(client, "/login/sso/"))
    stranger = Client()
    assert stranger.get(path)["Location"] == "/login/"
    assert who(stranger) is None
    assert client.get(path)["Location"] == "/"
    client.post("/logout/")
    assert client.get(path)["Location"] == "/login/"
    assert who(client) is None


def test_a_provider_that_is_away_is_told(
    client: Client, vic: User, provider: Provider, settings: Any
) -> None:
    settings.OIDC = settings.OIDC | {"issuer": "http://127.0.0.1:1"}
    assert client.post("/login/sso/")["Location"] == "/login/"
    assert "does not answer" in client.get("/login/").content.decode()


def test_without_a_provider_there_is_no_such_page(client: Client, vic: User) -> None:
    assert client.post("/login/sso/").status_code == 404
    assert client.get("/login/sso/callback/?code=1&state=2").status_code == 404
    assert "Continue with" not in client.get("/login/").content.decode()
