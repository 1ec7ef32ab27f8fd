"""Where backups are kept: a folder of this machine, or a bucket of an S3-compatible store.

Workers alone ask them; where a connection may go says `engine.outbound`. Redirections are not followed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from containers_app import signing
from containers_app.backed import BackupStore
from engine import outbound
from engine.errors import StoreFailed
from operations import secrets

PATIENCE = 60
"""Seconds without a byte."""
PIECE = 1 << 20
MOST_AT_ONCE = 5 * 1024**3
"""What such a store takes in one request."""


class Store(Protocol):
    """A place for files by key. Blocking; raises `StoreFailed`, or what a full disk raises."""

    def put(self, key: str, path: Path, digest: str) -> None:
        """Keeps that file, whose SHA-256 is known; whole or not at all."""

    def get(self, key: str, out: IO[bytes], most: int) -> str:
        """Writes what is there, and returns its SHA-256."""

    def delete(self, key: str) -> None:
        """It is gone then; no error where it was before."""


def of(row: BackupStore | None) -> Store:
    """The store behind a row; without one, the folder."""
    if row is None:
        return Folder(folder())
    secret = secrets.unseal(row.pk, row.sealed)["secret"]
    return Bucket(row.endpoint, row.region, row.bucket, row.prefix, row.access_key, str(secret))


def folder() -> Path:
    """The folder of this machine."""
    return Path(settings.BACKUP_DIR or Path(settings.HOME) / "backups")


@dataclass(frozen=True, slots=True)
class Folder:
    """Files below a folder, each under its key."""

    root: Path

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise StoreFailed("This is no place in the folder of backups.")
        return path

    def put(self, key: str, path: Path, digest: str) -> None:
        target = self._path(key)
        half = target.with_name(f"{target.name}.half")
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with half.open("wb") as out, path.open("rb") as data:
                half.chmod(0o600)
                shutil.copyfileobj(data, out, PIECE)
                out.flush()
                os.fsync(out.fileno())
            half.rename(target)
        except PermissionError as error:
            raise StoreFailed(f"The folder of backups cannot be written to: {error.strerror}.") from None
        finally:
            with suppress(OSError):
                half.unlink()

    def get(self, key: str, out: IO[bytes], most: int) -> str:
        try:
            with self._path(key).open("rb") as data:
                return _copied(data, out, most)
        except FileNotFoundError:
            raise StoreFailed("The file of this backup is not in its folder any more.") from None

    def delete(self, key: str) -> None:
        path = self._path(key)
        path.unlink(missing_ok=True)
        for above in path.parents:
            if above == self.root.resolve():
                break
            with suppress(OSError):
                above.rmdir()


def _copied(data: IO[bytes], out: IO[bytes], most: int) -> str:
    digest, written = hashlib.sha256(), 0
    while piece := data.read(PIECE):
        written += len(piece)
        if written > most:
            raise StoreFailed("The store sends more than this backup holds.")
        digest.update(piece)
        out.write(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Bucket:
    """Objects of one bucket, below a prefix, addressed by path."""

    endpoint: str
    region: str
    bucket: str
    prefix: str
    access_key: str
    secret: str

    def put(self, key: str, path: Path, digest: str) -> None:
        if path.stat().st_size > MOST_AT_ONCE:
            raise StoreFailed("A store takes files of 5 GiB at most.")
        with path.open("rb") as data, self._asked("PUT", key, data, digest, path.stat().st_size) as answer:
            _need(answer, (200, 201, 204))

    def get(self, key: str, out: IO[bytes], most: int) -> str:
        with self._asked("GET", key) as answer:
            _need(answer, (200,))
            return _copied(answer, out, most)

    def delete(self, key: str) -> None:
        with self._asked("DELETE", key) as answer:
            _need(answer, (200, 204, 404))

    @contextmanager
    def _asked(
        self, method: str, key: str, data: IO[bytes] | None = None, digest: str = signing.EMPTY, size: int = 0
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.endpoint)
        where = signing.path(parts.path, self.bucket, self.prefix, key)
        headers = signing.headers(
            method, parts.netloc, where, access_key=self.access_key, secret=self.secret, region=self.region,
            payload=digest,
        )  # fmt: skip
        if data is not None:
            headers |= {"content-length": str(size), "content-type": "application/gzip"}
        connection = connect(self.endpoint)
        try:
            connection.request(method, where, body=data, headers=headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise StoreFailed(
                f"The store at {parts.netloc} does not answer as it should: {outbound.why(error)}."
            ) from None
        finally:
            connection.close()


def _need(answer: http.client.HTTPResponse, wanted: tuple[int, ...]) -> None:
    if answer.status in wanted:
        return
    words = {
        301: "it is at another address", 307: "it is at another address", 400: "it does not understand the request",
        403: "it does not accept the keys", 404: "it has no such bucket or file",
    }  # fmt: skip
    raise StoreFailed(f"The store refused: {words.get(answer.status, 'HTTP')} ({answer.status}).")


# Where a connection may go


def _gate() -> outbound.Gate:
    return outbound.Gate(
        settings.BACKUP_HOSTS,
        "SLIPWAY_BACKUP_HOSTS",
        "store",
        "https://s3.eu-central-1.amazonaws.com",
        PATIENCE,
    )


def endpoint_problem(endpoint: str) -> str:
    """What is wrong with the address of a store, as far as that can be told without asking anybody; or empty."""
    return _gate().problem(endpoint)


def connect(endpoint: str) -> http.client.HTTPConnection:
    """A connection to the very address that was looked at. Raises `StoreFailed` where it may not go there."""
    try:
        return _gate().connect(endpoint)
    except outbound.Refused as error:
        raise StoreFailed(str(error)) from None
