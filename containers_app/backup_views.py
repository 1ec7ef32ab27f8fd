"""Pages of backups: those of a volume, when they are made, what comes back, and where they are kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, actor_of, can, require, requires
from accounts.querysets import visible_to
from containers_app import backup_asks, backup_lists, operations, queries
from containers_app.backup_forms import BackupForm, RestoreForm, ScheduleForm, StoreForm
from containers_app.models import BackupStore, Volume, VolumeBackup
from engine.specs import SpecError
from operations.models import Operation
from operations.plans import Plan, preview
from operations.services import Refused
from operations.web import answers, dialog, leaves_when_gone, submitted, toast

PAGE = 50
SHOWN = 300
"""Entries of a backup on a page; a filter finds the others."""


@require_safe
@requires("backup.read")
def every_backup(request: HttpRequest) -> HttpResponse:
    """All backups, those of volumes that are gone too, and which volumes' last one failed."""
    actor, q = actor_of(request), request.GET.get("q", "").strip()[:200]
    found = backup_lists.backups(actor)
    page = Paginator(found.filter(volume_name__icontains=q) if q else found, PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "page": page, "q": q, "failures": backup_lists.failed(actor),
        **found.aggregate(bytes=Sum("size"), all=Count("pk")),
        "rows": [
            (backup, volume, gone, {name: can(actor, kind, backup) for name, kind in _KINDS.items()})
            for backup, volume, gone in backup_lists.with_volumes(list(page.object_list), actor)
        ],
    }  # fmt: skip
    template = "volumes/_all_backups.html" if "HX-Request" in request.headers else "volumes/all_backups.html"
    return render(request, template, context)


