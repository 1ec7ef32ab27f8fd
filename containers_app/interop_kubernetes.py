"""A container as objects of Kubernetes: a Deployment (a Pod where it does not run for good), with a Service for its
ports and a claim for each volume.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from containers_app import bodies, interop
from containers_app.bodies import Settings

VOLUME_SIZE = "1Gi"
"""What a claim asks for: nobody said how large a volume may become."""
_FOR_GOOD = ("always", "unless-stopped")
Body = Mapping[str, Any]


def objects(settings: Settings) -> str:
    """YAML of all that it needs."""
    body = settings.body
    name, mounts = _name(body["name"]), list(body.get("mounts") or ())
    policy = (body.get("restart_policy") or {}).get("name", "no")
    spec = _pod(
        settings, name, "Always" if policy in _FOR_GOOD else "OnFailure" if policy != "no" else "Never"
    )
    meta = {"name": name, "labels": {"app": name}}
    made: list[dict[str, Any]] = []
    if policy in _FOR_GOOD:
        template = {"metadata": {"labels": {"app": name}}, "spec": spec}
        deployment = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        deployment["strategy"] = {"type": "Recreate"}
        made.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": deployment})
    else:
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    if body.get("ports"):
        service = {"selector": {"app": name}, "ports": _service_ports(body["ports"])}
        made.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service})
    volumes = dict.fromkeys(_name(mount["source"]) for mount in mounts if mount["type"] == "volume")
    made += [_claim(volume) for volume in volumes]
    lost = [*settings.lost, *_lost(settings)]
    literals = " ".join(f"--from-literal={one}=…" for one in settings.hidden)
    first = f"Make this first: kubectl create secret generic {name} {literals}" if literals else ""
    return interop.head(first, lost) + interop.dumped(*made)


def _pod(settings: Settings, name: str, restart: str) -> dict[str, Any]:
    body = settings.body
    container = {"name": name, "image": body["image"], **_program(body)}
    if variables := list(_variables(settings, name)):
        container["env"] = variables
    container |= _ports_and_limits(body)
    if security := _security(body):
        container["securityContext"] = security
    if probe := _probe(body.get("healthcheck") or {}):
        container["livenessProbe"] = probe
    spec: dict[str, Any] = {"restartPolicy": restart, "containers": [container]}
    if body.get("hostname"):
        spec["hostname"] = _name(body["hostname"])
    if body.get("networks") == ["host"]:
        spec["hostNetwork"] = True
    if mounts := list(body.get("mounts") or ()):
        container["volumeMounts"] = [_mounted(mount) for mount in mounts]
        spec["volumes"] = list({_volume(mount): _source(mount) for mount in mounts}.values())
    return spec


def _program(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # A shell's $(NAME) is Kubernetes' own way to name a variable.
    for key, theirs in (("entrypoint", "command"), ("command", "args")):
        if body.get(key):
            found[theirs] = [word.replace("$(", "$$(") for word in body[key]]
    if body.get("working_dir"):
        found["workingDir"] = body["working_dir"]
    return {**found, "stdin": True, "tty": True} if body.get("tty") else found


def _ports_and_limits(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    ports = {
        (port["container"], str(port.get("protocol") or "tcp").upper()) for port in body.get("ports") or ()
    }
    if ports:
        found["ports"] = [{"containerPort": port, "protocol": protocol} for port, protocol in sorted(ports)]
    limits = body.get("resources") or {}
    given = {**({"memory": str(limits["memory"])} if limits.get("memory") else {}),
             **({"cpu": f"{limits['cpus']:g}"} if limits.get("cpus") else {})}  # fmt: skip
    return {**found, "resources": {"limits": given}} if given else found


def _mounted(mount: Body) -> dict[str, Any]:
    read_only = {"readOnly": True} if mount.get("read_only") else {}
    return {"name": _volume(mount), "mountPath": mount["target"], **read_only}


def _variables(settings: Settings, name: str) -> Iterator[dict[str, Any]]:
    for key, value in (settings.body.get("environment") or {}).items():
        yield {"name": key, "value": value.replace("$(", "$$(")}
    for key in settings.hidden:
        yield {"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _security(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if body.get("privileged"):
        found["privileged"] = True
    if body.get("read_only"):
        found["readOnlyRootFilesystem"] = True
    user, _, group = str(body.get("user") or "").partition(":")
    if user.isascii() and user.isdecimal():
        found["runAsUser"] = int(user)
    if group.isascii() and group.isdecimal():
        found["runAsGroup"] = int(group)
    capabilities = {
        theirs: list(body[key]) for key, theirs in (("cap_add", "add"), ("cap_drop", "drop")) if body.get(key)
    }
    return {**found, **({"capabilities": capabilities} if capabilities else {})}


def _probe(check: Body) -> dict[str, Any]:
    test = list(check.get("test") or ())
    if not test or test[0] == "NONE":
        return {}
    command = ["sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
    times = {"interval": "periodSeconds", "timeout": "timeoutSeconds", "start_period": "initialDelaySeconds"}
    found = {theirs: max(1, round(check[key])) for key, theirs in times.items() if check.get(key)}
    return {"exec": {"command": command}, **found, "failureThreshold": check.get("retries") or 3}


def _volume(mount: Body) -> str:
    return _name(mount.get("source") if mount["type"] == "volume" else mount["target"])


def _source(mount: Body) -> dict[str, Any]:
    name = _volume(mount)
    if mount["type"] == "bind":
        return {"name": name, "hostPath": {"path": mount["source"]}}
    if mount["type"] == "tmpfs":
        return {"name": name, "emptyDir": {"medium": "Memory"}}
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


def _claim(name: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": VOLUME_SIZE}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _service_ports(ports: list[Body]) -> list[dict[str, Any]]:
    """Under the host's port where there is one, once each."""
    found = {}
    for port in ports:
        outside, protocol = port.get("host") or port["container"], str(port.get("protocol") or "tcp")
        found[outside, protocol] = {
            "name": f"{protocol}-{outside}", "port": outside, "targetPort": port["container"],
            "protocol": protocol.upper(),
        }  # fmt: skip
    return list(found.values())


def _name(text: object) -> str:
    """As Kubernetes takes names: small letters, digits and dashes, at most 63."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:63].strip("-") or "x"


def _lost(settings: Settings) -> Iterator[str]:
    body = settings.body
    if [name for name in body.get("networks") or () if name != "host"]:
        yield "its networks: all pods reach each other"
    if (body.get("resources") or {}).get("pids"):
        yield "its limit of processes"
    if body.get("labels"):
        yield "its labels"
    if body.get("init"):
        yield "its small init"
    if body.get("user") and "runAsUser" not in _security(body):
        yield "its user, who has a name and no number"
    if any(port.get("host_ip") for port in body.get("ports") or ()):
        yield "the addresses that its ports are bound to"
    if any(mount["type"] == "volume" for mount in body.get("mounts") or ()):
        yield f"what is in its volumes (each claim asks for {VOLUME_SIZE})"
    for extra in settings.extras:
        if not bodies.is_usual_log(extra) and extra.flag != "--memory-swap":
            yield f"{extra.flag} {' '.join(extra.values)}"
