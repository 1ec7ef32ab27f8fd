"""Containers, volumes and networks in the admin: read-only facts, and changes by way of operations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import can
from accounts.admin import admin_actor
from containers_app import operations
from containers_app.events import events, visible_past
from containers_app.models import (
    BackupSchedule,
    BackupStore,
    CareRule,
    ConsoleSession,
    Container,
    DeployHook,
    EngineEvent,
    HookCall,
    Incident,
    KeptLog,
    LogBlock,
    LogGap,
    LogRule,
    Mount,
    Network,
    PrunePlan,
    PrunePolicy,
    Volume,
    VolumeBackup,
)
from operations.admin import Facts, ask, confirmed


class Mounts(admin.TabularInline):
    """Where a container sees its volumes, or a volume its containers."""

    model = Mount
    fields = readonly_fields = ("container", "type", "source", "target", "read_only", "volume")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can(admin_actor(request), "container.read")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Container)
class ContainerAdmin(Facts):
    """Containers, as their engines say they are."""

    permission = "container.read"
    assignable = True
    list_display = (
        "name",
        "state",
        "health",
        "image_ref",
        "team",
        "engine",
        "stack",
        "restart_count",
        "started_at",
    )
    list_filter = ("state", "health", "engine", "team", "stack", "privileged", "oom_killed")
    search_fields = ("name", "native_id", "image_ref", "stack", "id")
    list_select_related = ("team", "engine")
    inlines = (Mounts,)
    actions = ("start", "stop", "restart", "remove")

    def has_start_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "container.start")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "container.remove")

    @admin.action(description=_lazy("Start the selected containers"), permissions=["start"])
    def start(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        """Asks for each to be started."""
        self._ask(request, queryset, "start")

    @admin.action(description=_lazy("Stop the selected containers"), permissions=["start"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        """Asks for each to be stopped."""
        self._ask(request, queryset, "stop")

    @admin.action(description=_lazy("Restart the selected containers"), permissions=["start"])
    def restart(self, request: HttpRequest, queryset: QuerySet[Container]) -> None:
        """Asks for each to be restarted."""
        self._ask(request, queryset, "restart")

    @admin.action(description=_lazy("Remove the selected containers"), permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Container]) -> HttpResponse | None:
        """Asks for each to be removed; those that run are refused."""
        page = confirmed(self, request, queryset, _("remove containers with what they have written"))
        if page is None:
            self._ask(request, queryset, "remove")
        return page

    def _ask(self, request: HttpRequest, rows: QuerySet[Container], action: str) -> None:
        ask(self, request, rows, lambda row, actor: operations.request(row, action, actor=actor))


@admin.register(Volume)
class VolumeAdmin(Facts):
    """Volumes, as their engines say they are."""

    permission = "volume.read"
    assignable = True
    list_display = ("native_id", "driver", "size", "anonymous", "team", "engine", "created_at")
    list_filter = ("driver", "anonymous", "engine", "team")
    search_fields = ("native_id", "id")
    list_select_related = ("team", "engine")
    inlines = (Mounts,)
    actions = ("remove",)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "volume.remove")

    @admin.action(description=_lazy("Remove the selected volumes"), permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Volume]) -> HttpResponse | None:
        """Asks for each to be removed; those in use are refused."""
        page = confirmed(self, request, queryset, _("remove volumes with what is in them"))
        if page is None:
            ask(
                self, request, queryset,
                lambda row, actor: operations.request_volume_remove(row, actor=actor),
            )  # fmt: skip
        return page


@admin.register(Network)
class NetworkAdmin(Facts):
    """Networks, as their engines say they are."""

    permission = "network.read"
    assignable = True
    list_display = ("name", "driver", "scope", "internal", "team", "engine", "created_at")
    list_filter = ("driver", "scope", "internal", "engine", "team")
    search_fields = ("name", "native_id", "id")
    list_select_related = ("team", "engine")
    actions = ("remove",)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "network.remove")

    @admin.action(description=_lazy("Remove the selected networks"), permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Network]) -> HttpResponse | None:
        """Asks for each to be removed; those that containers are on are refused."""
        page = confirmed(self, request, queryset, _("remove networks"))
        if page is None:
            ask(
                self, request, queryset,
                lambda row, actor: operations.request_network_remove(row, actor=actor),
            )  # fmt: skip
        return page


@admin.register(VolumeBackup)
class VolumeBackupAdmin(Facts):
    """Backups of volumes."""

    permission = "backup.read"
    exclude = ("index",)
    list_display = ("created_at", "volume_name", "team", "engine", "store", "size", "entries", "scheduled")
    list_filter = ("engine", "team", "store", "scheduled")
    search_fields = ("volume_name", "key", "id")
    list_select_related = ("team", "engine", "store")


@admin.register(BackupSchedule)
class BackupScheduleAdmin(Facts):
    """When volumes are backed up by themselves."""

    permission = "backup.read"
    list_display = ("volume_name", "every", "hour", "keep", "store", "next_at", "team", "engine")
    list_filter = ("every", "engine", "team", "store")
    search_fields = ("volume_name", "id")
    list_select_related = ("team", "engine", "store")


@admin.register(BackupStore)
class BackupStoreAdmin(Facts):
    """Where backups are kept. The secret key is not here."""

    permission = "store.manage"
    owner = None
    exclude = ("sealed",)
    list_display = ("name", "endpoint", "bucket", "prefix", "region", "access_key", "created_at")
    search_fields = ("name", "endpoint", "bucket")


@admin.register(Mount)
class MountAdmin(Facts):
    """Which container sees which volume where."""

    permission = "container.read"
    owner = "container__team"
    list_display = ("container", "type", "source", "target", "read_only", "volume")
    list_filter = ("type", "read_only")
    search_fields = ("container__name", "source", "target")
    list_select_related = ("container", "volume")


@admin.register(PrunePlan)
class PrunePlanAdmin(Facts):
    """What people were shown before they cleaned up, and the operation that did it."""

    permission = "engine.prune"
    owner = None
    list_display = ("created_at", "made_by", "policy", "engine", "frees", "expires_at", "operation")
    list_filter = ("engine", "counted")
    search_fields = ("id", "made_by__username")
    list_select_related = ("made_by", "engine", "operation", "policy")


@admin.register(PrunePolicy)
class PrunePolicyAdmin(Facts):
    """What is cleaned up by itself."""

    permission = "prune.manage"
    owner = None
    list_display = ("name", "engine", "enabled", "problem", "every", "hour", "next_at", "looked", "made_by")
    list_filter = ("engine", "enabled", "every")
    search_fields = ("name", "id")
    list_select_related = ("engine", "made_by")


@admin.register(EngineEvent)
class EngineEventAdmin(Facts):
    """What engines said has happened."""

    permission = "engine.read"
    owner = None
    list_display = ("at", "type", "action", "name", "origin", "operation", "engine")
    list_filter = ("type", "action", "origin", "engine")
    search_fields = ("name", "native_id")
    list_select_related = ("engine", "operation")

    def get_queryset(self, request: HttpRequest) -> QuerySet[EngineEvent]:
        return events(admin_actor(request))


@admin.register(Incident)
class IncidentAdmin(Facts):
    """How runs of containers ended."""

    permission = "container.read"
    owner = None
    exclude = ("lines",)
    list_display = ("last_at", "name", "kind", "exit_code", "oom", "asked", "actor_name", "count", "engine")
    list_filter = ("kind", "fault", "oom", "asked", "engine")
    search_fields = ("name", "native_id", "actor_name")
    list_select_related = ("engine",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        return visible_past(admin_actor(request), Incident.objects.defer("lines"))


@admin.register(ConsoleSession)
class ConsoleSessionAdmin(Facts):
    """Who had a console where, for how long, and how it ended. Nothing that was typed or shown is here."""

    permission = "container.console"
    exclude = ("sealed",)
    list_display = (
        "created_at", "actor_name", "container_name", "kind", "state", "exit_code", "bytes_in", "bytes_out", "left",
        "recorded",
    )  # fmt: skip
    list_filter = ("state", "kind", "recorded", "engine", "team")
    search_fields = ("actor_name", "container_name", "id", "native_id")
    list_select_related = ("team", "engine", "container", "actor")


@admin.register(LogRule)
class LogRuleAdmin(Facts):
    """Which logs are kept."""

    permission = "container.logs"
    list_display = ("name", "team", "engine", "created_at")
    list_filter = ("engine", "team")
    search_fields = ("name",)
    list_select_related = ("team", "engine")


@admin.register(CareRule)
class CareRuleAdmin(Facts):
    """What Slipway does by itself."""

    permission = "container.read"
    list_display = ("name", "team", "engine", "heal", "end_loops", "created_at")
    list_filter = ("engine", "team", "heal", "end_loops")
    search_fields = ("name",)
    list_select_related = ("team", "engine")


@admin.register(KeptLog)
class KeptLogAdmin(Facts):
    """What is kept of the logs of containers."""

    permission = "container.logs"
    list_display = ("name", "team", "engine", "lines", "size", "open", "created_at")
    list_filter = ("engine", "team", "open")
    search_fields = ("name", "native_id", "id")
    list_select_related = ("team", "engine")


@admin.register(LogBlock)
class LogBlockAdmin(Facts):
    """Packed lines."""

    permission = "container.logs"
    owner = "log__team"
    fields = ("log", "first_ns", "last_ns", "lines", "size")
    list_display = ("log", "first_ns", "last_ns", "lines", "size")
    search_fields = ("log__name",)
    list_select_related = ("log",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LogBlock]:
        return super().get_queryset(request).defer("data", "words")


@admin.register(LogGap)
class LogGapAdmin(Facts):
    """What is missing in kept logs."""

    permission = "container.logs"
    owner = "log__team"
    list_display = ("log", "from_ns", "to_ns", "lines", "cause")
    list_filter = ("cause",)
    search_fields = ("log__name",)
    list_select_related = ("log",)


@admin.register(DeployHook)
class DeployHookAdmin(Facts):
    """Addresses that others call to have a container or a stack made anew; they are made and ended on its page."""

    permission = "hook.manage"
    exclude = ("sealed", "token_key")
    list_display = ("name", "kind", "style", "team", "engine", "actor_name", "created_at")
    list_filter = ("kind", "style", "engine", "team")
    search_fields = ("name", "actor_name", "id")
    list_select_related = ("team", "engine")


@admin.register(HookCall)
class HookCallAdmin(Facts):
    """Calls whose signature was right."""

    permission = "hook.manage"
    owner = "hook__team"
    exclude = ("digest",)
    list_display = ("at", "hook", "outcome", "operation", "batch", "ip")
    list_filter = ("hook__kind",)
    search_fields = ("hook__name", "outcome", "batch")
    list_select_related = ("hook", "operation")
