"""Files of ours that something passes through on its way to people or to an engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.http import Http404

from accounts import audit
from accounts.access import Actor
from operations.models import Operation
from operations.web import Download


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only we may read; gone again where writing it did not come to its end."""
    try:
        with path.open("wb") as out:
            path.chmod(0o600)
            yield out
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def forget_old(folder: Path, seconds: float) -> None:
    """Removes the files that nobody has written to for so long."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def sent(operation: Operation, path: Path, name: str, *, actor: Actor, gone: str) -> Download:
    """What an operation has spooled, from our own disk and written down; Http404 with ``gone`` where it is not there.

    Never shown in a page: its names and contents come from a container. Rights are asked for before.
    """
    if not path.exists():
        raise Http404(gone)
    audit.record(
        f"{operation.target_type}.download", actor, target_type=operation.target_type,
        target_id=operation.target_id, target_name=operation.target_name, team_id=operation.team_id,
        operation_id=operation.pk,
    )  # fmt: skip
    return Download(path.open("rb"), as_attachment=True, filename=name, content_type="application/x-tar")
