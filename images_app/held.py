"""Which layers images hold, so that it can be told to the byte what goes with some of them.

Engines keep a layer once for each stack of layers below it: the same files on two bases take their bytes twice. So a
layer's key here is the digest of its whole stack, from the bottom up to itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby

from images_app.models import Image, Layer
from operations.models import Engine

Held = Mapping[str, Mapping[str, int]]
"""Image (the engine's id) → layer → bytes."""


def layers_held(engine: Engine) -> dict[str, dict[str, int]]:
    """What each image of this engine holds, those in the trash included; one query."""
    rows = Layer.objects.filter(image__engine=engine, empty=False).order_by("image_id", "index")
    columns = ("image__native_id", "digest", "command", "size", "created_at")
    found: dict[str, dict[str, int]] = {}
    for native_id, layers in groupby(rows.values_list(*columns), lambda row: row[0]):
        stack, held = "", found.setdefault(native_id, {})
        for _, digest, command, size, created_at in layers:
            # Where it cannot be told which step has which digest, the step itself has to do.
            own = digest or f"{command} {size} {created_at}"
            stack = hashlib.sha256(f"{stack} {own}".encode()).hexdigest()[:24]
            held[stack] = size
    return found


def alone(held: Held, images: Iterable[str]) -> dict[str, dict[str, int]]:
    """The layers that go with these images, which are removed in this order: each under the last that holds it.

    Those that any other image holds too stay, and are left out.
    """
    order = list(dict.fromkeys(images))
    everybody = Counter(layer for layers in held.values() for layer in layers)
    ours = Counter(layer for image in order for layer in held.get(image, {}))
    found: dict[str, dict[str, int]] = {image: {} for image in order}
    seen: set[str] = set()
    for image in reversed(order):
        for layer, size in held.get(image, {}).items():
            if layer not in seen and ours[layer] == everybody[layer]:
                seen.add(layer)
                found[image][layer] = size
    return found


def count(engine: Engine) -> None:
    """Notes of each image of this engine how many bytes are its own. Three queries, however many there are."""
    held = layers_held(engine)
    everybody = Counter(layer for layers in held.values() for layer in layers)
    changed = []
    for row in Image.everything.filter(engine=engine).only("native_id", "unique_size"):
        layers = held.get(row.native_id, {})
        own = sum(size for layer, size in layers.items() if everybody[layer] == 1)
        if own != row.unique_size:
            row.unique_size = own
            changed.append(row)
    Image.everything.bulk_update(changed, ["unique_size"], batch_size=500)
