"""S-18: who may what, on every route and socket, with a session and with a token, against a table written by hand.

S-22 besides: whatever a stranger is answered names nothing of the team whose things they asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, product
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.http import Http404
from django.test import Client, RequestFactory
from django.urls import get_resolver
from django.utils import timezone

from accounts import tokens
from accounts.access import PUBLIC, SIGNED_IN
from accounts.models import AuditEntry, GroupMapping, Membership, PermissionSet, Role, Team, User
from accounts.permissions import PERMISSIONS, SCOPES
from containers_app.backed import BackupStore, VolumeBackup
from containers_app.cared import CareRule
from containers_app.kept import KeptLog, LogRule
from containers_app.models import ConsoleSession, DeployHook
from containers_app.pruned import PrunePolicy
from dashboard import sockets
from images_app.models import Registry
from operations import channels, reads
from operations.channel import Channel, Delivery
from operations.models import Operation
from operations.policy import PolicyException
from operations.variable import Variable
from streams import hub
from tests import rows
from tests.sockets import Browser
from tests.test_routes import ANY, METHODS, Route, walk

# By hand, from what docs/teams.md promises; never read from the code. Who may it first in the owning team.
NEEDS = {
    "viewer": """
        engine.read container.read container.logs image.read registry.read volume.read network.read operation.read
        policy.read variable.read team.read token.own account.own""",
    "operator": """
        engine.sync logs.keep container.run container.start container.stop container.restart container.kill
        container.pause container.unpause container.rename container.seen care.container container.update
        container.remove container.recreate container.duplicate image.pull image.push image.build image.index image.scan
        image.tag image.export image.import network.connect network.disconnect operation.cancel audit.read
        webhook.mute hook.manage""",
    "granted": "container.console container.files container.write volume.files volume.write",
    "admin": """
        logs.keep_team care.team container.copy container.commit container.export registry.manage registry.untag
        image.report image.untag image.remove volume.create volume.remove volume.clone volume.export volume.import
        volume.backup volume.recover backup.read backup.remove backup.schedule network.create network.remove
        webhook.read webhook.manage variable.manage team.members""",
    "site": """
        engine.manage engine.prune prune.manage care.site store.manage policy.manage policy.except team.manage
        object.move user.read user.disable metrics.read""",
}  # fmt: skip
LADDER = ("viewer", "operator", "granted", "admin", "site")
NEEDED = {name: LADDER.index(role) for role, names in NEEDS.items() for name in names.split()}
ABOVE, ABROAD = len(LADDER), LADDER.index("admin")
# Where the row decides, or who asks: the method and the address → who may it first.
NEEDS_MORE = {
    r"GET /trash/[^/]+/purge/|(DELETE|POST) /api/v1/trash/[^/]+/(restore/)?": "admin",  # it was an image
    r"GET /containers/[^/]+/ask/stop/": "operator",
    r"DELETE /api/v1/log-history/rules/[^/]+/": "admin",  # it is the whole team's
    r"POST /api/v1/tokens/": "person",  # a token makes no tokens
    r"(POST|PATCH|DELETE) /api/v1/group-mappings/([^/]+/)?": "person",  # nor administrators
}
# Each of everybody: how high they stand on the ladder in team blue, -1 for strangers, None for who is nobody.
PEOPLE: dict[str, int | None] = {
    "anonymous": None, "gone": None, "fred": -1, "bea": 0, "vic": 0, "bob": 1, "olga": 2, "tara": 3, "alice": 4,
}  # fmt: skip
# Who has a permission set in blue, and is admin of red: by hand as well, with what comes along.
SUE = "container.read container.restart volume.read"
HERS = {*SUE.split(), "operation.read", "engine.read", "team.read", "account.own", "token.own"}
DOORS = ("session", "token")
# Whatever belongs to blue is called so, and a stranger reads it nowhere.
CANARY = re.compile(rb"(?<!Atlantic/)canary|\bblue\b", re.IGNORECASE)  # there is a time zone of this name
REFUSED = (401, 403)
SAME_FOR_ALL = "/api/v1/schema/"
"""Made anew for each who asks, for a quarter of a second; tests/test_api_schema.py knows every letter of it."""


@dataclass(frozen=True)
class Call:
    """One request that a route takes. ``foreign``: it names something that only blue sees."""

    method: str
    path: str
    needs: str
    foreign: bool

    @property
    def rest(self) -> bool:
        return self.path.startswith("/api/")

    def least(self, door: str) -> float:
        """How high somebody stands on the ladder who may do this."""
        for more, role in NEEDS_MORE.items():
            if re.fullmatch(more, str(self)) and (role != "person" or door == "token"):
                return ABOVE if role == "person" else LADDER.index(role)
        return -1 if self.needs == SIGNED_IN else NEEDED[self.needs]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture
def things(team: Team, db: None) -> dict[str, Any]:
    """One of everything that belongs to team blue: by the words of an address before its id."""
    engine = rows.make_engine()
    image = rows.make_image(engine, team, "canary/app:1")
    web = rows.make_container(engine, team, "canary-web", image=image, image_ref="canary/app:1", stack="shop")
    volume = rows.make_volume(engine, team, "canary-data", web)
    operation = rows.make_operation(engine, team, target_name="canary-web", target_id=str(web.pk))
    ended = rows.make_operation(engine, team, kind="volume.backup", target_name="canary-data")
    soon = timezone.now() + timedelta(hours=1)
    channel = Channel.objects.create(team=team, name="canary", sealed="", shown="https://canary.example.com")
    said = {"engine": engine, "team": team, "actor_name": "canary"}
    return {
        "engines|stacks": engine, "containers|disconnect": web, "images|compare": image, "volumes": volume,
        "scans": rows.make_scan(image, actor_name="canary"),
        "networks": rows.make_network(engine, team, "canary-net", web), "builds": rows.make_build(engine, team),
        "operations|copies|exports|filesystems": operation, "tags": image.tags.get(),
        "registries": Registry.objects.create(name="Canary", host="registry.example.com", owner=team),
        "trash": rows.in_the_trash("image", engine, team, "canary-gone"),
        "console": ConsoleSession.objects.create(
            container=web, native_id=web.native_id, container_name=web.name, **said
        ),
        "log-history": KeptLog.objects.create(engine=engine, native_id=web.native_id, name="canary", team=team),
        "log-history/rules": LogRule.objects.create(team=team),
        "care": CareRule.objects.create(team=team, heal=True),
        "exceptions": PolicyException.objects.create(
            team=team, rule="ports", name="canary-web", reason="canary", expires_at=soon, actor_name="canary"
        ),
        "backup-stores|stores": BackupStore.objects.create(
            name="shelf", endpoint="https://s3.example.com", bucket="backups", access_key="key", sealed=""
        ),
        "backups": VolumeBackup.objects.create(
            engine=engine, team=team, volume_name="canary-data", operation=ended, key="canary.tar.gz",
            digest="0" * 64, size=1, held=1, entries=1,
        ),
        "webhooks|notifications": channel,
        "deliveries|messages": Delivery.objects.create(
            channel=channel, event_id=uuid4(), last_id=uuid4(), event="test", title="canary", at=soon, due_at=soon,
            expires_at=soon,
        ),
        "hooks": DeployHook.objects.create(name=web.name, sealed="", **said),
        "shop/hooks": DeployHook.objects.create(kind="stack", name="shop", sealed="", **said),
        "prune|policies": PrunePolicy.objects.create(name="canary", engine=engine, next_at=soon),
        "permission-sets": PermissionSet.objects.create(team=team, name="canary", permissions=["container.logs"]),
        "teams/permission-sets|v1/permission-sets": PermissionSet.objects.create(name="Readers"),
        "group-mappings": GroupMapping.objects.create(group="canary", team=team, role=Role.VIEWER),
        "variables": Variable.objects.create(team=team, name="CANARY", value="canary"), "teams": team,
    }  # fmt: skip


SHARED = {"engines|stacks", "backup-stores|stores", "teams/permission-sets|v1/permission-sets"}
"""Known to everybody who is signed in, so that nothing is hidden from a stranger here."""
OWN = ("/account/", "/api/v1/tokens/")
"""What is there belongs to whoever asks."""


@pytest.fixture
def calls(things: dict[str, Any], alice: User, vic: User) -> list[Call]:
    """Every method of every route, with something of blue in its places."""
    filled = {word: (key, row) for key, row in things.items() for word in key.split("|")}
    filled |= {"users": ("users", alice), "people": ("users", alice), "members": ("members", vic)}
    found: list[Call] = []
    for route in walk(get_resolver().url_patterns):
        if route.admin or route.declared == PUBLIC:
            continue
        path, foreign = route.path, False
        while ANY in path and not path.startswith(OWN):
            before = path.partition(ANY)[0].rstrip("/").split("/")
            word = "/".join(before[-2:]) if "/".join(before[-2:]) in filled else before[-1]
            assert word in filled, f"{route.path}: give the tests one of these that is blue's"
            key, row = filled[word]
            foreign = foreign or key not in SHARED
            path = path.replace(ANY, str(row.pk), 1)
        for method in METHODS:
            if handles(route, method):
                declared = route.declared
                needs = declared[method] if isinstance(declared, dict) else declared
                found.append(Call(method, path, needs, foreign))
    return found


def handles(route: Route, method: str) -> bool:
    """Whether an address takes this method: pages say no with 405 before they look at anything else."""
    if hasattr(route.view, "cls"):
        return hasattr(route.view.cls, method.lower())
    if method not in ("GET", "POST"):
        return False
    request = RequestFactory().generic(method, "/")
    try:
        return bool(route.view(request).status_code != 405)
    except (AttributeError, Http404, TypeError):
        return True


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine, and no worker to ask one: whoever may ask is told so at once."""

    def away(*_: Any, **__: Any) -> None:
        raise OSError("Nobody is there.")

    monkeypatch.setattr(reads, "current_app", SimpleNamespace(send_task=away))
    monkeypatch.setattr(channels, "time", SimpleNamespace(monotonic=count(0, 60).__next__))
    monkeypatch.setattr("containers_app.api.reads.newest", lambda *_, **__: None)


