"""From JSON bodies to the fields of `engine.specs`, with bounds and one message a field.

The bounds are those that keep a list of a thousand containers small and an engine usable: 64 labels or 8 KiB,
256 variables or 64 KiB, 128 arguments or 32 KiB, a healthcheck at most every 5 seconds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from engine import names
from engine.errors import Invalid
from engine.fields import MISSING, Fields
from engine.files import begins_inside
from engine.specs import HealthcheckSpec, MountSpec, PortSpec, SpecError
from engine.words import gettext

PROTOCOLS = ("tcp", "udp", "sctp")
BUILDERS = ("auto", "buildkit", "classic")
MOUNT_TYPES = ("volume", "bind", "tmpfs")
SMALLEST_MEMORY = 6 * 1024 * 1024
"""Engines refuse less."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_SECRET_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?", re.ASCII)
_USER = re.compile(r"[a-zA-Z0-9_.@-]{1,64}\$?(:[a-zA-Z0-9_.@-]{1,64})?", re.ASCII)
_STAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)

_CAPABILITY_NAMES = """
    ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE
    DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE
    MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG
    SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG WAKE_ALARM
"""
CAPABILITIES = frozenset(_CAPABILITY_NAMES.split())


def done(fields: Fields) -> None:
    fields.finish()
    if fields.errors:
        raise SpecError(fields.errors)


def container_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `ContainerSpec`, or `SpecError`."""
    f = Fields(data)
    policy, retries = _restart(f)
    found: dict[str, Any] = {
        "image": f.named("image", names.image_target),
        "name": f.named("name", names.container_name, None),
        "pull": f.choice("pull", "missing", ("missing", "always", "never")),
        "command": f.strings("command", None, most=128, total=32768, empty=True),
        "entrypoint": f.strings("entrypoint", None, most=128, total=32768, empty=True),
        "environment": f.mapping("environment", most=256, total=65536, check_key=_variable_problem),
        "secrets": f.mapping("secrets", most=256, total=65536, check_key=_variable_problem),
        "ports": _ports(f),
        "mounts": _mounts(f),
        "networks": _networks(f),
        "hostname": f.named("hostname", _hostname, None),
        "user": f.named("user", _user, None),
        "working_dir": f.named("working_dir", _working_dir, None),
        "tty": f.boolean("tty"),
        "init": f.boolean("init"),
        "restart_policy": policy,
        "restart_max_retries": retries,
        **_resources(f),
        "healthcheck": _healthcheck(f),
        "labels": labels(f),
        "cap_add": _capabilities(f, "cap_add"),
        "cap_drop": _capabilities(f, "cap_drop"),
        "read_only": f.boolean("read_only"),
        "privileged": f.boolean("privileged"),
        "no_new_privileges": f.boolean("no_new_privileges"),
        "auto_remove": f.boolean("auto_remove"),
        "start": f.boolean("start", True),
    }
    _contradictions(f, found)
    done(f)
    return found


def update_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `UpdateSpec`, or `SpecError`; what is not in the body is not among them."""
    given = data.get("resources")
    if isinstance(given, Mapping):
        data = {**data, "resources": {key: 0 if value is None else value for key, value in given.items()}}
    f = Fields(data)
    policy, retries = _restart(f)
    limits = _resources(f)
    found: dict[str, Any] = {}
    wanted = f.data.get("restart_policy")
    if isinstance(wanted, Mapping):
        found |= {"restart_policy": policy, "restart_max_retries": retries}
        if "name" not in wanted:
            f.fail("restart_policy.name", gettext("This field is required."))
    if isinstance(given, Mapping):
        found |= {key: value for key, value in limits.items() if key in given}
    if not found:
        f.fail("", gettext("Name what is to change: restart_policy, or memory, cpus or pids in resources."))
    done(f)
    return found


def build_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `BuildSpec`, or `SpecError`."""
    f = Fields(data)
    found = {
        "tags": _tags(f),
        "dockerfile": f.named("dockerfile", relative_path, "Dockerfile"),
        "build_args": f.mapping("build_args", most=64, total=32768, check_key=_variable_problem),
        "target": f.named("target", _stage, None),
        "labels": labels(f),
        "no_cache": f.boolean("no_cache"),
        "pull": f.boolean("pull"),
        "builder": f.choice("builder", "auto", BUILDERS),
        "secrets": f.mapping("secrets", most=32, total=32768, check_key=_secret_id_problem),
    }
    if found["secrets"] and found["builder"] == "classic":
        f.fail("secrets", gettext("Secrets need BuildKit: the classic builder has none."))
    done(f)
    return found


def volume_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `VolumeSpec`, or `SpecError`."""
    f = Fields(data)
    found = {
        "name": f.named("name", names.volume_name),
        "driver": f.named("driver", names.driver_name, "local"),
        "options": f.mapping("options", most=32, total=4096),
        "labels": labels(f),
    }
    done(f)
    return found


