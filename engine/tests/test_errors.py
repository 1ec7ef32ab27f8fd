"""What engines say when they refuse, as they said it, and what people read."""

from __future__ import annotations

import pytest

from engine import errors
from engine.docker_errors import clean, from_build, from_text, one_line

ID = "492f1f25896b1664b2ec0726410eb6d43b10ab9ac061d866bb8c49a66af1012b"


@pytest.mark.parametrize(
    ("status", "said", "error", "message"),
    [
        (
            409,
            f'Conflict. The container name "/web" is already in use by container "{ID}". You have to remove …',
            errors.NameInUse,
            '"web"',
        ),
        (
            500,
            (
                f"driver failed programming external connectivity on endpoint web ({ID}): "
                "Bind for 0.0.0.0:8080 failed: port is already allocated"
            ),
            errors.PortInUse,
            "Port 8080",
        ),
        (
            500,
            "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
            errors.PortInUse,
            "Port 80 ",
        ),
        (
            500,
            "failed to set up: listen tcp 10.9.9.9:80: bind: cannot assign requested address",
            errors.Invalid,
            "IP",
        ),
        (404, "No such container: web", errors.NotFound, "no such container"),
        (404, "No such image: nginx:1", errors.ImageNotFound, "no such image"),
        (404, "get data: no such volume", errors.NotFound, "no such volume"),
        (404, "network front not found", errors.NotFound, "no such network"),
        (409, f"remove data: volume is in use - [{ID}]", errors.InUse, "Containers use this volume"),
        (
            409,
            "conflict: unable to delete 7557a254fc40 (must be forced) - image is being used by stopped container 1",
            errors.InUse,
            "use this image",
        ),
        (
            409,
            "conflict: unable to delete 7557a254fc40 (cannot be forced) - image is being used by running container 1",
            errors.InUse,
            "running container",
        ),
        (
            409,
            (
                'conflict: unable to remove repository reference "a:1" (must force) - container 1 is using its '
                "referenced image 2"
            ),
            errors.InUse,
            "use this image",
        ),
        (
            409,
            "conflict: unable to delete 1 (cannot be forced) - image has dependent child images",
            errors.InUse,
            "built on",
        ),
        (
            409,
            "conflict: unable to delete 1 (must be forced) - image is referenced in multiple repositories",
            errors.InUse,
            "several tags",
        ),
        (
            409,
            f"You cannot remove a running container {ID}. Stop the container before attempting removal or force remove",
            errors.Conflict,
            "stop it first",
        ),
        (409, f"Container {ID} is not running", errors.Conflict, "not running"),
        (409, f"Container {ID} is already paused", errors.Conflict, "paused already"),
        (500, f"Container {ID} is not paused", errors.Conflict, "not paused"),
        (
            500,
            (
                "runc did not terminate successfully: exit status 1: unable to set "
                "memory limit to 16777216 (current usage: 60694528, peak usage: 120922112)"
            ),
            errors.Conflict,
            "uses 58 MB of memory now",
        ),
        (
            409,
            f"Cannot update container {ID}: Restart policy cannot be updated because AutoRemove is enabled",
            errors.Conflict,
            "removes itself",
        ),
        (
            400,
            "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            errors.Invalid,
            "has 2 CPU cores",
        ),
        (409, "removal of container web is already in progress", errors.Conflict, "being removed"),
        (403, "error while removing network: network front has active endpoints", errors.InUse, "network"),
        (
            400,
            (
                "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "
                '"/nope": stat /nope: no such file or directory: unknown'
            ),
            errors.Invalid,
            "no such program",
        ),
        (500, 'ps: exec: "ps": executable file not found in $PATH', errors.EngineError, "procps"),
        (
            400,
            'unable to start container process: exec: "ps": executable file not found in $PATH: unknown',
            errors.Invalid,
            "no such program",
        ),
        (
            400,
            'failed to create task for container: exec: "nope": executable file not found in $PATH: unknown',
            errors.Invalid,
            "no such program",
        ),
        (
            400,
            'invalid mount config for type "bind": bind source path does not exist: /srv/secret',
            errors.Invalid,
            "host path",
        ),
        (
            404,
            "manifest for nginx:0 not found: manifest unknown: manifest unknown",
            errors.ImageNotFound,
            "tag",
        ),
        (
            404,
            "pull access denied for a/b, repository does not exist or may require 'docker login'",
            errors.ImageNotFound,
            "registry",
        ),
        (500, "Get https://reg/v2/: no basic auth credentials", errors.AuthRequired, "credentials"),
        (500, "unauthorized: authentication required", errors.AuthRequired, "credentials"),
        (
            500,
            "Get https://reg/v2/: dial tcp: lookup reg on 127.0.0.1:53: read udp: connection refused",
            errors.RegistryUnreachable,
            "cannot reach",
        ),
        (
            500,
            "Get https://reg/v2/: net/http: TLS handshake timeout",
            errors.RegistryUnreachable,
            "cannot reach",
        ),
        (
            500,
            "Get https://reg/v2/: x509: certificate signed by unknown authority",
            errors.RegistryUnreachable,
            "",
        ),
        (403, "<html><body>403 Forbidden</body></html>", errors.EngineError, "in front of the engine"),
        (500, "something new", errors.EngineError, "something new"),
        (400, "something new", errors.Invalid, "something new"),
        (409, "something new", errors.Conflict, "something new"),
        (500, "", errors.EngineError, "without a word"),
    ],
)
def test_texts_of_engines_become_ours(
    status: int, said: str, error: type[errors.EngineError], message: str
) -> None:
    found = from_text(said, status)
    assert type(found) is error
    assert message in found.message
    assert ID not in found.message
    assert "/srv" not in found.message


def test_the_port_is_told_as_a_number() -> None:
    assert from_text("Bind for :::8443 failed: port is already allocated").details == {"port": 8443}


def test_unknown_texts_lose_host_paths_ids_and_control_characters() -> None:
    """S-72."""
    said = f"lstat /var/lib/docker/overlay2/{ID}/merged/x: oops\n\x1b[31mred\u202e {ID}"
    message = clean(said)
    assert "/" not in message
    assert ID not in message
    assert message == "lstat [path]: oops [31mred 492f1f25896b"


def test_a_data_root_elsewhere_is_a_host_path_too() -> None:
    assert "secret" not in clean("open /srv/secret/data/containers/x/config.v2.json: no such file")


def test_messages_are_short() -> None:
    assert len(clean("x" * 100_000)) <= 500
    assert len(one_line("x " * 100_000, 64)) <= 64


def test_a_build_keeps_the_paths_inside_the_image() -> None:
    assert from_build("The command '/bin/sh -c /app/build.sh' returned a non-zero code: 2") == (
        "The command '/bin/sh -c /app/build.sh' returned a non-zero code: 2"
    )
    said = "COPY failed: stat /var/lib/docker/tmp/docker-builder123/app.py: no such file or directory"
    assert from_build(said) == "COPY failed: stat [path]: no such file or directory"


def test_every_error_has_a_code_of_its_own() -> None:
    found: list[type[errors.EngineError]] = [errors.EngineError]
    for error in found:
        found += error.__subclasses__()
    known = [error for error in found if error.__module__ == "engine.errors"]
    assert len({error.code for error in known}) == len(known)
