"""Images out of an engine into a file, and out of one into an engine: `docker save` and `docker load`.

A load moves tags silently, so what it will move is told before, from the file itself; afterwards each name has to point
where the file said.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core import signing
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.access import Actor, can
from accounts.models import Team
from accounts.querysets import visible_to
from engine import names
from engine.errors import (
    Conflict,
    DeadlineExceeded,
    EngineError,
    PolicyDenied,
    TooLarge,
    Unreachable,
)
from engine.specs import SpecError
from engine.types import Progress
from images_app import image_files, references, sync
from images_app.image_files import Archive, Held
from images_app.models import Image, Tag
from images_app.verbs import after, now
from operations import registry, services
from operations.archives import Bad
from operations.models import Engine, Operation
from operations.plans import Item, Plan
from operations.previews import is_preview
from operations.registry import Context, leaving, operation
from operations.services import Refused, Target
from operations.spooled import sent, written
from operations.web import Download

IMPORT, EXPORT = "image.import", "image.export"
GONE = gettext_lazy("There is no export of it: they are kept for a day. Ask for a new one.")
SALT = "slipway.images.import"
_KEPT = re.compile(r"[0-9a-f]{40}-[0-9a-f]{12}\.tar")
"""The file of an import that was asked for."""
Result = Mapping[str, Any]


# Asking


def request_export(
    image: Image, wanted: Sequence[str] = (), *, actor: Actor, idempotency_key: str = ""
) -> Operation:
    """Asks for a tar of this image with all its names, or of those that are ``wanted``: tags and ids on its engine.

    Raises `SpecError` where one is not there, or not to be exported by this actor.
    """
    target = Target("image", str(image.pk), str(image))
    services.authorize(EXPORT, actor=actor, target=target, team_id=image.team_id)
    found = list(dict.fromkeys(wanted)) or sorted(tag.name for tag in image.tags.all()) or [image.native_id]
    if len(found) > image_files.MOST_TAGS:
        raise SpecError({"references": [_("At most %(n)s at once.") % {"n": image_files.MOST_TAGS}]})
    found = [_exportable(image.engine, one, actor) for one in found]
    return services.submit(
        EXPORT, actor=actor, engine=image.engine, target=target, team=image.team,
        params={"references": found}, idempotency_key=idempotency_key,
    )  # fmt: skip


def _exportable(engine: Engine, reference: str, actor: Actor) -> str:
    """As the engine is asked for it."""
    if names.is_image_id(reference):
        row = visible_to(actor, Image.objects.filter(engine=engine, native_id=reference)).first()
    else:
        reference = references.tag_of(reference)
        tags = visible_to(actor, Tag.objects.filter(engine=engine, name=reference), "image__team")
        tag = tags.select_related("image").first()
        row = tag.image if tag else None
    if row is None or not can(actor, EXPORT, row):
        said = _("There is no image %(reference)s on this engine that you may export.")
        raise SpecError({"references": [said % {"reference": reference[:100]}]})
    return reference


def request_import(
    archive: Archive,
    *,
    actor: Actor,
    engine: Engine | None = None,
    team: Team | None = None,
    idempotency_key: str = "",
) -> Operation:
    """Asks for the images of a file to be taken in; those that nobody owns will be the team's.

    The file goes where this is refused; a preview leaves it.
    """
    engine, team = services.chosen_engine(engine), services.chosen_team(actor, team)
    team_id = team.pk if team else None
    path = image_files.file_of(archive.name)
    name = ", ".join(archive.tags) or archive.images[0].native_id
    lock = services.lock("engine", engine.pk, "import", archive.digest)
    target = Target("image", "", name[:255], lock)
    kept = image_files.file_of(f"{archive.digest[:40]}-{engine.pk.hex[:12]}.tar")
    params = {
        "file": kept.name, "size": archive.size, "tags": archive.tags,
        "images": [[held.native_id, list(held.tags)] for held in archive.images],
    }  # fmt: skip
    try:
        with services.denials(IMPORT, actor=actor, target=target, team_id=team_id):
            references.may_tag(archive.tags, actor=actor, engine=engine, team_id=team_id)
        if not is_preview():
            path = path.rename(kept)  # the same wish once more is known by the same name of its file
        operation_ = services.submit(
            IMPORT, actor=actor, engine=engine, target=target, team=team, params=params,
            idempotency_key=idempotency_key,
        )  # fmt: skip
    except BaseException:
        if not is_preview():
            path.unlink(missing_ok=True)
        raise
    if operation_.ended:  # asked before with this key
        path.unlink(missing_ok=True)
    return operation_


def may_import(actor: Actor, team: Team | None) -> None:
    """Before all of it is read. Raises `accounts.access.Denied` or Http404."""
    team = services.chosen_team(actor, team)
    services.authorize(IMPORT, actor=actor, target=Target("image"), team_id=team.pk if team else None)


def ticket(archive: Archive, actor: Actor, engine: Engine, team: Team | None) -> str:
    """For somebody who has seen the plan: that file, for that engine and team, and for nobody else."""
    facts = [
        archive.name,
        str(actor.user.pk) if actor.user else "",
        str(engine.pk),
        str(team.pk) if team else "",
    ]
    return signing.dumps(facts, salt=SALT, compress=True)


def redeem(text: str, actor: Actor) -> tuple[Archive, Engine, Team | None]:
    """What a `ticket` stands for. Raises `Refused` where the file is gone."""
    try:
        name, user, engine, team = signing.loads(text, salt=SALT, max_age=image_files.KEPT)
    except (signing.BadSignature, ValueError):
        raise Refused("conflict", _("This is no file that was sent: send it again.")) from None
    path = image_files.file_of(name)
    if not actor.user or user != str(actor.user.pk) or not path.exists():
        raise Refused("conflict", _("The file is gone: send it again."))
    try:
        archive = image_files.read(path)
    except (Bad, OSError):
        raise Refused("conflict", _("The file is gone: send it again.")) from None
    rows = Engine.objects.filter(pk=UUID(engine))
    return archive, rows.get(), Team.objects.filter(pk=UUID(team)).first() if team else None


# Plans


def exporting(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``image.export``."""
    plan = Plan(button=_("Export"))
    for reference in operation_.params["references"]:
        rows = Image.objects.filter(engine=operation_.engine)
        row = rows.filter(native_id=reference).first() or rows.filter(tags__name=reference).first()
        size = row.size if row else None
        plan.changed.append(Item(reference, _("in the tar, with all its layers"), size=size, mono=True))
    plan.kept.append(Item(_("On the engine"), _("all of it stays as it is")))
    plan.lead = _("The tar is kept here for a day. Layers that several share are in it once.")
    return plan


