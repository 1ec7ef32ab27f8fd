"""Weaknesses that dashboards for containers had until 2021, tried out here: the name of a test holds the number."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from accounts import setup
from accounts.access import person
from accounts.models import Team, User
from containers_app import file_changes, files
from containers_app.models import Container
from engine.errors import PolicyDenied
from engine.specs import SpecError
from images_app.models import Registry
from operations.models import Engine
from tests import rows
from tests.sockets import Browser
from tests.weaknesses import BIND, CANARY, RUN, WAYS, ApiFor, ClientFor, Outcome, forgotten, refused
from tests.weaknesses import engine as engine  # noqa: PLC0414 - fixtures
from tests.weaknesses import kept as kept  # noqa: PLC0414
from tests.weaknesses import outcome as outcome  # noqa: PLC0414
from tests.weaknesses import web as web  # noqa: PLC0414

MARKUP = '<img src=x onerror="alert(81)">'
NUMBERS = (
    "CVE-2018-12678", "CVE-2018-19367", "CVE-2018-19466", "CVE-2019-16872", "CVE-2019-16873",
    "CVE-2019-16874", "CVE-2019-16876", "CVE-2019-16877", "CVE-2019-16878", "issue-3228", "issue-3231",
    "issue-3233", "issue-3234", "issue-1762", "issue-3848", "CVE-2020-24263", "CVE-2020-24264",
    "CVE-2021-41874", "CVE-2021-42650",
)  # fmt: skip


def test_no_number_is_forgotten() -> None:
    assert forgotten(NUMBERS, __file__) == []


# --- Consoles, the first start, secrets ---------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_cve_2018_12678_a_console_socket_needs_a_session_and_a_known_id(
    web: Container, tara: User, client_for: ClientFor, outcome: Outcome
) -> None:
    """The socket of consoles asked nobody who they were and took any id; here both are asked first."""
    stranger = Browser(f"/ws/console/{web.pk}/")
    assert await stranger.open()
    assert await stranger.closed() == 4401
    client = await sync_to_async(client_for)(tara)
    for path in ("x/", "../../info/", f"{web.pk}%2f..%2fx/", "1/"):
        assert not await Browser(f"/ws/console/{path}", client).open(), path
    for path, code in ((f"{uuid4()}/", 4404), (f"{web.pk}/?session=http://127.0.0.1:2375/", 4400)):
        browser = Browser(f"/ws/console/{path}", client)
        assert await browser.open()
        assert await browser.closed() == code, path
    assert await sync_to_async(outcome.is_nothing)()


def test_cve_2018_19367_a_fresh_site_is_set_up_by_its_link_alone(
    client: Client, outcome: Outcome, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever came first set the administrator's password; here the secret of a link is asked for."""
    settings.HOME = tmp_path
    monkeypatch.setattr(setup, "_done", False)
    assert setup.setup_link("http://localhost")
    wish = {"username": "mallory", "password": "a quiet otter 81", "password_again": "a quiet otter 81"}
    for token in ("", "x" * 40):
        assert client.get(f"/setup/?token={token}").status_code == 403
        assert client.post("/setup/", {**wish, "token": token}).status_code == 403
    assert not User.objects.exists()
    assert outcome.is_nothing()


def test_cve_2018_19466_a_password_that_was_given_is_shown_to_nobody(
    kept: Registry, alice: User, tara: User, api_for: ApiFor, client_for: ClientFor
) -> None:
    """The password of a directory was kept and given back in the clear; here it is sealed and goes in only."""
    assert CANARY not in str(Registry.objects.values())
    for who in (alice, tara):
        pages = [
            f"/registries/{kept.pk}/",
            f"/registries/{kept.pk}/edit/",
            f"/admin/images_app/registry/{kept.pk}/",
        ]
        told = [client_for(who).get(page, follow=True).content.decode() for page in pages]
        told += [
            api_for(who).get(f"/api/v1/registries/{id_}").content.decode() for id_ in ("", f"{kept.pk}/")
        ]
        assert "registry.example" in told[0]
        assert not [text for text in told if CANARY in text]


# --- Names, paths, folders of the host ----------------------------------------------------------------


def test_cve_2019_16873_cve_2019_16878_issue_3228_cve_2021_42650_a_name_is_text_on_every_page(
    web: Container, engine: Engine, team: Team, tara: User, client_for: ClientFor
) -> None:
    """Names of teams, volumes and templates were put into pages as markup; here they are text, and no script runs."""
    Team.objects.filter(pk=team.pk).update(name=MARKUP)
    Container.objects.filter(pk=web.pk).update(
        name=MARKUP, image_ref=MARKUP, labels={MARKUP: MARKUP}, stack=MARKUP
    )
    build = rows.make_build(engine, team)
    build.dockerfile = f"FROM scratch\n</textarea>{MARKUP}"
    build.save()
    rows.make_volume(engine, team, MARKUP)
    seen = ""
    for path in (
        "/containers/", f"/containers/{web.pk}/", f"/containers/{web.pk}/inspect/", "/containers/run/",
        "/volumes/", f"/builds/{build.pk}/", "/stacks/", "/account/", "/images/pull/",
    ):  # fmt: skip
        answer = client_for(tara).get(path)
        assert answer.status_code == 200, path
        assert MARKUP not in answer.content.decode(), path
        assert "script-src 'self';" in answer["Content-Security-Policy"] + ";"
        seen += answer.content.decode()
    assert "onerror" in seen, "it was there to be shown"


