"""Every REST address, in one place; `docs/api.md` tells what they promise."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, path, re_path, resolve
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotAuthenticated

from accounts.access import PUBLIC, SIGNED_IN
from accounts.api import group_mappings, permission_sets, teams
from accounts.api import views as accounts
from containers_app import converters
from containers_app.api import (
    backups,
    events,
    files,
    hooks,
    interop,
    kept,
    logs,
    networks,
    owning,
    policies,
    prune,
    prune_policies,
    reads,
    rollback,
    things,
    variables,
)
from containers_app.api import views as containers
from containers_app.api.care import CareRuleDetail, CareRuleList, ContainerMute
from containers_app.api.commit import ContainerCommit, ContainerFilesystem
from containers_app.api.drift import ContainerAccept, ContainerDrift
from containers_app.api.engines import EngineDiskUsage
from containers_app.api.rows import ACTIONS
from containers_app.api.stacks import StackDetail, StackList, stack_verb
from containers_app.stacks import ACTIONS as STACK_ACTIONS
from dashboard.problems import plain
from dashboard.search import Search
from images_app.api import layers, registries, transfers
from images_app.api import views as images
from images_app.api.checks import TagAtRegistry
from images_app.api.compare import ImageCompare, ImageCompareFiles
from images_app.api.filesystems import ImageFilesystem
from images_app.api.lineage import ImageLineage
from images_app.api.scans import ImageScan, ImageScans, ScanDetail, ScanFindings
from operations.api import trash, webhooks
from operations.api import views as operations


class Schema(SpectacularJSONAPIView):
    """The OpenAPI 3.1 document."""

    permission = SIGNED_IN


class Docs(SpectacularSwaggerSplitView):
    """A page that shows the document and lets one try it, from our own origin and without inline scripts."""

    permission = SIGNED_IN
    url_name = "api:schema"
    template_name = "api/docs.html"

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, NotAuthenticated):  # a browser asks here
            return redirect_to_login(self.request.get_full_path())
        return super().handle_exception(exc)


@csrf_exempt
def unknown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    """What no other address takes: one that lacks only its last slash is answered as if it had it, else 404.

    Never redirected: a client would repeat a POST as a GET.
    """
    if not request.path_info.endswith("/"):
        try:
            found = resolve(f"{request.path_info}/")
        except Resolver404:
            pass
        else:
            if found.func is not unknown:
                return found.func(request, *found.args, **found.kwargs)
    return plain(request, 404, "not_found", _("No such address."))


unknown.permission = PUBLIC  # type: ignore[attr-defined]


converters.register()
_stack_verbs = [
    path(
        f"stacks/<uuid:engine>/<anything:name>/{verb}/",
        stack_verb(verb).as_view(),
        name=f"stack-{verb}",
    )
    for verb in STACK_ACTIONS
    if verb != "remove"
]
_container_verbs = [
    path(f"containers/<uuid:pk>/{verb}/", containers.action_view(verb).as_view(), name=f"container-{verb}")
    for verb in ACTIONS
    if verb != "remove"
]

urlpatterns = [
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(), name="docs"),
    path("engines/", operations.EngineList.as_view(), name="engines"),
    path("engines/<uuid:pk>/", operations.EngineDetail.as_view(), name="engine"),
    path("engines/<uuid:pk>/info/", operations.EngineInfo.as_view(), name="engine-info"),
    path("engines/<uuid:pk>/disk-usage/", EngineDiskUsage.as_view(), name="engine-disk-usage"),
    path("engines/<uuid:pk>/sync/", operations.EngineSync.as_view(), name="engine-sync"),
    path("containers/", containers.ContainerList.as_view(), name="containers"),
    path("containers/parse/", interop.ContainerParse.as_view(), name="container-parse"),
    path("containers/<uuid:pk>/duplicate/", interop.ContainerDuplicate.as_view(), name="container-duplicate"),
    path("containers/<uuid:pk>/export/", interop.ContainerExport.as_view(), name="container-export"),
    path("containers/bulk/", containers.ContainerBulk.as_view(), name="container-bulk"),
    path("containers/<uuid:pk>/", containers.ContainerDetail.as_view(), name="container"),
    *_container_verbs,
    path("containers/<uuid:pk>/inspect/", reads.ContainerInspect.as_view(), name="container-inspect"),
    path("containers/<uuid:pk>/changes/", reads.ContainerChanges.as_view(), name="container-changes"),
    path("containers/<uuid:pk>/processes/", reads.ContainerProcesses.as_view(), name="container-processes"),
    path("containers/<uuid:pk>/health/", reads.ContainerHealth.as_view(), name="container-health"),
    path("containers/<uuid:pk>/files/", files.ContainerFiles.as_view(), name="container-files"),
    path("containers/<uuid:pk>/timeline/", events.ContainerTimeline.as_view(), name="container-timeline"),
    path("containers/<uuid:pk>/drift/", ContainerDrift.as_view(), name="container-drift"),
    path("containers/<uuid:pk>/accept/", ContainerAccept.as_view(), name="container-accept"),
    path("containers/<uuid:pk>/commit/", ContainerCommit.as_view(), name="container-commit"),
    path("containers/<uuid:pk>/filesystem/", ContainerFilesystem.as_view(), name="container-filesystem"),
    path("containers/<uuid:pk>/seen/", events.ContainerSeen.as_view(), name="container-seen"),
    path("containers/<uuid:pk>/mute/", ContainerMute.as_view(), name="container-mute"),
    path("containers/<uuid:pk>/logs/", logs.ContainerLogs.as_view(), name="container-logs"),
    path("containers/<uuid:pk>/logs/search/", logs.ContainerLogSearch.as_view(), name="container-log-search"),
    path("containers/<uuid:pk>/hooks/", hooks.ContainerHooks.as_view(), name="container-hooks"),
    path("containers/<uuid:pk>/hooks/<uuid:other>/", hooks.ContainerHook.as_view(), name="container-hook"),
    path("hooks/<uuid:pk>/", hooks.HookReceiver.as_view(), name="hook"),
    path("containers/<uuid:pk>/stats/", reads.ContainerStats.as_view(), name="container-stats"),
    path("care/", CareRuleList.as_view(), name="care-rules"),
    path("care/<uuid:pk>/", CareRuleDetail.as_view(), name="care-rule"),
    path("policies/", policies.PolicyList.as_view(), name="policies"),
    path("policies/usage/", policies.PolicyUsage.as_view(), name="policy-usage"),
    path("policies/findings/", policies.Findings.as_view(), name="policy-findings"),
    path("policies/exceptions/", policies.ExceptionList.as_view(), name="policy-exceptions"),
    path("policies/exceptions/<uuid:pk>/", policies.ExceptionDetail.as_view(), name="policy-exception"),
    path("stacks/", StackList.as_view(), name="stacks"),
    *_stack_verbs,
    path("stacks/<uuid:engine>/<anything:name>/hooks/", hooks.StackHooks.as_view(), name="stack-hooks"),
    path(
        "stacks/<uuid:engine>/<anything:name>/hooks/<uuid:other>/",
        hooks.StackHook.as_view(),
        name="stack-hook",
    ),
    path("stacks/<uuid:engine>/<anything:name>/", StackDetail.as_view(), name="stack"),
    path("volumes/", things.VolumeList.as_view(), name="volumes"),
    path("volumes/import/", things.VolumeImport.as_view(), name="volume-import"),
    path("volumes/<uuid:pk>/", things.VolumeDetail.as_view(), name="volume"),
    path("volumes/<uuid:pk>/files/", files.VolumeFiles.as_view(), name="volume-files"),
    path("volumes/<uuid:pk>/clone/", things.VolumeClone.as_view(), name="volume-clone"),
    path("volumes/<uuid:pk>/export/", things.VolumeExport.as_view(), name="volume-export"),
    path("volumes/<uuid:pk>/backups/", backups.VolumeBackups.as_view(), name="volume-backups"),
    path(
        "volumes/<uuid:pk>/backup-schedule/", backups.VolumeSchedule.as_view(), name="volume-backup-schedule"
    ),
    path("backups/", backups.BackupList.as_view(), name="backups"),
    path("backups/<uuid:pk>/", backups.BackupDetail.as_view(), name="backup"),
    path("backups/<uuid:pk>/files/", backups.BackupFiles.as_view(), name="backup-files"),
    path("backups/<uuid:pk>/restore/", backups.BackupRestore.as_view(), name="backup-restore"),
    path("backup-stores/", backups.StoreList.as_view(), name="backup-stores"),
    path("backup-stores/<uuid:pk>/", backups.StoreDetail.as_view(), name="backup-store"),
    path("networks/", networks.NetworkList.as_view(), name="networks"),
    path("networks/<uuid:pk>/", networks.NetworkDetail.as_view(), name="network"),
    path("networks/<uuid:pk>/connect/", networks.NetworkConnect.as_view(), name="network-connect"),
    path("networks/<uuid:pk>/disconnect/", networks.NetworkDisconnect.as_view(), name="network-disconnect"),
    path("images/", images.ImageList.as_view(), name="images"),
    path("images/pull/", images.ImagePull.as_view(), name="image-pull"),
    path("images/import/", transfers.ImageImport.as_view(), name="image-import"),
    path("images/<uuid:pk>/export/", transfers.ImageExport.as_view(), name="image-export"),
    path("images/filesystem/", ImageFilesystem.as_view(), name="image-filesystem"),
    path("images/build/", images.ImageBuild.as_view(), name="image-build"),
    path("images/<uuid:pk>/", images.ImageDetail.as_view(), name="image"),
    path("images/<uuid:pk>/tag/", images.ImageTag.as_view(), name="image-tag"),
    path("images/<uuid:pk>/push/", images.ImagePush.as_view(), name="image-push"),
    path("images/<uuid:pk>/history/", images.ImageHistory.as_view(), name="image-history"),
    path("images/<uuid:pk>/lineage/", ImageLineage.as_view(), name="image-lineage"),
    path("images/<uuid:pk>/layers/", layers.ImageLayers.as_view(), name="image-layers"),
    path("images/<uuid:pk>/files/", layers.ImageFiles.as_view(), name="image-files"),
    path("images/<uuid:pk>/compare/<uuid:other>/", ImageCompare.as_view(), name="image-compare"),
    path(
        "images/<uuid:pk>/compare/<uuid:other>/files/",
        ImageCompareFiles.as_view(),
        name="image-compare-files",
    ),
    path("images/<uuid:pk>/waste/", layers.ImageWaste.as_view(), name="image-waste"),
    path("images/<uuid:pk>/scan/", ImageScan.as_view(), name="image-scan-now"),
    path("images/<uuid:pk>/scans/", ImageScans.as_view(), name="image-scans"),
    path("images/<uuid:pk>/scans/<uuid:scan>/", ScanDetail.as_view(), name="image-scan"),
    path("images/<uuid:pk>/scans/<uuid:scan>/findings/", ScanFindings.as_view(), name="image-scan-findings"),
    path("registries/", registries.RegistryList.as_view(), name="registries"),
    path("registries/<uuid:pk>/", registries.RegistryDetail.as_view(), name="registry"),
    path("registries/<uuid:pk>/check/", registries.RegistryCheck.as_view(), name="registry-check"),
    path(
        "registries/<uuid:pk>/repositories/", registries.Repositories.as_view(), name="registry-repositories"
    ),
    path("registries/<uuid:pk>/tags/", registries.RemoteTags.as_view(), name="registry-tags"),
    path("tags/", images.TagList.as_view(), name="tags"),
    path("tags/<uuid:pk>/", images.TagDetail.as_view(), name="tag"),
    path("tags/<uuid:pk>/check/", TagAtRegistry.as_view(), name="tag-check"),
    path("tags/<uuid:pk>/rollback/", rollback.TagRollback.as_view(), name="tag-rollback"),
    path("tags/<uuid:pk>/history/", images.TagHistory.as_view(), name="tag-history"),
    path("builds/", images.BuildList.as_view(), name="builds"),
    path("builds/<uuid:pk>/", images.BuildDetail.as_view(), name="build"),
    path("builds/<uuid:pk>/again/", images.BuildAgain.as_view(), name="build-again"),
    path("builds/<uuid:pk>/log/", images.BuildLog.as_view(), name="build-log"),
    path("operations/", operations.OperationList.as_view(), name="operations"),
    path("operations/<uuid:pk>/", operations.OperationDetail.as_view(), name="operation"),
    path("operations/<uuid:pk>/undo/", trash.OperationUndo.as_view(), name="operation-undo"),
    path("trash/", trash.TrashList.as_view(), name="trash"),
    path("trash/<uuid:pk>/", trash.TrashDetail.as_view(), name="trash-item"),
    path("trash/<uuid:pk>/restore/", trash.TrashRestore.as_view(), name="trash-restore"),
    path("operations/<uuid:pk>/log/", operations.OperationLog.as_view(), name="operation-log"),
    path("operations/<uuid:pk>/cancel/", operations.OperationCancel.as_view(), name="operation-cancel"),
    path("operations/<uuid:pk>/retry/", operations.OperationRetry.as_view(), name="operation-retry"),
    path("log-history/", kept.KeptLogList.as_view(), name="log-history"),
    path("log-history/search/", kept.LogSearch.as_view(), name="log-history-search"),
    path("log-history/rules/", kept.LogRuleList.as_view(), name="log-rules"),
    path("log-history/rules/<uuid:pk>/", kept.LogRuleDetail.as_view(), name="log-rule"),
    path("log-history/<uuid:pk>/lines/", kept.KeptLogLines.as_view(), name="log-history-lines"),
    path("events/", events.EventList.as_view(), name="events"),
    path("prune/", prune.Prune.as_view(), name="prune"),
    path("prune/policies/", prune_policies.PolicyList.as_view(), name="prune-policies"),
    path("prune/policies/<uuid:pk>/", prune_policies.PolicyDetail.as_view(), name="prune-policy"),
    path("prune/policies/<uuid:pk>/plan/", prune_policies.PolicyPlan.as_view(), name="prune-policy-plan"),
    path("prune/policies/<uuid:pk>/run/", prune_policies.PolicyRun.as_view(), name="prune-policy-run"),
    path("audit/", accounts.AuditList.as_view(), name="audit"),
    path("containers/<uuid:pk>/move/", owning.ContainerMove.as_view(), name="container-move"),
    path("move/", owning.MoveList.as_view(), name="move"),
    path("teams/", teams.TeamList.as_view(), name="teams"),
    path("teams/<uuid:pk>/", owning.TeamPlace.as_view(), name="team"),
    path("teams/<uuid:pk>/members/", teams.MemberList.as_view(), name="members"),
    path("teams/<uuid:pk>/members/<uuid:member>/", teams.MemberDetail.as_view(), name="member"),
    path(
        "teams/<uuid:pk>/permission-sets/",
        permission_sets.PermissionSetList.as_view(),
        name="permission-sets",
    ),
    path(
        "teams/<uuid:pk>/permission-sets/<uuid:row>/",
        permission_sets.PermissionSetDetail.as_view(),
        name="permission-set",
    ),
    path("permission-sets/", permission_sets.SiteSetList.as_view(), name="site-sets"),
    path("permission-sets/<uuid:row>/", permission_sets.SiteSetDetail.as_view(), name="site-set"),
    path("group-mappings/", group_mappings.GroupMappingList.as_view(), name="group-mappings"),
    path("group-mappings/<uuid:pk>/", group_mappings.GroupMappingDetail.as_view(), name="group-mapping"),
    path("users/", teams.UserList.as_view(), name="users"),
    path("users/<uuid:pk>/", teams.UserDetail.as_view(), name="user"),
    path("tokens/", accounts.TokenList.as_view(), name="tokens"),
    path("tokens/<uuid:pk>/", accounts.TokenDetail.as_view(), name="token"),
    path("webhooks/", webhooks.WebhookList.as_view(), name="webhooks"),
    path("webhooks/<uuid:pk>/", webhooks.WebhookDetail.as_view(), name="webhook"),
    path("webhooks/<uuid:pk>/test/", webhooks.WebhookTest.as_view(), name="webhook-test"),
    path("webhooks/<uuid:pk>/deliveries/", webhooks.WebhookDeliveries.as_view(), name="webhook-deliveries"),
    path(
        "webhooks/<uuid:pk>/deliveries/<uuid:delivery>/retry/",
        webhooks.DeliveryRetry.as_view(),
        name="webhook-delivery-retry",
    ),
    path("variables/", variables.VariableList.as_view(), name="variables"),
    path("variables/<uuid:pk>/", variables.VariableDetail.as_view(), name="variable"),
    path("tokens/<uuid:pk>/rotate/", accounts.TokenRotate.as_view(), name="token-rotate"),
    path("search/", Search.as_view(), name="search"),
]
unknown_api = re_path(r"^api(/|$)", unknown, name="unknown_api")
