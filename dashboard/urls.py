"""Every page's address, in one place. The REST routes stand in `dashboard.api`, the sockets in `dashboard.sockets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.urls import include, path

from accounts import views as accounts
from accounts.urls import account_urls
from containers_app.urls import (
    care_urls,
    container_urls,
    event_urls,
    log_history_urls,
    log_urls,
    network_urls,
    prune_urls,
    rails_urls,
    stack_urls,
    tag_rollback_urls,
    unowned_urls,
    variable_urls,
    volume_urls,
)
from dashboard import (
    api,
    engine_views,
    health,
    home,
    mapping_views,
    metrics,
    palette,
    permission_views,
    team_views,
)
from images_app.urls import build_urls, image_urls, registry_urls, tag_urls
from operations.urls import notification_urls, operation_urls, trash_urls

engine_urls = [
    path("", engine_views.engine_list, name="list"),
    path("add/", engine_views.engine_add, name="add"),
    path("<uuid:pk>/", engine_views.engine_detail, name="detail"),
    path("<uuid:pk>/disk/", engine_views.engine_usage, name="usage"),
    path("<uuid:pk>/edit/", engine_views.engine_edit, name="edit"),
    path("<uuid:pk>/remove/", engine_views.engine_remove, name="remove"),
    path("<uuid:pk>/sync/", engine_views.engine_sync, name="sync"),
]
team_urls = [
    path("", team_views.team_list, name="list"),
    path("new/", team_views.team_new, name="new"),
    path("people/", team_views.people, name="people"),
    *unowned_urls,
    path("permission-sets/", permission_views.set_list, name="site_sets"),
    path("permission-sets/new/", permission_views.site_set_change, name="site_set_new"),
    path("permission-sets/<uuid:row>/", permission_views.set_detail, name="site_set"),
    path("permission-sets/<uuid:row>/change/", permission_views.site_set_change, name="site_set_change"),
    path("permission-sets/<uuid:row>/remove/", permission_views.site_set_remove, name="site_set_remove"),
    path("group-mappings/", mapping_views.mapping_list, name="mappings"),
    path("group-mappings/new/", mapping_views.mapping_change, name="mapping_new"),
    path("group-mappings/<uuid:pk>/change/", mapping_views.mapping_change, name="mapping_change"),
    path("group-mappings/<uuid:pk>/remove/", mapping_views.mapping_remove, name="mapping_remove"),
    path("people/<uuid:pk>/active/", team_views.person_active, name="active"),
    path("<uuid:pk>/", team_views.team_detail, name="detail"),
    path("<uuid:pk>/rename/", team_views.team_rename, name="rename"),
    path("<uuid:pk>/members/", team_views.member_add, name="add"),
    path("<uuid:pk>/members/<uuid:user>/", team_views.member_change, name="member"),
    path("<uuid:pk>/members/<uuid:user>/may/", permission_views.member_may, name="may"),
    path("<uuid:pk>/permission-sets/", permission_views.set_list, name="sets"),
    path("<uuid:pk>/permission-sets/new/", permission_views.set_change, name="set_new"),
    path("<uuid:pk>/permission-sets/<uuid:row>/", permission_views.set_detail, name="set"),
    path("<uuid:pk>/permission-sets/<uuid:row>/change/", permission_views.set_change, name="set_change"),
    path("<uuid:pk>/permission-sets/<uuid:row>/remove/", permission_views.set_remove, name="set_remove"),
]


def admin_at(where: str) -> list[Any]:
    """The admin below this path; nothing where it is empty. Its own doors know neither our limiter nor our trail."""
    if not where:
        return []
    return [
        path(f"{where}/login/", accounts.admin_sign_in, name="admin_login"),
        path(f"{where}/logout/", accounts.sign_out, name="admin_logout"),
        path(f"{where}/password_change/", accounts.admin_password, name="admin_password"),
        path(f"{where}/", admin.site.urls),
    ]


def segments(patterns: Iterable[Any]) -> Iterator[str]:
    """What the addresses of these begin with."""
    for one in patterns:
        if first := str(one.pattern).lstrip("^").split("/")[0]:
            yield first
        else:
            yield from segments(getattr(one, "url_patterns", ()))


def free(where: str, patterns: Iterable[Any]) -> str:
    """The admin's path. What begins like pages of ours would hide them, or be hidden. Raises `ImproperlyConfigured`."""
    if where in {*segments(patterns), *OTHERS}:
        raise ImproperlyConfigured(
            f"SLIPWAY_ADMIN_PATH is {where!r}, where Slipway's own pages are: name another path, or leave it empty."
        )
    return where


OTHERS = ("api", "static", "media", "ws")
"""Addresses that no pattern here tells of."""
urlpatterns = [
    path("", home.home, name="home"),
    path("frame/", home.frame_parts, name="frame"),
    path("search/", palette.search, name="search"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.Metrics.as_view(), name="metrics"),
    path("", include((account_urls, "accounts"))),
    path("teams/", include((team_urls, "teams"))),
    path("containers/", include((container_urls, "containers"))),
    path("logs/", include((log_urls, "logs"))),
    path("guard-rails/", include((rails_urls, "rails"))),
    path("variables/", include((variable_urls, "variables"))),
    path("care/", include((care_urls, "care"))),
    path("stacks/", include((stack_urls, "stacks"))),
    path("volumes/", include((volume_urls, "volumes"))),
    path("networks/", include((network_urls, "networks"))),
    path("images/", include((image_urls, "images"))),
    path("registries/", include((registry_urls, "registries"))),
    path("tags/", include(([*tag_urls, *tag_rollback_urls], "tags"))),
    path("builds/", include((build_urls, "builds"))),
    path("engines/", include((engine_urls, "engines"))),
    path("operations/", include((operation_urls, "operations"))),
    path("notifications/", include((notification_urls, "notifications"))),
    path("events/", include((event_urls, "events"))),
    path("log-history/", include((log_history_urls, "loghistory"))),
    path("trash/", include((trash_urls, "trash"))),
    path("prune/", include((prune_urls, "prune"))),
    path("api/v1/", include((api.urlpatterns, "api"))),
    api.unknown_api,
]
urlpatterns += admin_at(free(settings.ADMIN_PATH, urlpatterns))
handler400 = "dashboard.problems.bad_request"
handler403 = "dashboard.problems.forbidden"
handler404 = "dashboard.problems.not_found"
handler500 = "dashboard.problems.server_error"
