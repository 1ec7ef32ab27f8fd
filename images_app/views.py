"""Pages of images: the list, one image, and what can be done about one. Builds stand in `images_app.build_views`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import actor_of, can, require, requires
from accounts.querysets import visible_to
from engine.specs import SpecError
from images_app import filesystems, links, newer, operations, queries, scans, tag_history
from images_app.forms import FilesystemForm, PullForm, PushForm, TagForm
from images_app.lineage import lineage
from images_app.models import Image, Tag
from operations.plans import preview
from operations.queries import engine_asked
from operations.web import answers, dialog, leaves_when_gone, submitted

VIEWS = ("all", "used", "unused", "dangling", "newer")
ORDERINGS = ("name", "size", "unique", "created", "used", "host")


@require_safe
@requires("image.read")
def image_list(request: HttpRequest) -> HttpResponse:
    """Names of images by repository."""
    actor, wanted = actor_of(request), _wanted(request)
    context = {"listing": queries.listing(actor, wanted), "wanted": wanted}
    template = "images/list.html#rows" if request.headers.get("HX-Request") else "images/list.html"
    return render(request, template, context)


@require_safe
@requires("image.read")
@leaves_when_gone
def image_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One image: its layers and where they come from, its tags and where they were, who uses it."""
    actor, image = actor_of(request), image_of(request, pk)
    context = framed(request, image, "overview")
    tags = context["tags"]
    users = list(visible_to(actor, image.containers.order_by("name")))
    context |= {
        "repositories": {tag.repository for tag in tags}, "line": lineage(image, actor), "users": users,
        "outdated": [row for row in users if row.drift_image], "behind": tag_history.behind(image, actor),
        "hidden": image.used - len(users),  # type: ignore[attr-defined]
        "facts": queries.facts(image.config), "history": tag_history.tag_history(image, actor),
        "siblings": queries.siblings(image, actor), "builds": queries.builds(actor).filter(image=image)[:5],
        "form": TagForm(), "checks": newer.of_image(image, tags), "notes": links.of(image.labels),
    }  # fmt: skip
    template = "images/detail.html#body" if request.headers.get("HX-Request") else "images/detail.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.pull")
@answers
def image_pull(request: HttpRequest) -> HttpResponse:
    """The form, and the wish; goes on at the operation, which shows the layers."""
    actor = actor_of(request)
    form = PullForm(request.POST or None, actor=actor, initial={"reference": request.GET.get("image", "")})
    if request.method == "POST" and form.is_valid():
        wish = form.cleaned_data
        try:
            operation = operations.request_pull(
                wish["reference"], actor=actor, engine=wish["engine"], team=wish["team"],
                registry=wish["registry"],
            )  # fmt: skip
            return redirect("operations:detail", operation.pk)
        except SpecError as error:
            form.refuse(error.errors)
    return dialog(request, "images/pull.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.push")
@answers
def image_push(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where to, under which name; goes on at the operation, which shows the layers."""
    actor, image = actor_of(request), image_of(request, pk)
    require(actor, "image.push", image)
    form = PushForm(request.POST or None, actor=actor, auto_id="push_%s")  # beside the form of a tag
    form.suggest(image)
    if request.method == "POST" and form.is_valid():
        wish = form.cleaned_data
        try:
            operation = operations.request_push(
                image, wish["reference"], actor=actor, registry=wish["registry"]
            )
            return redirect("operations:detail", operation.pk)
        except SpecError as error:
            for name, messages in error.errors.items():
                form.add_error(name if name in form.fields else None, [*messages])
    return dialog(request, "images/push.html", {"form": form, "image": image})


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.build")
@answers
def image_filesystem(request: HttpRequest) -> HttpResponse:
    """A tar of a file system becomes an image; goes on at its build."""
    actor = actor_of(request)
    form = FilesystemForm(request.POST or None, request.FILES or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        wish = form.cleaned_data
        try:
            operation = filesystems.request_import(
                wish["archive"].file, wish["reference"], command=wish["command"], actor=actor, engine=wish["engine"],
                team=wish["team"],
            )  # fmt: skip
            return redirect("builds:detail", operation.build.pk)
        except SpecError as error:
            form.refuse(error.errors)
    return dialog(request, "images/filesystem.html", {"form": form})


@require_POST
@requires("image.tag")
@answers
def image_tag(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Gives an image another name."""
    image, form = image_of(request, pk), TagForm(request.POST)
    if not form.is_valid():
        raise SpecError({"": [str(error) for found in form.errors.values() for error in found]})
    reference = form.cleaned_data["reference"]
    return submitted(request, operations.request_tag(image, reference, actor=actor_of(request)))


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.remove")
@answers
def image_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what would go, then asks for it."""
    actor, image = actor_of(request), image_of(request, pk)
    require(actor, "image.remove", image)
    if request.method == "POST":
        force, forever = (bool(request.POST.get(name)) for name in ("force", "forever"))
        operation = operations.request_remove(image, actor=actor, force=force, forever=forever)
        return submitted(request, operation, to=reverse("images:list"))
    plan = preview(lambda: operations.request_remove(image, actor=actor, force=True), actor=actor)
    return dialog(request, "images/remove.html", {
        "title": _("Remove %(name)s?") % {"name": image}, "plan": plan, "action": reverse("images:remove", args=[pk]),
        "force": True, "back": reverse("images:detail", args=[pk]),
    })  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@requires("image.untag")
@answers
def tag_remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Shows what would go with this tag, then asks for it."""
    actor = actor_of(request)
    tags = Tag.objects.select_related("image", "image__engine").prefetch_related("image__tags")
    tag = get_object_or_404(visible_to(actor, tags, "image__team"), pk=pk)
    require(actor, "image.untag", tag.image)
    back = reverse("images:detail", args=[tag.image_id])
    if request.method == "POST":
        forever = bool(request.POST.get("forever"))
        return submitted(request, operations.request_untag(tag, actor=actor, forever=forever), to=back)
    plan = preview(lambda: operations.request_untag(tag, actor=actor), actor=actor)
    return dialog(request, "images/remove.html", {
        "title": _("Remove the tag %(name)s?") % {"name": tag.name}, "plan": plan,
        "action": reverse("tags:remove", args=[pk]), "force": False, "back": back,
    })  # fmt: skip


def framed(request: HttpRequest, image: Image, tab: str) -> dict[str, Any]:
    """What every tab of an image shows around its own."""
    actor, tags = actor_of(request), list(image.tags.all())
    return {
        "image": image, "tags": tags, "title": queries.short_name(tags[0].name) if tags else image.short_id,
        "tab": tab, "mark": scans.newest_of(image.native_id, image.team_id),
        "may": {
            verb: can(actor, f"image.{verb}", image) for verb in ("tag", "untag", "remove", "push", "export")
        },
    }  # fmt: skip


def image_of(request: HttpRequest, pk: UUID) -> Image:
    """The image of an address; what the reader may not know of is not there."""
    image = queries.image(actor_of(request), pk)
    if image is None:
        raise Http404("No such image.")
    return image


def _wanted(request: HttpRequest) -> queries.Wanted:
    view, ordering = request.GET.get("view", ""), request.GET.get("ordering", "")
    return queries.Wanted(
        view=view if view in VIEWS else "all",
        q=request.GET.get("q", "").strip(),
        engine=str(getattr(engine_asked(request.GET), "pk", "")),
        ordering=ordering if ordering.removeprefix("-") in ORDERINGS else "name",
    )