# Groups of fields


def _restart(f: Fields) -> tuple[str, int]:
    child = f.child("restart_policy")
    if child is None:
        return "no", 0
    name = child.choice("name", "no", names.RESTART_POLICIES)
    retries = child.integer("max_retries", 0, 0, 1000)
    child.finish()
    if retries and name != "on-failure":
        child.fail("max_retries", gettext('This only goes with the policy "on-failure": use 0 here.'))
    return name, retries


def _resources(f: Fields) -> dict[str, Any]:
    child = f.child("resources")
    if child is None:
        return {}
    found = {
        "memory": child.integer("memory", 0, SMALLEST_MEMORY, 2**50, zero=True),
        "cpus": child.number("cpus", 0, 0.01, 4096, zero=True),
        "pids": child.integer("pids", 0, 1, 4_194_304, zero=True),
    }
    child.finish()
    return found


def _ports(f: Fields) -> tuple[PortSpec, ...]:
    found: list[PortSpec] = []
    seen: set[tuple[int, str, str]] = set()
    for child in f.objects("ports", 128):
        port = PortSpec(
            container=child.integer("container", 0, 1, 65535),
            protocol=child.choice("protocol", "tcp", PROTOCOLS),
            host=child.integer("host", None, 1, 65535),
            host_ip=child.named("host_ip", ip_address, ""),
        )
        child.finish()
        if "container" not in child.data:
            child.fail("container", gettext("This field is required."))
        key = (port.host or 0, port.protocol, port.host_ip)
        if port.host and key in seen:
            child.fail(
                "host", gettext("Port %(port)s is listed twice.") % {"port": f"{port.host}/{port.protocol}"}
            )
        seen.add(key)
        found.append(port)
    return tuple(found)


def _mounts(f: Fields) -> tuple[MountSpec, ...]:
    found: list[MountSpec] = []
    for child in f.objects("mounts", 64):
        kind = child.choice("type", "volume", MOUNT_TYPES)
        check = {"volume": names.volume_name, "bind": clean_path, "tmpfs": _nothing}[kind]
        mount = MountSpec(
            type=kind,
            source=child.named("source", check, "" if kind == "tmpfs" else MISSING),
            target=child.named("target", _target),
            read_only=child.boolean("read_only"),
        )
        child.finish()
        if any(mount.target == other.target for other in found):
            child.fail("target", gettext("Two mounts have the target %(path)s.") % {"path": mount.target})
        found.append(mount)
    return tuple(found)


def _networks(f: Fields) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(f.strings("networks", (), most=16, total=4096)):
        try:
            network = names.network_reference(value)
        except Invalid as error:
            f.fail(f"networks.{index}", error.message)
            continue
        if network in found:
            f.fail(f"networks.{index}", gettext("The network %(name)s is listed twice.") % {"name": network})
        found.append(network)
    if len(found) > 1 and {"host", "none"} & set(found):
        f.fail("networks", gettext('The networks "host" and "none" cannot be combined with others.'))
    return tuple(found)


def _healthcheck(f: Fields) -> HealthcheckSpec | None:
    child = f.child("healthcheck")
    if child is None:
        return None
    test = child.strings("test", (), most=128, total=32768, empty=True)
    check = HealthcheckSpec(
        test=test,
        interval=child.number("interval", 30, 5, 86400),
        timeout=child.number("timeout", 5, 1, 3600),
        retries=child.integer("retries", 3, 1, 100),
        start_period=child.number("start_period", 0, 0, 86400),
    )
    child.finish()
    kind, count = (test[0] if test else ""), len(test) - 1
    if not (
        (kind == "NONE" and count == 0)
        or (kind == "CMD" and count > 0)
        or (kind == "CMD-SHELL" and count == 1)
    ):
        child.fail(
            "test",
            gettext('["CMD", program, argument…], ["CMD-SHELL", "command line"] or ["NONE"] is expected.'),
        )
    return check


def labels(f: Fields) -> dict[str, str]:
    return f.mapping("labels", most=64, total=8192, check_key=_label_problem)


