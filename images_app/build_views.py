"""Pages of builds: their history, the form, and one build as it runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Actor, actor_of, requires
from engine.specs import SpecError
from images_app import dockerfile, examples, kept, operations, queries, spool, step_log, steps
from images_app.forms import BuildForm
from images_app.models import Build
from operations import present, variables
from operations import queries as operation_queries
from operations.web import answers

VIEWS = ("all", "running", "done", "failed", "mine")


@require_safe
@requires("image.read")
def build_list(request: HttpRequest) -> HttpResponse:
    """Builds, newest first."""
    actor, ask = actor_of(request), request.GET
    view = ask.get("view", "") if ask.get("view") in VIEWS else "all"
    q, before = ask.get("q", "").strip(), _moment(ask.get("before", ""))
    builds, older = queries.build_page(actor, view=view, q=q, before=before)
    past = queries.trends(actor, builds)
    rows = [(build, _line(build, actor), past.get(queries.repository(build), [])) for build in builds]
    context = {"rows": rows, "older": older, "view": view, "q": q}
    template = "builds/list.html#rows" if request.headers.get("HX-Request") else "builds/list.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.build")
@answers
def build_new(request: HttpRequest) -> HttpResponse:
    """The form, and the wish; goes on at the build."""
    actor = actor_of(request)
    local, offers = queries.tag_names(actor), examples.examples(queries.bases(actor))
    if request.method == "POST":
        form = BuildForm(request.POST, request.FILES, actor=actor)
        if form.is_valid() and (answer := _build(request, form, actor)):
            return answer
    else:
        form = BuildForm(actor=actor, initial=_beginning(request, actor, offers))
    text = str(form["dockerfile"].value() or "")
    context = {"form": form, "examples": offers, "containers": queries.containers(actor)}
    context["references"] = variables.references(actor)
    context["hints"] = dockerfile.hints(text, local_tags=local, has_files=bool(request.FILES))
    context |= {"most_bytes": spool.most_bytes(), "most_files": spool.MOST_ENTRIES}
    return render(request, "builds/new.html", context)


@require_POST
@requires("image.build")
def build_hints(request: HttpRequest) -> HttpResponse:
    """Hints for the text in the editor, as it is typed."""
    text, local = request.POST.get("dockerfile", "")[:200_000], queries.tag_names(actor_of(request))
    hints = dockerfile.hints(text, local_tags=local, has_files=request.POST.get("has_files") == "1")
    return render(request, "builds/_hints.html", {"hints": hints})


@require_safe
@requires("image.read")
def build_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One build: its Dockerfile, its steps against time, its log."""
    actor = actor_of(request)
    build = get_object_or_404(queries.builds(actor), pk=pk)
    parts = {"build-head": "#head", "build-steps": "#steps", "build-facts": "#facts", "hints": "#marks"}
    part = parts.get(request.headers.get("HX-Target", ""), "")
    log, seq = operation_queries.log(build.operation) if build.operation and not part else ([], 0)
    if build.operation and not part and not build.operation.ended:
        # What the page has read of its events it is not told again: its state may not be older than they are.
        build = get_object_or_404(queries.builds(actor), pk=pk)
    found = steps.steps(build)
    context: dict[str, Any] = {"build": build, "op": build.operation, "steps": found}
    context["line"] = _line(build, actor)
    context["title"] = queries.short_name(str(build))
    context["may_image"] = build.image_id and queries.images(actor).filter(pk=build.image_id).exists()
    context["summary"] = steps.summary(found)
    context["around"] = steps.around(build)
    past = queries.trends(actor, [build]).get(queries.repository(build), [])
    context |= {"past": past, "wide": len(past) * queries.APART, "words": _words(past, build)}
    context["following"] = [
        present.line(one, actor, now=timezone.now()) for one in queries.following(actor, build)
    ]
    context["why_not"] = kept.why_not_again(build)
    context["secret_names"] = list(build.operation.params.get("secrets") or {}) if build.operation else []
    if part in ("", "#marks"):
        found_hints = dockerfile.hints(
            build.dockerfile, local_tags=queries.tag_names(actor), source=build.source
        )
        context["hints"] = [h for h in found_hints if h.level != "bad"]
    if not part:
        failed = build.operation is not None and build.operation.state == "failed"
        context |= {"sections": step_log.sections(log, found, failed=failed), "seq": seq}
        whole = build.source.get("bytes") or 1
        context["source_parts"] = [
            (name, size, max(1, round(100 * size / whole))) for name, size in build.source.get("parts", [])
        ]
        context["dockerfile_lines"] = build.dockerfile.splitlines()
    return render(request, f"builds/detail.html{part}", context)