@pytest.fixture
def everybody(
    person: Callable[..., User], alice: User, tara: User, bob: User, vic: User, team: Team, other_team: Team
) -> dict[str, User | None]:
    """Name → who that is. ``gone`` was a site administrator and is disabled; ``fred`` administers red, and so does
    ``bea``, who may but look in blue, and ``sue``, whose permission set there is `SUE`."""
    olga = person("olga", team, Role.OPERATOR)
    Membership.objects.filter(user=olga).update(console=True, files=True)
    gone = person("gone", team, Role.ADMIN, is_superuser=True)
    fred, bea = (person(name, other_team, Role.ADMIN) for name in ("fred", "bea"))
    Membership.objects.create(user=bea, team=team, role=Role.VIEWER)
    sue = person("sue", other_team, Role.ADMIN)
    hers = PermissionSet.objects.create(team=team, name="Restart only", permissions=SUE.split())
    Membership.objects.create(user=sue, team=team, role=Role.CUSTOM, permission_set=hers)
    known = {user.username: user for user in (alice, tara, bob, vic, olga, gone, fred, bea, sue)}
    return {name: known.get(name) for name in (*PEOPLE, "sue")}


def enter(user: User | None, door: str) -> Client:
    """A client of theirs; who is ``gone`` came in before the account was disabled."""
    client = Client(raise_request_exception=False, REMOTE_ADDR="203.0.113.7")
    secret = "slp_" + "a" * 12 + "." + "b" * 40
    if user is not None and door == "session":
        client.force_login(user)
    elif user is not None:
        secret = tokens.make(user, "test", SCOPES)[1]
    if door == "token":
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    if user is not None and user.username == "gone":
        User.objects.filter(pk=user.pk).update(is_active=False)
    return client


