"""Build contexts of loose files: a browser sends them one by one, an engine wants a tar."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import IO

from django.core.files.uploadedfile import UploadedFile

IN_MEMORY = 1024 * 1024


def pack(files: Iterable[UploadedFile]) -> IO[bytes]:
    """A tar of these files in its top folder; at its beginning, ready to be read."""
    packed = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller reads and closes it
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in files:
            name = PurePosixPath(file.name or "").name
            if name in ("", ".", ".."):
                continue
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = file.size or 0, 0o755
            tar.addfile(entry, file.file)
    packed.seek(0)
    return packed
