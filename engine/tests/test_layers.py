"""Layers out of the tars that engines save images as, in every layout, and out of those that nobody would."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard

from engine import layers, packages
from engine.layer_tar import Broken, Reader, entries
from engine.layers import LayerFiles

Change = Callable[[tarfile.TarInfo], object]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def tar(*files: tuple[str, bytes | None, Change | None], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these: a name, its content (``None``: a folder), and what else is to be said of it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind, errors="surrogateescape") as archive:
        for name, content, change in files:
            entry = tarfile.TarInfo(name)
            entry.mtime = 1_700_000_000
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            if change:
                change(entry)
            archive.addfile(entry, io.BytesIO(content or b""))
    return made.getvalue()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def reader(data: bytes, piece: int = 1000) -> Reader:
    """As an engine sends it: in pieces that end anywhere."""
    pieces = (data[at : at + piece] for at in range(0, len(data), piece))
    return Reader(lambda: next(pieces, b""))


def saved(*blobs: bytes, layout: str = "oci") -> bytes:
    """A saved image with these layers; its list of them comes last, as with engines."""
    files = []
    for n, blob in enumerate(blobs):
        if layout == "oci":
            files.append((f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob, None))
        else:
            files += [(f"{n:064x}/VERSION", b"1.0", None), (f"{n:064x}/layer.tar", blob, None)]
    config = json.dumps({"rootfs": {}}).encode()
    files.append((f"blobs/sha256/{hashlib.sha256(config).hexdigest()}", config, None))
    return tar(*files, ("manifest.json", b"[]", None))


def read(data: bytes, *wanted: bytes) -> list[LayerFiles]:
    found: list[LayerFiles] = []
    left = layers.read(reader(data), {digest_of(one) for one in wanted}, found.append, lambda count: None)
    assert left == set()
    return found


def of(layer: bytes) -> LayerFiles:
    (found,) = read(saved(layer), layer)
    return found


def paths(layer: LayerFiles) -> list[str]:
    return [f"{row.folder.rstrip('/')}/{row.name}" for row in layer.rows]


@pytest.mark.parametrize("kind", FORMATS)
def test_entries_are_those_that_python_reads(kind: int) -> None:
    long = "deep/" * 18 + "name" if kind == tarfile.USTAR_FORMAT else "deep/" * 60 + "n" * 150

    def link(entry: tarfile.TarInfo) -> None:
        entry.type, entry.linkname = (
            tarfile.SYMTYPE,
            "../" * 30 + "ä" if kind != tarfile.USTAR_FORMAT else "x",
        )

    def hard(entry: tarfile.TarInfo) -> None:
        entry.type, entry.linkname = tarfile.LNKTYPE, "a"

    def owned(entry: tarfile.TarInfo) -> None:
        entry.uid, entry.gid, entry.mode = (1000, 2**21 - 1, 0o4755)
        if kind != tarfile.USTAR_FORMAT:
            entry.gid = 4_000_000_000

    data = tar(
        ("a", b"x" * 1025, owned), ("dir", None, None), (long, b"y", None), ("dir/link", b"", link),
        ("dir/hard", b"", hard), ("ü/ñ", b"", None), ("after", b"z" * 512, None), kind=kind,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        wanted = [(m.name, m.mode, m.uid, m.gid, m.size, m.mtime, m.linkname) for m in archive]
    found = [
        (e.path.decode().rstrip("/"), e.mode, e.uid, e.gid, e.size, e.mtime, e.link.decode())
        for e in entries(reader(data, 700))
    ]
    assert found == wanted
    assert [e.kind for e in entries(reader(data))] == ["f", "d", "f", "l", "h", "f", "f"]


@pytest.mark.parametrize("layout", ["oci", "folders"])
def test_layers_are_told_apart_by_their_digests(layout: str) -> None:
    base = tar(("etc", None, None), ("etc/one", b"1", None))
    top = tar(("etc/.wh.one", b"", None), ("etc/two", b"22", None))
    found = {layer.digest: layer for layer in read(saved(base, top, layout=layout), base, top)}
    assert paths(found[digest_of(base)]) == ["/etc", "/etc/one"]
    assert [(r.name, r.kind, r.size, r.mode) for r in found[digest_of(top)].rows] == [
        ("etc", "d", 0, -1), ("one", "w", 0, 0o644), ("two", "f", 2, 0o644),
    ]  # fmt: skip


def zstd(layer: bytes) -> bytes:
    """In two frames with a skippable one behind each, as builders that can be sought in write it."""
    half, note = len(layer) // 2, struct.pack("<II", 0x184D2A50, 3) + b"toc"
    return b"".join(zstandard.compress(part) + note for part in (layer[:half], layer[half:]))


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_compressed_layer_is_known_by_what_is_in_it(compress: Callable[[bytes], bytes]) -> None:
    layer = tar(("usr/bin/it", b"program" * 9000, None))
    (found,) = read(saved(compress(layer)), layer)
    assert (found.digest, paths(found)) == (digest_of(layer), ["/usr", "/usr/bin", "/usr/bin/it"])


@pytest.mark.parametrize("broken", [zstd(b"x" * 9000)[:-30], b"\x28\xb5\x2f\xfd" + b"\xff" * 600])
def test_a_damaged_zstd_keeps_no_other_layer_from_being_read(broken: bytes) -> None:
    layer = tar(("one", b"1", None))
    (found,) = read(saved(broken, layer), layer)
    assert paths(found) == ["/one"]


def test_a_zstd_that_becomes_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST_UNPACKED", 3_000_000)
    bomb, fine = zstandard.compress(tar(("zeros", bytes(50_000_000), None))), tar(("one", b"1", None))
    source, kept = reader(saved(bomb, fine)), list[LayerFiles]()
    layers.read(source, {digest_of(fine)}, kept.append, lambda count: None)
    assert [layer.digest for layer in kept] == [digest_of(fine)]


def test_reading_ends_with_the_last_layer_that_is_wanted() -> None:
    one, two = tar(("1", b"", None)), tar(("2", b"x" * 2_000_000, None))
    source = reader(saved(one, two))
    assert layers.read(source, {digest_of(one)}, lambda layer: None, lambda count: None) == set()
    assert source.count < 100_000


def test_what_does_not_come_is_said() -> None:
    one = tar(("1", b"", None))
    wanted = {digest_of(one), "sha256:" + "0" * 64}
    assert layers.read(reader(saved(one)), wanted, lambda layer: None, lambda count: None) == {
        "sha256:" + "0" * 64
    }


def test_a_blob_under_a_false_name_is_not_that_layer() -> None:
    """Who keeps it for all images must not have to believe whoever sends it."""
    truth, lie = tar(("bin/su", b"good", None)), tar(("bin/su", b"evil", None))
    false = tar((f"blobs/sha256/{hashlib.sha256(truth).hexdigest()}", lie, None))
    kept: list[LayerFiles] = []
    left = layers.read(reader(false), {digest_of(truth)}, kept.append, lambda count: None)
    assert (left, kept) == ({digest_of(truth)}, [])


def test_whiteouts_of_a_name_and_of_a_folder() -> None:
    found = of(
        tar(
            ("a/.wh..wh..opq", b"", None),
            ("a/b", b"1", None),
            (".wh.gone", b"", None),
            (".wh..wh.plnk", b"", None),
        )
    )
    assert [(row.folder, row.name, row.kind) for row in found.rows] == [
        ("/", "a", "d"), ("/", "gone", "w"), ("/a", "", "q"), ("/a", "b", "f"),
    ]  # fmt: skip


def test_hostile_names_are_made_fit_to_be_shown() -> None:
    names = [
        "../../etc/passwd", "/absolute", "a//b/./c", "esc\x1b[31m", "two\nlines", "bad\udcff", "\u202etxt.exe",
        "x" * 300, "<script>alert(1)",
    ]  # fmt: skip

    def zero(entry: tarfile.TarInfo) -> None:
        entry.pax_headers = {"path": "nul\x00hidden"}

    found = of(tar(*((name, b"", None) for name in names), ("short", b"", zero)))
    assert set(paths(found)) >= {
        "/../../etc/passwd", "/absolute", "/a/b/c", "/esc\\x1b[31m", "/two\\nlines", "/bad\\xff", "/\\u202etxt.exe",
        "/" + "x" * 255, "/<script>alert(1)", "/nul\\x00hidden",
    }  # fmt: skip
    assert all(text.isprintable() for row in found.rows for text in (row.folder, row.name, row.target))
    json.dumps([list(row) for row in found.rows]).encode()


def test_of_two_entries_under_one_path_the_later_counts() -> None:
    found = of(tar(("a", b"1", None), ("./a", b"22", None)))
    assert [(row.name, row.size) for row in found.rows] == [("a", 2)]


def test_the_content_of_a_file_has_a_digest() -> None:
    found = of(tar(("a", b"same", None), ("b", b"same", None), ("c", b"other", None)))
    a, b, c = (row.digest for row in found.rows)
    assert a == b != c


def test_devices_and_pipes_are_named_and_nothing_else() -> None:
    def device(entry: tarfile.TarInfo) -> None:
        entry.type, entry.devmajor = tarfile.CHRTYPE, 1

    def pipe(entry: tarfile.TarInfo) -> None:
        entry.type = tarfile.FIFOTYPE

    assert [row.kind for row in of(tar(("dev/null", b"", device), ("pipe", b"", pipe))).rows] == [
        "d",
        "o",
        "o",
    ]


def test_too_many_entries_are_cut_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST_ENTRIES", 50)
    found = of(tar(*((f"f{n:04}", b"content", None) for n in range(200))))
    assert (len(found.rows), found.cut) == (50, True)


def test_too_deep_a_path_is_left_out_and_the_others_stay() -> None:
    found = of(tar(("a/" * 500 + "deep", b"", None), ("b", b"", None)))
    assert (paths(found), found.cut) == (["/b"], True)


def test_names_that_are_too_long_in_all_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST_NAMES", 2000)
    found = of(tar(*((f"{n:03}" + "n" * 197, b"", None) for n in range(50))))
    assert (len(found.rows), found.cut) == (10, True)


def _with_header(size: int) -> bytes:
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, size
    return head.tobuf(tarfile.USTAR_FORMAT)


def _records(text: bytes) -> bytes:
    return _with_header(len(text)) + text.ljust(512, b"\0") + tar(("a", b"", None))


BAD = {
    "no tar": b"nothing of that kind" * 100,
    "cut in a header": tar(("a", b"", None))[:300],
    "cut in a file": tar(("a", b"x" * 5000, None))[:2048],
    "a wrong checksum": b"X" + tar(("a", b"", None))[1:],
    "a huge extended header": _with_header(2**33 - 1) + bytes(4096),
    "a record that is too long": _records(b"99 path=a\n"),
    "a record without a length": _records(b"path=a\n"),
    "a record of a negative size": _records(b"12 size=-99\n"),
    "a size that is no number": _records(b"13 size=1e99\n"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_layer_that_is_no_tar_has_a_problem_and_the_others_are_read(what: str) -> None:
    bad, good = BAD[what], tar(("good", b"", None))
    found = {layer.digest: layer for layer in read(saved(bad, good), bad, good)}
    assert found[digest_of(bad)].problem
    assert found[digest_of(bad)].rows == []
    assert paths(found[digest_of(good)]) == ["/good"]


def test_a_saved_image_that_ends_early_is_broken() -> None:
    layer = tar(("a", b"x" * 9000, None))
    with pytest.raises(Broken):
        layers.read(reader(saved(layer)[:4000]), {digest_of(layer)}, lambda layer: None, lambda count: None)


def test_a_compressed_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB of zeros in 64 KB: never in memory at once, and not for ever."""
    monkeypatch.setattr(layers, "MOST_UNPACKED", 16 * 1024**2)
    bomb = zlib.compressobj(9, wbits=31)
    data = bomb.compress(bytes(64 * 1024**2)) + bomb.flush()
    good = tar(("good", b"", None))
    largest = 0

    def pieces() -> Iterator[bytes]:
        nonlocal largest
        for piece in layers._ungzipped(iter([data])):
            largest = max(largest, len(piece))
            yield piece

    with pytest.raises(Broken):
        list(pieces())
    assert largest <= layers.PIECE
    assert [paths(layer) for layer in read(saved(data, good), good)] == [["/good"]]