def _build(request: HttpRequest, form: BuildForm, actor: Actor) -> HttpResponse | None:
    """Asks for the build; ``None`` where the wish is not valid, with the reasons in the form."""
    wish = form.wish()
    try:
        operation = operations.request_build(actor=actor, **wish)
    except SpecError as error:
        form.refuse(error.errors)
        return None
    finally:
        if wish["context"]:
            wish["context"].close()
    return redirect("builds:detail", operation.build.pk)


@require_POST
@requires("image.build")
@answers
def build_again(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same build again, with the same files."""
    actor = actor_of(request)
    asked = get_object_or_404(queries.builds(actor), pk=pk).operation
    if asked is None:
        raise Http404
    operation = operations.rebuild(asked, actor)
    return redirect("builds:detail", operation.build.pk)


def _words(past: list[queries.Past], build: Build) -> str:
    """This build against the ones before it: ``12.1 s, 30 % less than usual``."""
    own = next((one for one in past if one.pk == build.pk), None)
    before = sorted(one.seconds for one in past if one.pk != build.pk and one.state == "succeeded")
    if not before:
        return ""
    usual = before[len(before) // 2]
    per_cent = 0
    if not (own and own.state == "succeeded" and usual):
        text = _("mostly %(time)s")
    elif abs(per_cent := round(100 * (own.seconds - usual) / usual)) < 5:
        text = _("mostly %(time)s, this one too")
    elif per_cent > 0:
        text = _("mostly %(time)s, this one %(share)s %% more")
    else:
        text = _("mostly %(time)s, this one %(share)s %% less")
    return text % {"time": steps.seconds_text(usual), "share": abs(per_cent)}


def _beginning(request: HttpRequest, actor: Actor, offers: list[examples.Example]) -> dict[str, Any]:
    """What stands in the form at first: an earlier build, an example, or nothing."""
    if earlier := _earlier(request, actor):
        return {
            "tags": " ".join(earlier.tags), "dockerfile": earlier.dockerfile, "target": earlier.target,
            "build_args": earlier.build_args, "no_cache": earlier.no_cache, "pull": earlier.pull,
            "builder": (earlier.operation.params if earlier.operation else {}).get("builder", "auto"),
            **_where(earlier), "team": earlier.team_id, "engine": earlier.engine_id,
        }  # fmt: skip
    key = request.GET.get("example", "")
    chosen = next((e for e in offers if e.key == key), None)
    if chosen:
        return {"tags": chosen.tag, "dockerfile": chosen.dockerfile, "source": "editor"}
    source = request.GET.get("source")
    return {"source": source if source in ("upload", "git") else "editor"}


def _where(earlier: Build) -> dict[str, Any]:
    """A repository is fetched again; of what else was sent, only the Dockerfile was kept."""
    if earlier.source.get("kind") != "git":
        return {"source": "editor"}
    names = {"git": "url", "git_ref": "ref", "git_dir": "dir"}
    found = {name: earlier.source.get(key, "") for name, key in names.items()}
    return {"source": "git", "git_dockerfile": earlier.dockerfile_path, **found}


def _earlier(request: HttpRequest, actor: Actor) -> Build | None:
    try:
        return queries.builds(actor).filter(pk=UUID(request.GET.get("from", ""))).first()
    except ValueError:
        return None


def _line(build: Build, actor: Actor) -> present.Line | None:
    return present.line(build.operation, actor, now=timezone.now()) if build.operation else None


def _moment(text: str) -> Any:
    try:
        found = parse_datetime(text)
    except ValueError:
        return None
    return found if found and found.tzinfo else None