@require_safe
@requires("backup.read")
@leaves_when_gone
def backup_list(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The backups of one volume, and when the next one is made."""
    actor, volume = actor_of(request), _volume(request, pk)
    require(actor, "backup.read", volume)
    rows = visible_to(actor, VolumeBackup.objects.select_related("store", "operation").defer("index"))
    mine = rows.filter(engine_id=volume.engine_id, volume_name=volume.native_id).order_by("-created_at")
    page = Paginator(mine, PAGE).get_page(request.GET.get("page"))
    may = {name: can(actor, kind, volume) for name, kind in _KINDS.items()}
    last = (
        Operation.objects.filter(kind="volume.backup", target_id=str(volume.pk))
        .order_by("-created_at")
        .first()
    )
    context = {
        "volume": volume, "tab": "backups", **queries.volume_rights(actor, volume),
        "page": page, "rows": [(backup, None, False, may) for backup in page.object_list],
        "schedule": backup_asks.schedule_of(volume),
        "failed": last if last and last.state == "failed" else None,
        "may": may,
        "may_stores": can(actor, "store.manage"),
    }  # fmt: skip
    template = "volumes/_backups.html" if "HX-Request" in request.headers else "volumes/backups.html"
    return render(request, template, context)


_KINDS = {
    "backup": "volume.backup", "recover": "volume.recover", "remove": "backup.remove", "schedule": "backup.schedule",
}  # fmt: skip


_BACKED_UP: dict[str, Any] = {
    "hour": _lazy("%(volume)s is backed up every hour"),
    "day": _lazy("%(volume)s is backed up every day"),
    "week": _lazy("%(volume)s is backed up every week, on Sunday"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.backup")
@answers
def backup_now(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks where it is to be kept, then makes it."""
    actor, volume = actor_of(request), _volume(request, pk)
    require(actor, "volume.backup", volume)
    form = BackupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        operation = operations.request_volume_backup(volume, actor=actor, store=form.cleaned_data["store"])
        return submitted(request, operation, to=_page(volume))
    plan = preview(lambda: operations.request_volume_backup(volume, actor=actor), actor=actor)
    return dialog(request, "volumes/backup.html", {"volume": volume, "form": form, "plan": plan})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("backup.schedule")
@answers
def schedule(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Says when backups are made by themselves, or that they are not any more."""
    actor, volume = actor_of(request), _volume(request, pk)
    require(actor, "backup.schedule", volume)
    row = backup_asks.schedule_of(volume)
    if request.method == "POST" and request.POST.get("off"):
        backup_asks.drop_schedule(volume, actor=actor)
        return _to(request, volume, _("%(volume)s is not backed up by itself any more") % {"volume": volume})
    known = {name: getattr(row, name) for name in ("every", "hour", "keep", "store")} if row else None
    form = ScheduleForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        made = backup_asks.put_schedule(volume, form.wish(), actor=actor)
        return _to(request, volume, _BACKED_UP[made.every] % {"volume": volume})
    return dialog(request, "volumes/schedule.html", {"volume": volume, "form": form, "schedule": row})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("volume.recover")
@answers
def restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what the backup holds and what a restore would do, anew whenever the wish changes; then asks for it."""
    actor = actor_of(request)
    backup = get_object_or_404(
        visible_to(actor, VolumeBackup.objects.select_related("store", "engine")), pk=pk
    )
    require(actor, "volume.recover", backup)
    asked = request.POST if request.method == "POST" else request.GET if "part" in request.GET else None
    form = RestoreForm(asked, backup=backup)
    if request.method == "POST" and form.is_valid():
        try:
            operation = operations.request_backup_restore(backup, form.wish(), actor=actor)
            return redirect("operations:detail", operation.pk)
        except SpecError as error:
            form.add_error(None, [text for texts in error.errors.values() for text in texts])
        except Refused as error:
            form.add_error("volume", str(error))
    q = request.GET.get("q", "").strip()
    everything, ticked = backup.listed, set(form.ticked)
    # What is ticked stays in the form whatever is looked for: what is not there would not come back.
    kept = [row for row in everything if row["name"] in ticked]
    found = [row for row in everything if q.lower() in row["name"].lower() and row["name"] not in ticked]
    context = {
        "backup": backup, "form": form, "plan": _restore_plan(backup, form, actor), "q": q, "ticked": ticked,
        "rows": [*kept, *found[:SHOWN]], "found": bool(found or (kept and not q)),
        "more": max(0, len(found) - SHOWN), "unlisted": backup.entries - len(everything),
        "volume": _volume_of(backup, actor),
    }  # fmt: skip
    part = {"restore-plan": "#plan", "restore-files": "#files"}.get(request.headers.get("HX-Target", ""), "")
    return render(request, f"volumes/restore.html{part}", context)


def _restore_plan(backup: VolumeBackup, form: RestoreForm, actor: Actor) -> Plan | None:
    """``None`` as long as what is typed is no wish."""
    if form.is_bound and not form.is_valid():
        return None
    wish = form.wish() if form.is_bound else {}
    return preview(lambda: operations.request_backup_restore(backup, wish, actor=actor), actor=actor)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("backup.remove")
@answers
def backup_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what would go, then asks for it."""
    actor = actor_of(request)
    backup = get_object_or_404(
        visible_to(actor, VolumeBackup.objects.select_related("store", "engine")), pk=pk
    )
    require(actor, "backup.remove", backup)
    volume = _volume_of(backup, actor)
    back = _page(volume) if volume else reverse("volumes:all-backups")
    if request.method == "POST":
        return submitted(request, operations.request_backup_remove(backup, actor=actor), to=back)
    plan = preview(lambda: operations.request_backup_remove(backup, actor=actor), actor=actor)
    context = {"backup": backup, "volume": volume, "plan": plan, "back": back}
    return dialog(request, "volumes/backup_remove.html", context)


# Stores


@require_http_methods(["GET", "HEAD", "POST"])
@requires("store.manage")
@answers
def store_list(request: HttpRequest) -> HttpResponse:
    """Buckets that backups may be kept in, and one more."""
    actor = actor_of(request)
    backup_asks.allowed(actor)
    form = StoreForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = backup_asks.add_store(form.wish(), actor=actor)
            return toast(
                request, _("Backups can be kept in %(row)s now") % {"row": row}, to=reverse("volumes:stores")
            )
        except SpecError as error:
            for name, messages in error.errors.items():
                place = "folder" if name == "prefix" else name
                form.add_error(place if place in form.fields else None, [*messages])
    return render(request, "volumes/stores.html", {"stores": BackupStore.objects.all(), "form": form})


@require_POST
@requires("store.manage")
@answers
def store_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Forgets one; what is in it stays there."""
    row = get_object_or_404(BackupStore, pk=pk)
    backup_asks.drop_store(row, actor=actor_of(request))
    return toast(
        request, _("%(row)s is forgotten; what is in it stays") % {"row": row}, to=reverse("volumes:stores")
    )


def _volume(request: HttpRequest, pk: UUID) -> Volume:
    return get_object_or_404(queries.volumes(actor_of(request)), pk=pk)


def _volume_of(backup: VolumeBackup, actor: Actor) -> Volume | None:
    found = queries.volumes(actor).filter(engine_id=backup.engine_id, native_id=backup.volume_name).first()
    return found if found and can(actor, "backup.read", found) else None


def _page(volume: Volume) -> str:
    return reverse("volumes:backups", args=[volume.pk])


def _to(request: HttpRequest, volume: Volume, text: str) -> HttpResponse | HttpResponseRedirect:
    return toast(request, text, to=_page(volume))
