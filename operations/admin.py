"""Engines and operations in the admin; and `Facts`, which everything is shown with that an engine is the truth of.

Nothing here writes what an engine says. Actions ask for operations, as pages and REST do, with the same rights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts import audit
from accounts.access import Actor, can
from accounts.admin import ReadOnly, admin_actor
from accounts.querysets import visible_to
from engine.errors import Invalid, PolicyDenied, SelfProtected
from operations import channels, services, trash
from operations.models import (
    Channel,
    Delivery,
    Engine,
    Listing,
    Mute,
    Operation,
    OperationEvent,
    Policy,
    PolicyException,
    TrashItem,
    Variable,
)
from operations.services import Refused
from operations.web import why
from streams import bell, want

MOST = 200
"""Things that one action asks for."""


class Facts(ReadOnly):
    """Rows that an engine is the truth of: to look at, to search, to filter, and to ask for changes of.

    ``permission`` is what seeing needs; ``owner`` the path to the owning team, ``None`` where there is no owner.
    Site administrators may say whose a thing is, where it is ``assignable``.
    """

    permission: ClassVar[str]
    owner: ClassVar[str | None] = "team"
    assignable: ClassVar[bool] = False
    list_per_page = 100
    show_full_result_count = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can(admin_actor(request), self.permission)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.assignable and admin_actor(request).is_site_admin

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return visible_to(admin_actor(request), rows, self.owner) if self.owner else rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in self.model._meta.fields if field.name != "team"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [f.name for f in self.model._meta.fields if f.name not in (self.exclude or ())]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The owner and nothing else: the rest may have changed on the engine since this page was shown."""
        name = self.model._meta.model_name or ""
        with transaction.atomic():
            self.model._default_manager.filter(pk=obj.pk).update(team=obj.team)
            audit.record(
                f"{name}.assign", admin_actor(request), target_type=name, target_id=obj.pk,
                target_name=str(obj), team_id=obj.team_id,
            )  # fmt: skip
        bell.ring(f"{name}s", f"{name}:{obj.pk}")


def ask(
    modeladmin: Facts, request: HttpRequest, rows: Iterable[Any], wish: Callable[[Any, Actor], Any]
) -> None:
    """Asks for the same of each row, and says what was accepted and what was refused, and why."""
    actor, accepted = admin_actor(request), 0
    for row in list(rows)[:MOST]:
        try:
            wish(row, actor)
        except (PermissionDenied, Http404, Refused, PolicyDenied, SelfProtected, Invalid) as error:
            modeladmin.message_user(request, f"{row}: {why(error)}", messages.ERROR)
        else:
            accepted += 1
    if accepted:
        text = _("Asked for %(accepted)s: see the operations for how each goes.") % {"accepted": accepted}
        modeladmin.message_user(request, text, messages.SUCCESS)


def confirmed(
    modeladmin: Facts, request: HttpRequest, rows: QuerySet[Any], sentence: str
) -> HttpResponse | None:
    """A page that asks first, ``None`` once that was answered. ``sentence`` says what goes for good."""
    if request.POST.get("sure"):
        return None
    context = {
        **modeladmin.admin_site.each_context(request), "title": capfirst(sentence), "rows": rows[:MOST],
        "action": request.POST.get("action"), "opts": modeladmin.model._meta,
    }  # fmt: skip
    return TemplateResponse(request, "admin/sure.html", context)


@admin.register(Engine)
class EngineAdmin(Facts):
    """Engines, and whether they answer."""

    permission = "engine.read"
    owner = None
    list_display = ("name", "status", "status_since", "version", "os", "seen_at", "synced_at")
    list_filter = ("status",)
    search_fields = ("name", "version", "os", "native_id")
    actions = ("sync",)

    @admin.action(
        description=_lazy("Sync: compare the selected engines with their rows now"), permissions=["sync"]
    )
    def sync(self, request: HttpRequest, queryset: QuerySet[Engine]) -> None:
        """Asks the gateway."""
        for engine in queryset:
            if want.request_sync(engine.pk):
                self.message_user(
                    request, _("%(engine)s is being compared.") % {"engine": engine}, messages.SUCCESS
                )
            else:
                self.message_user(
                    request,
                    _("%(engine)s: no gateway listens; it compares by itself.") % {"engine": engine},
                    messages.ERROR,
                )

    def has_sync_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "engine.sync")


