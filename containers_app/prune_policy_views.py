"""Pages of what is cleaned up by itself: the policies, one with its runs, and what each would do now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, actor_of, requires
from accounts.pages import sure
from containers_app import prune_plans, prune_policies
from containers_app.models import PrunePolicy
from containers_app.prune_forms import PrunePolicyForm
from containers_app.prune_policies import PERMISSION, RUNS, Run
from containers_app.prune_views import LABELS, engine_of, groups_of
from engine.specs import SpecError
from operations.models import Engine
from operations.plans import count
from operations.web import answers, leaves_when_gone, submitted, toast

TALL = 64
"""Pixels that the plot of runs is high."""
LISTED = 8
"""Runs below the plot."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One run in the plot: ``x`` from the left in per cent, ``top`` and ``high`` of its bar in pixels."""

    run: Run
    x: float
    top: float
    high: float


@require_safe
@requires(PERMISSION)
def policy_list(request: HttpRequest) -> HttpResponse:
    """All of them, with their last runs."""
    rows = list(prune_policies.visible(actor_of(request)))
    last = prune_policies.last_runs(rows)
    context = {"rows": [(row, last.get(row.pk, []), bars_of(last.get(row.pk, []), 18)) for row in rows]}
    template = "prune/_policies.html" if "HX-Request" in request.headers else "prune/policies.html"
    return render(request, template, {**context, "labels": LABELS})


@require_safe
@requires(PERMISSION)
@leaves_when_gone
def policy_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One: its rules, its runs, and what it would do now, which a part of the page asks for as it takes a while."""
    row = _one(request, pk)
    if request.headers.get("HX-Target") == "would" or request.GET.get("look"):
        would = _would(row, actor_of(request))
        if "HX-Request" in request.headers:
            return render(request, "prune/_would.html", would)
    else:
        would = {}
    runs = prune_policies.runs(row)
    context = {
        "policy": row, "runs": runs, "listed": runs[:LISTED], "bars": bars_of(runs), "tall": TALL,
        "most": max((run.freed or 0 for run in runs), default=0), "most_runs": RUNS,
        "freed": sum(run.freed or 0 for run in runs), "kinds": [LABELS[kind][0] for kind in row.kinds], **would,
    }  # fmt: skip
    template = "prune/_runs.html" if "HX-Request" in request.headers else "prune/policy.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(PERMISSION)
@answers
def policy_new(request: HttpRequest) -> HttpResponse:
    """Asks what, when and what stays, and shows what that would do now; then keeps it."""
    engine = engine_of(request)
    if engine is None:
        return render(request, "prune/policy_form.html", {})
    return _form(request, None, engine)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(PERMISSION)
@answers
def policy_edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same for one that is there."""
    row = _one(request, pk)
    return _form(request, row, row.engine)


def _form(request: HttpRequest, row: PrunePolicy | None, engine: Engine) -> HttpResponse:
    actor = actor_of(request)
    asked = request.POST if request.method == "POST" else request.GET if "name" in request.GET else None
    form = PrunePolicyForm(asked, row=row, engine=engine)
    wished = None
    if asked is None:
        wished = row or PrunePolicy(engine=engine, kinds=form.initial["kinds"])
    elif form.is_valid():
        try:
            wished = prune_policies.wished(
                form.wish(), form.cleaned_data.get("engine") or engine, row=_one(request, row.pk) if row else None
            )  # fmt: skip
            if request.method == "POST":
                made = prune_policies.save(wished, actor=actor)
                return redirect("prune:policy", made.pk)
        except SpecError as error:
            form.refuse(error)
            wished = None
    chosen = [*form["kinds"].value()] if form["kinds"].value() else []
    context: dict[str, Any] = {
        "form": form, "here": row, "engine": engine, "to": request.path, "labels": [
            (kind, label, hint, kind in chosen) for kind, (label, hint) in LABELS.items()
        ],
    }  # fmt: skip
    if wished:
        context |= _would(wished, actor, trial=True)
    return render(
        request, "prune/_would.html" if "HX-Request" in request.headers else "prune/policy_form.html", context
    )


def _would(row: PrunePolicy, actor: Actor, *, trial: bool = False) -> dict[str, Any]:
    """What it would do now. ``trial``: as it is typed, so there is nothing to run yet."""
    plan, found = prune_policies.look(row, actor=actor, trial=trial)
    groups = groups_of(plan)
    return {
        "plan": plan, "waits": prune_plans.waits(row, found), "words": prune_plans.told(plan), "groups": groups,
        "bar": [group for group in groups if group.width], "things": count(len(plan.items), "thing"),
        "policy": row, "trial": trial, "engine": row.engine,
    }  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@requires(PERMISSION)
@answers
def policy_run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks, and has exactly that done which was shown."""
    row = _one(request, pk)
    try:
        plan = UUID((request.POST if request.method == "POST" else request.GET).get("plan", ""))
    except ValueError:
        raise Http404("No such plan.") from None
    if request.method != "POST":
        words = prune_plans.told(prune_policies.shown(row, plan, actor=actor_of(request)))
        return sure(
            request, _("Remove these now?"), button=words.button, back=(_page(row), row.name),
            plan=words, hidden={"plan": plan}, in_place=True,
        )  # fmt: skip
    operation = prune_policies.run(row, actor=actor_of(request), plan=plan)
    return submitted(request, operation, to=_page(row))


@require_POST
@requires(PERMISSION)
@answers
def policy_switch(request: HttpRequest, pk: UUID) -> HttpResponse:
    """``on`` 1 or 0: goes on, in the name of who says so, or pauses."""
    row = _one(request, pk)
    row.enabled = request.POST.get("on") == "1"
    prune_policies.save(row, actor=actor_of(request))
    return toast(
        request,
        _("%(name)s goes on") % {"name": row} if row.enabled else _("%(name)s is paused") % {"name": row},
        to=_page(row),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@requires(PERMISSION)
@answers
def policy_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks first."""
    row = _one(request, pk)
    if request.method == "POST":
        prune_policies.drop(row, actor=actor_of(request))
        to = reverse("prune:policies")
        return toast(
            request,
            _("%(name)s is removed; what it has done stays among the operations") % {"name": row},
            to=to,
        )
    part = (
        "prune/policy_remove.html#dialog" if "HX-Request" in request.headers else "prune/policy_remove.html"
    )
    return render(request, part, {"policy": row})


def bars_of(runs: Sequence[Run], tall: int = TALL) -> list[Bar]:
    """The plot of what they freed, the newest at the right; one that freed nothing is a line."""
    most = max((run.freed or 0 for run in runs), default=0) or 1
    found = []
    for place, run in enumerate(runs, 1):
        high = round(max(2, tall * (run.freed or 0) / most), 1)
        found.append(Bar(run, round(100 - place * 100 / RUNS, 2), round(tall - high, 1), high))
    return found[::-1]


def _one(request: HttpRequest, pk: UUID) -> PrunePolicy:
    return get_object_or_404(prune_policies.visible(actor_of(request)), pk=pk)


def _page(row: PrunePolicy) -> str:
    return reverse("prune:policy", args=[row.pk])
