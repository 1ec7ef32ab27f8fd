"""Every kind of operation has a permission, words for people, a row in the documents, and refuses viewers."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.http import Http404
from django.utils import translation

from accounts.access import Actor, Denied
from accounts.permissions import PERMISSIONS, SITE
from containers_app import commit_asks, file_changes, rollback
from containers_app import operations as containers
from containers_app.models import Container, Network, Volume, VolumeBackup
from images_app import image_files, layer_verb, remote_tags, scan_verb, transfers
from images_app import operations as images
from images_app.models import Image, Registry, Tag, TagMove
from operations import registry, trash
from operations.models import Engine, Operation
from operations.web import told_of
from tests import house
from tests.faults import rest, site, storm
from tests.rows import in_the_trash, make_prune_plan
from tests.saved import saved

if TYPE_CHECKING:
    from accounts.models import AuditEntry, Team, User

Ask = Callable[[Any, Actor], Operation]


def _act(action: str, **params: Any) -> Ask:
    return lambda things, actor: containers.request(
        things.container, action, actor=actor, params=params or None
    )


def _import(things: Any, actor: Actor) -> Operation:
    transfers.may_import(actor, things.team)
    archive = image_files.spool(io.BytesIO(saved({"blue/loaded:1": b"x"})))
    return transfers.request_import(archive, actor=actor, engine=things.engine, team=things.team)


@pytest.fixture(autouse=True)
def _there_is_a_scanner(settings: Any) -> None:
    settings.SCANNER = "trivy"


# One way to ask for each kind, on things of team blue.
WAYS: dict[str, Ask] = {
    "container.run": lambda things, actor: containers.request_run(
        {"image": "busybox:1", "name": "fresh"}, actor=actor, engine=things.engine, team=things.team
    ),
    "container.start": _act("start"),
    "container.stop": _act("stop"),
    "container.restart": _act("restart"),
    "container.kill": _act("kill"),
    "container.pause": _act("pause"),
    "container.unpause": _act("unpause"),
    "container.rename": _act("rename", name="other"),
    "container.update": _act("update", resources={"pids": 50}),
    "container.remove": _act("remove", force=True),
    "container.duplicate": lambda things, actor: containers.request_duplicate(things.container, actor=actor),
    "container.recreate": _act("recreate", image="blue/app:2"),
    "container.commit": lambda things, actor: commit_asks.request_commit(
        things.container, {"repository": "blue/app", "tag": "2"}, actor=actor
    ),
    "container.export": lambda things, actor: commit_asks.request_export(things.container, actor=actor),
    "container.copy": lambda things, actor: containers.request_copy(things.container, actor=actor),
    "container.restore": lambda things, actor: trash.restore(things.trashed("container"), actor=actor),
    "container.purge": lambda things, actor: trash.purge(things.trashed("container"), actor=actor),
    "volume.restore": lambda things, actor: trash.restore(things.trashed("volume"), actor=actor),
    "volume.purge": lambda things, actor: trash.purge(things.trashed("volume"), actor=actor),
    "image.restore": lambda things, actor: trash.restore(things.trashed("image"), actor=actor),
    "image.purge": lambda things, actor: trash.purge(things.trashed("image"), actor=actor),
    "volume.create": lambda things, actor: containers.request_volume_create(
        {"name": "fresh"}, actor=actor, engine=things.engine, team=things.team
    ),
    "volume.remove": lambda things, actor: containers.request_volume_remove(things.volume, actor=actor),
    "volume.clone": lambda things, actor: containers.request_volume_clone(
        things.volume, {"name": "copy"}, actor=actor
    ),
    "volume.export": lambda things, actor: containers.request_volume_export(things.volume, actor=actor),
    "volume.import": lambda things, actor: containers.request_volume_import(
        {"name": "fresh"}, site.archive(), actor=actor, engine=things.engine, team=things.team
    ),
    "volume.backup": lambda things, actor: containers.request_volume_backup(things.volume, actor=actor),
    "volume.recover": lambda things, actor: containers.request_backup_restore(
        things.backup, {"volume": "data"}, actor=actor
    ),
    "backup.remove": lambda things, actor: containers.request_backup_remove(things.backup, actor=actor),
    "network.create": lambda things, actor: containers.request_network_create(
        {"name": "fresh"}, actor=actor, engine=things.engine, team=things.team
    ),
    "network.remove": lambda things, actor: containers.request_network_remove(things.network, actor=actor),
    "network.connect": lambda things, actor: containers.request_network_connect(
        things.network, things.container, {}, actor=actor
    ),
    "network.disconnect": lambda things, actor: containers.request_network_disconnect(
        things.network, things.container, actor=actor
    ),
    "network.restore": lambda things, actor: trash.restore(things.trashed("network"), actor=actor),
    "network.purge": lambda things, actor: trash.purge(things.trashed("network"), actor=actor),
    "image.build": lambda things, actor: images.request_build(
        actor=actor, engine=things.engine, team=things.team, tags=["blue/app:1"], dockerfile="FROM scratch\n"
    ),
    "image.pull": lambda things, actor: images.request_pull(
        "busybox:1", actor=actor, engine=things.engine, team=things.team
    ),
    "image.index": lambda things, actor: layer_verb.request_index(things.image, actor=actor),
    "image.scan": lambda things, actor: scan_verb.request_scan(things.image, actor=actor),
    "image.push": lambda things, actor: images.request_push(
        things.image, "127.0.0.1:1/blue/app:2", actor=actor
    ),
    "registry.untag": lambda things, actor: remote_tags.request_untag(
        Registry.objects.get_or_create(name="Ours", host="registry.example", owner=things.team)[0],
        "blue/app",
        "1",
        actor=actor,
    ),
    "image.tag": lambda things, actor: images.request_tag(things.image, "blue/app:2", actor=actor),
    "image.export": lambda things, actor: transfers.request_export(things.image, actor=actor),
    "image.import": _import,
    "image.rollback": lambda things, actor: rollback.request(things.tag, things.earlier, actor=actor),
    "image.untag": lambda things, actor: images.request_untag(things.tag, actor=actor),
    "image.remove": lambda things, actor: images.request_remove(things.image, actor=actor),
    "engine.prune": lambda things, actor: containers.request_prune(
        make_prune_plan(things.engine, actor.user).pk, actor=actor
    ),
}
WAYS |= {
    f"{kind}.{verb}": (lambda things, actor, kind=kind, ask=ask: ask(getattr(things, kind), actor))
    for kind in ("container", "volume")
    for verb, ask in {
        "put": lambda row, actor: file_changes.request_write(row, "/a", io.BytesIO(b"x"), actor=actor),
        "move": lambda row, actor: file_changes.request_rename(row, "/a", "b", actor=actor),
        "erase": lambda row, actor: file_changes.request_erase(row, "/a", actor=actor),
    }.items()
}
KINDS = sorted(registry.all_kinds())


@pytest.fixture
def things(team: Team) -> SimpleNamespace:
    """One of everything, owned by team blue, on an engine that nobody asks."""
    engine = Engine.objects.create(
        name="quiet", endpoint="unix:///nowhere/docker.sock", status=Engine.Status.ONLINE
    )
    image = Image.objects.create(
        engine=engine,
        native_id="sha256:" + "a" * 64,
        team=team,
        name="blue/app:1",
        stack=["sha256:" + "b" * 64],
    )
    earlier = Image.objects.create(engine=engine, native_id="sha256:" + "d" * 64, team=team)
    TagMove.objects.create(
        engine=engine, name="blue/app:1", from_native_id=earlier.native_id, to_native_id=image.native_id
    )
    return SimpleNamespace(
        earlier=earlier.native_id,
        trashed=lambda kind: in_the_trash(kind, engine, team),
        engine=engine,
        team=team,
        image=image,
        tag=Tag.objects.create(engine=engine, image=image, name="blue/app:1", repository="blue/app", tag="1"),
        container=Container.objects.create(
            engine=engine, native_id="b" * 64, team=team, name="web", state="running", image=image
        ),
        volume=Volume.objects.create(engine=engine, native_id="data", team=team),
        backup=VolumeBackup.objects.create(
            engine=engine, team=team, volume_name="data", key="x", digest="0" * 64, size=1, held=1, entries=1
        ),
        network=Network.objects.create(engine=engine, native_id="c" * 64, name="front", team=team),
    )


def test_there_are_kinds() -> None:
    assert {"container.run", "container.stop", "image.build", "volume.create"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_permission_and_words(kind: str) -> None:
    found = registry.get(kind)
    assert found.permission in PERMISSIONS
    assert found.label
    assert found.doing
    assert found.deadline > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_in_whole_sentences_that_it_runs_is_done_and_has_failed(kind: str) -> None:
    found, row = registry.get(kind), Operation(kind=kind, target_name="web")
    assert told_of(row) == (f"{found.doing} web", f"{found.done} web", f"{found.doing} web failed")
    assert found.done != found.doing
    with translation.override("de"):
        told, alone = told_of(row), translation.gettext(found.doing)
    for said, verb in zip(told, (r"wird|werden", r"wurde|wurden", r"konnten? nicht"), strict=True):
        assert re.search(rf"\bweb (?:{verb}) ", said), said
    # The participle by itself would say that it is done: "Entfernt".
    assert alone.lower() != re.sub(r".* wurden? ", "", told.done), alone


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_row_in_the_documents(kind: str) -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|", house.text(Path("docs/operations.md")), re.MULTILINE)
    assert rows.count(kind) == 1


def test_the_documents_have_no_row_without_a_kind() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|", house.text(Path("docs/operations.md")), re.MULTILINE)
    assert set(rows) - set(KINDS) == set()


def test_each_kind_is_in_the_storm_and_in_the_kill_matrix_or_it_is_said_why_not() -> None:
    wishes = storm.wishes(random.Random(1))  # noqa: S311 - any order
    stormy = {wish.kind for wish in wishes} | {wish.then for wish in wishes} | {*storm.AFTER.values()}
    assert set(KINDS) - stormy == set(storm.LEFT_OUT)
    matrix = {*site.KINDS, *site.MORE, *rest.KINDS}
    assert set(KINDS) - matrix == set(site.OTHERWISE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_viewer_is_refused(kind: str, things: SimpleNamespace, vic: User) -> None:
    from accounts.models import AuditEntry

    with pytest.raises(Denied, match="role"):
        WAYS[kind](things, Actor(user=vic))
    assert not Operation.objects.filter(kind=kind).exists()
    assert _denials(AuditEntry) == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_does_not_learn_that_it_exists(kind: str, things: SimpleNamespace, charlie: User) -> None:
    with pytest.raises((Http404, Denied)) as refused:
        WAYS[kind](things, Actor(user=charlie))
    # Only what names an object can hide it; a wish for something new names a team that is not theirs.
    new = {
        "container.run",
        "volume.create",
        "volume.import",
        "network.create",
        "image.build",
        "image.pull",
        "image.import",
        "engine.prune",
    }
    if kind not in new:
        assert refused.type is Http404
    assert not Operation.objects.filter(kind=kind).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_team_admin_is_heard_and_a_site_administrator_where_the_whole_engine_is_meant(
    kind: str, things: SimpleNamespace, tara: User, alice: User
) -> None:
    whole = PERMISSIONS[registry.get(kind).permission][0] == SITE
    if whole:
        with pytest.raises(Denied, match="site administrator"):
            WAYS[kind](things, Actor(user=tara))
    user, team = (alice, None) if whole else (tara, things.team)
    operation = WAYS[kind](things, Actor(user=user))
    assert (operation.kind, operation.state, operation.team) == (kind, "queued", team)
    assert operation.actor == user


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_for_reading_changes_nothing(kind: str, things: SimpleNamespace, tara: User) -> None:
    with pytest.raises(Denied, match="scope"):
        WAYS[kind](things, Actor(user=tara, source="api", scopes=frozenset({"read"})))
    assert not Operation.objects.filter(kind=kind).exists()


def _denials(entries: type[AuditEntry]) -> list[str]:
    return list(entries.objects.filter(outcome="denied").values_list("verb", flat=True))
