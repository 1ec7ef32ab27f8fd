"""Weaknesses of what is near to us (viewers of logs, clusters, schedulers), tried out here: sockets, rights, secrets.

The name of a test holds the number. What came in by names, paths and bodies is in ``test_past_weaknesses_of_input.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import Client

import dashboard.settings as start
from accounts.access import person
from accounts.models import AuditEntry, Membership, Role, Team, User
from containers_app import consoles
from containers_app.models import ConsoleSession, Container
from engine import outbound
from images_app.models import Registry
from operations import channels, posting
from operations.models import Engine, Operation, OperationEvent
from streams import hub
from tests import rows
from tests.receiver import SECRET_BODY, receiver
from tests.sockets import Browser
from tests.weaknesses import CANARY, RUN, ApiFor, ClientFor, Outcome, forgotten
from tests.weaknesses import engine as engine  # noqa: PLC0414 - fixtures
from tests.weaknesses import kept as kept  # noqa: PLC0414
from tests.weaknesses import outcome as outcome  # noqa: PLC0414
from tests.weaknesses import web as web  # noqa: PLC0414

NUMBERS = (
    "GHSA-m855", "CVE-2026-44985", "GHSA-3v9w", "GHSA-p2w3", "CVE-2019-13209", "CVE-2021-31999",
    "CVE-2021-36782", "CVE-2021-36783", "CVE-2022-43757", "CVE-2021-36784", "GHSA-c45c", "GHSA-9ghh",
    "GHSA-vf6j", "CVE-2023-22649", "GHSA-g25r", "CVE-2018-18264", "CVE-2025-14269", "GHSA-v8j7",
    "CVE-2019-19342", "CVE-2019-19341", "CVE-2020-14329", "CVE-2026-23944", "CVE-2026-57169",
)  # fmt: skip
TRANSACTION = pytest.mark.django_db(transaction=True)


def test_no_number_is_forgotten() -> None:
    assert forgotten(NUMBERS, __file__) == []


@pytest.fixture
async def sockets() -> AsyncIterator[None]:
    """None of them goes on after the test."""
    yield
    await hub.close()


# --- Sockets ------------------------------------------------------------------------------------------


@TRANSACTION
async def test_ghsa_m855_what_is_not_in_ones_list_is_not_entered_by_its_id(
    web: Container, charlie: User, client_for: ClientFor, outcome: Outcome, sockets: None
) -> None:
    """A filter kept containers out of the list and not out of consoles; here both ask the same."""
    await Membership.objects.filter(user=charlie).aupdate(console=True, files=True)
    client = await sync_to_async(client_for)(charlie)
    listed = await sync_to_async(client.get)("/api/v1/containers/")
    assert listed.json()["results"] == []
    for path in (f"console/{web.pk}/", f"console/{web.pk}/?attach=1", f"logs/?container={web.pk}"):
        browser = Browser(f"/ws/{path}", client)
        assert await browser.open()
        assert await browser.closed() == 4404, path
    for path in ("", "logs/", "files/?path=/", "processes/", "inspect/"):
        assert (await sync_to_async(client.get)(f"{RUN}{web.pk}/{path}")).status_code == 404, path
    assert await sync_to_async(outcome.is_nothing)()


@TRANSACTION
@pytest.mark.parametrize("path", ["console/{}/", "logs/?container={}", "live/", "stats/?container={}"])
async def test_cve_2026_44985_cve_2019_13209_ghsa_v8j7_a_page_of_another_origin_opens_no_socket(
    path: str, web: Container, tara: User, client_for: ClientFor, outcome: Outcome, sockets: None
) -> None:
    """Any page could open a socket with its visitor's cookie; here scheme, host and port must be our own."""
    client = await sync_to_async(client_for)(tara)
    for origin in ("https://evil.example", "http://localhost:8001", "https://localhost:8000", "null", None):
        assert not await Browser(f"/ws/{path.format(web.pk)}", client, origin=origin).open(), origin
    assert await sync_to_async(outcome.is_nothing)()


