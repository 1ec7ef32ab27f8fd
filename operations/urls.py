"""Addresses of the pages of operations, of the trash and of messages to other systems."""

from __future__ import annotations

from django.urls import path

from operations import channel_views, trash_views, views

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
notification_urls = [
    path("", channel_views.channel_list, name="list"),
    path("new/", channel_views.channel_new, name="new"),
    path("<uuid:pk>/", channel_views.channel_detail, name="detail"),
    path("<uuid:pk>/edit/", channel_views.channel_edit, name="edit"),
    path("<uuid:pk>/forget/", channel_views.channel_forget, name="forget"),
    path("<uuid:pk>/test/", channel_views.channel_test, name="test"),
    path("<uuid:pk>/mute/", channel_views.channel_mute, name="mute"),
    path("<uuid:pk>/messages/<uuid:delivery>/again/", channel_views.send_again, name="again"),
]