@pytest.mark.parametrize("way", WAYS)
def test_cve_2019_16872_cve_2019_16874_cve_2019_16877_issue_3231_a_bind_is_judged_on_every_way(
    way: str, web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """What was refused in the form went through in a stack; here every way to a container passes the same gate."""
    assert refused(api_for(bob), web, way, {"mounts": [BIND]}) == "no_host_paths"
    assert outcome.is_nothing()


@pytest.mark.parametrize("path", ["/../../etc/cron.d/x", "../x", "/a/../../x", "/a\x00/../b", "%2e%2e/x"])
def test_cve_2019_16876_issue_3233_an_upload_climbs_out_of_no_volume(
    path: str, engine: Engine, team: Team, tara: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """The name of an upload led out of the volume; here such a path is none, and nothing is kept of it."""
    data = rows.make_volume(engine, team)
    with pytest.raises(SpecError):
        file_changes.request_write(data, path, io.BytesIO(b"x"), actor=person(tara, source="ui"))
    answer = api_for(tara).put(
        f"/api/v1/volumes/{data.pk}/files/?path=/../../x", b"x", content_type="text/plain"
    )
    assert answer.status_code == 400
    assert outcome.is_nothing()


def test_issue_3234_files_of_the_host_are_reached_by_no_address_and_no_volume(
    engine: Engine, team: Team, alice: User, tara: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """Anybody could read and write the host's files by the API; here no address does, and no volume stands for one."""
    for who in (alice, tara):
        for path in ("files/?path=/etc", "browse/ls/", "host/", "containers/"):
            assert api_for(who).get(f"/api/v1/engines/{engine.pk}/{path}").status_code == 404
    host = rows.make_volume(engine, team, "host", options={"type": "none", "o": "bind", "device": "/etc"})
    assert api_for(tara).get(f"/api/v1/volumes/{host.pk}/files/?path=/").status_code == 403
    with pytest.raises(PolicyDenied):
        files.place_of(host, person(tara, source="ui"))
    assert outcome.is_nothing()


@pytest.mark.parametrize("way", ["recreate", "duplicate"])
def test_issue_1762_a_change_is_judged_as_a_creation_is(
    way: str, web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """Changing a container skipped what creating one asked; here the changed one is judged, and what it has already."""
    assert refused(api_for(bob), web, way, {"privileged": True}) == "no_privileged"
    Container.objects.filter(pk=web.pk).update(inspect={"HostConfig": {"Privileged": True}})
    assert refused(api_for(bob), web, way, {"hostname": "box"}) == "no_privileged"
    assert outcome.is_nothing()


@pytest.mark.parametrize("way", WAYS)
def test_issue_3848_whoever_knows_the_name_of_another_s_volume_mounts_it_not(
    way: str, web: Container, engine: Engine, other_team: Team, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """A name that was typed instead of chosen was not looked at; here each reference is, on every way."""
    rows.make_volume(engine, other_team, "theirs")
    rows.make_volume(engine, None, "nobodys")
    for name in ("theirs", "nobodys"):
        mount = {"type": "volume", "source": name, "target": "/x"}
        assert refused(api_for(bob), web, way, {"mounts": [mount]}) == "not_your_volume"
    assert outcome.is_nothing()


@pytest.mark.parametrize("name", ["SYS_MODULE", "sys_module", "CAP_SYS_MODULE", "ALL"])
def test_cve_2020_24263_a_capability_that_loads_kernel_modules_is_given_to_no_team(
    name: str, web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """Regular users could add any capability; here only those of a short list."""
    for way in WAYS:
        assert refused(api_for(bob), web, way, {"cap_add": [name]}) == "no_added_capability"
    assert outcome.is_nothing()


def test_cve_2020_24264_a_bind_is_refused_by_the_server_and_not_by_the_page(
    web: Container, bob: User, client_for: ClientFor, outcome: Outcome
) -> None:
    """The browser alone kept users from binds; here a request without our page meets the same refusal."""
    client = client_for(bob)
    answer = client.post(RUN, {"image": "nginx", "mounts": [BIND]}, "application/json")
    assert (answer.status_code, answer.json()["rule"]) == (403, "no_host_paths")
    answer = client.post("/containers/run/", {"image": "nginx", "mounts-0-type": "bind", "mounts": "/srv:/x"})
    assert answer.status_code < 500
    assert outcome.is_nothing()


def test_cve_2021_41874_nobody_in_particular_is_told_nothing(
    web: Container, client: Client, alice: User
) -> None:
    """Strangers read what was meant for users; here REST tells them that they are nobody, and that alone."""
    for path in (
        "containers",
        f"containers/{web.pk}",
        "engines",
        "users",
        "registries",
        "audit",
        "schema",
        "status",
    ):
        answer = client.get(f"/api/v1/{path}/")
        assert answer.status_code in (401, 404), path
        assert set(answer.json()) <= {"type", "title", "status", "code", "detail", "request", "instance"}, (
            path
        )
        assert str(web.pk) not in answer.json()["detail"]