@TRANSACTION
async def test_cve_2026_57169_an_upgrade_without_a_session_runs_nothing(
    web: Container, client: Client, vic: User, outcome: Outcome, sockets: None
) -> None:
    """A request that was turned into a socket went past the sign-in; here a socket has the same door."""
    for search in ("cmd=sh", "attach=1", f"session={uuid4()}", "cmd=id&user=root"):
        browser = Browser(f"/ws/console/{web.pk}/?{search}")
        assert await browser.open()
        assert await browser.closed() == 4401
        await browser.disconnect()
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "eA==",
        "Origin": "http://testserver",
    }
    for path, status in ((f"/ws/console/{web.pk}/", 404), (f"/containers/{web.pk}/console/", 302)):
        assert (await sync_to_async(client.get)(path, headers=upgrade)).status_code == status
    assert await sync_to_async(outcome.is_nothing)()


@TRANSACTION
async def test_ghsa_g25r_a_shell_is_joined_through_its_own_container_alone(
    web: Container, engine: Engine, team: Team, tara: User, client_for: ClientFor, sockets: None
) -> None:
    """A shell for one cluster was led to another; here a session is of one container and one engine."""
    other = await sync_to_async(rows.make_container)(engine, team, "other")
    session = await sync_to_async(lambda: consoles.start(other, person(tara, source="ui"), command=["sh"]))()
    browser = Browser(f"/ws/console/{web.pk}/?session={session.pk}", await sync_to_async(client_for)(tara))
    assert await browser.open()
    assert await browser.closed() == 4404
    await browser.disconnect()
    elsewhere = await sync_to_async(rows.make_engine)("elsewhere")
    assert await sync_to_async(consoles.claim)(session.pk, elsewhere.pk) is None
    assert (await ConsoleSession.objects.aget()).state == "asked"


# --- What goes out ------------------------------------------------------------------------------------


def test_ghsa_3v9w_trying_a_receiver_out_needs_the_right_and_tells_none_of_its_words(
    client: Client,
    tara: User,
    bob: User,
    team: Team,
    api_for: ApiFor,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Strangers had any address called and got its answer; here only who may, and only the status is told."""
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(channels, "WAIT", 0)
    with receiver() as hook:
        hook.mood = 500
        row = channels.add({"name": "ops", "address": hook.url}, actor=person(tara, source="ui"), team=team)[
            0
        ]
        test = f"/api/v1/webhooks/{row.pk}/test/"
        assert client.post(test).status_code == 401
        assert api_for(bob).post(test).status_code == 403
        assert hook.got == []
        assert api_for(tara).post(test).status_code == 200
        posting.send_due(row.pk)
        told = api_for(tara).get(f"/api/v1/webhooks/{row.pk}/deliveries/").content
        assert (len(hook.got), b"It answered 500." in told, SECRET_BODY in told) == (1, True, False)


@pytest.mark.parametrize(
    "address",
    [
        "2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::", "::ffff:127.0.0.1", "::7f00:1", "::1", "fd00::1", "fe80::1",
    ],
)  # fmt: skip
def test_ghsa_p2w3_no_form_of_ipv6_leads_into_a_network_of_ones_own(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses that hold one of IPv4 went past the guard; here they are none of the open net."""
    gate = outbound.Gate((), "SLIPWAY_WEBHOOK_HOSTS", "receiver", "https://hooks.example/x")
    assert not outbound.is_open(address)
    assert gate.problem(f"https://[{address}]/")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(10, 1, 6, "", (address, 443, 0, 0))])
    with pytest.raises(outbound.Refused, match="network of its own"):
        gate.looked_up("https://hooks.example/")


# --- Who one is, and for how long ---------------------------------------------------------------------

FORGED = (
    "Impersonate-User",
    "Impersonate-Group",
    "X-Remote-User",
    "X-Forwarded-User",
    "Remote-User",
    "X-User",
)


def test_cve_2021_31999_a_header_makes_nobody_somebody_else(
    client: Client, vic: User, alice: User, api_for: ApiFor
) -> None:
    """Forged headers made a user another one; here no header but the token's says who one is."""
    forged = dict.fromkeys(FORGED, "alice")
    assert api_for(alice).get("/api/v1/users/").status_code == 200
    assert api_for(vic).get("/api/v1/users/", headers=forged).status_code == 403
    assert client.get("/api/v1/users/", headers=forged).status_code == 401
    assert client.get("/containers/", headers=forged).status_code == 302


