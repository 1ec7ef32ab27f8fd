"""Names of models and their fields, as the admin shows them: in the reader's language.

A field is called after itself ("created_at" is "created at"), and stays so in migrations and in what the trail keeps.
What stands in the list below is translated where it is shown; a test names what is missing.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.utils import translation

OURS = ("accounts", "operations", "containers", "images")
CONTEXT = "field"


def field_names(*names: str) -> frozenset[str]:
    """Gathered by `scripts.messages`."""
    return frozenset(names)


NAMES = field_names(
    "ID", "access key", "action", "actor", "actor name", "added",
    "again", "anonymous", "api token", "api tokens",
    "api version", "architecture", "asked", "at", "attempt", "attempts", "audit entries", "audit entry", "author",
    "auto remove", "backup schedule", "backup schedules", "backup store", "backup stores", "batch",
    "behind", "blind since",
    "branch", "bucket", "build", "build args", "builder", "builder why", "builds", "bytes in", "bytes out",
    "by worker",
    "cancel requested at", "care rule", "care rules", "cause", "chain", "changed", "changed at", "changed by",
    "channel", "channels", "checked at", "columns", "command", "config", "configured", "console session",
    "console sessions", "container", "container name", "containers", "context path", "context size", "cooldown",
    "count", "counted",
    "counts", "cpu limit", "cpus", "created at", "created by", "cursor", "cut", "data",
    "database at", "deadline at",
    "deliveries", "delivery", "deploy hook", "deploy hooks", "detail", "digest", "digests", "dockerfile",
    "dockerfile path", "drift", "drift at", "drift image", "drift remote", "driver", "due at", "empty", "enabled",
    "end loops", "ended", "ended at", "endpoint", "engine", "engine event", "engine events", "engines", "entries",
    "entrypoint", "environment", "error", "error code", "error line", "error message", "event", "event id",
    "events", "every", "exit code", "expires at", "failing streak", "failures", "fault", "fence", "figures",
    "fingerprint", "finished at", "first at", "first ns",
    "fixable", "folder", "frees", "from digest",
    "from native id", "from ns", "gateways", "good at", "group mapping", "group mappings",
    "hash", "heal", "heal at", "heal over", "heal tries",
    "health", "health log", "healthcheck", "heard at", "held", "hidden", "hook", "hook call", "hook calls", "host",
    "hostname", "hour", "id", "idempotency key", "idle", "image", "image native id", "image ref", "images", "incident",
    "incidents", "index", "inspect", "internal", "ip", "ipv6", "items", "keep", "keep tags", "kept log",
    "kept logs", "key", "key id", "keys at", "kind", "kinds", "labels", "language", "last at", "last id", "last ns",
    "last used at", "last used ip", "layer", "layer index", "layer indexes", "layer stack", "layer stacks",
    "layers", "lease owner", "lease until", "left", "lines", "lines at", "lines state", "listing", "listings",
    "lock key", "log", "log block", "log blocks", "log driver", "log gap", "log gaps", "log rule", "log rules",
    "looked", "looked at", "made by", "mapping",
    "membership", "memberships", "memory", "memory limit", "mount", "mounts",
    "mute", "mutes", "muted until", "name", "native id", "network", "networks", "never", "newer", "next at",
    "no cache", "note", "noted at", "object id", "older days", "only over", "oom", "oom killed", "open",
    "operation", "operation event", "operation events", "operation id", "operations", "options", "origin", "os",
    "outcome", "owner", "params", "parent id", "pattern", "payload", "permission set", "permission sets",
    "permissions", "pids limit", "policies", "policy", "policy exception", "policy exceptions", "ports", "prefix",
    "prev hash", "privileged", "problem", "problem at", "progress", "prune plan", "prune plans", "prune policies",
    "prune policy", "pull", "quota", "rate", "read at", "read only", "read to", "reason", "recorded", "recorded at",
    "received at",
    "refused",
    "region", "registries", "registry", "removed",
    "report", "repository", "restart count", "restart max retries",
    "restart policy", "result", "revoked at", "role", "rows", "rule", "rules",
    "scan", "scanned at", "scanner", "scans", "scheduled", "scope", "scopes",
    "sealed", "secret", "seen at", "sent at", "seq", "shown", "signal", "since", "site admin by",
    "size", "sized at", "skipped",
    "slug", "source", "stack", "started at", "state", "status", "status detail", "status since", "stdin", "step",
    "steps", "stop signal", "stop timeout", "storage driver", "store", "style", "subject", "subnets", "synced at",
    "tag", "tag check", "tag checks", "tag move", "tag moves", "tags", "target", "target id", "target name",
    "target type", "team", "team's name", "teams", "time ns", "title", "tls", "to digest", "to native id", "to ns",
    "token host", "token key", "trash item", "trash items", "trashed at", "trouble", "trouble at", "trouble until",
    "tty", "type", "unique size", "until", "user", "username", "users", "value", "variable", "variables", "verb",
    "version", "volume", "volume backup", "volume backups", "volume name", "volumes", "wait until", "words",
    "working dir",
)  # fmt: skip


def translate() -> None:
    """From now on models and fields that have no name of their own are called so in the language of the moment."""
    for model in (model for label in OURS for model in apps.get_app_config(label).get_models()):
        meta = model._meta
        many = str(meta.verbose_name_plural)  # made from the other name, unless it is said
        if type(meta.verbose_name) is str and many in NAMES:
            meta.verbose_name_plural = translation.pgettext_lazy(CONTEXT, many)
        things: tuple[Any, ...] = (meta, *meta.fields)
        for thing in things:
            if type(thing.verbose_name) is str and thing.verbose_name in NAMES:
                thing.verbose_name = translation.pgettext_lazy(CONTEXT, thing.verbose_name)
