"""The kinds that need more around them: something in a volume, what was removed or backed up before; and what shows
on the engine, or in our own folders, that each has happened.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import docker

from conftest import BUSYBOX
from containers_app import commit, commit_asks, file_changes, rollback, stores, volume_copies, written
from containers_app import operations as containers
from containers_app.models import Container, Network, Volume, VolumeBackup
from engine.errors import NotFound
from engine.files import Place
from images_app import layer_verb, transfers
from images_app import operations as images
from images_app.models import LayerIndex, Tag, TagMove
from operations import trash
from operations.models import Operation, TrashItem

if TYPE_CHECKING:
    from tests.faults.site import Site

FIRST = {
    "container.restore": "container.remove", "container.purge": "container.remove",
    "volume.restore": "volume.remove", "volume.purge": "volume.remove", "volume.recover": "volume.backup",
    "backup.remove": "volume.backup", "network.restore": "network.remove", "network.purge": "network.remove",
    "image.untag": "image.tag", "image.rollback": "image.tag", "image.restore": "image.remove",
    "image.purge": "image.remove",
}  # fmt: skip
"""What is asked for, and has succeeded, before that can be."""
KINDS = (
    "container.unpause", "container.duplicate", "container.recreate", "container.commit", "container.export",
    "container.copy", "container.put", "container.move", "container.erase", "volume.put", "volume.move",
    "volume.erase", "volume.export", "image.export", "image.index", "image.remove", *FIRST,
)  # fmt: skip
CALLS = {
    "container.unpause": r"POST \S*/{id}/unpause",
    "container.duplicate": r"POST \S*/containers/create\?\S*name={name}-2\b",
    "container.recreate": r"POST \S*/containers/create\?\S*name=slipway-new-{hex}",
    "container.commit": r"POST \S*/commit\?\S*container={id}",
    "container.restore": r"POST \S*/containers/{id}/rename\?\S*name={name}$",
    "container.purge": r"DELETE \S*/containers/{id}\b",
    "volume.restore": r"POST \S*/volumes/create",
    "volume.recover": r"POST \S*/volumes/create",
    "network.restore": r"POST \S*/networks/create",
    "image.rollback": r"POST \S*/images/{id}/tag\?\S*repo=faults%2F{name}\b",
    "image.untag": r"DELETE \S*/images/faults/{name}:1",
    "image.remove": r"POST \S*/tag\?\S*tag={hex}",
    "image.restore": r"POST \S*/tag\?\S*repo=faults%2F{name}\b",
    "image.purge": r"DELETE \S*/images/{id}",
}
"""The one request with which the engine does it, where there is one."""
LABELLED = ("volume.restore", "volume.recover", "network.restore")
SAID = b"said"
STOPPED = ["sleep", "1000"]


def one_file(name: str, text: bytes = SAID) -> bytes:
    """An archive with that file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return out.getvalue()


def prepare(api: docker.APIClient, kind: str, name: str, command: list[str]) -> None:
    """Makes on the engine what the first of it needs."""
    room = kind.partition(".")[0]
    if room == "image" and kind != "image.untag":
        image = one_file("said", name.encode())
        api.import_image_from_data(
            image, repository=f"faults/{name}", tag="1", changes=[f"LABEL name={name}"]
        )
    elif room == "network":
        network = api.create_network(name)["Id"]
        made = api.create_container(BUSYBOX, command, name=name)
        api.connect_container_to_network(made["Id"], network)
    elif room in ("volume", "backup"):
        api.create_volume(name)
        host = api.create_host_config(binds=[f"{name}:/data"], network_mode="none")
        made = api.create_container(BUSYBOX, STOPPED, name=f"{name}-fills", host_config=host)
        api.put_archive(made["Id"], "/data", one_file("file"))
        api.remove_container(made["Id"])
    elif room == "container":
        host = api.create_host_config(network_mode="none")
        made = api.create_container(BUSYBOX, command, name=name, host_config=host)
        api.put_archive(made["Id"], "/", one_file("file"))
        if kind in ("container.unpause", "container.recreate"):
            api.start(made["Id"])
        if kind == "container.unpause":
            api.pause(made["Id"])


def ask(site: Site, kind: str, name: str, before: Operation | None = None) -> Operation:
    """Tara asks for it; ``before`` is what `FIRST` names, as it has ended."""
    room, _, verb = kind.partition(".")
    actor = site.actor
    if verb in ("restore", "purge"):
        item = TrashItem.objects.get(operation=before)
        return (trash.restore if verb == "restore" else trash.purge)(item, actor=actor)
    if verb in ("put", "move", "erase"):
        return _ask_file(site, verb, volume_of(site, name) if room == "volume" else site.row(name))
    if before and kind == "backup.remove":
        return containers.request_backup_remove(_backup(before), actor=actor)
    if before and kind == "volume.recover":
        return containers.request_backup_restore(_backup(before), {"volume": f"{name}-back"}, actor=actor)
    if kind == "volume.export":
        return containers.request_volume_export(volume_of(site, name), actor=actor)
    if room == "image":
        return _ask_image(site, kind, name)
    return _ask_container(site, kind, site.row(name))


