"""A gigabyte as a build context: how long it takes, and that nobody holds it in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from tests.bench.conftest import Tell
from tests.bench.site import Site
from tests.bench.test_files import BOUNDARY, PIECE, SIZE
from tests.bench.uploads import sent_whole

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]


def _form() -> tuple[int, Iterator[bytes]]:
    """A form as curl sends it: its length, and its pieces."""
    begin = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="tags"\r\n\r\nbench/large:1\r\n'
    begin += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="context"; filename="c.tar"\r\n\r\n'
    head = io.BytesIO()
    text = b"FROM scratch\nCOPY Dockerfile /\n"
    with tarfile.open(fileobj=head, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    large = tarfile.TarInfo("ballast")
    large.size = SIZE
    first = begin.encode() + head.getvalue()[:1024] + large.tobuf()
    last = bytes(1024) + f"\r\n--{BOUNDARY}--\r\n".encode()

    def pieces() -> Iterator[bytes]:
        yield first
        for _ in range(SIZE // len(PIECE)):
            yield PIECE
        yield last

    return len(first) + SIZE + len(last), pieces()


def test_a_context_of_a_gigabyte_is_built(site: Site, tell: Tell) -> None:
    what = "a context of 1,000 MB: accepted, and built; memory"
    sent_whole(site, tell, what, "/api/v1/images/build/", *_form())
