"""Weaknesses that dashboards for containers had since 2022, tried out here: the name of a test holds the number."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client

from accounts import seals, setup, tokens
from accounts.access import person
from accounts.models import Team, User
from containers_app import operations
from containers_app.models import Container
from engine import guard, reach
from engine.base import Engine as EngineBackend
from engine.docker_transport import Client as EngineClient
from engine.docker_transport import Endpoint
from engine.errors import PolicyDenied
from engine.rails import Rails
from engine.specs import SpecError
from images_app import registries
from images_app.models import Registry
from images_app.tests.test_spool import FROM, entry, keep, tar
from operations import channels, posting, registry
from operations.models import Engine, Operation
from tests import house, rows
from tests.receiver import receiver
from tests.weaknesses import BIND, CANARY, RUN, ApiFor, ClientFor, Outcome, forgotten, refused
from tests.weaknesses import engine as engine  # noqa: PLC0414 - fixtures
from tests.weaknesses import kept as kept  # noqa: PLC0414
from tests.weaknesses import outcome as outcome  # noqa: PLC0414
from tests.weaknesses import web as web  # noqa: PLC0414

NUMBERS = (
    "CVE-2022-24961", "CVE-2024-33661", "CVE-2024-33662", "CVE-2024-29296", "CVE-2025-49593",
    "CVE-2026-33590", "CVE-2026-44848", "CVE-2026-44849", "CVE-2026-44850", "CVE-2026-44881",
    "CVE-2026-44882", "CVE-2026-44883", "CVE-2026-44884", "CVE-2026-44885", "CVE-2026-55761",
    "CVE-2026-72533",
)  # fmt: skip


def test_no_number_is_forgotten() -> None:
    assert forgotten(NUMBERS, __file__) == []


def test_cve_2022_24961_nothing_of_ours_waits_for_whoever_comes_first() -> None:
    """An agent served whoever came first; here there is none: worker and gateway only call out, the web stays local."""
    listens = re.compile(
        r"start_server\(|start_unix_server\(|create_server\(|socketserver|http\.server|\.listen\(\d"
    )
    rooms = [path for path in house.python(tests=False) if path.parts[0] in house.ROOMS]
    ours = [path for path in rooms if path.name != "examples.py"]  # whose programs run in containers
    assert len(ours) > 100
    assert not [str(path) for path in ours if listens.search(house.text(path))]
    assert 'env.str("SLIPWAY_BIND", "127.0.0.1:8000")' in house.text(Path("dashboard/settings.py"))


# --- What goes out, and how it is sealed --------------------------------------------------------------


def test_cve_2024_33661_a_redirection_leads_nowhere_and_there_are_no_charts(
    tara: User, team: Team, alice: User, api_for: ApiFor, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Indexes of charts were fetched wherever they led to; here no redirection is followed, and no chart is known."""
    settings.WEBHOOK_HOSTS = ["127.0.0.1"]
    with receiver() as hook, receiver() as inside:
        hook.mood, hook.elsewhere = "redirect", inside.url
        actor = person(tara, source="ui")
        row = channels.add({"name": "ops", "address": hook.url}, actor=actor, team=team)[0]
        monkeypatch.setattr(channels, "WAIT", 0)
        channels.try_out(row, actor=actor)
        posting.send_due(row.pk)
        assert (len(hook.got), inside.got) == (1, [])
        assert row.deliveries.get().status == 302
    for path in ("/api/v1/helm/", "/api/v1/templates/helm/?repo=http://127.0.0.1/", "/api/v1/charts/"):
        assert api_for(alice).get(path).status_code == 404


def test_cve_2024_33662_a_seal_of_which_one_bit_was_changed_does_not_open() -> None:
    """Secrets were encrypted so that they could be changed unseen; here whatever is changed is not opened."""
    sealed = seals.seal("totp", "somebody", CANARY)
    assert seals.unseal("totp", "somebody", sealed) == CANARY
    for place in range(0, len(sealed.rstrip("=")) - 1, 7):
        letter = "B" if sealed[place] == "A" else "A"
        with pytest.raises(seals.Unreadable):
            seals.unseal("totp", "somebody", f"{sealed[:place]}{letter}{sealed[place + 1 :]}")