def send(client: Client, call: Call, path: str = "") -> Any:
    """The answer; what it changed is undone."""
    with transaction.atomic():
        answer = client.generic(call.method, path or call.path, b"{}" if call.rest else b"", _kind(call))
        answer.operations = Operation.objects.filter(state=Operation.State.QUEUED).count()
        answer.denials = AuditEntry.objects.filter(outcome="denied").count()
        transaction.set_rollback(True)
    return answer


def _kind(call: Call) -> str:
    return "application/json" if call.rest else "application/x-www-form-urlencoded"


def wrong(call: Call, client: Client, name: str, door: str) -> Iterator[str]:
    """What an answer has that it must not have, in words; nothing where it is as the table says."""
    answer = send(client, call)
    status, here, height = answer.status_code, f"{call}: {answer.status_code}", height_of(name, call)
    if height is None or (door == "token" and not call.rest and call.path != "/metrics"):
        to_sign_in = status == 302 and "/login/" in answer["Location"]
        if not (to_sign_in or status == 401):
            yield f"{here} for nobody"
    elif height < call.least(door):
        # Who may it elsewhere is asked first what they want: a wish that makes no sense is not judged.
        elsewhere = name in ("bea", "sue") and call.foreign
        if status != 403 and not (elsewhere and status in (302, 400, 404, 409)):
            yield f"{here} instead of 403"
        elif status == 403 and answer.denials != 1:
            yield f"{here} left {answer.denials} lines in the trail"
    elif name == "fred":
        if named := CANARY.search(body(answer).replace(call.path.encode(), b"")):
            yield f"{here} names what is not theirs: {named}"
        if call.foreign and unlike_nothing(client, call, answer):
            yield f"{here} tells that it is there"
        return
    elif status in REFUSED or status == 500:
        yield f"{here} although they may: {body(answer)[:200]!r}"
    if answer.operations and (height is None or height < 1 or status in REFUSED):
        yield f"{here} and yet an operation"


