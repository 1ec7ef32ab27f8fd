"""Images, tags, layers and builds in the admin: read-only facts, and changes by way of operations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts.access import can
from accounts.admin import admin_actor
from images_app import operations
from images_app.models import (
    Build,
    Image,
    Layer,
    LayerIndex,
    LayerStack,
    Registry,
    Scan,
    Tag,
    TagCheck,
    TagMove,
)
from operations.admin import Facts, ask, confirmed


class Layers(admin.TabularInline):
    """The history of an image."""

    model = Layer
    fields = readonly_fields = ("index", "command", "size", "digest", "created_at")
    extra = 0
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return can(admin_actor(request), "image.read")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Image)
class ImageAdmin(Facts):
    """Images, as their engines say they are."""

    permission = "image.read"
    assignable = True
    list_display = ("__str__", "native_id", "size", "architecture", "team", "engine", "created_at")
    list_filter = ("architecture", "os", "engine", "team")
    search_fields = ("name", "native_id", "tags__name", "id")
    list_select_related = ("team", "engine")
    inlines = (Layers,)
    actions = ("remove",)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return can(admin_actor(request), "image.remove")

    @admin.action(description=_lazy("Remove the selected images"), permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Image]) -> HttpResponse | None:
        """Asks for each to be removed; those in use are refused."""
        page = confirmed(self, request, queryset, _("remove images with their tags"))
        if page is None:
            ask(self, request, queryset, lambda row, actor: operations.request_remove(row, actor=actor))
        return page


@admin.register(Tag)
class TagAdmin(Facts):
    """Names, and the images they point at."""

    permission = "image.read"
    owner = "image__team"
    list_display = ("name", "image", "engine", "created_at")
    list_filter = ("engine", "repository")
    search_fields = ("name", "image__native_id")
    list_select_related = ("image", "engine")


@admin.register(TagMove)
class TagMoveAdmin(Facts):
    """Where names pointed before. Of all teams, so for site administrators."""

    permission = "engine.manage"
    owner = None
    list_display = ("at", "name", "from_native_id", "to_native_id", "operation", "engine")
    list_filter = ("engine",)
    search_fields = ("name", "from_native_id", "to_native_id")
    date_hierarchy = "at"
    list_select_related = ("operation", "engine")


@admin.register(Layer)
class LayerAdmin(Facts):
    """Lines of the histories of images."""

    permission = "image.read"
    owner = "image__team"
    list_display = ("image", "index", "command", "size", "digest", "empty")
    list_filter = ("empty",)
    search_fields = ("image__name", "image__native_id", "digest", "command")
    list_select_related = ("image",)


@admin.register(LayerIndex)
class LayerIndexAdmin(Facts):
    """Layers whose files are known. Images of all teams may have them, so for site administrators."""

    permission = "engine.manage"
    owner = None
    exclude = ("starts", "databases")
    list_display = ("digest", "entries", "size", "cut", "problem", "read_at")
    list_filter = ("cut",)
    search_fields = ("digest",)


@admin.register(LayerStack)
class LayerStackAdmin(Facts):
    """What layers do to those below them. Of all teams, so for site administrators."""

    permission = "engine.manage"
    owner = None
    exclude = ("verdict", "wasters")
    list_display = ("chain", "index", "added", "changed", "removed", "hidden")
    search_fields = ("chain", "index__digest")
    list_select_related = ("index",)


@admin.register(Scan)
class ScanAdmin(Facts):
    """What scanners found in images; those of nobody count for all teams."""

    permission = "image.read"
    exclude = ("data",)
    list_display = ("digest", "scanner", "version", "scanned_at", "team", "actor_name", "by_worker")
    list_filter = ("scanner", "by_worker", "team")
    search_fields = ("digest", "scanner", "actor_name")
    date_hierarchy = "scanned_at"
    list_select_related = ("team",)


@admin.register(Build)
class BuildAdmin(Facts):
    """Builds, with their Dockerfiles and steps."""

    permission = "image.read"
    list_display = ("__str__", "operation", "image", "team", "engine", "created_at")
    list_filter = ("engine", "team", "no_cache", "operation__state")
    search_fields = ("dockerfile", "operation__target_name", "operation__actor_name", "id")
    date_hierarchy = "created_at"
    list_select_related = ("operation", "image", "team", "engine")


@admin.register(TagCheck)
class TagCheckAdmin(Facts):
    """What registries have under the names of tags. Of all teams, so for site administrators."""

    permission = "engine.manage"
    owner = None
    list_display = ("name", "newer", "digest", "checked_at", "problem", "never", "engine")
    list_filter = ("newer", "never", "engine")
    search_fields = ("name", "digest")
    list_select_related = ("engine",)


@admin.register(Registry)
class RegistryAdmin(Facts):
    """Registries of the site and of all teams, without their passwords. They are named by page and REST."""

    permission = "engine.manage"
    owner = None
    exclude = ("sealed",)
    list_display = ("name", "host", "tls", "username", "owner", "state", "checked_at")
    list_filter = ("state", "tls")
    search_fields = ("name", "host", "username")
    list_select_related = ("owner",)