def test_cve_2021_36784_whoever_administers_a_part_makes_themselves_no_more(
    tara: User, team: Team, other_team: Team, api_for: ApiFor, client_for: ClientFor
) -> None:
    """A restricted administrator could become a whole one; here neither REST nor the panel lets them."""
    User.objects.filter(pk=tara.pk).update(is_staff=True)
    wish = {"is_superuser": True, "is_staff": True, "username": "tara", "role": "admin"}
    for method in ("post", "patch", "put"):
        for path in (f"users/{tara.pk}/", f"teams/{other_team.pk}/", "users/", "teams/"):
            assert getattr(api_for(tara), method)(f"/api/v1/{path}", wish, format="json").status_code in (
                403,
                404,
                405,
            )
    for path in (f"user/{tara.pk}/change/", "membership/add/", "user/add/"):
        answer = client_for(tara).post(
            f"/admin/accounts/{path}", {**wish, "user": tara.pk, "team": other_team.pk, "is_superuser": "on"}
        )
        assert answer.status_code in (302, 403, 404)
    tara.refresh_from_db()
    assert not tara.is_superuser
    assert list(Membership.objects.values_list("team__slug", "role")) == [("blue", Role.ADMIN)]
    assert (
        api_for(tara, "admin").post("/api/v1/policies/", {"rules": {"privileged": True}}).status_code == 403
    )


def _disabled(bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)


def _put_out(bob: User) -> None:
    Membership.objects.filter(user=bob).delete()


def _only_looks(bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)


@pytest.mark.parametrize(
    ("how", "refusals"), [(_disabled, {302, 401}), (_put_out, {404}), (_only_looks, {403})]
)
def test_ghsa_c45c_ghsa_9ghh_ghsa_vf6j_rights_that_were_taken_are_gone_with_the_next_request(
    how: Callable[[User], None], refusals: set[int], web: Container, bob: User, api_for: ApiFor, client_for: ClientFor,
    outcome: Outcome,
) -> None:  # fmt: skip
    """Sessions and tokens outlived the rights they stood for; here each request asks anew."""
    token, session = api_for(bob), client_for(bob)
    assert token.get(f"{RUN}{web.pk}/").status_code == session.get(f"{RUN}{web.pk}/").status_code == 200
    how(bob)
    for client in (token, session):
        assert client.post(
            f"{RUN}{web.pk}/stop/", b"{}", content_type="application/json"
        ).status_code in refusals | {403}
    assert outcome.is_nothing()


def test_cve_2018_18264_the_sign_in_is_skipped_by_nobody(client: Client, vic: User) -> None:
    """Who skipped the sign-in acted with the dashboard's own account; here nobody is nobody."""
    for wish in (
        {"skip": "1"},
        {"username": "", "password": ""},
        {"username": "vic", "next": "/containers/"},
    ):
        assert client.post("/login/?skip=1&next=/containers/", wish).status_code == 200
        assert "_auth_user_id" not in client.session
    for token in ("", "Bearer", "Bearer ", "Bearer null", "Bearer undefined"):
        assert client.get("/api/v1/containers/", headers={"Authorization": token}).status_code == 401


def test_cve_2025_14269_cve_2026_23944_what_one_was_given_is_not_given_to_the_next_who_asks(
    kept: Registry,
    web: Container,
    tara: User,
    charlie: User,
    client: Client,
    api_for: ApiFor,
    outcome: Outcome,
) -> None:
    """Credentials that were kept served strangers, and engines were asked before anybody was; here rights are first."""
    paths = [f"registries/{kept.pk}/", f"containers/{web.pk}/", f"containers/{web.pk}/inspect/"]
    for path in paths:
        answer = api_for(tara).get(f"/api/v1/{path}")
        assert "no-store" in answer["Cache-Control"] or "private" in answer["Cache-Control"], path
    outcome.asked.clear()
    asking = ["files/?path=/", "processes/", "changes/", "health/"]
    for path in (*paths, f"registries/{kept.pk}/check/", *(f"containers/{web.pk}/{what}" for what in asking)):
        assert client.get(f"/api/v1/{path}").status_code == 401
        assert api_for(charlie).get(f"/api/v1/{path}").status_code in (403, 404, 405)
    assert client.post(f"/api/v1/engines/{web.engine_id}/sync/").status_code == 401
    assert outcome.is_nothing()