def importing(operation_: Operation, actor: Actor) -> Plan:
    """The plan of ``image.import``."""
    plan = Plan(button=_("Import"))
    engine, wanted = operation_.engine, [Held(key, tuple(tags)) for key, tags in operation_.params["images"]]
    there = set(
        Image.everything.filter(engine=engine, native_id__in=[held.native_id for held in wanted]).values_list(
            "native_id", flat=True
        )
    )
    rows = Tag.objects.filter(engine=engine, name__in=operation_.params["tags"]).select_related("image")
    tags = {tag.name: tag.image for tag in rows}
    for held in wanted:
        image = _("Image %(id)s") % {"id": held.native_id.removeprefix("sha256:")[:12]}
        if held.native_id in there:
            plan.kept.append(Item(image, _("is on the engine already")))
        else:
            plan.made.append(Item(image, _("comes in") if held.tags else _("comes in without a name")))
        for name in held.tags:
            _moves(plan, name, tags.get(name), held.native_id)
    names_in = len(operation_.params["tags"])
    plan.lead = _("%(images)s with %(names)s in the file.") % {
        "images": ngettext("%(n)s image", "%(n)s images", len(wanted)) % {"n": len(wanted)},
        "names": ngettext("%(n)s name", "%(n)s names", names_in) % {"n": names_in},
    }
    if plan.affected:
        plan.no_undo = _("Names that move can be rolled back from the page of their image.")
    return plan


def _moves(plan: Plan, name: str, now_: Image | None, native_id: str) -> None:
    if now_ is None:
        plan.made.append(Item(name, _("a new name"), mono=True))
    elif now_.native_id == native_id:
        plan.kept.append(Item(name, _("points at it already"), mono=True))
    else:
        short = native_id.removeprefix("sha256:")[:12]
        users = now_.containers.count()
        more = ngettext(
            "%(n)s container of it go on as they are", "%(n)s containers of it go on as they are", users
        ) % {"n": users}
        moves = _("moves from %(before)s to %(after)s") % {"before": now_.short_id, "after": short}
        plan.affected.append(Item(name, moves, more if users else "", mono=True))


# Export


def export_of(operation_: Operation) -> Path:
    """Where the tar that this operation made lies."""
    return image_files.file_of(f"{operation_.pk}.tar")


def fetched(operation_: Operation, *, actor: Actor) -> Download:
    """The tar that this operation made."""
    name = f"{operation_.target_name.replace('/', '-').replace(':', '-')}.tar"
    return sent(operation_, export_of(operation_), name, actor=actor, gone=str(GONE))


def newest(image: Image, *, actor: Actor) -> Download:
    """The newest export of this image that is still there; Http404 where none is."""
    done = Operation.objects.filter(kind=EXPORT, state="succeeded", target_id=str(image.pk))
    for one in done.order_by("-finished_at")[:20]:
        if export_of(one).exists():
            return fetched(one, actor=actor)
    raise Http404(str(GONE))


