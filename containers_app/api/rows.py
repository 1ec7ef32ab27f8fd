"""Containers, volumes and networks as REST shows them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from accounts.api.base import Body, Boolean, Integer, Row, TeamSlug, Text
from containers_app import attachments, own
from containers_app.models import Container, Mount, Network, Volume
from containers_app.queries import attention_of, status_of

ACTIONS = ("start", "stop", "restart", "kill", "pause", "unpause", "rename", "recreate", "remove")

_port = inline_serializer(
    "Port",
    {
        "container": serializers.IntegerField(),
        "protocol": serializers.CharField(),
        "host": serializers.IntegerField(allow_null=True),
        "host_ip": serializers.CharField(),
    },
    many=True,
)
_resources = inline_serializer(
    "Resources",
    {
        "memory": serializers.IntegerField(allow_null=True),
        "cpus": serializers.FloatField(allow_null=True),
        "pids": serializers.IntegerField(allow_null=True),
    },
)
_restart_policy = inline_serializer(
    "RestartPolicy", {"name": serializers.CharField(), "max_retries": serializers.IntegerField()}
)
_attachment = inline_serializer(
    "Attachment",
    {
        "name": serializers.CharField(),
        "ip": serializers.CharField(),
        "ip6": serializers.CharField(),
        "mac": serializers.CharField(),
        "aliases": serializers.ListField(child=serializers.CharField()),
    },
    many=True,
)


class Owned(Row):
    """What every object of an engine carries."""

    engine_id = serializers.CharField(source="native_id", read_only=True)
    team = TeamSlug()
    labels = serializers.DictField(child=serializers.CharField(), read_only=True)


OWNED = ("id", "engine", "engine_id", "name", "labels", "team", "created_at", "url")


class MountRow(serializers.ModelSerializer):
    """Where a container sees a volume, a host path or memory; ``volume`` is the id of a volume Slipway knows."""

    class Meta:
        model = Mount
        fields: tuple[str, ...] = ("type", "source", "target", "read_only", "volume")
        read_only_fields: tuple[str, ...] = fields


class ContainerRow(Owned):
    """A container. Memory in bytes, CPU in cores, null for no limit; ``status`` is a line for people.

    ``ended`` is what its last run ended by: asked (an operation), outside, fault, done, or empty; ``attention``: a
    person should look at it, and nobody has since the last incident (``seen_at``); ``drift``: its tag points at another
    image now, its settings are not as they were asked for; ``protected``: Slipway runs in it, and does nothing to it.
    """

    address = "containers"
    status = serializers.SerializerMethodField()
    ports = serializers.SerializerMethodField()
    mounts = MountRow(many=True, read_only=True)
    networks = serializers.SerializerMethodField()
    resources = serializers.SerializerMethodField()
    restart_policy = serializers.SerializerMethodField()
    command = serializers.ListField(child=serializers.CharField(), read_only=True)
    entrypoint = serializers.ListField(child=serializers.CharField(), read_only=True)
    attention = serializers.SerializerMethodField()
    drift = serializers.SerializerMethodField()
    protected = serializers.SerializerMethodField()
    seen_at = serializers.DateTimeField(source="noted_at", read_only=True, allow_null=True)

    class Meta:
        model = Container
        fields: tuple[str, ...] = (
            *OWNED, "state", "status", "health", "exit_code", "oom_killed", "error", "restart_count", "image",
            "image_ref", "command", "entrypoint", "ports", "mounts", "networks", "resources", "restart_policy",
            "stack", "started_at", "finished_at", "ended", "trouble", "attention", "drift", "protected",
            "seen_at",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    def get_status(self, row: Container) -> str:
        return str(status_of(row))

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(["image", "settings"])))
    def get_drift(self, row: Container) -> list[str]:
        return [
            *(["image"] if row.drift_image or row.drift_remote else []),
            *(["settings"] if row.drift else []),
        ]

    def get_protected(self, row: Container) -> bool:
        """Whether Slipway runs in it. Which ones those are is looked up once an answer."""
        known = vars(self.root)
        if "own" not in known:
            known["own"] = own.ours()
        return bool(known["own"].has(row))

    def get_attention(self, row: Container) -> bool:
        return attention_of(row)

    @extend_schema_field(_port)
    def get_ports(self, row: Container) -> list[dict[str, Any]]:
        return list(row.ports)

    @extend_schema_field(_attachment)
    def get_networks(self, row: Container) -> list[dict[str, Any]]:
        return [
            {key: net.get(key, "") for key in ("name", "ip", "ip6", "mac", "aliases")} for net in row.networks
        ]

    @extend_schema_field(_resources)
    def get_resources(self, row: Container) -> dict[str, Any]:
        return {
            "memory": row.memory_limit or None,
            "cpus": row.cpu_limit or None,
            "pids": row.pids_limit or None,
        }

    @extend_schema_field(_restart_policy)
    def get_restart_policy(self, row: Container) -> dict[str, Any]:
        return {"name": row.restart_policy or "no", "max_retries": row.restart_max_retries}


class ContainerFullRow(ContainerRow):
    """One container with everything that is kept of it; ``stats`` is the latest sample, null where none is known.

    Values of the environment that look secret are masked.
    """

    environment = serializers.DictField(child=serializers.CharField(), read_only=True)
    healthcheck = serializers.DictField(read_only=True)
    stats = serializers.SerializerMethodField()

    class Meta(ContainerRow.Meta):
        fields: tuple[str, ...] = (
            *ContainerRow.Meta.fields, "environment", "hostname", "user", "working_dir", "tty", "privileged",
            "auto_remove", "log_driver", "stop_signal", "stop_timeout", "failing_streak", "healthcheck", "stats",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(serializers.DictField(allow_null=True))
    def get_stats(self, row: Container) -> dict[str, Any] | None:
        return self.context.get("stats")


class VolumeRow(Owned):
    """What outlives containers. ``size`` in bytes, null where it was not counted.

    ``last_used_at``: when a container that mounts it was last seen running; null where none has been.
    """

    address = "volumes"
    name = serializers.CharField(read_only=True)
    options = serializers.DictField(child=serializers.CharField(), read_only=True)
    used_by = serializers.SerializerMethodField()

    class Meta:
        model = Volume
        fields: tuple[str, ...] = (
            *OWNED,
            "driver",
            "scope",
            "options",
            "anonymous",
            "size",
            "sized_at",
            "last_used_at",
            "used_by",
        )
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(
        inline_serializer(
            "VolumeUser",
            {
                "container": serializers.UUIDField(),
                "name": serializers.CharField(),
                "target": serializers.CharField(),
                "read_only": serializers.BooleanField(),
            },
            many=True,
        )
    )
    def get_used_by(self, row: Volume) -> list[dict[str, Any]]:
        # The view prefetches those of containers that the caller may see, and no others.
        return [
            {
                "container": mount.container_id,
                "name": mount.container.name,
                "target": mount.target,
                "read_only": mount.read_only,
            }
            for mount in row.mounts.all()
        ]


class NetworkRow(Owned):
    """A network and the containers on it; ``subnets`` and ``gateways`` go together by place."""

    address = "networks"
    subnets = serializers.ListField(child=serializers.CharField(), read_only=True)
    gateways = serializers.ListField(child=serializers.CharField(), read_only=True)
    options = serializers.DictField(child=serializers.CharField(), read_only=True)
    containers = serializers.SerializerMethodField()

    class Meta:
        model = Network
        fields: tuple[str, ...] = (
            *OWNED, "driver", "scope", "internal", "ipv6", "subnets", "gateways", "options", "containers",
        )  # fmt: skip
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(
        inline_serializer(
            "NetworkUser",
            {
                "container": serializers.UUIDField(),
                "name": serializers.CharField(),
                **{key: serializers.CharField() for key in ("ip", "ip6", "mac")},
                "aliases": serializers.ListField(child=serializers.CharField()),
            },
            many=True,
        )
    )
    def get_containers(self, row: Network) -> list[dict[str, Any]]:
        # The view looks them up for all rows at once: those that the caller may see, and no others.
        return [
            {
                "container": container.pk,
                "name": container.name,
                **{key: found.get(key, "") for key in ("ip", "ip6", "mac")},
                "aliases": attachments.aliases(container.name, container.native_id, found),
            }
            for container, found in self.context["attached"][row.pk]
        ]


class Start(Body):
    """``empty_volumes``: empty ones in place of named volumes whose data is gone; else it is not started on them."""

    empty_volumes = Boolean(required=False)


class Restart(Start):
    """Seconds that the container has to end by itself, and what starting takes."""

    timeout = Integer(required=False, min_value=0, max_value=300)


class Stop(Body):
    """Seconds that the container has to end by itself."""

    timeout = Integer(required=False, min_value=0, max_value=300)


class Kill(Body):
    """A signal's name."""

    signal = Text(required=False, max_length=20)


