"""Reading the files of an image's layers: one stream from the engine, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.access import Actor
from engine.errors import Cancelled, EngineError, NotFound
from engine.layer_tar import Broken, Reader
from engine.layers import LayerFiles, read
from engine.types import Progress
from images_app import layer_index, layer_stack
from images_app.models import Image
from operations import services
from operations.models import Operation
from operations.registry import Context, leaving, operation
from operations.services import Refused, Target
from streams import bell

DEADLINE = 1800
GONE = "The engine does not send this layer, or not whole."


def request_index(image: Image, *, actor: Actor, idempotency_key: str = "") -> Operation:
    """Asks for the files of all layers of this image to be read; those that are known already are not read again."""
    target = Target("image", str(image.pk), str(image), services.lock("image", image.pk, "index"))

    def has_layers() -> None:
        if not image.stack:
            raise Refused("conflict", _("The engine tells no layers of this image."))

    return services.submit(
        "image.index", actor=actor, engine=image.engine, target=target, team=image.team,
        params={"native_id": image.native_id}, idempotency_key=idempotency_key, check=has_layers,
    )  # fmt: skip


@operation(
    "image.index", label="Read layers", doing="Reading layers of", done="Read layers of",
    deadline=DEADLINE, repeatable=True,
    verify=lambda ctx: False,
)  # fmt: skip
def index(ctx: Context) -> Mapping[str, Any]:
    """Streams the image through, and keeps each layer as soon as it is read: another attempt goes on behind it."""
    image = Image.everything.filter(pk=ctx.operation.target_id).first()
    if image is None:
        raise NotFound("This image is gone.")
    stack: list[str] = image.stack
    missing = set(stack) - layer_index.known(stack).keys()
    if missing:
        with leaving("Layers that were read before are kept."):
            _read(ctx, image, missing)
    ctx.emit(Progress(len(stack), len(stack), "layers", "Comparing layers"))
    if ctx.should_stop():
        raise Cancelled("Cancelled. Layers that were read before are kept.")
    stacks = layer_stack.judge(stack)
    bell.ring("images", f"image:{image.pk}")
    return {
        "image": str(image.pk), "layers": len(stack), "read": len(missing),
        "hidden": sum(found.hidden for found in stacks),
    }  # fmt: skip


def _read(ctx: Context, image: Image, missing: set[str]) -> None:
    done = 0

    def told(count: int) -> None:
        # The tar is somewhat larger than what is in it.
        total = max(image.size, count + 1)
        ctx.emit(Progress(count, total, "bytes", f"{done} of {len(missing)} layers read"))

    def keep(layer: LayerFiles) -> None:
        nonlocal done
        layer_index.keep(layer)
        done += 1

    ctx.emit(Progress(message="The engine is putting the image together"))
    with ctx.engine.saved(image.native_id, should_stop=ctx.should_stop, deadline=DEADLINE) as pieces:
        try:
            left = read(Reader(lambda: next(pieces, b"")), missing, keep, told)
        except Broken as error:
            raise EngineError(f"What the engine sends of this image cannot be read. {error}") from None
    for digest in left:
        layer_index.keep(LayerFiles(digest, problem=GONE))
