"""The page of the audit trail.

What ``audit.html`` gets: lines (`Line` each), wanted (the query), errors (sentences), verbs (by group), outcomes,
people (names to choose from), newer and older (addresses or ""), export (address), anchor (`Anchored`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from accounts import anchors, audit, verification
from accounts.access import Actor, actor_of, requires
from accounts.filters import AuditFilter, complaints
from accounts.models import AuditEntry, User
from accounts.querysets import team_ids, visible_entries

ENTRIES = 100
PEOPLE = 200
OUTCOMES = (
    ("accepted", _lazy("accepted")), ("succeeded", _lazy("succeeded")), ("failed", _lazy("failed")),
    ("denied", _lazy("denied")), ("cancelled", _lazy("cancelled")),
)  # fmt: skip
_CURSOR = re.compile(r"(before|after)-([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as the page shows it. ``wrong`` is what is not right with its seal, or empty."""

    entry: AuditEntry
    wrong: str

    @property
    def detail(self) -> str:
        """What was asked for, as it was stored: secrets were masked before."""
        return json.dumps(self.entry.detail, indent=2, ensure_ascii=False) if self.entry.detail else ""


@dataclass(frozen=True, slots=True)
class Anchored:
    """What the page can say of the chain at once: the newest anchor, and whether the trail holds it.

    ``damaged``: the file's last line is no anchor. ``wrong``: numbers of entries here that are not right.
    """

    anchor: anchors.Anchor | None
    holds: bool
    damaged: bool
    wrong: list[int]

    @property
    def whole(self) -> bool:
        """Nothing that was looked at is wrong."""
        return self.holds and not self.damaged and not self.wrong


@require_safe
@requires("audit.read")
def audit_list(request: HttpRequest) -> HttpResponse:
    """What was done, newest first, by number: pages stay what they are while more happens."""
    actor = actor_of(request)
    found = AuditFilter(request.GET, visible_entries(actor))
    errors = complaints(found)
    entries, newer, older = ([], False, False) if errors else _page(request, found.qs.select_related("actor"))
    lines = [Line(entry, wrong) for entry, wrong in zip(entries, _wrong(entries), strict=True)]
    context = {
        "lines": lines,
        "wanted": request.GET,
        "clock": str(timezone.get_current_timezone()),
        "errors": errors,
        "newer": _address(request, f"after-{entries[0].seq}") if newer else "",
        "older": _address(request, f"before-{entries[-1].seq}") if older else "",
        "export": _export(request, found),
        "chain": _anchored([line.entry.seq for line in lines if line.wrong]),
    }
    if request.headers.get("HX-Request"):
        return render(request, "accounts/audit.html#rows", context)
    asked = {"verbs": audit.verbs(), "outcomes": OUTCOMES, "people": _people(actor)}
    return render(request, "accounts/audit.html", context | asked)


def _page(request: HttpRequest, rows: Any) -> tuple[list[AuditEntry], bool, bool]:
    """``(entries, whether there are newer ones, whether there are older ones)``."""
    cursor = request.GET.get("cursor", "")
    asked = _CURSOR.fullmatch(cursor)
    if cursor and not asked:
        raise Http404
    if asked and asked[1] == "after":
        found = list(rows.filter(seq__gt=int(asked[2])).order_by("seq")[: ENTRIES + 1])
        return found[:ENTRIES][::-1], len(found) > ENTRIES, bool(found)
    if asked:
        rows = rows.filter(seq__lt=int(asked[2]))
    found = list(rows.order_by("-seq")[: ENTRIES + 1])
    return found[:ENTRIES], bool(found and asked), len(found) > ENTRIES


def _wrong(entries: list[AuditEntry]) -> list[str]:
    """What is not right with each; entries that are neighbours are held against each other too."""
    found = []
    for entry, older in zip(entries, [*entries[1:], None], strict=False):
        if older and older.seq == entry.seq - 1:
            found.append(verification.wrong_with(entry, older.hash))
        else:
            found.append(verification.wrong_with_seal(entry))
    return found


def _anchored(wrong: list[int]) -> Anchored:
    try:
        anchor = anchors.newest()
    except (ValueError, OSError):
        return Anchored(None, holds=False, damaged=True, wrong=wrong)
    return Anchored(anchor, holds=anchor is None or anchor.holds(), damaged=False, wrong=wrong)


def _people(actor: Actor) -> list[str]:
    """Names to choose from: those of one's teams, everybody's for site administrators."""
    people = User.objects.order_by("username")
    if not actor.is_site_admin or actor.token_team_id is not None:
        people = people.filter(memberships__team_id__in=team_ids(actor)).distinct()
    return list(people.values_list("username", flat=True)[:PEOPLE])


def _address(request: HttpRequest, cursor: str) -> str:
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"?{query.urlencode()}"


def _export(request: HttpRequest, found: AuditFilter) -> str:
    """The same choice as a table. REST knows no parameters but its own, and no clock but UTC."""
    query = request.GET.copy()
    for name in list(query):
        if name not in AuditFilter.base_filters or not query[name]:
            del query[name]
    for name in ("since", "until"):
        if at := found.form.cleaned_data.get(name):
            query[name] = at.isoformat().replace("+00:00", "Z")
    query["format"] = "csv"
    return f"{reverse('api:audit')}?{query.urlencode()}"
