"""Addresses of the pages of operations."""

from __future__ import annotations

from django.urls import path

from operations import views

operation_urls = [
    path("", views.operation_list, name="list"),
    path("<uuid:pk>/", views.operation_detail, name="detail"),
    path("<uuid:pk>/events/", views.operation_events, name="events"),
    path("<uuid:pk>/log/", views.operation_log, name="log"),
    path("<uuid:pk>/cancel/", views.operation_cancel, name="cancel"),
    path("<uuid:pk>/retry/", views.operation_retry, name="retry"),
]