def _ask_image(site: Site, kind: str, name: str) -> Operation:
    actor = site.actor
    tag = Tag.objects.select_related("image").get(engine=site.engine, name=f"faults/{name}:1")
    if kind == "image.export":
        return transfers.request_export(tag.image, [tag.name], actor=actor)
    if kind == "image.index":
        return layer_verb.request_index(tag.image, actor=actor)
    if kind == "image.rollback":
        was = TagMove.objects.filter(name=tag.name).exclude(from_native_id="").latest("pk")
        return rollback.request(tag, was.from_native_id, actor=actor)
    untag = kind == "image.untag"
    return images.request_untag(tag, actor=actor) if untag else images.request_remove(tag.image, actor=actor)


def _ask_file(site: Site, verb: str, row: Container | Volume) -> Operation:
    if verb == "put":
        return file_changes.request_write(row, "/sent", io.BytesIO(SAID), actor=site.actor)
    if verb == "move":
        return file_changes.request_rename(row, "/file", "moved", actor=site.actor)
    return file_changes.request_erase(row, "/file", actor=site.actor)


def _ask_container(site: Site, kind: str, row: Container) -> Operation:
    actor = site.actor
    if kind == "container.duplicate":
        return containers.request_duplicate(row, actor=actor, params={"name": f"{row.name}-2"})
    if kind == "container.commit":
        return commit_asks.request_commit(row, {"repository": f"faults/{row.name}", "tag": "1"}, actor=actor)
    if kind == "container.export":
        return commit_asks.request_export(row, actor=actor)
    if kind == "container.copy":
        return containers.request_copy(row, actor=actor)
    wish = {"pull": False, "gate": {"timeout": 20, "steady": 1}} if kind == "container.recreate" else None
    return containers.request(row, kind.partition(".")[2], actor=actor, params=wish)


def _backup(before: Operation | None) -> VolumeBackup:
    assert before
    assert before.result
    return VolumeBackup.objects.get(pk=before.result["backup"])


def volume_of(site: Site, name: str) -> Volume:
    return Volume.objects.select_related("engine", "team").get(engine=site.engine, native_id=name)


def called(kind: str, name: str, before: Operation | None) -> str:
    """What stands in ``target_name`` of what `ask` asks for."""
    if kind == "backup.remove":
        return str(_backup(before))
    more = {"container.duplicate": f"{name}-2", "volume.recover": f"{name}-back"}
    return f"faults/{name}:1" if kind.startswith("image.") else more.get(kind, name)


def happened(site: Site, row: Operation, name: str) -> bool:
    """Whether all of it is as whoever asked wished."""
    room, _, verb = row.kind.partition(".")
    if row.kind == "backup.remove":
        files = [path for path in stores.folder().rglob("*") if path.is_file() and name in path.parts]
        return not files and not VolumeBackup.objects.filter(pk=row.params["backup"]).exists()
    if verb in ("put", "move", "erase"):
        place = Place(volume=name) if room == "volume" else Place(container=site.row(name).native_id)
        wanted = {"put": "/sent", "move": "/moved", "erase": ""}[verb]
        return (not wanted or _holds(site, place, wanted)) and (verb == "put" or not _holds(site, place))
    if verb in ("export", "copy"):
        of = {
            "volume": volume_copies.export_of, "container": commit.export_of, "image": transfers.export_of,
        }  # fmt: skip
        path = written.copy_of(row.pk) if verb == "copy" else of[room](row)
        with tarfile.open(path) as archive:
            found = ("manifest.json" if room == "image" else "file") in archive.getnames()
        path.unlink()
        return found
    if verb == "purge":
        return TrashItem.objects.get(pk=row.params["trash"]).state == TrashItem.State.PURGED
    if room == "volume":
        return _holds(site, Place(volume=name if verb == "restore" else f"{name}-back"))
    if room == "network":
        return Network.objects.get(name=name).native_id in site.networks_of(name)
    if room == "image":
        return _is_image(row, verb, name)
    return _is_container(site, verb, name)


def _is_image(row: Operation, verb: str, name: str) -> bool:
    there = Tag.objects.filter(name=f"faults/{name}:1")
    if verb == "index":
        stack = there.get().image.stack
        return LayerIndex.objects.filter(digest__in=stack, problem="", entries=1).count() == len(stack) == 1
    wanted = str(row.params["native_id"])
    return there.filter(image__native_id=wanted).exists() == (verb in ("restore", "rollback"))


def _is_container(site: Site, verb: str, name: str) -> bool:
    if verb == "commit":
        return Tag.objects.filter(name=f"faults/{name}:1").exists()
    state = Container.objects.get(name=f"{name}-2" if verb == "duplicate" else name).state
    return bool(state == ("created" if verb == "restore" else "running"))


def _holds(site: Site, place: Place, path: str = "/file") -> bool:
    try:
        return bool(site.backend.peek(place, path, most=100)[1] == SAID)
    except NotFound:
        return False
