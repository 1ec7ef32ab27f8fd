"""Images as files: checked and written anew when they come in, and told what is in them before an engine sees them."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from django.conf import settings
from django.utils.translation import gettext, gettext_lazy

from engine import names
from engine.errors import Invalid
from engine.specs import SpecError
from images_app import oci
from operations import archives, room, spooled
from operations.archives import Bad, shown
from operations.services import Refused

FOLDER = "images"
KEPT = 24 * 3600
"""Seconds that an export can be fetched, and that a file nobody came for lies here."""
MOST_ENTRIES, MOST_IMAGES, MOST_TAGS = 20_000, 200, 200
NO_LIST = gettext_lazy(
    "This holds no image: send what docker save gives, or an OCI archive. It has no manifest.json or index.json."
)


@dataclass(frozen=True, slots=True)
class Held:
    """An image in a file: the id that an engine will know it by, and its names."""

    native_id: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that lies ready, by its name in our folder; ``digest`` of all of it, ``size`` in bytes."""

    name: str
    digest: str
    size: int
    images: tuple[Held, ...]

    @property
    def tags(self) -> list[str]:
        """Every name in it."""
        return [tag for image in self.images for tag in image.tags]


def most_bytes() -> int:
    """The largest file of images that is taken or made."""
    return int(settings.IMAGE_MB) * 1024 * 1024


def file_of(name: str) -> Path:
    """Where a file of that name lies; its folder is made."""
    folder = Path(settings.HOME) / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / Path(name).name


def forget_old() -> None:
    """Each is there for a day."""
    spooled.forget_old(file_of("x").parent, KEPT)


def spool(upload: IO[bytes]) -> Archive:
    """Images of anybody's, plain or compressed, checked and written anew for an engine.

    Raises `SpecError` where that is none, or `Refused` where there is no room, and leaves nothing then.
    """
    forget_old()
    path = file_of(f"{uuid4()}.tar")
    rules = archives.Rules("tar", most_bytes(), MOST_ENTRIES)
    try:
        with (
            spooled.written(path) as out,
            tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as new,
        ):
            archives.Copy(new, rules).all_of(upload)
        oci.complete(path)
        return read(path)
    except Bad as error:
        path.unlink(missing_ok=True)
        raise SpecError({"archive": [str(error)]}) from None
    except OSError as error:
        if room.is_full(error):
            raise Refused("disk_full", room.FULL, 507) from None
        raise


def read(path: Path) -> Archive:
    """What is in a file that we wrote. Raises `Bad`."""
    with tarfile.open(path, "r:") as tar:
        listed = oci.parsed(tar, "manifest.json", str(NO_LIST))
        if not isinstance(listed, list) or not listed or len(listed) > MOST_IMAGES:
            raise Bad(gettext("Its manifest.json is no list of 1 to %(n)s images.") % {"n": MOST_IMAGES})
        images = tuple(_held(tar, one) for one in listed)
    if sum(len(image.tags) for image in images) > MOST_TAGS:
        raise Bad(gettext("It holds more than %(n)s names.") % {"n": MOST_TAGS})
    with path.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    return Archive(path.name, digest, path.stat().st_size, images)


def _held(tar: tarfile.TarFile, one: Any) -> Held:
    """One of the list, as engines read it: its settings, its layers, its names."""
    known = one if isinstance(one, dict) else {}
    config, layers, tags = known.get("Config"), known.get("Layers"), known.get("RepoTags") or []
    if not isinstance(config, str) or not isinstance(layers, list) or not isinstance(tags, list):
        raise Bad(gettext("An image in its manifest.json has no Config, Layers or RepoTags that make sense."))
    nowhere = gettext("%(name)s is named in its manifest.json, and not in it.") % {"name": shown(config)}
    text = oci.content(tar, config, nowhere)
    try:
        rootfs = json.loads(text).get("rootfs")
        wanted = len(rootfs["diff_ids"])
    except (ValueError, AttributeError, KeyError, TypeError):
        raise Bad(gettext("%(name)s holds no settings of an image.") % {"name": shown(config)}) from None
    there = {str(name) for name in layers}
    missing = sorted(there - {member.name for member in tar.getmembers()})
    if missing:
        said = gettext("The layers of an image in it are not whole: %(name)s is missing.")
        raise Bad(said % {"name": shown(missing[0])})
    if len(layers) != wanted:
        raise Bad(
            gettext(
                "The layers of an image in it are not whole: their number is another than its settings say."
            )
        )
    try:
        found = tuple(str(names.tag_reference(tag)) for tag in tags)
    except Invalid as error:
        raise Bad(
            gettext("A name in it cannot be one of an image: %(why)s") % {"why": error.message}
        ) from None
    return Held(f"sha256:{hashlib.sha256(text).hexdigest()}", found)