def _capabilities(f: Fields, key: str) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(f.strings(key, (), most=64, total=4096)):
        name = value.upper().removeprefix("CAP_")
        if name not in CAPABILITIES:
            f.fail(f"{key}.{index}", gettext("Not a Linux capability: a name such as NET_ADMIN is expected."))
        elif name not in found:
            found.append(name)
    return tuple(found)


def _tags(f: Fields) -> tuple[str, ...]:
    found: list[str] = []
    for index, value in enumerate(f.strings("tags", (), most=16, total=4096)):
        try:
            tag = str(names.tag_reference(value))
        except Invalid as error:
            f.fail(f"tags.{index}", error.message)
            continue
        if tag not in found:
            found.append(tag)
    if not found and "tags" not in f.errors and not any(key.startswith("tags.") for key in f.errors):
        f.fail("tags", gettext('At least one tag such as "team/app:1.0" is needed to find the image again.'))
    return tuple(found)


def _contradictions(f: Fields, found: Mapping[str, Any]) -> None:
    if found["auto_remove"] and found["restart_policy"] != "no":
        f.fail(
            "auto_remove",
            gettext('A container that removes itself cannot restart: set the restart policy to "no".'),
        )
    if found["ports"] and {"host", "none"} & set(found["networks"]):
        f.fail("ports", gettext('Ports cannot be published on the networks "host" and "none".'))
    for name in sorted(set(found["environment"]) & set(found["secrets"])):
        f.fail(f"secrets.{name}", gettext("This name is in environment too: keep one of the two."))


# One value: raise `Invalid`, or return what is wrong


def clean_path(value: object) -> str:
    """An absolute path without detours: no empty, ``.`` or ``..`` part and no trailing slash."""
    if not isinstance(value, str) or not value.startswith("/") or len(value) > 4096 or "\0" in value:
        raise Invalid(gettext("An absolute path is expected."))
    if value != "/" and any(part in ("", ".", "..") for part in value[1:].split("/")):
        raise Invalid(gettext('Write the path without "..", ".", double or trailing slashes.'))
    return value


def _working_dir(value: object) -> str:
    path = clean_path(value)
    if not begins_inside(path):
        raise Invalid(
            gettext(
                "Nothing begins in what the kernel shows of open files: choose a folder of the container."
            )
        )
    return path


def relative_path(value: object) -> str:
    """A path inside a folder, without detours."""
    if not isinstance(value, str) or not value or len(value) > 4096 or "\0" in value or "\\" in value:
        raise Invalid(gettext("A relative path is expected."))
    if any(part in ("", ".", "..") for part in value.split("/")):
        raise Invalid(
            gettext(
                'A path inside the build context is expected, without a leading slash, "..", "." or "//".'
            )
        )
    return value


def _target(value: object) -> str:
    path = clean_path(value)
    if path == "/":
        raise Invalid(gettext("Nothing can be mounted on the root of a container."))
    return path


def _nothing(value: object) -> str:
    if value != "":
        raise Invalid(gettext("A tmpfs mount has no source: leave it out."))
    return ""


def ip_address(value: object) -> str:
    try:
        return "" if value == "" else str(ipaddress.ip_address(str(value) if isinstance(value, str) else "?"))
    except ValueError:
        raise Invalid(gettext("An IP address of the engine's host is expected, such as 127.0.0.1.")) from None


def _hostname(value: object) -> str:
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise Invalid(gettext("A host name of at most 64 letters, digits, dots and dashes is expected."))
    return value


def _user(value: object) -> str:
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise Invalid(
            gettext('A user is expected: a name or a number, perhaps with a group ("app", "1000:1000").')
        )
    return value


def _stage(value: object) -> str:
    if not isinstance(value, str) or not _STAGE.fullmatch(value):
        raise Invalid(gettext("The name or number of a stage of the Dockerfile is expected."))
    return value


def _variable_problem(name: str) -> str:
    if _VARIABLE.fullmatch(name):
        return ""
    return gettext("A variable's name starts with a letter or _, and holds letters, digits, _, . and -.")


def _secret_id_problem(name: str) -> str:
    if _SECRET_ID.fullmatch(name):
        return ""
    return gettext("A secret's id has up to 64 letters, digits, _, . and -.")


def _label_problem(name: str) -> str:
    if name.casefold().startswith(names.LABEL_PREFIX):
        said = gettext('Labels that start with "%(prefix)s" are kept for Slipway: choose another name.')
        return said % {"prefix": names.LABEL_PREFIX}
    if name.isprintable() and name.strip() == name:
        return ""
    return gettext("A label's name may not hold control characters.")
