"""What an engine says when it refuses, as one of our errors and in words for people.

Engines tell most things apart only by the text of a message, and the texts hold paths of the engine's host.
So a message that we know becomes our own sentence; one that we do not know is cleaned: one line, at most 500
characters, no host path, no markup, ids shortened.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from engine.errors import (
    AuthRequired,
    Conflict,
    EngineError,
    ImageNotFound,
    InUse,
    Invalid,
    NameInUse,
    NotFound,
    PortInUse,
    RegistryUnreachable,
)
from engine.specs import ENDS_FOR_GOOD
from engine.words import kept

LONGEST_MESSAGE = 500

_ID = re.compile(r"\b(sha256:)?([0-9a-f]{12})[0-9a-f]{52}\b")
_PATH = re.compile(r"(?<![\w/.:@-])/(?:[\w.@+:~-]+/)+[\w.@+:~-]*")
_HOST_PATH = re.compile(
    r"(?<![\w:@/.-])/[\w./@+:~-]*(?:overlay2|containerd|docker|runc|moby|buildkit|/containers/|/var/lib|/run/)[\w./@+:~-]*"
)
_PORT = re.compile(r"Bind for \S*?:(\d+) failed|listen (?:tcp|udp)\S* \S*?:(\d+): bind|port (\d+)\b.*already")


def one_line(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """One printable line: control characters and line breaks become spaces, the rest is cut."""
    line = "".join(
        " " if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029" else char
        for char in text[:8192]
    )
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def clean(text: str, *, build: bool = False) -> str:
    """A message that we do not know, fit for people. In a ``build`` only paths of the engine itself are hidden."""
    text = _ID.sub(r"\1\2", text[:8192])
    text = (_HOST_PATH if build else _PATH).sub(_hidden, text)
    return one_line(text)


def _hidden(match: re.Match[str]) -> str:
    return "[path]:" if match[0].endswith(":") else "[path]"


def _port_in_use(text: str) -> EngineError:
    match = _PORT.search(text)
    port = next((int(group) for group in match.groups() if group), None) if match else None
    if port is None:
        return PortInUse("A host port that this container publishes is taken.")
    return PortInUse(f"Port {port} of the host is taken: choose another one, or free it.", port=port)


def _name_in_use(text: str) -> EngineError:
    match = re.search(r'name "/?([^"]{1,255})" is already in use', text)
    name = f' "{one_line(match[1], 64)}"' if match else ""
    return NameInUse(f"The name{name} belongs to another container: choose another one.")


def _uses_more(text: str) -> EngineError:
    match = re.search(r"current usage: (\d{1,18})", text)
    uses = f"{int(match[1]) / 1024**2:.0f} MB" if match else kept("more than that")
    return Conflict(f"The container uses {uses} of memory now: choose a higher limit, or stop it first.")


def _few_cores(text: str) -> EngineError:
    match = re.search(r"there are only (\d{1,5}) CPU", text)
    has = kept(f"has {match[1]} CPU cores") if match else kept("has fewer CPU cores")
    return Invalid(f"The engine {has}: choose from 0.01 to that many.")


def _said(error: type[EngineError], message: str) -> Callable[[str], EngineError]:
    return lambda text: error(message)


def _cleaned(error: type[EngineError]) -> Callable[[str], EngineError]:
    return lambda text: error(clean(text) or "The engine refused without a word.")


# First match wins. The texts are from engines 20.10 to 28 and Podman 4; see the golden tests.
_TEXTS: tuple[tuple[str, Callable[[str], EngineError]], ...] = (
    (
        r"^\W*address already in use\W*$",
        _said(Conflict, "Another container has this address on the network."),
    ),
    (
        r"endpoint with name .* already exists in network|is already connected to network",
        _said(Conflict, "The container is on this network already."),
    ),
    (
        r"is not connected to (the )?network|no such endpoint",
        _said(Conflict, "The container is not on this network."),
    ),
    (
        r"pool overlaps with other one|subnet .* is already used|subnet .* overlaps",
        _said(Conflict, "These addresses overlap with those of another network: choose others."),
    ),
    (
        r"non-overlapping IPv6 address pool|IPv6 .*(pool|subnet).*(required|not found)",
        _said(Invalid, "This engine chooses no IPv6 range by itself: give one, such as fd00:20::/64."),
    ),
    (
        r"non-overlapping IPv4 address pool|could not find free subnet",
        _said(
            Conflict, "The engine has no free range of addresses left: give one, or remove unused networks."
        ),
    ),
    (
        r"supported only when connecting to networks with user configured subnets|IP address is supported on user",
        _said(Invalid, "A fixed address needs a network that was made with a subnet of its own."),
    ),
    (
        r"does not belong to any of this network's subnets|requested static ip .* not in any subnet",
        _said(Invalid, "This address is not one of the network's."),
    ),
    (
        r"network-scoped alias is supported only",
        _said(Invalid, "Other names work only on networks that people have made, not on the engine's own."),
    ),
    (
        r"pre-defined network|default network .* cannot be removed",
        _said(Conflict, "This is the engine's own network: engines do not remove it."),
    ),
    (
        (
            r"sharing network namespace|cannot be (dis)?connected (to|from) (the )?host network"
            r"|networks in private \(none\) mode|container .* cannot be connected"
        ),
        _said(
            Conflict,
            "This container uses the network of the host, of another container, or none: that is fixed.",
        ),
    ),
    (
        r"plugin \S+ not found|unknown network driver",
        _said(Invalid, "This engine has no such network driver."),
    ),
    (r"port is already allocated|address already in use|bind: .*in use", _port_in_use),
    (r"container name .* is already in use|name \S+ is in use: container already exists", _name_in_use),
    (r"network with name .* already exists|volume name .* (must be unique|already)", _cleaned(NameInUse)),
    (r"cannot assign requested address", _said(Invalid, "The engine's host does not have that IP address.")),
    (
        r"no basic auth credentials|unauthorized: (authentication|incorrect)|401 Unauthorized|authentication required",
        _said(AuthRequired, "The registry wants other credentials for this image."),
    ),
    (
        r"x509:|certificate (signed by|has expired|is not valid)|tls: failed to verify",
        _said(RegistryUnreachable, "The engine does not trust the certificate of the registry."),
    ),
    (
        r"HTTP response to HTTPS client",
        _said(
            RegistryUnreachable,
            "The registry speaks without TLS: the engine has to have it among its insecure registries.",
        ),
    ),
    (
        r"pull access denied|repository does not exist|denied: requested access",
        _said(ImageNotFound, "The registry has no such image, or shows it only to others."),
    ),
    (
        r"manifest (for .* )?(unknown|not found)|name unknown|manifest unknown|not found: manifest",
        _said(ImageNotFound, "The registry has no such image or tag."),
    ),
    (
        r"(no matching manifest|does not match the specified platform)",
        _said(ImageNotFound, "The registry has this image, but not for this engine's kind of machine."),
    ),
    (
        (
            r"dial tcp|lookup .*(no such host|server misbehaving|connection refused)|TLS handshake|i/o timeout"
            r"|Client\.Timeout exceeded|network is unreachable|no route to host"
            r"|request canceled while waiting for connection"
        ),
        _said(RegistryUnreachable, "The engine cannot reach the registry."),
    ),
    (
        r"no such image|image not known|unable to find image",
        _said(ImageNotFound, "This engine has no such image."),
    ),
    (r"no such container|no container with", _said(NotFound, "This engine has no such container.")),
    (r"no such volume|get \S+: no such volume", _said(NotFound, "This engine has no such volume.")),
    (
        r"network \S* ?not found|no such network|could not find a network",
        _said(NotFound, "This engine has no such network."),
    ),
    (
        r"volume is in use|volume .* is being used",
        _said(InUse, "Containers use this volume: remove them first."),
    ),
    (r"has active endpoints", _said(InUse, "Containers use this network: disconnect them first.")),
    (
        r"image is being used by running container",
        _said(InUse, "A running container uses this image: stop and remove it first."),
    ),
    (
        r"image is being used by|image is in use by|is using its referenced image|must be forced\) - container",
        _said(InUse, "Containers use this image: remove them first."),
    ),
    (r"dependent child images", _said(InUse, "Other images are built on this one: remove them first.")),
    (
        r"referenced in multiple repositories|image is referenced in",
        _said(InUse, "This image has several tags: remove them one by one, or force it."),
    ),
    (r"unable to set memory limit", _uses_more),
    (r"restart policy cannot be updated because AutoRemove", _said(Conflict, ENDS_FOR_GOOD)),
    (r"range of CPUs is from", _few_cores),
    (
        r"cannot remove a running container|container .* is running",
        _said(Conflict, "The container is running: stop it first, or force it."),
    ),
    (r"removal .* already in progress", _said(Conflict, "The container is being removed already.")),
    (r"is already paused", _said(Conflict, "The container is paused already.")),
    (r"is not paused", _said(Conflict, "The container is not paused.")),
    (r"is paused|paused container", _said(Conflict, "The container is paused: unpause it first.")),
    (
        r"is not running|container is stopped|can only kill running",
        _said(Conflict, "The container is not running."),
    ),
    (r"is restarting", _said(Conflict, "The container is restarting: wait a moment, or stop it.")),
    (r"marked for removal|is dead", _said(Conflict, "The container is being removed.")),
    (
        r'\bps: exec: "ps": executable file not found',  # asked for by the engine itself, on its own machine
        _said(EngineError, "The engine's machine has no ps (package procps), which lists processes."),
    ),
    (
        r"executable file not found|exec: .*no such file or directory|exec format error",
        _said(
            Invalid,
            "The container's command cannot be run: the image has no such program, or it is for another machine.",
        ),
    ),
    (
        r"exec: .*permission denied",
        _said(Invalid, "The container's command cannot be run: it is not executable."),
    ),
    (r"bind source path does not exist", _said(Invalid, "The host path of a bind mount does not exist.")),
    (r"duplicate mount point", _said(Invalid, "Two mounts have the same target.")),
    (r"no command specified", _said(Invalid, "The image names no command: give one.")),
    (r"unable to find user|no matching entries in passwd", _said(Invalid, "The image has no such user.")),
    (r"no space left on device", _said(EngineError, "The engine's disk is full.")),
    (
        r"client version .* is too (new|old)",
        _said(EngineError, "The engine speaks another version of its interface."),
    ),
)
_TABLE = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), make) for pattern, make in _TEXTS)

_BY_STATUS: dict[int, Callable[[str], EngineError]] = {
    400: _cleaned(Invalid),
    401: _said(AuthRequired, "The registry wants other credentials for this image."),
    403: _cleaned(Conflict),
    404: _cleaned(NotFound),
    409: _cleaned(Conflict),
}


def from_text(text: str, status: int = 500) -> EngineError:
    """The error for a message of an engine, told apart by its text and then by the HTTP status."""
    if text.lstrip()[:1] == "<":  # a proxy in front of the engine answers in HTML
        return EngineError(f"Something in front of the engine refused this (HTTP {status}).")
    for pattern, make in _TABLE:
        if pattern.search(text[:8192]):
            return make(text)
    return _BY_STATUS.get(status, _cleaned(EngineError))(text)


def from_build(text: str) -> str:
    """The message of a failed build step: paths inside the image stay, paths of the engine's host do not."""
    return clean(text, build=True) or "The build failed without a word."