@admin.register(Operation)
class OperationAdmin(Facts):
    """Every change that was asked for."""

    permission = "operation.read"
    exclude = ("sealed", "lease_owner", "lease_until", "dispatched_at", "body_digest")
    list_display = (
        "created_at", "kind", "target_name", "state", "error_code", "actor_name", "source", "team", "attempt",
    )  # fmt: skip
    list_filter = ("state", "kind", "source", "engine", "team", "error_code")
    search_fields = ("kind", "target_name", "target_id", "actor_name", "error_message", "id")
    date_hierarchy = "created_at"
    list_select_related = ("team",)
    actions = ("cancel", "retry")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "operation.cancel")

    @admin.action(description=_lazy("Cancel the selected operations"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        """Asks them to stop."""
        ask(self, request, queryset, lambda row, actor: services.cancel(row, actor=actor))

    @admin.action(description=_lazy("Retry the selected operations"), permissions=["cancel"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Operation]) -> None:
        """Asks for the same again."""
        ask(self, request, queryset, lambda row, actor: services.retry(row, actor=actor))


@admin.register(OperationEvent)
class EventAdmin(Facts):
    """What happened during operations, in order."""

    permission = "operation.read"
    owner = "operation__team"
    list_display = ("operation", "seq", "at", "kind", "data")
    list_filter = ("kind",)
    search_fields = ("operation__id", "operation__target_name")
    list_select_related = ("operation",)


@admin.register(Listing)
class ListingAdmin(Facts):
    """When each kind of objects was listed last."""

    permission = "engine.read"
    owner = None
    list_display = ("engine", "kind", "at")
    list_filter = ("kind", "engine")
    search_fields = ("engine__name", "kind")
    list_select_related = ("engine",)


@admin.register(TrashItem)
class TrashAdmin(Facts):
    """What was removed: what can be taken back, and what became of the rest."""

    permission = "operation.read"
    exclude = ("facts", "path")
    list_display = ("name", "kind", "state", "size", "team", "engine", "created_at", "expires_at", "ended_at")
    list_filter = ("state", "kind", "engine", "team")
    search_fields = ("name", "native_id", "target_id", "id")
    date_hierarchy = "created_at"
    list_select_related = ("team", "engine")
    actions = ("restore", "purge")

    def has_restore_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "container.remove")

    @admin.action(description=_lazy("Take the selected things back"), permissions=["restore"])
    def restore(self, request: HttpRequest, queryset: QuerySet[TrashItem]) -> None:
        """Asks for each to be taken back."""
        ask(self, request, queryset, lambda row, actor: trash.restore(row, actor=actor))

    @admin.action(description=_lazy("Remove the selected things for good"), permissions=["restore"])
    def purge(self, request: HttpRequest, queryset: QuerySet[TrashItem]) -> HttpResponse | None:
        """Asks for each to be removed for good."""
        page = confirmed(self, request, queryset, _("remove what is in the trash for good"))
        if page is None:
            ask(self, request, queryset, lambda row, actor: trash.purge(row, actor=actor))
        return page


@admin.register(Policy)
class PolicyAdmin(Facts):
    """Guard rails and quotas; they are changed on their own page, which checks them."""

    permission = "policy.read"
    list_display = ("__str__", "binds_site", "changed_at", "changed_by")
    list_filter = ("team", "binds_site")
    search_fields = ("team__name",)
    list_select_related = ("team",)


@admin.register(PolicyException)
class PolicyExceptionAdmin(Facts):
    """What may break a guard rail for a while."""

    permission = "policy.read"
    list_display = ("rule", "name", "team", "reason", "expires_at", "actor_name")
    list_filter = ("rule", "team")
    search_fields = ("name", "reason")
    list_select_related = ("team",)


@admin.register(Channel)
class ChannelAdmin(Facts):
    """Where messages go; they are changed on their own page, which checks them."""

    permission = "webhook.read"
    exclude = ("sealed",)
    list_display = ("name", "kind", "team", "shown", "state", "failures", "sent_at", "problem")
    list_filter = ("kind", "enabled", "team")
    search_fields = ("name", "shown")
    list_select_related = ("team",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        return super().get_queryset(request).filter(pk__in=channels.visible(admin_actor(request)))


@admin.register(Delivery)
class DeliveryAdmin(Facts):
    """Messages, and what came of them."""

    permission = "webhook.read"
    owner = "channel__team"
    list_display = (
        "created_at",
        "channel",
        "event",
        "title",
        "count",
        "state",
        "attempts",
        "status",
        "problem",
    )
    list_filter = ("state", "event", "channel")
    search_fields = ("title", "subject", "event_id")
    list_select_related = ("channel",)
    actions = ("again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).filter(channel__in=channels.visible(admin_actor(request)))

    def has_again_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "webhook.manage")

    @admin.action(description=_lazy("Send the selected messages again"), permissions=["again"])
    def again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """With the same ids."""
        ask(self, request, queryset, lambda row, actor: channels.send_again(row, actor=actor))


@admin.register(Mute)
class MuteAdmin(Facts):
    """Containers that no messages are sent about, for a while."""

    permission = "container.read"
    list_display = ("name", "engine", "team", "until", "actor_name")
    list_filter = ("engine", "team")
    search_fields = ("name",)
    list_select_related = ("engine", "team")


@admin.register(Variable)
class VariableAdmin(Facts):
    """Variables and secrets of teams, without their values; they are changed on their own page."""

    permission = "variable.read"
    list_display = ("name", "team", "secret", "note", "changed_at", "changed_by")
    list_filter = ("secret", "team")
    search_fields = ("name", "note")
    list_select_related = ("team",)
    fields = ("name", "team", "secret", "note", "changed_at", "changed_by")
