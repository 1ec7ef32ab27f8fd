"""S-87: what Slipway is delivered in gives nobody more than it needs: Dockerfile, compose.yaml, its secrets."""

from __future__ import annotations

import copy
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import secrets_for_compose
from tests.machine import ROOT

MAY_OPEN_THE_SOCKET = {"worker", "gateway"}
PUBLISHES = {"web"}
FOREIGN_SPACES = (
    "network_mode",
    "pid",
    "ipc",
    "uts",
    "userns_mode",
    "privileged",
    "devices",
    "cap_add",
    "cgroup_parent",
)
SECRET_NAME = re.compile(r"password|secret|token|database_url|redis_url|_key", re.IGNORECASE)
Compose = dict[str, Any]


def compose() -> Compose:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def default(text: str) -> str:
    """What is used where a variable of the shell is not set."""
    return re.sub(r"\$\{\w+(?::?[-?]([^{}]*))?\}", lambda found: found.group(1) or "", text)


def pinned(image: str) -> bool:
    """A tag or digest that says which one: neither none, nor latest, nor a number that moves to the next release."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return digest.startswith("sha256:") or tag == "local" or bool(re.match(r"\d+\.\d+", tag))


def faults(found: Compose) -> Iterator[str]:
    """What is wrong, as ``service: what``."""
    for name, service in found["services"].items():
        for what in _of_service(name, service):
            yield f"{name}: {what}"
    networks = found["networks"]
    for name in ("redis", "postgres"):
        if any(not (networks[net] or {}).get("internal") for net in found["services"][name]["networks"]):
            yield f"{name}: a network that leads out"
    for name, secret in found["secrets"].items():
        if set(secret) != {"file"}:
            yield f"{name}: not from a file"


def _of_service(name: str, service: dict[str, Any]) -> Iterator[str]:
    options = service.get("security_opt", [])
    checked = {
        "capabilities": service.get("cap_drop") == ["ALL"],
        "root can be written": service.get("read_only") is True,
        "new privileges": "no-new-privileges:true" in options,
        "unconfined": not any("unconfined" in option for option in options),
        **{f"no {limit}": _bounds(service.get(limit)) for limit in ("mem_limit", "pids_limit", "cpus")},
        "log without an end": bool((service.get("logging") or {}).get("options", {}).get("max-size")),
        "root, or a user by name": _nobody(str(service.get("user", ""))),
        "image not pinned": pinned(default(service["image"])),
    }
    if name == "prepare":
        checked["runs more than once"] = service["restart"] == "no"
    else:
        checked["no health check"] = bool((service.get("healthcheck") or {}).get("test"))
        checked["restart"] = service.get("restart") in ("unless-stopped", "on-failure:5")
    yield from (what for what, holds in checked.items() if not holds)
    yield from _reach(name, service)
    for key, value in (service.get("environment") or {}).items():
        if SECRET_NAME.search(key) and not str(value).startswith("/run/secrets/"):
            yield f"secret value in {key}"


def _bounds(limit: Any) -> bool:
    return bool(limit) and limit != -1


def _nobody(user: str) -> bool:
    """By number: a name is looked up in whatever the image says."""
    return bool(re.match(r"[1-9]\d*:[1-9]\d*$", user))


def _reach(name: str, service: dict[str, Any]) -> Iterator[str]:
    sources = [default(str(one)) for one in service.get("volumes", [])]
    if name not in MAY_OPEN_THE_SOCKET and any("docker.sock" in one for one in sources):
        yield "engine's socket"
    asks = service.get("group_add") or "DOCKER_HOST" in service.get("environment", {})
    if name not in MAY_OPEN_THE_SOCKET and asks:
        yield "way to the engine"
    if any(one.startswith(("/", ".", "~")) and "docker.sock" not in one for one in sources):
        yield "folder of the host"
    if service.get("ports") and name not in PUBLISHES:
        yield "published port"
    if any(not default(str(port)).startswith("127.0.0.1:") for port in service.get("ports", [])):
        yield "port for every network"
    if not service.get("networks"):
        yield "default network"
    for key in FOREIGN_SPACES:
        if key in service:
            yield key


def test_compose_gives_nobody_more_than_needed() -> None:
    """S-87."""
    assert list(faults(compose())) == []


def change(path: str, value: Any) -> Callable[[Compose], None]:
    def carry_out(found: Compose) -> None:
        *way, last = path.split(".")
        place: Any = found
        for part in way:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return carry_out


SOCKET = "/var/run/docker.sock:/var/run/docker.sock"


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("services.web.volumes", [SOCKET], "web: engine's socket"),
        ("services.web.volumes", ["${SOCKET:-/run/docker.sock}:/x"], "web: engine's socket"),
        ("services.web.group_add", ["docker"], "web: way to the engine"),
        ("services.worker.cap_drop", None, "worker: capabilities"),
        ("services.worker.cap_drop", ["NET_RAW"], "worker: capabilities"),
        ("services.gateway.cap_add", ["SYS_ADMIN"], "gateway: cap_add"),
        ("services.redis.read_only", None, "redis: root can be written"),
        ("services.postgres.security_opt", None, "postgres: new privileges"),
        ("services.prepare.mem_limit", None, "prepare: no mem_limit"),
        ("services.prepare.pids_limit", -1, "prepare: no pids_limit"),
        ("services.web.logging", None, "web: log without an end"),
        ("services.web.user", None, "web: root, or a user by name"),
        ("services.redis.user", "0:0", "redis: root, or a user by name"),
        ("services.redis.image", "redis", "redis: image not pinned"),
        ("services.redis.image", "redis:latest", "redis: image not pinned"),
        ("services.redis.image", "${X:-redis:7}", "redis: image not pinned"),
        ("services.redis.ports", ["127.0.0.1:6379:6379"], "redis: published port"),
        ("services.postgres.ports", ["5432:5432"], "postgres: published port"),
        ("services.postgres.networks", ["front", "data"], "postgres: a network that leads out"),
        ("services.web.ports", ["8000:8000"], "web: port for every network"),
        ("services.web.network_mode", "host", "web: network_mode"),
        ("services.web.privileged", True, "web: privileged"),
        ("services.worker.volumes", ["/etc:/host"], "worker: folder of the host"),
        ("services.web.healthcheck", {"disable": True}, "web: no health check"),
        ("services.worker.restart", "always", "worker: restart"),
        ("services.prepare.restart", "always", "prepare: runs more than once"),
        ("services.postgres.environment", {"PG_PASSWORD": "x"}, "postgres: secret value in PG_PASSWORD"),
        ("services.web.environment", {"REDIS_URL": "redis://a:b@redis/0"}, "web: secret value in REDIS_URL"),
        ("secrets.redis_url", {"environment": "X"}, "redis_url: not from a file"),
    ],
)  # fmt: skip
def test_what_would_loosen_it_is_found(path: str, value: Any, fault: str) -> None:
    """S-87."""
    found = copy.deepcopy(compose())
    change(path, value)(found)
    assert fault in list(faults(found))


def test_who_gets_which_secret() -> None:
    """S-87, S-85: the owner of the tables is known to nobody that runs on."""
    given = {name: set(service.get("secrets", [])) for name, service in compose()["services"].items()}
    running = {"secret_key", "database_url", "redis_url"}
    assert given == {
        "web": running,
        "worker": running,
        "gateway": running,
        "prepare": running | {"database_owner_url"},
        "redis": {"redis_acl"},
        "postgres": {"postgres_password"},
    }


# --- The image ----------------------------------------------------------------------------------------


def stages(text: str) -> list[list[str]]:
    """The instructions of each stage, continued lines joined, comments gone."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found: list[list[str]] = [[]]
    for line in lines.replace("\\\n", " ").splitlines():
        if line.startswith("FROM "):
            found.append([])
        if line.strip():
            found[-1].append(" ".join(line.split()))
    return found


