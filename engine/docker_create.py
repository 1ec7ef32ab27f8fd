"""The body of a create call, built field by field from a typed spec.

Engines fold letter case and even Unicode look-alikes in the names of JSON fields, so a body that somebody else wrote
cannot be made safe by looking at it. Nothing here copies a mapping of fields: what is not written down here cannot be
asked for. ``no-new-privileges`` is set where a wish or the site's guard rails say so, since it breaks images that use
sudo or a setuid ping.
"""

from __future__ import annotations

from typing import Any

from engine import names
from engine.specs import ContainerSpec, HealthcheckSpec, MountSpec

LOG_DRIVER = "json-file"
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}
"""Without a limit one flooding container writes 42 MB a second until the host's disk is full."""

NANO = 10**9


def body(spec: ContainerSpec, operation_id: str) -> dict[str, Any]:
    """The JSON body of ``POST /containers/create``. Networks after the first are connected afterwards."""
    variables = {**spec.environment, **spec.secrets}
    created: dict[str, Any] = {
        "Image": spec.image,
        "Tty": spec.tty,
        "OpenStdin": spec.tty,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": _labels(spec, operation_id),
        "ExposedPorts": {f"{port.container}/{port.protocol}": {} for port in spec.ports},
        "HostConfig": _host_config(spec),
    }
    if spec.command is not None:
        created["Cmd"] = list(spec.command)
    if spec.entrypoint is not None:
        created["Entrypoint"] = list(spec.entrypoint)
    if spec.hostname:
        created["Hostname"] = spec.hostname
    if spec.user:
        created["User"] = spec.user
    if spec.working_dir:
        created["WorkingDir"] = spec.working_dir
    if spec.healthcheck:
        created["Healthcheck"] = _healthcheck(spec.healthcheck)
    if spec.networks:
        created["NetworkingConfig"] = {"EndpointsConfig": {spec.networks[0]: {}}}
    return created


def _labels(spec: ContainerSpec, operation_id: str) -> dict[str, str]:
    labels = {**spec.labels, names.OPERATION_LABEL: names.operation_id(operation_id)}
    if spec.secrets:
        labels[names.SECRETS_LABEL] = ",".join(sorted(spec.secrets))
    return labels


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.ports:
        binding = {"HostIp": port.host_ip, "HostPort": str(port.host or "")}
        bindings.setdefault(f"{port.container}/{port.protocol}", []).append(binding)
    host: dict[str, Any] = {
        "PortBindings": bindings,
        "Mounts": [mount(one) for one in spec.mounts],
        "RestartPolicy": {"Name": spec.restart_policy, "MaximumRetryCount": spec.restart_max_retries},
        "LogConfig": {"Type": LOG_DRIVER, "Config": dict(LOG_OPTIONS)},
        "CapAdd": list(spec.cap_add),
        "CapDrop": list(spec.cap_drop),
        "ReadonlyRootfs": spec.read_only,
        "Privileged": spec.privileged,
        "AutoRemove": spec.auto_remove,
    }
    if spec.networks:
        host["NetworkMode"] = spec.networks[0]
    if spec.no_new_privileges:
        host["SecurityOpt"] = ["no-new-privileges:true"]
    if spec.init:
        host["Init"] = True
    if spec.memory:
        # Without MemorySwap the engine allows as much swap again, silently.
        host["Memory"] = host["MemorySwap"] = spec.memory
    if spec.cpus:
        host["NanoCpus"] = round(spec.cpus * NANO)
    if spec.pids:
        host["PidsLimit"] = spec.pids
    return host


def mount(wish: MountSpec) -> dict[str, Any]:
    """Long form only: the short form makes missing host folders, as root."""
    made: dict[str, Any] = {"Type": wish.type, "Target": wish.target, "ReadOnly": wish.read_only}
    if wish.source:
        made["Source"] = wish.source
    return made


def _healthcheck(check: HealthcheckSpec) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": round(check.interval * NANO),
        "Timeout": round(check.timeout * NANO),
        "Retries": check.retries,
        "StartPeriod": round(check.start_period * NANO),
    }
