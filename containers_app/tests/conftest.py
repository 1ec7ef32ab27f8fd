"""What every test of containers starts from."""

from __future__ import annotations

import pytest

from containers_app import files, volume_files


@pytest.fixture(autouse=True)
def _nothing_on_its_way() -> None:
    """Exports and uploads that other tests have left for somebody to fetch are not ours to find."""
    for folder in (files.spooled("x").parent, volume_files.file_of("x").parent):
        for path in folder.iterdir():
            path.unlink()
