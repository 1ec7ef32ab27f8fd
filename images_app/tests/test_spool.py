"""A build context is checked entry by entry before anything else sees it, and comes out as a plain tar of ours."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from engine.specs import SpecError
from images_app import spool

FROM = b"FROM scratch\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    return tmp_path


def entry(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*entries: tuple[tarfile.TarInfo, bytes], dockerfile: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as new:
        for info, data in [*([entry("Dockerfile", FROM)] if dockerfile else []), *entries]:
            new.addfile(info, io.BytesIO(data))
    return out.getvalue()


def keep(data: bytes | None, dockerfile: str = "", path: str = "Dockerfile") -> spool.Context:
    upload = None if data is None else io.BytesIO(data)
    return spool.spool(upload, dockerfile=dockerfile, dockerfile_path=path)


def contents(context: spool.Context) -> dict[str, bytes]:
    with spool.opened(context.path) as file, tarfile.open(fileobj=file, mode="r:") as kept:
        found = {}
        for member in kept:
            data = kept.extractfile(member) if member.isreg() else None
            found[member.name] = data.read() if data else b""
        return found


def refused(data: bytes, home: Path) -> str:
    with pytest.raises(SpecError) as wrong:
        keep(data)
    assert list((home / "contexts").iterdir()) == [], "something was left behind"
    return wrong.value.errors["context"][0]


def test_a_dockerfile_alone_is_a_context() -> None:
    context = keep(None, "FROM scratch\nCMD x\n")
    assert contents(context) == {"Dockerfile": b"FROM scratch\nCMD x\n"}
    assert context.dockerfile == "FROM scratch\nCMD x\n"
    assert context.digest == keep(None, "FROM scratch\nCMD x\n").digest


@pytest.mark.parametrize("pack", [lambda b: b, gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_context_becomes_a_plain_one(pack: Callable[[bytes], bytes]) -> None:
    """S-76."""
    context = keep(pack(tar(entry("app/main.py", b"print()"))))
    assert contents(context) == {"Dockerfile": FROM, "app/main.py": b"print()"}
    with spool.opened(context.path) as file:
        assert file.read(10) == b"Dockerfile"


def test_the_typed_dockerfile_takes_the_place_of_the_one_inside() -> None:
    context = keep(tar(), "FROM other\n")
    assert contents(context) == {"Dockerfile": b"FROM other\n"}
    assert context.dockerfile == "FROM other\n"


def test_a_context_without_its_dockerfile_is_refused(home: Path) -> None:
    assert "Dockerfile" in refused(tar(entry("a", b"b"), dockerfile=False), home)


def test_owners_times_and_special_bits_do_not_come_along() -> None:
    context = keep(tar(entry("run", b"x", mode=0o6755, uid=1000, uname="me", mtime=1.5)))
    with spool.opened(context.path) as file, tarfile.open(fileobj=file) as kept:
        member = kept.getmember("run")
        assert (member.mode, member.uid, member.uname, member.mtime) == (0o755, 0, "", 1)


def test_links_inside_stay() -> None:
    links: Iterable[tuple[tarfile.TarInfo, bytes]] = (
        entry("a/b", b"x"),
        entry("a/up", type=tarfile.SYMTYPE, linkname="../Dockerfile"),
        entry("hard", type=tarfile.LNKTYPE, linkname="a/b"),
    )
    context = keep(tar(*links))
    with spool.opened(context.path) as file, tarfile.open(fileobj=file) as kept:
        assert kept.getmember("a/up").linkname == "../Dockerfile"
        assert kept.getmember("hard").linkname == "a/b"


@pytest.mark.parametrize(
    "bad",
    [
        entry("/etc/passwd", b"x"),
        entry("../x", b"x"),
        entry("a/../../x", b"x"),
        entry("x" * 300, b"x"),
        entry("/".join("d" * 40), b"x"),
        entry("s", type=tarfile.SYMTYPE, linkname="/etc"),
        entry("s", type=tarfile.SYMTYPE, linkname="../../etc"),
        entry("a/s", type=tarfile.SYMTYPE, linkname="x/../../../etc"),
        entry("h", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        entry("h", type=tarfile.LNKTYPE, linkname="not/there"),
        entry("d", type=tarfile.CHRTYPE),
        entry("d", type=tarfile.BLKTYPE),
        entry("f", type=tarfile.FIFOTYPE),
        entry("Dockerfile", b"FROM evil"),
        entry("two\nlines", b"x"),
        entry("not utf-8 \udcff", b"x"),
    ],
    ids=lambda bad: f"{bad[0].name[:12]}-{bad[0].linkname[:12]}",
)
def test_what_leaves_the_context_or_is_no_file_is_refused(
    bad: tuple[tarfile.TarInfo, bytes], home: Path
) -> None:
    refused(tar(bad), home)


def test_nothing_is_led_through_a_link(home: Path) -> None:
    links = (entry("a", type=tarfile.SYMTYPE, linkname="b"), entry("a/x", b"x"))
    assert "no folder" in refused(tar(*links), home)


def test_a_bomb_is_refused(home: Path) -> None:
    assert "hundredfold" in refused(gzip.compress(tar(entry("zeros", bytes(20_000_000)))), home)


def test_a_context_that_is_too_large_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CONTEXT_MB", 1)
    large = [entry("a", bytes(600_000)), entry("b", bytes(600_000))]
    assert "1 MB at most" in refused(tar(*large), home)


def test_too_many_entries_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST_ENTRIES", 5)
    assert "entries" in refused(tar(*(entry(str(n)) for n in range(6))), home)


def test_a_header_that_fills_the_memory_is_refused(home: Path) -> None:
    assert "header" in refused(tar(entry("n", bytes(100_000), type=tarfile.XHDTYPE)), home)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        os.urandom(4096),
        tar()[:700],
        gzip.compress(tar())[:60],
        b"PK\x03\x04zip",
        gzip.compress(gzip.compress(tar())),
    ],
    ids=["nothing", "text", "noise", "half a tar", "half a gzip", "half a zip", "nested"],
)
def test_what_is_no_whole_archive_is_refused(data: bytes, home: Path) -> None:
    refused(data, home)


def test_names_in_messages_are_harmless(home: Path) -> None:
    assert "\x1b" not in refused(tar(entry("../\x1b[31m", b"x")), home)


def test_forgetting_twice_does_no_harm() -> None:
    context = keep(None, "FROM x\n")
    spool.forget(context.path)
    spool.forget(context.path)
    with pytest.raises(FileNotFoundError):
        spool.opened(context.path)


def test_what_a_dockerignore_leaves_out_is_not_sent() -> None:
    rules = entry(".dockerignore", b"node_modules\n*.log\n!keep.log\nDockerfile\n.dockerignore\nfirst\n")
    context = keep(
        tar(
            entry("node_modules/a/b.js", b"x" * 900), entry("first", b"f"), rules, entry("a.log", b"1"),
            entry("keep.log", b"22"), entry("src/a.py", b"333"),
            entry("src/again", type=tarfile.LNKTYPE, linkname="first"),
            entry("src/third", type=tarfile.LNKTYPE, linkname="src/a.py"),
        )
    )  # fmt: skip
    assert contents(context) == {
        "Dockerfile": FROM, ".dockerignore": rules[1], "keep.log": b"22", "src/a.py": b"333", "src/again": b"f",
        "src/third": b"",
    }  # fmt: skip
    assert context.about["left_out"] == 5
    assert context.about["ignores"] is True
    assert context.about["parts"][0] == [".dockerignore", len(rules[1])]
    assert ["src/", 3] in context.about["parts"]


def test_the_ignore_file_beside_the_dockerfile_goes_first() -> None:
    files = (
        entry("d/Dockerfile", FROM),
        entry("d/Dockerfile.dockerignore", b"a\n"),
        entry(".dockerignore", b"b\n"),
    )
    context = keep(tar(*files, entry("a", b"1"), entry("b", b"2"), dockerfile=False), path="d/Dockerfile")
    assert set(contents(context)) == {"d/Dockerfile", "d/Dockerfile.dockerignore", ".dockerignore", "b"}


class Sent(io.RawIOBase):
    """A tar with one file of so many bytes, made as it is read."""

    def __init__(self, size: int) -> None:
        info = tarfile.TarInfo("ballast")
        info.size, start = size, tar()[:1024]
        self.pieces = [start + info.tobuf(), *[bytes(1024 * 1024)] * (size // 1024 // 1024), bytes(1024)]
        self.left = b""

    def read(self, size: int = -1) -> bytes:
        while self.pieces and len(self.left) < size:
            self.left += self.pieces.pop(0)
        given, self.left = self.left[:size], self.left[size:]
        return given


def test_a_large_context_is_held_by_nobody() -> None:
    tracemalloc.start()
    try:
        context = spool.spool(Sent(96 * 1024 * 1024), dockerfile="", dockerfile_path="Dockerfile")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert context.about["bytes"] == 96 * 1024 * 1024 + len(FROM)
    assert most < 12 * 1024 * 1024
    spool.forget(context.path)


def test_a_dockerignore_that_cannot_be_read_is_refused(home: Path) -> None:
    assert "dockerignore" in refused(tar(entry(".dockerignore", b"a[")), home)
    assert "64 KiB" in refused(tar(entry(".dockerignore", b"a" * 70_000)), home)
