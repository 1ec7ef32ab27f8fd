"""Every pattern of an id or a name, in one place: nothing else may reach an engine's address line.

The Docker SDK puts ids into URLs without closing the door on ``..`` and ``/``: asked to remove the volume
``../containers/x`` it removes a container. So each backend passes each id through the functions here first.
A function returns the value as it was, or raises `engine.errors.Invalid` with a message that says what is
expected. Only image references are changed: they come back in short form with an explicit tag or digest, since
a bare name of hexadecimal digits could otherwise be taken for the id of another image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from engine import words
from engine.errors import Invalid
from engine.words import gettext, gettext_noop

LABEL_PREFIX = "io.slipway."
"""Labels that only Slipway sets. They find our own earlier attempt; they never say who owns what."""

OPERATION_LABEL = f"{LABEL_PREFIX}operation"
SECRETS_LABEL = f"{LABEL_PREFIX}secrets"
"""Names of the variables that were given as secrets, so that they stay masked. Forging it only masks more."""

RESERVED_CONTAINER_NAMES = frozenset(
    {"slipway", *(f"slipway-{part}" for part in ("web", "worker", "gateway", "beat", "redis", "db", "proxy"))}
)

RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")

# re.ASCII everywhere and fullmatch only: "$" would let a trailing newline through.
_HEX_64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CACHE_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LOOKS_LIKE_ID = re.compile(r"[0-9a-fA-F]{12,64}", re.ASCII)
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}", re.ASCII)
_ANY_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", re.ASCII)
_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}", re.ASCII)
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", re.ASCII)
_NETWORK_ID = re.compile(r"[0-9a-f]{64}|[0-9a-z]{25}", re.ASCII)
_OPERATION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SIGNAL = re.compile(r"(SIG)?[A-Z][A-Z0-9+-]{1,11}|[1-9][0-9]?", re.ASCII)
_DRIVER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_./:@-]{0,127}", re.ASCII)
_REGISTRY = re.compile(
    r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[0-9]{1,5})?"
)
_REPOSITORY_PART = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

DEFAULT_REGISTRY = "docker.io"
_NO_REFERENCE = gettext_noop(
    'Not an image reference: a reference such as "nginx:1.27" or "registry.example:5000/team/app:2.1" is expected.'
)


def _checked(value: object, pattern: re.Pattern[str], message: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Invalid(words.gettext(message))
    return value


def container_id(value: object) -> str:
    """A container is addressed by its full id only: a name or a short id may belong to another one tomorrow."""
    return _checked(value, _HEX_64, gettext_noop("Not a container id: 64 hexadecimal digits are expected."))


def is_container_id(value: object) -> bool:
    return isinstance(value, str) and _HEX_64.fullmatch(value) is not None


def image_id(value: object) -> str:
    return _checked(
        value, _IMAGE_ID, gettext_noop('Not an image id: "sha256:" and 64 hexadecimal digits are expected.')
    )


def is_image_id(value: object) -> bool:
    return isinstance(value, str) and _IMAGE_ID.fullmatch(value) is not None


def cache_id(value: object) -> str:
    return _checked(
        value, _CACHE_ID, gettext_noop("Not an id of a build cache: small letters and digits are expected.")
    )


def is_cache_id(value: object) -> bool:
    return isinstance(value, str) and _CACHE_ID.fullmatch(value) is not None


def operation_id(value: object) -> str:
    return _checked(value, _OPERATION, gettext_noop("Not an operation id: a lower-case UUID is expected."))


def signal(value: object) -> str:
    return _checked(
        value, _SIGNAL, gettext_noop("Not a signal: a name such as KILL, TERM or HUP is expected.")
    )


def restart_policy(value: object) -> str:
    if value not in RESTART_POLICIES:
        said = gettext("Not a restart policy: one of %(names)s is expected.")
        raise Invalid(said % {"names": ", ".join(RESTART_POLICIES)})
    return str(value)


def container_name(value: object) -> str:
    """A name for a new or renamed container: the engine's own pattern, shorter, and nothing that looks like an id."""
    name = _checked(
        value,
        _CONTAINER,
        gettext_noop(
            "A container name has 2 to 63 characters: letters, digits, dots, dashes and underscores, "
            "starting with a letter or a digit."
        ),
    )
    if _LOOKS_LIKE_ID.fullmatch(name):
        raise Invalid(
            gettext(
                "A container name of 12 or more hexadecimal digits looks like an id: add another character."
            )
        )
    if name in RESERVED_CONTAINER_NAMES:
        said = gettext('The name "%(name)s" is kept for Slipway itself: choose another one.')
        raise Invalid(said % {"name": name})
    return name


def existing_container_name(value: object) -> str:
    """A name that a container may have been given elsewhere. Compare the name of what is found: it may be an id."""
    return _checked(value, _ANY_CONTAINER, gettext_noop("Not a container name."))


def volume_name(value: object) -> str:
    name = _checked(
        value,
        _VOLUME,
        gettext_noop(
            "A volume name has 2 to 128 characters: letters, digits, dots, dashes and underscores, "
            "starting with a letter or a digit."
        ),
    )
    if ".." in name:
        raise Invalid(gettext("A volume name may not hold two dots in a row."))
    return name


def is_anonymous_volume(name: str) -> bool:
    """Engines name a volume that nobody named by 64 hexadecimal digits."""
    return _HEX_64.fullmatch(name) is not None


