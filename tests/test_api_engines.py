"""Engines by REST: added once they answer, over a socket or TLS, changed, counted, and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import AuditEntry, Team, User
from containers_app.models import Container
from engine.connect import connect, connect_streams
from engine.errors import Invalid, Unreachable
from operations import engines, reads, runner, tasks
from operations.models import Engine, EngineKeys, Operation, TrashItem
from operations.trash import file_of
from tests import tls
from tests.rows import make_container, make_engine, make_operation, make_volume

ApiFor = Callable[..., APIClient]
URL = "/api/v1/engines/"


@pytest.fixture(scope="module")
def authority() -> tls.Authority:
    """Whom the engine trusts."""
    return tls.Authority()


@pytest.fixture(scope="module")
def secured(authority: tls.Authority, engine_url: str) -> Iterator[str]:
    """The engine's address with TLS."""
    with tls.door(authority, engine_url) as url:
        yield url


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Questions to a worker, which answers at once in this process."""
    asked: list[str] = []

    def send(name: str, args: tuple[str], **options: Any) -> None:
        asked.append(args[0])
        if name == reads.TASK:
            tasks.answer_read(args[0])

    monkeypatch.setattr(reads.current_app, "send_task", send)
    return asked


@pytest.fixture(autouse=True)
def _sockets(settings: Any, engine_url: str, tmp_path: Any) -> None:
    """What the server's configuration allows."""
    settings.ENGINE_SOCKETS = [engine_url.removeprefix("unix://"), f"{tmp_path}/file", f"{tmp_path}/none"]


def add(api: APIClient, **body: Any) -> Any:
    return api.post(URL, {"name": "far", **body}, format="json")


def test_an_engine_over_tls_is_added_used_and_never_shows_its_key(
    api_for: ApiFor, alice: User, vic: User, authority: tls.Authority, secured: str, worker: list[str]
) -> None:
    keys = authority.client()
    answer = add(api_for(alice), endpoint=secured, **keys)
    assert answer.status_code == 201, answer.json()
    shown = answer.json()
    assert (shown["name"], shown["endpoint"], shown["tls"], shown["configured"]) == (
        "far",
        secured,
        True,
        False,
    )
    assert answer["Location"] == shown["url"]
    row = Engine.objects.get()
    assert row.native_id == shown["engine_id"] != ""
    secret = keys["key"].splitlines()[1]
    told = (answer.content.decode(), str(AuditEntry.objects.values_list("detail")), *worker)
    assert not any(secret in text for text in (*told, EngineKeys.objects.get().sealed))
    assert api_for(vic).get(f"{URL}{row.pk}/").json()["endpoint"] is None

    assert runner.backend(row).info().native_id == row.native_id
    entry = AuditEntry.objects.get(verb="engine.manage")
    assert (entry.target_name, entry.detail["tls"]) == ("far", True)
    again = add(api_for(alice), name="twice", endpoint=secured.replace("127.0.0.1", "localhost"), **keys)
    assert "not the expected one" in again.json()["errors"]["endpoint"][0]  # the name is looked at, too


