"""What every engine does when a container becomes an image or a tar; run by ``test_contract`` as well."""

from __future__ import annotations

import io
import tarfile

import pytest

from engine.base import Engine
from engine.errors import Cancelled, Invalid, NotFound, TooLarge
from engine.tests.conftest import Create
from engine.tests.contract import ENDS, NOBODY

NAME = "slipway-test/committed:1"


def test_a_container_becomes_an_image_of_that_name(engine: Engine, create: Create) -> None:
    native_id = create(ENDS)
    try:
        first = engine.commit(native_id, NAME, message="one")
        found = engine.resolve_image(NAME)
        assert found is not None
        assert found.native_id == first
        second = engine.commit(native_id, NAME)
        found = engine.resolve_image(NAME)
        assert found is not None
        assert found.native_id == second != first
        engine.remove_image(first, force=True)
    finally:
        engine.untag(NAME)


def test_nothing_is_made_of_what_is_not_there(engine: Engine, create: Create) -> None:
    with pytest.raises(NotFound):
        engine.commit(NOBODY, NAME)
    with pytest.raises(Invalid):
        engine.commit(create(ENDS), "Not A Name")
    with pytest.raises(NotFound):
        engine.export(NOBODY, io.BytesIO(), most=10**9)


def test_its_file_system_is_a_tar_within_bounds(engine: Engine, create: Create) -> None:
    native_id, out = create(ENDS), io.BytesIO()
    size = engine.export(native_id, out, most=10**9)
    assert size == len(out.getvalue())
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        assert tar.getnames(), "it is a tar, with something in it"
    with pytest.raises(TooLarge):
        engine.export(native_id, io.BytesIO(), most=100)


def test_an_image_is_saved_as_a_tar_in_pieces(engine: Engine, create: Create) -> None:
    image = engine.container(create(ENDS)).image_id
    with engine.saved(image) as pieces:
        first = next(pieces)
        assert first
        data = first + b"".join(pieces)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames()
    with pytest.raises(NotFound), engine.saved("sha256:" + "0" * 64) as pieces:
        list(pieces)
    with pytest.raises(Invalid), engine.saved("../containers/x") as pieces:
        list(pieces)


def test_saving_is_left_early_and_can_be_cancelled(engine: Engine, create: Create) -> None:
    image = engine.container(create(ENDS)).image_id
    with engine.saved(image) as pieces:
        assert next(pieces)
    with pytest.raises(Cancelled), engine.saved(image, should_stop=lambda: True) as pieces:
        list(pieces)
