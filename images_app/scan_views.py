"""The page of what scanners found in an image: how severe, what a version mends, what is new, and bringing a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import actor_of, can, require, requires
from accounts.querysets import visible_to
from engine.scan_reports import MOST_BYTES, SEVERITIES, Finding
from engine.specs import SpecError
from images_app import scan_verb, scans
from images_app.forms import ReportForm
from images_app.models import Image, Scan
from images_app.views import framed, image_of
from operations import present
from operations.models import Operation
from operations.web import answers, dialog, leaves_when_gone, submitted, toast

PAGE = 100
"""Vulnerabilities that are sent at a time."""
SHOWN = 12
"""Those that are named of what is new and what is gone."""


@require_safe
@requires("image.read")
@leaves_when_gone
def image_scans(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole tab; for htmx the part that it names."""
    image = image_of(request, pk)
    context = {**framed(request, image, "scans"), **_tab(request, image)}
    if request.headers.get("HX-Request"):
        wanted = "head" if request.headers.get("HX-Target") == "image-head" else "tab"
        return render(request, f"images/scans.html#{wanted}", context)
    return render(request, "images/scans.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(scans.PERMISSION)
@answers
def image_report(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A report as a file; goes on at what it says."""
    actor, image = actor_of(request), image_of(request, pk)
    require(actor, scans.PERMISSION, image)
    form = ReportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            scan, _kept = scans.bring(image, form.cleaned_data["report"].read(MOST_BYTES + 1), actor=actor)
        except SpecError as error:
            form.refuse(error.errors)
        else:
            # An older report than the newest is seen by its own address.
            there = reverse("images:scans", args=[pk])
            newest = scans.newest_of(image.native_id, image.team_id) == scan
            return toast(request, _("The report is kept"), to=there if newest else f"{there}?scan={scan.pk}")
    return dialog(request, "images/report.html", {"form": form, "image": image, "most": MOST_BYTES})


@require_POST
@requires(scan_verb.KIND)
@answers
def image_scan(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks the worker for a scan; the page shows how far it is."""
    operation = scan_verb.request_scan(image_of(request, pk), actor=actor_of(request))
    return submitted(request, operation, to=reverse("images:scans", args=[pk]))


def _tab(request: HttpRequest, image: Image) -> dict[str, Any]:
    actor, rows = actor_of(request), scans.of_image(image)
    listed = list(rows.defer("data"))
    scanner = scan_verb.scanner()
    context: dict[str, Any] = {
        "scans": listed, "scan": None, "may_report": can(actor, scans.PERMISSION, image), "scanner": scanner,
        "may_scan": bool(scanner) and can(actor, scan_verb.KIND, image),
    }  # fmt: skip
    about = Operation.objects.filter(kind=scan_verb.KIND, target_type="image", target_id=str(image.pk))
    latest = (
        visible_to(actor, about.select_related("engine", "team", "actor")).order_by("-created_at").first()
    )
    if latest and latest.state != "succeeded":
        context |= {"op": latest, "line": present.line(latest, actor)}
    if not listed:
        return context
    asked = request.GET.get("scan", "")
    scan = next((one for one in listed if str(one.pk) == asked), None) or listed[0]
    every = scans.findings(get_object_or_404(rows, pk=scan.pk))
    change = scans.change(scan, rows)
    return {
        **context, "scan": scan, "newest": scan.pk == listed[0].pk, "bars": drawn(scan),
        "mendable": sum(scan.fixable.values()), "change": change, "shown": SHOWN, **_listing(request, every, scan),
    }  # fmt: skip


def _listing(request: HttpRequest, every: Sequence[Finding], scan: Scan) -> dict[str, Any]:
    """What the address asks for, a page of it."""
    severity, q = request.GET.get("severity", ""), request.GET.get("q", "").strip()[:200]
    severity = severity if severity in SEVERITIES else ""
    fixable = request.GET.get("fixable") == "1"
    some = scans.matching(every, severity=severity, q=q, fixable=True if fixable else None)
    text = request.GET.get("page", "")
    pages = max(1, -(-len(some) // PAGE))
    page = min(pages, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    asked = {
        "scan": request.GET.get("scan", ""),
        "severity": severity,
        "q": q,
        "fixable": "1" if fixable else "",
    }
    query = urlencode({name: value for name, value in asked.items() if value})
    return {
        "entries": some[(page - 1) * PAGE : page * PAGE], "matching": len(some), "severity": severity, "q": q,
        "fixable": fixable, "narrowed": bool(severity or q or fixable), "page": page, "pages": pages,
        "query": f"{query}&" if query else "", "severities": SEVERITIES,
    }  # fmt: skip


def drawn(scan: Scan) -> list[dict[str, Any]]:
    """Each severity with its place on a bar, in per cent; what is there at all is a hair wide."""
    found, x = [], 0.0
    total = sum(scan.counts.values())
    for name in SEVERITIES:
        n = scan.counts.get(name, 0)
        width = 100 * n / total if total else 0
        found.append(
            {
                "name": name, "n": n, "fixable": scan.fixable.get(name, 0), "x": round(min(x, 99.4), 2),
                "width": round(max(0.6, width - (0.3 if width > 1 else 0)), 2) if n else 0,
            }
        )  # fmt: skip
        x += width
    return found