def test_what_does_not_answer_as_it_should_is_told_in_words(
    api_for: ApiFor, alice: User, authority: tls.Authority, secured: str, engine_url: str, tmp_path: Any
) -> None:
    api, keys = api_for(alice), authority.client()
    stranger = tls.Authority("Somebody else").client()
    (tmp_path / "file").touch()
    cases: list[tuple[dict[str, str], str, str]] = [
        ({"endpoint": "tcp://10.1.2.3:2375"}, "endpoint", "needs TLS"),
        ({"endpoint": "ssh://root@far"}, "endpoint", "ssh -L"),
        ({"endpoint": "npipe:////./pipe/docker"}, "endpoint", "starts with unix:// or tcp://"),
        ({"endpoint": "fake://world"}, "endpoint", "starts with unix:// or tcp://"),
        ({"endpoint": "tcp://[::1"}, "endpoint", "tcp://host:port"),
        ({"endpoint": "unix://relative.sock"}, "endpoint", "absolute path"),
        ({"endpoint": "tcp://127.0.0.1:2375"}, "endpoint", "needs TLS"),
        ({"endpoint": "unix:///run/other.sock"}, "endpoint", "SLIPWAY_ENGINE_SOCKETS=/run/other.sock"),
        ({"endpoint": f"unix://{tmp_path}/file"}, "endpoint", "no socket"),
        ({"endpoint": f"unix://{tmp_path}/none"}, "endpoint", "nothing at this path"),
        ({"endpoint": engine_url, **keys}, "endpoint", "takes no certificates"),
        ({"endpoint": secured}, "endpoint", "needs TLS"),
        ({"endpoint": secured, **keys, "ca": stranger["ca"]}, "endpoint", "not the expected one"),
        ({"endpoint": secured, **stranger, "ca": keys["ca"]}, "endpoint", "not accept"),
        ({"endpoint": secured, "ca": keys["ca"]}, "cert", "All three"),
        ({"endpoint": secured, **keys, "ca": "x"}, "ca", "in PEM"),
        ({"endpoint": secured, **keys, "key": "x"}, "key", "private key in PEM"),
        ({"endpoint": secured, **keys, "key": stranger["key"]}, "key", "another certificate"),
        ({"endpoint": secured, **authority.client(days=-1)}, "cert", "valid until"),
        ({"endpoint": engine_url, "name": " "}, "name", "blank"),
        ({"endpoint": engine_url, "kind": "x"}, "kind", "Unknown field"),
    ]
    for body, field, words in cases:
        answer = add(api, **body)
        assert answer.status_code == 400, (body, answer.content)
        assert words in " ".join(answer.json()["errors"].get(field, [])), (body["endpoint"], answer.json())
    assert not Engine.objects.exists()
    assert not AuditEntry.objects.filter(verb="engine.manage", outcome="succeeded").exists()


def test_the_same_engine_name_or_address_comes_once(
    api_for: ApiFor, alice: User, authority: tls.Authority, secured: str, engine_url: str
) -> None:
    api = api_for(alice)
    assert add(api, endpoint=engine_url, name="near").status_code == 201
    assert "known as near" in add(api, endpoint=secured, **authority.client()).json()["errors"]["endpoint"][0]
    assert add(api, endpoint=engine_url).json()["errors"]["endpoint"] == [
        "near is reached by this address already."
    ]
    assert add(api, endpoint=secured, name="NEAR").json()["errors"]["name"] == [
        "Another engine has this name."
    ]


def test_a_new_name_and_new_certificates(
    api_for: ApiFor, alice: User, authority: tls.Authority, secured: str
) -> None:
    api = api_for(alice)
    row = Engine.objects.get(pk=add(api, endpoint=secured, **authority.client()).json()["id"])
    before, client = EngineKeys.objects.get().sealed, runner.backend(row)
    url = f"{URL}{row.pk}/"
    assert api.patch(url, {"name": "farther"}, format="json").json()["name"] == "farther"
    refused = api.patch(url, tls.Authority("Other").client(), format="json")
    assert (refused.status_code, EngineKeys.objects.get().sealed) == (400, before)
    assert api.patch(url, authority.client(), format="json").status_code == 200
    row.refresh_from_db()
    assert (EngineKeys.objects.get().sealed != before, runner.backend(row) is client) == (True, False)
    assert api.patch(url, {"endpoint": "tcp://127.0.0.1:1"}, format="json").status_code == 400

    moved = make_engine("moved")
    EngineKeys.objects.filter(pk=row.pk).update(engine=moved)
    with pytest.raises(Unreachable, match="give them again"):
        engines.certificates(moved.pk)  # sealed for another row


async def test_streams_go_over_tls_too(authority: tls.Authority, secured: str) -> None:
    from engine.certificates import Certificates

    await connect_streams(secured, certificates=Certificates(**authority.client())).ping()
    other = tls.Authority("Other").client()
    for wrong in ({**other}, {**other, "ca": authority.pem}):
        with pytest.raises(Unreachable, match=r"certificate|broke"):
            await connect_streams(secured, certificates=Certificates(**wrong)).ping()
    with pytest.raises(Invalid, match="needs TLS"):
        connect("tcp://192.0.2.1:2376")


