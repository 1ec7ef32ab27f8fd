"""Addresses of the pages of operations and of the trash."""

from __future__ import annotations

from django.urls import path

from operations import trash_views, views

operation_urls = [
    path("", views.operation_list, name="list"),
    path("tray/", views.operation_tray, name="tray"),
    path("tray/dismiss/", views.tray_dismiss, name="dismiss"),
    path("<uuid:pk>/", views.operation_detail, name="detail"),
    path("<uuid:pk>/events/", views.operation_events, name="events"),
    path("<uuid:pk>/log/", views.operation_log, name="log"),
    path("<uuid:pk>/cancel/", views.operation_cancel, name="cancel"),
    path("<uuid:pk>/retry/", views.operation_retry, name="retry"),
    path("<uuid:pk>/undo/", trash_views.undo, name="undo"),
]
trash_urls = [
    path("", trash_views.trash_list, name="list"),
    path("empty/", trash_views.trash_empty, name="empty"),
    path("<uuid:pk>/restore/", trash_views.trash_restore, name="restore"),
    path("<uuid:pk>/purge/", trash_views.trash_purge, name="purge"),
]