DPKG = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: GNU C Library
 Package: not-this-one

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""
APK = b"C:Q1abc\nP:musl\nV:1.2.4-r2\nA:x86_64\n\nP:busybox\nV:1.36\n\n"


def test_packages_are_read_from_what_package_managers_keep() -> None:
    found = of(
        tar(
            ("var/lib/dpkg/status", DPKG, None), ("lib/apk/db/installed", APK, None),
            ("var/lib/dpkg/status.d/tzdata", b"Package: tzdata\nVersion: 2024a\n", None),
            ("var/lib/dpkg/status.d/tzdata.md5sums", b"Package: no\nVersion: 1\n", None),
            ("var/lib/rpm/rpmdb.sqlite", b"SQLite", None), ("home/var/lib/dpkg/status", DPKG, None),
        )
    )  # fmt: skip
    assert found.databases == {
        "/var/lib/dpkg/status": ("dpkg", [("libc6", "2.36-9", "amd64")]),
        "/lib/apk/db/installed": ("apk", [("musl", "1.2.4-r2", "x86_64"), ("busybox", "1.36", "")]),
        "/var/lib/dpkg/status.d/tzdata": ("dpkg", [("tzdata", "2024a", "")]),
        "/var/lib/rpm/rpmdb.sqlite": ("rpm", None),
    }


def test_a_package_database_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "LARGEST", 100)
    assert of(tar(("var/lib/dpkg/status", DPKG, None))).databases == {"/var/lib/dpkg/status": ("dpkg", None)}