class Rename(Body):
    """The new name."""

    name = Text(max_length=63)


class Gate(Body):
    """Seconds: ``timeout`` until a health check must have passed; ``steady`` running where there is none."""

    timeout = Integer(required=False, min_value=1, max_value=600)
    steady = Integer(required=False, min_value=1, max_value=600)


class Recreate(Start):
    """``image``: another one than now. ``pull`` left out: where the image came from a registry. ``changes``: any
    part of the run body, where null keeps the value of a variable, a secret or a label.
    """

    image = Text(required=False, max_length=255)
    pull = Boolean(required=False)
    gate = Gate(required=False)
    changes = serializers.DictField(required=False)


class Duplicate(Body):
    """``name`` left out: the next that is free. ``changes`` as for a recreation."""

    name = Text(required=False, max_length=63)
    start = Boolean(required=False)
    changes = serializers.DictField(required=False)


BODIES: dict[str, type[Body]] = {
    "start": Start, "stop": Stop, "restart": Restart, "kill": Kill, "rename": Rename, "recreate": Recreate
}  # fmt: skip


class Removal(Body):
    """``force`` ends a running one; ``volumes`` takes its anonymous volumes along; ``forever``: not into the trash."""

    force = Boolean(required=False)
    volumes = Boolean(required=False)
    forever = Boolean(required=False)


class Bulk(Body):
    """The same for several containers; parameters as for one."""

    action = serializers.ChoiceField([*(action for action in ACTIONS if action != "rename"), "update"])
    ids = serializers.ListField(child=serializers.UUIDField(), allow_empty=False, max_length=200)
    params = serializers.DictField(required=False)
