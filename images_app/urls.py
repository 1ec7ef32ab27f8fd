"""Addresses of the pages of images, tags and builds."""

from __future__ import annotations

from django.urls import path

from images_app import (
    build_views,
    compare_views,
    layer_views,
    newer_views,
    registry_views,
    scan_views,
    transfer_views,
    views,
)

image_urls = [
    path("", views.image_list, name="list"),
    path("pull/", views.image_pull, name="pull"),
    path("import/", transfer_views.image_import, name="import"),
    path("export/", transfer_views.export_some, name="export-some"),
    path("exports/<uuid:pk>/", transfer_views.download, name="download"),
    path("<uuid:pk>/export/", transfer_views.image_export, name="export"),
    path("filesystem/", views.image_filesystem, name="filesystem"),
    path("<uuid:pk>/", views.image_detail, name="detail"),
    path("<uuid:pk>/layers/", layer_views.image_layers, name="layers"),
    path("<uuid:pk>/vulnerabilities/", scan_views.image_scans, name="scans"),
    path("<uuid:pk>/vulnerabilities/scan/", scan_views.image_scan, name="scan"),
    path("<uuid:pk>/vulnerabilities/report/", scan_views.image_report, name="report"),
    path("compare/", compare_views.image_two, name="two"),
    path("<uuid:pk>/compare/", compare_views.image_choose, name="choose"),
    path("<uuid:pk>/compare/<uuid:other>/", compare_views.image_compare, name="compare"),
    path("<uuid:pk>/layers/read/", layer_views.image_index, name="index"),
    path("<uuid:pk>/tag/", views.image_tag, name="tag"),
    path("<uuid:pk>/push/", views.image_push, name="push"),
    path("<uuid:pk>/remove/", views.image_remove, name="remove"),
]
tag_urls = [
    path("<uuid:pk>/remove/", views.tag_remove, name="remove"),
    path("<uuid:pk>/check/", newer_views.tag_check, name="check"),
    path("<uuid:pk>/say/", newer_views.tag_say, name="say"),
]
build_urls = [
    path("", build_views.build_list, name="list"),
    path("new/", build_views.build_new, name="new"),
    path("hints/", build_views.build_hints, name="hints"),
    path("<uuid:pk>/", build_views.build_detail, name="detail"),
    path("<uuid:pk>/again/", build_views.build_again, name="again"),
]
registry_urls = [
    path("", registry_views.registry_list, name="list"),
    path("new/", registry_views.registry_new, name="new"),
    path("<uuid:pk>/", registry_views.registry_detail, name="detail"),
    path("<uuid:pk>/edit/", registry_views.registry_edit, name="edit"),
    path("<uuid:pk>/check/", registry_views.registry_check, name="check"),
    path("<uuid:pk>/untag/", registry_views.remote_remove, name="untag"),
    path("<uuid:pk>/forget/", registry_views.registry_forget, name="forget"),
]
