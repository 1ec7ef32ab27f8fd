"""Zips as build contexts: read by their list, held to it, and never trusted."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.specs import SpecError
from images_app import spool
from images_app.tests.test_spool import FROM, contents, home, keep, refused  # noqa: F401 - a fixture

Fill = Callable[[zipfile.ZipFile], None]


def zipped(*fills: Fill, dockerfile: bool = True, packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as new:
        if dockerfile:
            new.writestr("Dockerfile", FROM)
        for fill in fills:
            fill(new)
    return out.getvalue()


def put(
    name: str, data: bytes | str = b"x", mode: int = 0, system: int = 3, packed: int | None = None
) -> Fill:
    def fill(new: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name, (2024, 2, 3, 4, 5, 6))
        info.external_attr, info.create_system = mode << 16, system
        new.writestr(info, data, zipfile.ZIP_DEFLATED if packed is None else packed)

    return fill


def patched(data: bytes, signature: bytes, at: int, form: str, value: int) -> bytes:
    """With a number in the last record of that kind written over."""
    out = bytearray(data)
    struct.pack_into(form, out, data.rfind(signature) + at, value)
    return bytes(out)


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def test_a_zip_becomes_a_plain_tar_with_its_modes_and_links() -> None:
    """S-76."""
    context = keep(
        zipped(
            put("bin/", b"", stat.S_IFDIR | 0o755),
            put("bin/run", b"echo", stat.S_IFREG | 0o6755),
            put("bin/go", "run", stat.S_IFLNK | 0o777),
            put("win\\dir\\a.txt", b"w", system=0),
        )
    )
    assert contents(context) == {
        "Dockerfile": FROM, "bin": b"", "bin/run": b"echo", "bin/go": b"", "win/dir/a.txt": b"w",
    }  # fmt: skip
    assert context.dockerfile == FROM.decode()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "slip": (lambda: zipped(put("../../etc/cron.d/x")), "not a path"),
    "slip of windows": (lambda: zipped(put("..\\..\\x", system=0)), "not a path"),
    "absolute": (lambda: zipped(put("/etc/passwd")), "not a path"),
    "link out": (lambda: zipped(put("l", "../../etc", stat.S_IFLNK | 0o777)), "leaves"),
    "absolute link": (lambda: zipped(put("l", "/etc", stat.S_IFLNK | 0o777)), "leaves"),
    "through a link": (lambda: zipped(put("l", "d", stat.S_IFLNK | 0o777), put("l/x")), "no folder"),
    "long link": (lambda: zipped(put("l", "a" * 5000, stat.S_IFLNK | 0o777)), "too long"),
    "device": (lambda: zipped(put("null", b"", stat.S_IFCHR | 0o666)), "neither"),
    "pipe": (lambda: zipped(put("p", b"", stat.S_IFIFO | 0o666)), "neither"),
    "twice": (lambda: zipped(put("aa"), put("ab", b"y")).replace(b"ab", b"aa"), "twice"),
    "file as folder": (lambda: zipped(put("a"), put("a/b")), "no folder"),
    "two lines": (lambda: zipped(put("a\nb")), "one line"),
    "nul": (lambda: zipped(put("aXb")).replace(b"aXb", b"a\x00b"), "not a path"),
    "not utf-8": (lambda: zipped(put("\xe4\xe4")).replace("\xe4\xe4".encode(), b"\xff\xff\xff\xff"), "whole zip"),
    "bomb": (lambda: zipped(put("zeros", bytes(20_000_000))), "hundredfold"),
    "4 GB, it says": (lambda: patched(zipped(put("a")), CENTRAL, 24, "<I", 0xFFFFFFF0), "MB at most"),
    "larger than it says": (lambda: patched(zipped(put("a", bytes(99))), CENTRAL, 24, "<I", 5), "whole zip"),
    "smaller than it says": (lambda: patched(zipped(put("a")), CENTRAL, 24, "<I", 500), "whole zip"),
    "encrypted": (lambda: patched(zipped(put("a")), CENTRAL, 8, "<H", 1), "encrypted"),
    "bzip2 inside": (lambda: zipped(put("a", bytes(9999), packed=zipfile.ZIP_BZIP2)), "unusual method"),
    "endless list": (lambda: patched(zipped(), END, 12, "<I", 0x7FFFFFFF), "zip"),
    "wrong sum": (lambda: patched(zipped(put("a")), CENTRAL, 16, "<I", 7), "whole zip"),
    "half": (lambda: zipped(put("a", b"abc" * 999))[:200], "whole zip"),
    "empty": (lambda: zipped(dockerfile=False), "empty"),
    "no dockerfile": (lambda: zipped(put("a"), dockerfile=False), "holds no"),
    "dockerfile is a folder": (lambda: zipped(put("Dockerfile/", b""), dockerfile=False), "folder"),
    "dockerfile is a link": (
        lambda: zipped(put("Dockerfile", "a", stat.S_IFLNK | 0o777), put("a", FROM), dockerfile=False), "is a link",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_in_words_and_leaves_nothing(name: str, home: Path) -> None:  # noqa: F811
    make, why = HOSTILE[name]
    assert why in refused(make(), home)


def test_a_list_longer_than_a_context_may_be_is_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("operations.zips.LONGEST_LIST", 1000)
    assert "too long" in refused(zipped(*(put(f"file-{n}") for n in range(50))), home)


def test_too_many_entries_of_a_zip_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(spool, "MOST_ENTRIES", 5)
    assert "entries" in refused(zipped(*(put(str(n)) for n in range(6))), home)


def test_a_link_or_a_folder_as_dockerfile_gives_way_to_one_that_is_typed() -> None:
    with pytest.raises(SpecError) as wrong:
        keep(zipped(put("Dockerfile/x"), dockerfile=False), "FROM scratch\n")
    assert "is a folder" in str(wrong.value.errors)
    link = zipped(put("Dockerfile", "a", stat.S_IFLNK | 0o777), put("a"), dockerfile=False)
    assert contents(keep(link, "FROM other\n")) == {"a": b"x", "Dockerfile": b"FROM other\n"}