# --- Secrets ------------------------------------------------------------------------------------------


@pytest.fixture
def hushed(engine: Engine, team: Team, bob: User, api_for: ApiFor) -> str:
    """The id of the operation of a run with secrets in it, and of one that was refused."""
    wish = {
        "image": "nginx", "secrets": {"HUSH": CANARY}, "environment": {"DB_PASSWORD": CANARY},
        "command": ["app", f"API_TOKEN={CANARY}"],
    }  # fmt: skip
    assert api_for(bob).post(RUN, {**wish, "privileged": True}, format="json").status_code == 403
    answer = api_for(bob).post(RUN, wish, format="json")
    assert answer.status_code == 202, answer.content
    return str(answer.json()["id"])


def test_cve_2021_36782_cve_2021_36783_cve_2022_43757_cve_2023_22649_no_row_answer_or_trail_holds_a_secret(
    hushed: str,
    alice: User,
    bob: User,
    vic: User,
    client: Client,
    api_for: ApiFor,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Secrets lay open in objects of the API, and bodies and command lines in the trail; here they are in neither."""
    client.post("/login/", {"username": "vic", "password": CANARY})
    told = [str(list(model.objects.values())) for model in (Operation, OperationEvent, AuditEntry)]
    told += [api_for(who).get(f"/api/v1/operations/{hushed}/").content.decode() for who in (alice, bob, vic)]
    told += [api_for(alice).get("/api/v1/audit/").content.decode(), caplog.text]
    assert AuditEntry.objects.filter(verb="container.run").count() == 2
    assert "DB_PASSWORD" in told[0]
    assert not [text for text in told if CANARY in text]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sealed FROM operations_operation")
        assert CANARY not in str(cursor.fetchall())


def test_cve_2019_19342_an_answer_to_what_broke_holds_nothing_of_what_was_sent(
    web: Container, bob: User, vic: User, api_for: ApiFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of what broke showed a part of a password; here it says that something broke, and where in our log."""

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"could not take {CANARY}")

    monkeypatch.setattr("accounts.limits.begin", breaks)
    monkeypatch.setattr("containers_app.operations.request_run", breaks)
    browser = Client(raise_request_exception=False)
    page = browser.post("/login/", {"username": "vic", "password": CANARY})
    api = api_for(bob)
    api.raise_request_exception = False
    answer = api.post(RUN, {"image": "nginx", "secrets": {"HUSH": CANARY}}, format="json")
    for broken in (page, answer):
        assert broken.status_code == 500
        assert CANARY not in broken.content.decode()
        assert "RuntimeError" not in broken.content.decode()


def test_cve_2019_19341_the_key_is_readable_by_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy with the key in it was readable by everybody on the host; here the key's file and folder are not."""
    monkeypatch.setattr(start, "HOME", tmp_path / "home")
    assert len(start._own_secret()) >= 50
    assert (tmp_path / "home/secret_key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_cve_2020_14329_labels_and_names_of_a_team_are_in_no_list_of_another(
    web: Container, charlie: User, tara: User, api_for: ApiFor, client_for: ClientFor
) -> None:
    """Labels of one organisation were listed for all; here a list, a filter and a search begin with what one sees."""
    Container.objects.filter(pk=web.pk).update(name=CANARY, stack=CANARY, labels={CANARY: CANARY})
    assert CANARY in api_for(tara).get("/api/v1/containers/").content.decode()
    for path in (
        "containers/",
        f"containers/?label={CANARY}",
        f"containers/?stack={CANARY}",
        "stacks/",
    ):
        answer = api_for(charlie).get(f"/api/v1/{path}").content.decode()
        assert CANARY not in answer.replace(f"={CANARY}", ""), path
    assert CANARY not in client_for(charlie).get("/containers/").content.decode()
