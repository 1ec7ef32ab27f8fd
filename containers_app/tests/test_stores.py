"""Stores of backups: signatures, what comes back, and where a connection may go."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from accounts.access import person
from accounts.models import Team, User
from containers_app import backup_asks, operations, signing, stores
from containers_app.models import Volume, VolumeBackup
from containers_app.tests.test_operations import Bench, Carry
from containers_app.tests.test_volume_copies import LOOK, SAID, data
from engine.errors import StoreFailed
from operations.models import Engine
from tests.bucket import ACCESS, BUCKET, REGION, SECRET, Objects, bucket
from tests.machine import said_by

__all__ = ["data"]
AWS = {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
THEN = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"


@pytest.fixture
def objects(settings: Any) -> Iterator[Objects]:
    with bucket() as found:
        settings.BACKUP_HOSTS = ["127.0.0.1"]
        yield found


def store(objects: Objects, **other: str) -> stores.Bucket:
    keys = {"bucket": BUCKET, "prefix": "a folder/x", "access_key": ACCESS, "secret": SECRET, **other}
    return stores.Bucket(objects.url, REGION, **keys)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_examples_of_aws_are_signed_as_aws_says() -> None:
    """Examples of "Signature Calculations for the Authorization Header" in the documents of Amazon S3."""
    got = signing.headers(
        "GET", HOST, "/test.txt", region="us-east-1", now=THEN, more={"range": "bytes=0-9"}, **AWS
    )
    assert got["authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    put = signing.headers(
        "PUT", HOST, signing.path("test$file.text"), region="us-east-1", now=THEN,
        payload=hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        more={"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}, **AWS,
    )  # fmt: skip
    assert put["authorization"].endswith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


def test_what_goes_into_a_bucket_comes_out_of_it(objects: Objects, file: tuple[Path, str]) -> None:
    path, digest = file
    here, key, out = store(objects), "eng/data~1/2026 a.tar.gz", io.BytesIO()
    here.put(key, path, digest)
    assert list(objects.held) == [f"/{BUCKET}/a%20folder/x/eng/data~1/2026%20a.tar.gz"]
    assert here.get(key, out, 3_000_000) == digest
    assert out.getvalue() == path.read_bytes()
    with pytest.raises(StoreFailed, match="more than"):
        here.get(key, io.BytesIO(), 1000)
    here.delete(key)
    here.delete(key)
    with pytest.raises(StoreFailed, match="no such"):
        here.get(key, io.BytesIO(), 10)


def test_wrong_keys_and_refusals_are_said_without_the_keys(objects: Objects, file: tuple[Path, str]) -> None:
    with pytest.raises(StoreFailed, match="does not accept the keys") as refused:
        store(objects, secret="another-secret").put("x", *file)
    assert "another-secret" not in str(refused.value)
    objects.answer = 500
    with pytest.raises(StoreFailed, match="500"):
        store(objects).get("x", io.BytesIO(), 10)


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirection_is_not_followed(status: int, objects: Objects) -> None:
    objects.answer = status
    with pytest.raises(StoreFailed, match="another address"):
        store(objects).get("x", io.BytesIO(), 10)
    assert len(objects.asked) == 1


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "s3.example.com", "ftp://s3.example.com", "http://s3.example.com", "https://user:pw@s3.example.com",
        "https://s3.example.com/?x=1", "https://127.0.0.1", "https://10.0.0.5:9000", "https://192.168.1.1",
        "https://169.254.169.254", "https://100.64.0.1", "https://0.0.0.0", "https://[::1]", "https://[fd00::1]",
        "https://[::ffff:10.0.0.1]", "https://[64:ff9b::a00:1]", "https://[2002:a00:1::]", "https://[fe80::1]",
        "https://224.0.0.1", "https://s3.example.com:0", "https://s3.example.com:99999",
    ],
)  # fmt: skip
def test_an_endpoint_that_leads_nowhere_open_is_refused(endpoint: str) -> None:
    assert stores.endpoint_problem(endpoint)
    with pytest.raises(StoreFailed):
        stores.connect(endpoint)


@pytest.mark.parametrize("endpoint", ["https://s3.eu-central-1.amazonaws.com", "https://1.1.1.1:9000"])
def test_an_open_endpoint_is_accepted(endpoint: str) -> None:
    assert stores.endpoint_problem(endpoint) == ""


@pytest.mark.parametrize(
    "addresses", [["10.0.0.5"], ["1.1.1.1", "127.0.0.1"], ["fd00::1"], ["::ffff:169.254.169.254"]]
)
def test_a_name_that_leads_into_a_network_of_its_own_is_refused(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    connected: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "create_connection", lambda *where, **_: connected.append(where))
    with pytest.raises(StoreFailed, match="network of its own"):
        stores.connect("https://rebind.example.com")
    assert connected == []


def test_a_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])

    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in next(answers)]

    connected: list[Any] = []

    def connects(where: Any, **_: Any) -> None:
        connected.append(where)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "create_connection", connects)
    with pytest.raises(StoreFailed, match="does not answer"):
        stores.connect("https://rebind.example.com")
    assert connected == [("1.1.1.1", 443)]


def test_a_volume_goes_through_a_bucket_and_comes_back(
    objects: Objects, engine_row: Engine, team: Team, bob: User, tara: User, alice: User, busybox: str,
    run_operations: Carry, data: Volume, docker_client: Any,
) -> None:  # fmt: skip
    bench = Bench(engine_row, team, bob, busybox, run_operations)
    row = backup_asks.add_store(
        {"name": "offsite", "endpoint": objects.url, "bucket": BUCKET, "region": REGION, "access_key": ACCESS,
         "secret_key": SECRET, "prefix": "slipway"}, actor=person(alice, source="ui"),
    )  # fmt: skip
    actor = person(tara, source="ui")
    asked = bench._done(operations.request_volume_backup(data, actor=actor, store=row))
    assert asked.state == "succeeded", asked.error_message
    assert SECRET not in str(asked.params) + str(asked.result)
    backup = VolumeBackup.objects.get()
    assert f"/{BUCKET}/slipway/{backup.key}" in objects.held
    back = bench._done(operations.request_backup_restore(backup, {"volume": "back"}, actor=actor))
    assert back.state == "succeeded", back.error_message
    assert said_by(docker_client, busybox, LOOK, volumes=["back:/data"]) == SAID
    bench._done(operations.request_backup_remove(backup, actor=actor))
    assert objects.held == {}


@pytest.fixture
def bench(engine_row: Engine, team: Team, bob: User, busybox: str, run_operations: Carry) -> Bench:
    return Bench(engine_row, team, bob, busybox, run_operations)