def network_name(value: object) -> str:
    """A network's name. Engines accept anything here, markup and newlines included; Slipway does not."""
    return _checked(
        value,
        _NETWORK,
        gettext_noop(
            "A network name has 1 to 63 characters: letters, digits, dots, dashes and underscores, "
            "starting with a letter or a digit."
        ),
    )


OWN_NETWORKS = frozenset({"bridge", "host", "none", "default", "podman", "ingress", "docker_gwbridge"})
"""Networks that engines make for themselves, and names that mean one of them."""


def new_network_name(value: object) -> str:
    """A name for a network that is to be made."""
    name = network_name(value)
    if name in OWN_NETWORKS:
        said = gettext('The name "%(name)s" means a network of the engine itself: choose another one.')
        raise Invalid(said % {"name": name})
    if _LOOKS_LIKE_ID.fullmatch(name):
        raise Invalid(
            gettext(
                "A network name of 12 or more hexadecimal digits looks like an id: add another character."
            )
        )
    return name


def network_id(value: object) -> str:
    """A network that exists is addressed by its id: engines allow several of one name."""
    return _checked(value, _NETWORK_ID, gettext_noop("Not a network id: 64 hexadecimal digits are expected."))


def network_reference(value: object) -> str:
    """A network's name or its id, which also reaches networks whose names are not acceptable."""
    if isinstance(value, str) and _NETWORK_ID.fullmatch(value):
        return value
    return network_name(value)


def driver_name(value: object) -> str:
    name = _checked(
        value,
        _DRIVER,
        gettext_noop("Not a driver name: letters, digits, dots, dashes, slashes and colons are expected."),
    )
    if ".." in name:
        raise Invalid(gettext("A driver name may not hold two dots in a row."))
    return name


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry/repository:tag@digest``, taken apart. ``tag`` or ``digest`` may be empty, not both."""

    registry: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Parses as the engines do: ``nginx`` is ``docker.io/library/nginx:latest``."""
        if not isinstance(value, str) or not value or len(value) > 255:
            raise Invalid(words.gettext(_NO_REFERENCE))
        rest, _, digest = value.partition("@")
        if "@" in value and not _DIGEST.fullmatch(digest):
            raise Invalid(gettext('The digest of an image reference is "sha256:" and 64 hexadecimal digits.'))
        head, slash, tail = rest.rpartition("/")
        last, colon, tag = tail.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise Invalid(
                gettext("A tag has 1 to 128 characters: letters, digits, dots, dashes and underscores.")
            )
        registry, repository = _split_registry(head + slash + last)
        if repository.lower() != repository:
            raise Invalid(gettext("The repository of an image reference is in lower case."))
        if not all(_REPOSITORY_PART.fullmatch(part) for part in repository.split("/")):
            raise Invalid(words.gettext(_NO_REFERENCE))
        if _HEX_64.fullmatch(repository.removeprefix("library/")):
            raise Invalid(gettext('64 hexadecimal digits are an id: write "sha256:" before them.'))
        return cls(registry, repository, tag or ("" if digest else "latest"), digest)

    @property
    def name(self) -> str:
        """The name as engines show it: without their default registry."""
        if self.registry != DEFAULT_REGISTRY:
            return f"{self.registry}/{self.repository}"
        official = self.repository.removeprefix("library/")
        return self.repository if "/" in official else official

    def __str__(self) -> str:
        """The short form with an explicit tag or digest, as engines list it."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{'@' + self.digest if self.digest else ''}"


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        if not _REGISTRY.fullmatch(first):
            raise Invalid(gettext("The registry of an image reference is a host name, perhaps with a port."))
        registry = first.lower()
        if registry in ("index.docker.io", "docker.io"):
            registry = DEFAULT_REGISTRY
            rest = rest if "/" in rest else f"library/{rest}"
        return registry, rest
    return DEFAULT_REGISTRY, name if slash else f"library/{name}"


def registry_host(value: object) -> str:
    """A registry's host, perhaps with a port, as references name it."""
    message = gettext_noop("A host such as registry.example:5000 is expected, without https:// before it.")
    host = _checked(value.strip().lower() if isinstance(value, str) else value, _REGISTRY, message)
    if "." not in host and ":" not in host and host != "localhost":
        raise Invalid(
            gettext("A registry's name holds a dot or a port: references without are taken for Docker Hub's.")
        )
    if len(host) > 200:
        raise Invalid(words.gettext(message))
    return DEFAULT_REGISTRY if host in ("index.docker.io", "registry-1.docker.io") else host


def is_repository(value: str) -> bool:
    return len(value) <= 255 and all(_REPOSITORY_PART.fullmatch(part) for part in value.split("/"))


def is_host(value: str) -> bool:
    return _REGISTRY.fullmatch(value) is not None


def is_tag(value: str) -> bool:
    return _TAG.fullmatch(value) is not None


def is_digest(value: str) -> bool:
    return _DIGEST.fullmatch(value) is not None


def image_reference(value: object) -> str:
    """The reference in short form, with an explicit tag or digest."""
    return str(ImageReference.parse(value))


def image_target(value: object) -> str:
    """What a container can be made from: an image id, or a reference in short form."""
    return image_id(value) if is_image_id(value) else image_reference(value)


def tag_reference(value: object) -> ImageReference:
    """A reference that a tag can be set to: without a digest."""
    reference = ImageReference.parse(value)
    if reference.digest:
        raise Invalid(gettext("A tag cannot hold a digest: leave out the part from the @ on."))
    return reference
