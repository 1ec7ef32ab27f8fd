"""A tar of a file system as an image, as a container's export is: a build of one line, by the way of all builds."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Sequence
from typing import IO

from django.utils.translation import gettext as _

from accounts.access import Actor
from accounts.models import Team
from engine.specs import SpecError
from images_app import operations
from operations.models import Engine, Operation

NAME = "filesystem.tar"
MOST_WORDS = 64


def request_import(
    archive: IO[bytes],
    reference: str,
    *,
    actor: Actor,
    command: Sequence[str] = (),
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for an image of this tar, plain or compressed by gzip, bzip2 or xz, that runs ``command``.

    Raises `SpecError` where it is no tar, and what `images_app.operations.request_build` does.
    """
    if not is_tar(archive):
        raise SpecError({"archive": [_("This is no tar, plain or compressed by gzip, bzip2 or xz.")]})
    if len(command) > MOST_WORDS:
        raise SpecError({"command": [_("At most %(n)s words.") % {"n": MOST_WORDS}]})
    lines = ["FROM scratch", f"ADD {NAME} /"]
    if command:
        lines.append(f"CMD {json.dumps(list(command))}")
    with packed(archive) as context:
        return operations.request_build(
            actor=actor, engine=engine, team=team, tags=[reference], context=context,
            dockerfile="\n".join(lines) + "\n", idempotency_key=idempotency_key,
        )  # fmt: skip


def is_tar(archive: IO[bytes]) -> bool:
    """Whether its beginning is one; it stands at its beginning again then."""
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r|*") as tar:
            return tar.next() is not None
    except (tarfile.TarError, EOFError, OSError):
        return False
    finally:
        archive.seek(0)


def packed(archive: IO[bytes]) -> IO[bytes]:
    """A context that holds it as it came: the engine unpacks it, with owners and links as they are."""
    made = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads and closes it
    entry = tarfile.TarInfo(NAME)
    archive.seek(0, io.SEEK_END)
    entry.size, entry.mode = archive.tell(), 0o644
    archive.seek(0)
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(entry, archive)
    made.seek(0)
    return made