@operation(
    EXPORT,
    label="Export images",
    expensive=True,
    doing="Exporting",
    done="Exported",
    deadline=3600,
    repeatable=True,
    plan=exporting,
)
def export(ctx: Context) -> Result:
    """Writes a tar of them, with all their layers, to be fetched for a day."""
    target, size, most = export_of(ctx.operation), 0, image_files.most_bytes()
    image_files.forget_old()
    ctx.emit(Progress(message="The engine puts it together"))
    wanted = [str(one) for one in ctx.params["references"]]
    with (
        leaving("No file was made."),
        written(target) as out,
        ctx.engine.saved(*wanted, should_stop=ctx.should_stop, deadline=3500) as pieces,
    ):
        for piece in pieces:
            size += len(piece)
            if size > most:
                raise TooLarge("These images are larger than what may be exported.", most=most)
            out.write(piece)
            ctx.emit(Progress(size, None, "bytes", "Writing the file"))
    return {
        "image": ctx.operation.target_id, "references": wanted, "bytes": size,
        "download": f"/images/exports/{ctx.operation.pk}/",
    }  # fmt: skip


# Import


@registry.every(60)
def forget_unasked(older: float = 60) -> None:
    """Removes files of imports that ended before a worker had them: cancelled in the queue, or by lost rights.

    ``older``: seconds that one has had its name; its operation is written right after it.
    """
    active = Operation.objects.active().filter(kind=IMPORT).values_list("params", flat=True)
    wanted = {params["file"] for params in active}
    for path in image_files.file_of("x").parent.iterdir():
        if _KEPT.fullmatch(path.name) and path.name not in wanted:
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_ctime >= older:
                    path.unlink()


def _is_imported(ctx: Context) -> Result | None:
    """Each image is there, and each name points where the file says."""
    for native_id, tags in ctx.params["images"]:
        if not now(ctx, native_id) or any(now(ctx, tag) != native_id for tag in tags):
            return None
    _file(ctx).unlink(missing_ok=True)
    return _imported(ctx)


def _again(asked: Operation, actor: Actor) -> Operation:
    raise Refused("conflict", _("Its file was not kept: send it again."))


def _file(ctx: Context) -> Path:
    return image_files.file_of(str(ctx.params["file"]))


@operation(
    IMPORT, label="Import images", doing="Importing", done="Imported",
    deadline=3700, repeatable=True, verify=_is_imported,
    after=after, again=_again, plan=importing,
)  # fmt: skip
def import_(ctx: Context) -> Result:
    """Hands the file to the engine. Layers that are there already are not taken again."""
    path, actor, tags = _file(ctx), services.actor_of(ctx.operation), [str(tag) for tag in ctx.params["tags"]]
    if not path.exists():
        if done := _is_imported(ctx):  # by an attempt that died before it could say so
            return done
        raise EngineError("The file with the images is gone: send it again.")
    try:
        if actor is None:
            raise PolicyDenied("Whoever asked for this is gone.", rule="nobody", field="")
        sync.reconcile(ctx.operation.engine, ctx.engine)
        references.may_tag(tags, actor=actor, engine=ctx.operation.engine, team_id=ctx.operation.team_id)
        ctx.check_fence()
        words = "What the engine had taken by then stays, and names may have moved."
        with path.open("rb") as data, leaving(words):
            ctx.engine.load(
                data, path.stat().st_size, emit=ctx.emit, should_stop=ctx.should_stop, deadline=3600
            )
        missing = [tag for tag in tags if not now(ctx, tag)]
        if missing:
            raise Conflict(f"The engine has taken the file, and there is no {missing[0]}.")
    except (DeadlineExceeded, Unreachable):
        raise  # whoever looks again needs the file
    except EngineError:
        path.unlink(missing_ok=True)
        raise
    path.unlink(missing_ok=True)
    return _imported(ctx)


def _imported(ctx: Context) -> Result:
    """Their rows, owned by the team that asked where nobody owned them."""
    engine = ctx.operation.engine
    after(ctx)
    tags = [str(tag) for tag in ctx.params["tags"]]
    ids = {native_id for native_id, _ in ctx.params["images"]}
    ids |= set(Tag.objects.filter(engine=engine, name__in=tags).values_list("image__native_id", flat=True))
    rows = Image.everything.filter(engine=engine, native_id__in=ids)
    rows.filter(team=None).update(team=ctx.operation.team_id)
    found = [str(pk) for pk in rows.order_by("name").values_list("pk", flat=True)]
    return {"image": found[0] if found else "", "images": found, "tags": tags}