def test_cve_2024_29296_who_is_unknown_costs_as_much_as_who_is_wrong(
    client: Client, vic: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of an answer told who has an account; here each answer costs one hash, and all are the same words."""
    hashed: list[str] = []
    monkeypatch.setattr(Argon2PasswordHasher, "encode", lambda *a: hashed.append("new") or "argon2$x")
    monkeypatch.setattr(Argon2PasswordHasher, "verify", lambda *a: hashed.append("look"))
    answers = []
    for name in ("vic", "nobody"):
        answer = client.post("/login/", {"username": name, "password": "wrong"})
        answers.append((answer.status_code, re.sub(rf'value="(\w+|{name})"', "", answer.content.decode())))
    assert hashed == ["look", "new"]
    assert answers[0] == answers[1]


def test_cve_2025_49593_an_account_goes_to_its_own_registry_and_no_header_of_ours_to_any(
    kept: Registry, tara: User, team: Team
) -> None:
    """A hostile registry was sent others' passwords and the caller's session; here each account has one host."""
    actor = person(tara, source="ui")
    given = registries.auth("registry.example/app:1", actor=actor, team_id=team.pk)
    assert given is not None
    assert given["password"] == CANARY
    for reference in (
        "evil.example/app:1",
        "registry.example.evil.example/app:1",
        "registry.example:81/app",
        "app",
    ):
        assert registries.auth(reference, actor=actor, team_id=team.pk) is None
    headers: dict[str, str] = {}
    EngineClient(Endpoint.parse("unix:///nowhere.sock"), version="1.41")._set_auth_headers(headers)
    assert headers == {}


# --- What a team gets as it comes, and every way to the engine ----------------------------------------


@pytest.mark.parametrize(
    ("wish", "rule"),
    [
        ({"privileged": True}, "no_privileged"), ({"mounts": [BIND]}, "no_host_paths"),
        ({"networks": ["host"]}, "no_host_network"), ({"cap_add": ["SYS_ADMIN"]}, "no_added_capability"),
        ({"ports": [{"container": 22, "host": 22}]}, "no_low_ports"),
        ({"mounts": [{**BIND, "source": "/var/run/docker.sock"}]}, "no_host_paths"),
    ],
)  # fmt: skip
def test_cve_2026_33590_a_site_that_nobody_has_configured_keeps_teams_from_the_host(
    wish: dict[str, Any], rule: str, web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """Regular users reached the host until somebody forbade it; here nothing is allowed until somebody allows it."""
    assert refused(api_for(bob), web, "run", wish) == rule
    usual = Rails()
    assert not any((usual.privileged, usual.host_paths, usual.namespaces, usual.devices, usual.isolation))
    assert outcome.is_nothing()


UNKNOWN = (
    "/plugins/", "/plugins/pull?remote=x", "/v1.41/plugins/x/enable", "/services/create", "/swarm/init", "/nodes/",
    "/secrets/", "/api/v1/plugins/", "/api/v1/services/", "/api/v1/swarm/", "/api/v1/docker/plugins/", "/_ping",
    "/api/v1/engines/{engine}/docker/plugins/", "/api/v1/engines/{engine}/proxy/plugins/pull", "/build", "/info",
)  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
def test_cve_2026_44848_cve_2026_44849_what_we_do_not_know_is_passed_on_to_no_engine(
    path: str, engine: Engine, alice: User, api_for: ApiFor, client_for: ClientFor, outcome: Outcome
) -> None:
    """Plugins were not on the list, services on it in part, and both were passed on; here nothing is passed on."""
    for method in ("GET", "POST", "DELETE"):
        for client in (api_for(alice), client_for(alice)):
            assert (
                client.generic(method, path.format(engine=engine.pk), b"{}", "application/json").status_code
                == 404
            )
    assert outcome.is_nothing()
    words = [*registry.all_kinds(), *dir(EngineBackend)]
    assert not [word for word in words if re.search(r"plugin|swarm|service|proxy", word)]


def test_cve_2026_44850_a_bind_written_as_a_mount_is_judged_too(
    web: Container, bob: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """One spelling of a bind was looked at and another passed on; here both are, and what is not known is no field."""
    spelled: list[dict[str, Any]] = [
        {"Binds": ["/srv:/x"]}, {"Mounts": [{"Type": "bind", "Source": "/srv", "Target": "/x"}]},
    ]  # fmt: skip
    for host in spelled:
        with pytest.raises(PolicyDenied) as denied:
            guard.check_again(reach.of({"HostConfig": host}), Rails())
        assert denied.value.details["rule"] == "no_host_paths"
        for unknown in ({"HostConfig": host}, host, {"host_config": host}, {"binds": ["/srv:/x"]}):
            answer = api_for(bob).post(RUN, {"image": "nginx", **unknown}, format="json")
            assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field"), unknown
    assert refused(api_for(bob), web, "run", {"mounts": [BIND]}) == "no_host_paths"
    assert outcome.is_nothing()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../etc/passwd", "app"])
def test_cve_2026_44881_a_link_in_what_was_fetched_reads_nothing_of_ours(
    target: str, settings: Any, tmp_path: Path
) -> None:
    """A linked file in a repository gave out files of the server; here a link is never followed."""
    settings.HOME = tmp_path
    link = entry("Dockerfile", type=tarfile.SYMTYPE, linkname=target)
    with pytest.raises(SpecError):
        keep(tar(link, entry("app", FROM), dockerfile=False))
    assert not list((tmp_path / "contexts").iterdir())


def test_cve_2026_44882_a_refusal_is_an_end_and_nothing_goes_on_behind_it(
    web: Container, vic: User, charlie: User, api_for: ApiFor, client_for: ClientFor, outcome: Outcome
) -> None:
    """The answer was 403, and the request was passed on all the same; here nothing happens behind a refusal."""
    for action in ("stop", "kill", "restart", "recreate", "rename"):
        for who, status in ((vic, 403), (charlie, 404)):
            answer = api_for(who).post(f"{RUN}{web.pk}/{action}/", {}, format="json")
            assert answer.status_code == status, (action, answer.content)
            client_for(who).post(f"/containers/{web.pk}/do/{action}/", {"sure": "1", "name": "x"})
            assert outcome.is_nothing(), action
    for path in ("files/?path=/", "files/?path=/etc/passwd&download=1"):
        assert api_for(vic).get(f"{RUN}{web.pk}/{path}").status_code == 403
    assert outcome.is_nothing()


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "jwt", "Authorization"])
def test_cve_2026_44883_a_token_in_an_address_opens_nothing(
    name: str, web: Container, tara: User, client: Client
) -> None:
    """A token was taken from any address, and so stood in logs and histories; here only from its header."""
    _, secret = tokens.make(tara, "ci", ["read"])
    for path in ("/api/v1/containers/", f"/api/v1/containers/{web.pk}/"):
        assert client.get(path, {name: secret}).status_code == 401, path
    assert client.get("/containers/", {name: secret}).status_code == 302
    assert client.get("/api/v1/containers/", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_cve_2026_44884_a_file_is_read_by_nobody_who_counts_through_ids(
    engine: Engine, team: Team, charlie: User, vic: User, api_for: ApiFor, client_for: ClientFor
) -> None:
    """Files of templates were read by counting; here ids cannot be counted, and another's is as one that never was."""
    build = rows.make_build(engine, team)
    assert api_for(vic).get(f"/api/v1/builds/{build.pk}/").status_code == 200
    for id_ in (build.pk, uuid4(), 1, 2, "0"):
        assert api_for(charlie).get(f"/api/v1/builds/{id_}/").status_code == 404
        assert api_for(charlie).get(f"/api/v1/builds/{id_}/log/").status_code == 404
        assert client_for(charlie).get(f"/builds/{id_}/").status_code == 404


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b"])
def test_cve_2026_44885_an_archive_that_is_brought_back_writes_nothing_outside(
    name: str, engine: Engine, tara: User, outcome: Outcome
) -> None:
    """An archive to restore wrote wherever its names led; here it is read entry by entry, and unpacked on no host."""
    with pytest.raises(SpecError) as wrong:
        operations.request_volume_import(
            {"name": "back"}, io.BytesIO(tar(entry(name, b"x"))), actor=person(tara, source="ui")
        )
    assert list(wrong.value.errors) == ["archive"]
    assert outcome.is_nothing()


def test_cve_2026_55761_before_the_first_person_nobody_restores_and_nobody_is_made(
    client: Client, outcome: Outcome, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody was there, strangers could restore an archive; here every door is shut till then."""
    settings.HOME = tmp_path
    monkeypatch.setattr(setup, "_done", False)
    for path in (
        "restore/",
        "users/",
        "users/admin/init/",
        "volumes/import/",
        f"backups/{uuid4()}/restore/",
        "tokens/",
    ):
        answer = client.post(f"/api/v1/{path}", tar(entry("x")), "application/x-tar")
        assert answer.status_code in (302, 401, 404), path
    assert client.post("/volumes/import/", {"archive": io.BytesIO(tar())})["Location"] == "/setup/"
    assert not User.objects.exists()
    assert outcome.is_nothing()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v01/containers/{}/kill/", "/api/v1.0/containers/{}/kill/", "//api/v1/containers/{}/kill/",
        "/api//v1/containers/{}/kill/", "/api/V1/containers/{}/kill/", "/api/v1/../v1/containers/{}/kill/",
        "/v1.041/containers/{}/kill", "/v1/containers/{}/kill", "/api/v1/containers/{}/kill/%2e",
        "/api/v1/containers/{}//kill/", "/api/v1;x/containers/{}/kill/",
    ],
)  # fmt: skip
def test_cve_2026_72533_an_address_in_another_spelling_is_none(
    path: str, web: Container, vic: User, alice: User, api_for: ApiFor, outcome: Outcome
) -> None:
    """A version in an odd spelling went past every check; here an address that is not ours is none, whoever asks."""
    for who in (vic, alice):
        answer = api_for(who).post(path.format(web.pk), {}, format="json")
        assert answer.status_code == 404, (who.username, answer.content)
    assert not Operation.objects.exists()
    assert outcome.is_nothing()