def test_only_site_administrators_add_change_and_forget(
    api_for: ApiFor,
    alice: User,
    tara: User,
    bob: User,
    vic: User,
    team: Team,
    engine_url: str,
    worker: list[str],
) -> None:
    """S-74."""
    row = make_engine()
    scripts = [api_for(user) for user in (tara, bob, vic)]
    scripts += [api_for(alice, "write"), api_for(alice, team=team)]
    for api in scripts:
        assert add(api, endpoint=engine_url).status_code == 403
        for answer in (
            api.patch(f"{URL}{row.pk}/", {"name": "mine"}, format="json"),
            api.delete(f"{URL}{row.pk}/"),
            api.delete(f"{URL}{row.pk}/?dry_run=1"),
            api.get(f"{URL}{row.pk}/disk-usage/"),
        ):
            assert answer.status_code in (403, 404), answer.content
    assert add(api_for(), endpoint=engine_url).status_code == 401
    assert (worker, Engine.objects.get().name) == ([], row.name)


def test_an_engine_is_forgotten_with_its_rows_and_the_plan_says_so(
    api_for: ApiFor, alice: User, team: Team
) -> None:
    api, row, other = api_for(alice), make_engine(), make_engine("other")
    make_container(row, team)
    make_volume(row, team, "data")
    stays = make_container(other, team)
    done = make_operation(row, team, state="succeeded")
    file_of("old.tar").parent.mkdir(parents=True, exist_ok=True)
    file_of("old.tar").touch()
    TrashItem.objects.create(
        operation=done, engine=row, kind="volume", name="old", state="kept", path="old.tar",
        expires_at=done.created_at,
    )  # fmt: skip
    url = f"{URL}{row.pk}/"
    plan = api.delete(f"{url}?dry_run=1").json()
    assert (plan["would_run"], [line["what"] for line in plan["kept"]]) == (True, ["1 container", "1 volume"])
    assert [line["what"] for line in plan["lost"]] == ["1 operation", "1 thing in the trash"]

    running = make_operation(row, team, state="running")
    refused = api.delete(url)
    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert api.delete(f"{url}?dry_run=1").json()["would_run"] is False
    running.delete()
    Engine.objects.filter(pk=row.pk).update(configured=True)
    assert "DOCKER_HOST" in api.delete(url).json()["detail"]
    Engine.objects.filter(pk=row.pk).update(configured=False)

    assert api.delete(url).status_code == 204
    assert list(Engine.objects.all()) == [other]
    assert list(Container.objects.all()) == [stays]
    assert not Operation.objects.exists()
    assert AuditEntry.objects.filter(
        verb="engine.manage", target_id=str(row.pk), outcome="succeeded"
    ).exists()
    assert api.get(url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_files_of_the_trash_go_with_their_engine(api_for: ApiFor, alice: User, team: Team) -> None:
    row = make_engine()
    done = make_operation(row, team, state="succeeded")
    file_of("gone.tar").parent.mkdir(parents=True, exist_ok=True)
    file_of("gone.tar").touch()
    TrashItem.objects.create(
        operation=done, engine=row, kind="volume", name="old", state="kept", path="gone.tar",
        expires_at=done.created_at,
    )  # fmt: skip
    assert api_for(alice).delete(f"{URL}{row.pk}/").status_code == 204
    assert not file_of("gone.tar").exists()


def test_the_engine_counts_what_takes_its_disk(
    api_for: ApiFor, alice: User, engine_row: Engine, docker_client: Any, busybox: str
) -> None:
    docker_client.containers.create(busybox, name="taken")
    found = api_for(alice).get(f"{URL}{engine_row.pk}/disk-usage/").json()
    assert (found["containers"]["count"], found["images"]["count"] > 0) == (1, True)
    kinds = ("images", "containers", "volumes", "build_cache")
    assert found["total"] == sum(found[kind]["size"] for kind in kinds) > 0
    assert found["reclaimable"] == sum(found[kind]["reclaimable"] for kind in kinds)
    assert all(0 <= found[kind]["reclaimable"] <= found[kind]["size"] for kind in kinds)
