"""S-66, S-68 to S-70: what every answer carries, and what no answer says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from operations.models import Operation
from tests.rows import make_container, make_engine

ClientFor = Callable[..., Client]
ApiFor = Callable[..., APIClient]
ADDRESSES = (
    ("/", 302), ("/containers/", 200), ("/login/", 302), ("/nowhere/", 404), ("/api/v1/nowhere/", 404),
    ("/api/v1/containers/", 200), ("/api/v1/containers/?wrong=1", 400), ("/admin/", 200), ("/healthz", 200),
    ("/containers/00000000-0000-4000-8000-000000000000/", 404), ("/static/nowhere.js", 404),
)  # fmt: skip


@pytest.mark.parametrize(("address", "status"), ADDRESSES)
def test_s_68_every_answer_has_the_headers_that_keep_a_page_apart(
    client_for: ClientFor, alice: User, address: str, status: int
) -> None:
    answer = client_for(alice).get(address)
    assert answer.status_code == status
    policy = answer.headers["Content-Security-Policy"]
    assert "'unsafe" not in policy
    assert "data:" not in policy.replace("img-src 'self' data:", "")
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'",
                 "require-trusted-types-for 'script'"):  # fmt: skip
        assert part in policy, policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin", "strict-origin")
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert "Server" not in answer.headers
    assert "X-Powered-By" not in answer.headers


@pytest.mark.parametrize("address", ["/", "/containers/", "/api/v1/containers/", "/account/", "/admin/"])
def test_s_68_what_is_for_one_person_is_kept_nowhere(
    client_for: ClientFor, alice: User, address: str
) -> None:
    assert "no-store" in client_for(alice).get(address).headers["Cache-Control"]


def test_s_68_over_https_browsers_are_told_to_stay_there(
    client_for: ClientFor, alice: User, settings: Any
) -> None:
    settings.SECURE_HSTS_SECONDS = 31_536_000
    answer = client_for(alice).get("/containers/", secure=True)
    assert int(answer.headers["Strict-Transport-Security"].split("=")[1].split(";")[0]) >= 31_536_000


def test_s_66_a_method_is_what_it_is_whatever_a_header_or_a_field_says(
    client_for: ClientFor, api_for: ApiFor, tara: User
) -> None:
    row = make_container(make_engine(), tara.memberships.get().team, "web")
    page = f"/api/v1/containers/{row.pk}/"
    for headers in ({"X-HTTP-Method-Override": "DELETE"}, {"X-Method-Override": "DELETE"}):
        assert api_for(tara).get(page, headers=headers).status_code == 200
        assert api_for(tara).post(page, {}, format="json", headers=headers).status_code == 405
    client = client_for(tara)
    assert client.get(f"/containers/{row.pk}/?_method=DELETE").status_code == 200
    assert client.post(f"/containers/{row.pk}/", {"_method": "DELETE"}).status_code == 405
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://testserver:81", "http://testserver.evil.example"]
)
def test_s_66_a_form_of_another_page_changes_nothing(tara: User, client_for: ClientFor, origin: str) -> None:
    row = make_container(make_engine(), tara.memberships.get().team, "web")
    client = client_for(tara)
    client.handler.enforce_csrf_checks = True
    client.get("/containers/")
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    answer = client.post(
        f"/containers/{row.pk}/do/stop/", {"csrfmiddlewaretoken": token}, headers={"Origin": origin}
    )
    assert answer.status_code == 403
    assert not Operation.objects.exists()


def test_s_69_no_answer_is_for_another_origin(api_for: ApiFor, client_for: ClientFor, tara: User) -> None:
    for client in (api_for(tara), client_for(tara)):
        for method in ("get", "options"):
            answer = getattr(client, method)(
                "/api/v1/containers/", headers={"Origin": "https://evil.example"}
            )
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "testserver@evil.example", "a b"]
)
def test_s_70_another_host_is_refused(client_for: ClientFor, alice: User, settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    answer = client_for(alice).get("/containers/", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.content.decode()


def test_s_70_a_host_that_a_client_claims_is_no_host_of_ours(client_for: ClientFor, alice: User) -> None:
    answer = client_for(alice).get(
        "/api/v1/containers/?limit=1", headers={"X-Forwarded-Host": "evil.example"}
    )
    assert answer.status_code == 200
    assert "evil" not in answer.content.decode()


@pytest.mark.parametrize(
    "to",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "\t//evil.example"],
)
def test_s_70_nobody_is_led_elsewhere_after_signing_in(client_for: ClientFor, alice: User, to: str) -> None:
    answer = client_for(alice).get("/login/", {"next": to})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/")
    assert "evil" not in answer.headers["Location"]