def height_of(name: str, call: Call) -> int | None:
    """How high they stand where this call goes: administrators of red do, until it is about a thing of blue. Who pulls
    for one team may look whether another's registry answers, if they see it."""
    if name == "sue":
        hers = call.needs in HERS and not any(re.fullmatch(more, str(call)) for more in NEEDS_MORE)
        return LADDER.index("site") if hers else -1
    if name == "fred" or (
        name == "bea" and (not call.foreign or ("/registries/" in call.path and "/check/" in call.path))
    ):
        return ABROAD
    return PEOPLE[name]


def worth_asking(call: Call, name: str, door: str) -> bool:
    """Refusals all; of what is allowed, what its weakest may and, by token, what the strongest may."""
    if name == "sue":
        return call.foreign
    height = height_of(name, call)
    if height is None or name == "fred":
        return height is None or call.path != SAME_FOR_ALL
    if call.path == SAME_FOR_ALL or (name == "bea" and not call.foreign):
        return False
    return call.least(door) in (-1, height) or height < call.least(door) or (height == 4 and door == "token")


def unlike_nothing(client: Client, call: Call, answer: Any) -> bool:
    """Whether the answer differs from the one to an id that there never was."""
    nowhere = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ANY, call.path)
    none = send(client, call, nowhere)
    return (none.status_code, bare(none)) != (answer.status_code, bare(answer))


def bare(answer: Any) -> bytes:
    """A body without what is another one in each answer."""
    return re.sub(rb"[0-9a-f-]{32,36}|\d+ms|value=\"\w{64}\"", b"", body(answer))


def body(answer: Any) -> bytes:
    return b"" if answer.streaming else bytes(answer.content)


def test_the_table_is_as_it_was_written_by_hand() -> None:
    assert set(NEEDED) == set(PERMISSIONS), set(NEEDED) ^ set(PERMISSIONS)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", [*PEOPLE, "sue"])
def test_everybody_may_on_each_route_what_the_table_says(
    calls: list[Call], everybody: dict[str, User | None], name: str, door: str
) -> None:
    """S-18, S-22. That who is stronger may it too is told by accounts/tests/test_access.py, without requests."""
    assert len(calls) > 250
    client = enter(everybody[name], door)
    asked = [call for call in calls if worth_asking(call, name, door)]
    found = [words for call in asked for words in wrong(call, client, name, door)]
    assert not found, "\n".join(["", *found])


@pytest.mark.django_db(transaction=True)
async def test_everybody_may_on_each_socket_what_the_table_says(
    things: dict[str, Any], everybody: dict[str, User | None]
) -> None:
    """S-18, S-19, S-20. That the others are let in is told by tests/test_sockets.py and tests/test_console.py."""
    web = things["containers|disconnect"]
    found, asked = [], 0
    for name, door in product(PEOPLE, DOORS):
        client = await sync_to_async(enter)(everybody[name], door)
        for address, consumer in sockets.consumers.items():
            height, signed_in = PEOPLE[name], consumer.permission == SIGNED_IN
            if height is not None and (signed_in or height >= NEEDED[consumer.permission]):
                continue
            wanted = 4401 if height is None else 4404 if name == "fred" else 4403
            path = f"/{address.replace('<uuid:pk>', str(web.pk))}?container={web.pk}"
            if (ended := await _closed(client, path, door)) != wanted:
                found.append(f"{name} by {door} at {address}: {ended} instead of {wanted}")
            asked += 1
    assert not found, "\n".join(["", *found])
    assert asked == 28
    assert not await ConsoleSession.objects.exclude(pk=things["console"].pk).aexists()
    await hub.close()


async def _closed(client: Client, path: str, door: str) -> int:
    """The code that it is closed with."""
    if door == "token":
        browser = Browser(path, origin=None, authorization=client.defaults["HTTP_AUTHORIZATION"])
    else:
        browser = Browser(path, client if settings.SESSION_COOKIE_NAME in client.cookies else None)
    assert await browser.open()
    code = await browser.closed()
    await browser.disconnect()
    return code