def image_faults(text: str) -> Iterator[str]:
    first, *rest = stages(text)
    bases = dict(re.findall(r"^ARG (\w+)=(\S+)$", "\n".join(first), re.MULTILINE))
    for stage in rest:
        base = re.sub(r"\$\{(\w+)\}", lambda name: bases.get(name.group(1), ""), stage[0].split()[1])
        if not pinned(base):
            yield f"base {base!r} is not pinned"
    last = rest[-1]
    users = [line.split()[1] for line in last if line.startswith("USER ")]
    if not users or not re.match(r"[1-9]\d*:[1-9]\d*$", users[-1]):
        yield "runs as root"
    if not any(line.startswith("HEALTHCHECK ") and "NONE" not in line for line in last):
        yield "no health check"
    if re.search(r"\b(gcc|g\+\+|build-essential|make|npm|pip install)\b", "\n".join(last)):
        yield "a compiler or an installer in the last stage"
    if re.search(r"^(ADD|COPY) (?!--from=build)", "\n".join(last), re.MULTILINE):
        yield "the last stage takes more than what was built"
    for line in (line for stage in (first, *rest) for line in stage):
        if line.startswith(("ENV ", "ARG ")) and SECRET_NAME.search(line):
            yield "a secret in the image"
        if "pip install" in line and not ("--require-hashes" in line and "--no-deps" in line):
            yield "packages without hashes"
        if re.search(r"npm (install|i)\b", line) or ("npm ci" in line and "--ignore-scripts" not in line):
            yield "packages of npm that are not locked, or run code"


