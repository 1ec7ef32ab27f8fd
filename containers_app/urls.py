"""Addresses of the pages of containers, volumes and networks."""

from __future__ import annotations

from django.urls import path

from containers_app import (
    act_views,
    backup_views,
    care_views,
    commit_views,
    console_views,
    converters,
    copy_views,
    edit_views,
    event_views,
    export_views,
    file_change_views,
    file_views,
    history_views,
    hook_views,
    inside_views,
    kept_views,
    limits_views,
    log_views,
    network_views,
    owning_views,
    prune_policy_views,
    prune_views,
    rails_views,
    recreate_views,
    rollback_views,
    run_views,
    stack_views,
    variable_views,
    views,
    volume_copy_views,
    volume_views,
)

converters.register()

container_urls = [
    path("", views.container_list, name="list"),
    path("bulk/", act_views.bulk, name="bulk"),
    path("run/", run_views.run, name="run"),
    path("run/check/", run_views.check, name="run-check"),
    path("run/paste/", run_views.paste, name="run-paste"),
    path("<uuid:pk>/", views.overview, name="detail"),
    path("<uuid:pk>/row/", views.row, name="row"),
    path("<uuid:pk>/logs/", views.logs, name="logs"),
    path("<uuid:pk>/stats/", views.stats, name="stats"),
    path("<uuid:pk>/console/", console_views.console, name="console"),
    path("<uuid:pk>/console/<uuid:session>/end/", console_views.end, name="console-end"),
    path("<uuid:pk>/console/<uuid:session>/recording/", console_views.recording, name="recording"),
    path("<uuid:pk>/files/", inside_views.changed, name="files"),
    path("<uuid:pk>/files/all/", file_views.container_files, name="browse"),
    path("<uuid:pk>/files/file/", file_views.container_file, name="file"),
    path("<uuid:pk>/files/download/", file_views.container_download, name="fetch"),
    path("<uuid:pk>/files/upload/", file_change_views.container_upload, name="upload"),
    path("<uuid:pk>/files/edit/", file_change_views.container_edit, name="edit-file"),
    path("<uuid:pk>/files/new/", file_change_views.container_new, name="new"),
    path("<uuid:pk>/files/rename/", file_change_views.container_rename, name="rename-file"),
    path("<uuid:pk>/files/erase/", file_change_views.container_erase, name="erase"),
    path("<uuid:pk>/processes/", inside_views.processes, name="processes"),
    path("<uuid:pk>/health/", inside_views.health, name="health"),
    path("<uuid:pk>/history/", history_views.history, name="history"),
    path("<uuid:pk>/inspect/", views.inspect, name="inspect"),
    path("<uuid:pk>/do/<slug:action>/", act_views.act, name="act"),
    path("<uuid:pk>/ask/<slug:action>/", act_views.ask, name="ask"),
    path("<uuid:pk>/remove/", act_views.remove, name="remove"),
    path("<uuid:pk>/stop/", act_views.stop, name="stop"),
    path("<uuid:pk>/kill/", act_views.kill, name="kill"),
    path("<uuid:pk>/copy/", copy_views.copy, name="copy"),
    path("copies/<uuid:pk>/", copy_views.download, name="download"),
    path("<uuid:pk>/export/", export_views.export, name="export"),
    path("<uuid:pk>/commit/", commit_views.commit_, name="commit"),
    path("<uuid:pk>/filesystem/", commit_views.export, name="filesystem"),
    path("filesystems/<uuid:pk>/", commit_views.download, name="exported"),
    path("<uuid:pk>/care/", care_views.switch, name="care"),
    path("<uuid:pk>/mute/", care_views.mute, name="mute"),
    path("<uuid:pk>/hooks/", hook_views.container_hooks, name="hooks"),
    path("<uuid:pk>/hooks/<uuid:other>/forget/", hook_views.forget, name="hook-forget"),
    path("<uuid:pk>/edit/", edit_views.edit, name="edit"),
    path("<uuid:pk>/edit/check/", edit_views.edit_check, name="edit-check"),
    path("<uuid:pk>/duplicate/", edit_views.duplicate, name="duplicate"),
    path("<uuid:pk>/duplicate/check/", edit_views.duplicate_check, name="duplicate-check"),
    path("<uuid:pk>/move/", owning_views.move, name="move"),
    path("<uuid:pk>/rename/", act_views.rename, name="rename"),
    path("<uuid:pk>/update/", limits_views.update, name="update"),
    path("<uuid:pk>/recreate/", recreate_views.recreate, name="recreate"),
]
volume_urls = [
    path("", volume_views.volume_list, name="list"),
    path("create/", volume_views.volume_create, name="create"),
    path("count/", volume_views.volume_count, name="count"),
    path("import/", volume_copy_views.volume_import, name="import"),
    path("stores/", backup_views.store_list, name="stores"),
    path("stores/<uuid:pk>/remove/", backup_views.store_remove, name="store-remove"),
    path("backups/", backup_views.every_backup, name="all-backups"),
    path("backups/<uuid:pk>/restore/", backup_views.restore, name="backup-restore"),
    path("backups/<uuid:pk>/remove/", backup_views.backup_remove, name="backup-remove"),
    path("<uuid:pk>/backups/", backup_views.backup_list, name="backups"),
    path("<uuid:pk>/backups/now/", backup_views.backup_now, name="backup"),
    path("<uuid:pk>/backups/schedule/", backup_views.schedule, name="schedule"),
    path("exports/<uuid:pk>/", volume_copy_views.download, name="download"),
    path("<uuid:pk>/clone/", volume_copy_views.volume_clone, name="clone"),
    path("<uuid:pk>/export/", volume_copy_views.volume_export, name="export"),
    path("<uuid:pk>/", volume_views.volume_detail, name="detail"),
    path("<uuid:pk>/ask/<slug:action>/", act_views.ask, name="ask"),
    path("<uuid:pk>/files/", file_views.volume_files, name="browse"),
    path("<uuid:pk>/files/file/", file_views.volume_file, name="file"),
    path("<uuid:pk>/files/download/", file_views.volume_download, name="fetch"),
    path("<uuid:pk>/files/upload/", file_change_views.volume_upload, name="upload"),
    path("<uuid:pk>/files/edit/", file_change_views.volume_edit, name="edit-file"),
    path("<uuid:pk>/files/new/", file_change_views.volume_new, name="new"),
    path("<uuid:pk>/files/rename/", file_change_views.volume_rename, name="rename-file"),
    path("<uuid:pk>/files/erase/", file_change_views.volume_erase, name="erase"),
    path("<uuid:pk>/remove/", volume_views.volume_remove, name="remove"),
]
log_urls = [path("", log_views.many, name="many")]
network_urls = [
    path("", network_views.network_list, name="list"),
    path("map/", network_views.network_map, name="map"),
    path("create/", network_views.network_create, name="create"),
    path("<uuid:pk>/", network_views.network_detail, name="detail"),
    path("<uuid:pk>/remove/", network_views.network_remove, name="remove"),
    path("<uuid:pk>/connect/", network_views.network_connect, name="connect"),
    path("<uuid:pk>/disconnect/<uuid:container>/", network_views.network_disconnect, name="disconnect"),
]
event_urls = [path("", event_views.event_list, name="list")]
log_history_urls = [
    path("", kept_views.search_page, name="search"),
    path("kept/", kept_views.kept_page, name="kept"),
    path("switch/", kept_views.switch, name="switch"),
    path("<uuid:pk>/", kept_views.around_page, name="around"),
]
care_urls = [path("", care_views.rules, name="rules"), path("switch/", care_views.switch_all, name="switch")]
rails_urls = [
    path("", rails_views.broken, name="findings"),
    path("rules/", rails_views.rules, name="rules"),
    path("rules/edit/", rails_views.edit, name="edit"),
    path("rules/recommend/", rails_views.recommend, name="recommend"),
    path("exceptions/", rails_views.exceptions, name="exceptions"),
    path("exceptions/allow/", rails_views.allow, name="allow"),
    path("exceptions/<uuid:pk>/end/", rails_views.end, name="end"),
]
variable_urls = [
    path("", variable_views.listed, name="list"),
    path("new/", variable_views.new, name="new"),
    path("<uuid:pk>/", variable_views.one, name="one"),
    path("<uuid:pk>/remove/", variable_views.remove, name="remove"),
    path("<uuid:pk>/renew/", variable_views.renew, name="renew"),
]
prune_urls = [
    path("", prune_views.prune, name="prune"),
    path("policies/", prune_policy_views.policy_list, name="policies"),
    path("policies/new/", prune_policy_views.policy_new, name="policy-new"),
    path("policies/<uuid:pk>/", prune_policy_views.policy_detail, name="policy"),
    path("policies/<uuid:pk>/edit/", prune_policy_views.policy_edit, name="policy-edit"),
    path("policies/<uuid:pk>/run/", prune_policy_views.policy_run, name="policy-run"),
    path("policies/<uuid:pk>/switch/", prune_policy_views.policy_switch, name="policy-switch"),
    path("policies/<uuid:pk>/remove/", prune_policy_views.policy_remove, name="policy-remove"),
]
stack_urls = [
    path("", stack_views.stack_list, name="list"),
    path("<uuid:engine>/<anything:name>/do/<slug:action>/", stack_views.stack_act, name="act"),
    path("<uuid:engine>/<anything:name>/hooks/", hook_views.stack_hooks, name="hooks"),
    path(
        "<uuid:engine>/<anything:name>/hooks/<uuid:other>/forget/",
        hook_views.stack_forget,
        name="hook-forget",
    ),
    path("<uuid:engine>/<anything:name>/", stack_views.stack_detail, name="detail"),
]
unowned_urls = [
    path("unowned/", owning_views.unowned, name="unowned"),
    path("<uuid:pk>/remove/", owning_views.team_remove, name="remove"),
]
"""With those of the teams that things are given to, and taken from at their end."""
tag_rollback_urls = [
    path("<uuid:pk>/rollback/", rollback_views.tag_rollback, name="rollback"),
]
"""With those of the images' tags: what is made from them follows."""
