"""What every engine does with files of containers and volumes; run by ``test_contract`` as well."""

from __future__ import annotations

import io
import tarfile

import pytest

from engine.base import Engine
from engine.errors import Conflict, EngineError, Invalid, NameInUse, NotFound, PolicyDenied, TooLarge
from engine.files import FileKind, Place
from engine.specs import VolumeSpec
from engine.tests.conftest import Create, unused_name
from engine.tests.contract import ENDS


def put(engine: Engine, place: Place, path: str, content: bytes, *, replace: bool = False) -> None:
    engine.put_file(place, path, io.BytesIO(content), size=len(content), replace=replace)


def names_in(engine: Engine, place: Place, path: str) -> dict[str, str]:
    listing = engine.files(place, path)
    assert listing.complete
    return {one.name: str(one.kind) for one in listing.entries}


def content(engine: Engine, place: Place, path: str) -> bytes:
    out = io.BytesIO()
    engine.fetch(place, path, out, most=10**6)
    return out.getvalue()


@pytest.fixture(params=["container", "volume"])
def place(request: pytest.FixtureRequest, engine: Engine, create: Create) -> Place:
    """A container that was never started, and a volume that nobody mounts."""
    if request.param == "container":
        return Place(container=create(ENDS))
    name = unused_name()
    engine.create_volume(VolumeSpec(name=name))
    return Place(volume=name)


def test_a_file_is_written_listed_read_renamed_and_removed(engine: Engine, place: Place) -> None:
    before = names_in(engine, place, "/")
    put(engine, place, "/naïve\n\u202ename", b"hello")
    assert names_in(engine, place, "/") == {**before, "naïve\n\u202ename": "file"}
    info, start = engine.peek(place, "/naïve\n\u202ename", most=4)
    assert (info.size, info.kind, start) == (5, FileKind.FILE, b"hell")
    engine.rename_file(place, "/naïve\n\u202ename", "b")
    assert content(engine, place, "/b") == b"hello"
    put(engine, place, "/b", b"", replace=True)
    assert content(engine, place, "/b") == b""
    engine.remove_file(place, "/b")
    assert names_in(engine, place, "/") == before


def test_folders_above_a_file_are_made_where_that_is_asked_for(engine: Engine, place: Place) -> None:
    def below(path: str, **options: bool) -> None:
        engine.put_file(place, path, io.BytesIO(b"x"), size=1, replace=False, **options)

    with pytest.raises(NotFound):
        below("/new/deep/file")
    below("/new/deep/file", folders=True)
    below("/new/other", folders=True)
    assert names_in(engine, place, "/new") == {"deep": "folder", "other": "file"}
    assert content(engine, place, "/new/deep/file") == b"x"
    with pytest.raises(Conflict):
        below("/new/other/file", folders=True)


def test_nothing_is_written_over_by_chance(engine: Engine, place: Place) -> None:
    put(engine, place, "/a", b"1")
    put(engine, place, "/b", b"2")
    with pytest.raises(NameInUse):
        put(engine, place, "/a", b"3")
    with pytest.raises(NameInUse):
        engine.rename_file(place, "/a", "b")
    assert (content(engine, place, "/a"), content(engine, place, "/b")) == (b"1", b"2")


def test_what_is_not_there_is_not_found(engine: Engine, place: Place) -> None:
    for ask in (
        lambda: engine.files(place, "/nowhere"),
        lambda: engine.peek(place, "/nowhere", most=1),
        lambda: content(engine, place, "/nowhere/deeper"),
        lambda: put(engine, place, "/nowhere/file", b"x"),
        lambda: engine.remove_file(place, "/nowhere"),
        lambda: engine.rename_file(place, "/nowhere", "other"),
    ):
        with pytest.raises(NotFound):
            ask()


@pytest.mark.parametrize(
    "path", ["", "relative", "/a/../b", "/..", "/nul\0", "/" + "x" * 256, "/lone\ud800", "/x" * 2100, 7]
)
def test_a_path_that_is_none_reaches_no_engine(engine: Engine, place: Place, path: str) -> None:
    for ask in (
        lambda: engine.files(place, path),
        lambda: engine.remove_file(place, path),
        lambda: put(engine, place, path, b"x"),
    ):
        with pytest.raises(Invalid):
            ask()
    with pytest.raises(Invalid):
        engine.rename_file(place, "/a", f"{path}/")


def test_the_root_is_neither_a_file_nor_removed(engine: Engine, place: Place) -> None:
    with pytest.raises(Conflict):
        engine.peek(place, "/", most=1)
    with pytest.raises(Invalid):
        engine.remove_file(place, "/")
    with pytest.raises((Conflict, Invalid)):
        engine.rename_file(place, "/", "other")
    with pytest.raises(Invalid):
        put(engine, place, "/", b"x", replace=True)


def test_more_than_what_may_be_is_refused(engine: Engine, place: Place) -> None:
    put(engine, place, "/a", b"x" * 2000)
    with pytest.raises(TooLarge):
        engine.fetch(place, "/a", io.BytesIO(), most=1999)
    few = engine.files(place, "/", most=0)
    assert (few.entries, few.complete) == ([], False)


def test_a_folder_is_fetched_as_a_tar(engine: Engine, create: Create) -> None:
    place = Place(container=create(ENDS))
    put(engine, place, "/tmp/a", b"one")
    with tarfile.open(fileobj=io.BytesIO(content(engine, place, "/tmp"))) as archive:
        found = archive.extractfile("tmp/a")
        assert found
        assert found.read() == b"one"
        assert archive.getnames()[0] == "tmp"


def test_what_is_closed_or_mounted_or_the_kernel_s_stays_as_it_is(engine: Engine, create: Create) -> None:
    native_id = create(ENDS)
    place = Place(container=native_id, closed=("/etc",), mounts=("/tmp/below",))
    put(engine, Place(container=native_id), "/etc/made", b"x")
    for path in ("/etc", "/etc/made", "/proc/self/environ", "/sys", "/dev/mem"):
        with pytest.raises(PolicyDenied):
            engine.files(place, path)
        with pytest.raises(PolicyDenied):
            content(engine, place, path)
        with pytest.raises(PolicyDenied):
            engine.remove_file(place, path)
    with pytest.raises(Conflict):
        engine.remove_file(place, "/tmp")
    assert content(engine, Place(container=native_id), "/etc/made") == b"x"


def test_files_of_nobody_are_not_found(engine: Engine) -> None:
    for nobody in (Place(container="0" * 64), Place(volume="slipway-test-nobody")):
        with pytest.raises(NotFound):
            engine.files(nobody, "/")
    for wrong in (Place(container="../x"), Place(volume="../x")):
        with pytest.raises(EngineError):
            engine.files(wrong, "/")