def test_the_image_is_small_and_nobody_s() -> None:
    """S-87."""
    assert list(image_faults((ROOT / "Dockerfile").read_text())) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("USER 10001:10001\n", "", "runs as root"),
        ("USER 10001:10001\n", "USER 0:0\n", "runs as root"),
        ("BASE=python:3.11.14-slim-bookworm\n", "BASE=python:latest\n", "base 'python:latest' is not pinned"),
        ("HEALTHCHECK ", "LABEL ", "no health check"),
        (" git ca-certificates", " git gcc", "a compiler or an installer in the last stage"),
        ("WORKDIR /app\n", "COPY . /app\n", "the last stage takes more than what was built"),
        ("PYTHONUNBUFFERED=1", "SLIPWAY_SECRET_KEY=x", "a secret in the image"),
        ("--require-hashes", "", "packages without hashes"),
        ("npm ci", "npm install", "packages of npm that are not locked, or run code"),
    ],
)
def test_what_would_spoil_the_image_is_found(old: str, new: str, fault: str) -> None:
    """S-87."""
    text = (ROOT / "Dockerfile").read_text()
    assert old in text
    assert fault in list(image_faults(text.replace(old, new)))


def test_only_what_is_named_goes_into_the_image() -> None:
    """S-87: no secret, no state, no history, whatever lies in the clone."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_in = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    assert not let_in & {"var", "secrets", ".git", ".env", ".venv", "tests", "node_modules"}
    assert all((ROOT / name).exists() for name in let_in)


# --- The secrets --------------------------------------------------------------------------------------


def test_secrets_are_made_once_for_their_containers_alone(tmp_path: Path) -> None:
    """S-87."""
    folder = tmp_path / "secrets"
    made = secrets_for_compose.make(folder)
    assert set(made) == set(compose()["secrets"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    texts = {name: (folder / name).read_text().strip() for name in made}
    assert texts["postgres_password"] in texts["database_owner_url"]
    assert texts["postgres_password"] not in texts["database_url"]
    password = texts["redis_url"].partition("@")[0].rpartition(":")[2]
    assert len(password) > 40
    assert password not in texts["redis_acl"]  # its hash alone
    assert "user default off" in texts["redis_acl"]
    assert "-@admin -@dangerous" in texts["redis_acl"]
    assert secrets_for_compose.make(folder) == []
    assert {name: (folder / name).read_text().strip() for name in made} == texts
    (folder / "redis_url").unlink()
    with pytest.raises(SystemExit, match="redis_acl is there, redis_url is not"):
        secrets_for_compose.make(folder)
