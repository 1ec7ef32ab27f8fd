"""Somebody who asks for everything, while everything under it dies: wishes of every kind, and a deck of faults."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from django.utils import timezone

from accounts.access import Actor
from conftest import BUSYBOX
from containers_app import files, prune_plans, volume_files
from containers_app import operations as containers
from containers_app.unused import unused
from engine import names
from operations.models import Operation, TrashItem
from operations.services import Refused
from tests import machine
from tests.chaos import Request
from tests.faults import rest, tally
from tests.faults.conftest import Start
from tests.faults.mortal import MortalEngine, MortalRedis
from tests.faults.site import CALLS, KINDS, LABELLED, MORE, Site
from tests.faults.web import Web

QUIET = ["sh", "-c", "trap exit TERM; sleep 10000 & wait"]
"""Many of them run at once: they must not keep the machine busy."""
ROUNDS = 8
THEN = {
    "container.pause": "container.unpause", "container.remove": "container.purge", "volume.remove": "volume.restore",
    "image.tag": "image.untag", "image.remove": "image.restore", "network.remove": "network.restore",
    "volume.backup": "volume.recover",
}  # fmt: skip
"""What is asked for once that has succeeded."""
NOT_FIRST = {"container.recreate", "container.unpause", "image.remove", "image.index", *rest.FIRST}
FEW = [
    *[(kind, THEN.get(kind, "")) for kind in (*MORE, "volume.backup", *rest.KINDS) if kind not in NOT_FIRST],
    ("image.tag", "image.rollback"),
    *[(f"{room}.remove", f"{room}.purge") for room in ("volume", "network", "image")],
]
"""Those of which a round has a third, and what is asked for after them."""
AFTER = {"volume.recover": "backup.remove"}
"""And once that has succeeded."""
LEFT_OUT = {
    "registry.untag": "a registry is needed; no engine is asked for anything",
    "image.index": "it changes nothing on an engine; once more does no harm",
    "image.scan": "it changes nothing on an engine, and needs a scanner; once more does no harm",
    "image.push": "a registry is needed for it; once more does no harm",
    "image.pull": "a registry is needed for it; who has lost one looks where its name points, as of a build",
}
"""Kinds that no storm has, and why."""
RUNNING = {"stop", "restart", "kill", "pause", "recreate", "back", "web"}
"""Containers for these run before it is asked for."""
DECK = [
    *["worker"] * 6, *["workers"] * 2, *["web"] * 3, *["redis"] * 2, "engine", *["reset"] * 2,
    *["blackhole_response"] * 2, *["cut"] * 2, *["hang"] * 2,
]  # fmt: skip
BURST = 6
"""Requests under way while the web process is killed."""
CHANGES = r"^(POST|DELETE|PUT) \S*/(containers|volumes|networks|images|build|commit)"
AGAIN_IS_NONE = (
    "container.start",
    "container.stop",
    "container.pause",
    "network.connect",
    "network.disconnect",
    "image.import",
)
ONCE = {
    **{kind: CALLS[kind] for kind in (*KINDS, *MORE) if kind not in AGAIN_IS_NONE},
    **{kind: rest.CALLS[kind] for kind in ("container.duplicate", "container.commit", *rest.LABELLED)},
    "container.remove": r"POST \S*/containers/{id}/rename\?\S*name=slipway-trash-{hex}",
    "container.restore": r"POST \S*/containers/{id}/rename\?\S*name={name}$",
    "container.purge": r"DELETE \S*/containers/{id}\b",
    "container.recreate": r"POST \S*/containers/create\?\S*name=slipway-new-{hex}",
}  # fmt: skip
"""The one request with which the engine does it. A second of `AGAIN_IS_NONE` is no second effect."""


@dataclass
class Wish:
    """``then``: what is to be asked for after it."""

    kind: str
    name: str
    then: str = ""
    operation: Operation | None = None


def wishes(dice: random.Random) -> list[Wish]:
    """A round has each kind once, and a third of those that take more, in any order."""
    found = []
    for n in range(ROUNDS):
        one = [Wish(kind, f"s{n}-{kind.replace('.', '-')}", THEN.get(kind, "")) for kind in KINDS]
        one += [
            Wish("container.remove", f"s{n}-container-back", "container.restore"),
            Wish("container.recreate", f"s{n}-container-recreate"),
            Wish("image.remove", f"s{n}-image-remove", "image.restore"),
            Wish("engine.prune", f"s{n}-junk"),
        ]
        few = [*enumerate(FEW)][n % 3 :: 3]
        one += [Wish(kind, f"s{n}-{i}-{kind.replace('.', '-')}", then) for i, (kind, then) in few]
        dice.shuffle(one)
        found += one
    return found


class Storm:
    """`prepare`, then `strike` with each card of the deck, then `settle`."""

    def __init__(
        self, site: Site, engine: MortalEngine, redis: MortalRedis, alice: Actor, dice: random.Random
    ) -> None:
        self.site, self.engine, self.redis, self.alice, self.dice = site, engine, redis, alice, dice
        self.wishes = wishes(dice)
        self.asked: list[Wish] = []
        self.web = [Wish("container.stop", f"w{n}-container-web") for n in range(BURST * DECK.count("web"))]
        self.unanswered = [0, 0]
        """Requests whose web process was killed: how many, and how many of them had been accepted by then."""
        self.operations: list[Operation] = []
        self.strikes: list[tally.Strike] = []
        self.recoveries = tally.Recoveries()

    def prepare(self) -> None:
        """Makes all that will be asked about."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._prepare, [*self.wishes, *self.web]))
        self.site.look()

    def _prepare(self, wish: Wish) -> None:
        api = self.site.docker.api
        if wish.kind in rest.KINDS or wish.kind == "volume.backup":
            rest.prepare(api, wish.kind, wish.name, QUIET)
        elif wish.kind.startswith(("volume.", "network.")):
            self.site.make(wish.kind, wish.name, QUIET)
        elif wish.kind == "engine.prune":
            for n in range(2):
                api.create_volume(f"{wish.name}-{n}")
        elif wish.kind.startswith("container.") and wish.kind != "container.run":
            host = api.create_host_config(network_mode="none")
            made = api.create_container(BUSYBOX, QUIET, name=wish.name, host_config=host)
            if _runs(wish):
                api.start(made["Id"])

    # Asking

    def ask(self, number: int) -> None:
        """The next so many wishes, and what follows from those that have been fulfilled."""
        for _ in range(min(number, len(self.wishes))):
            wish = self.wishes.pop(0)
            self._keep(wish, self._ask(wish))
        self.follow_up()

    def follow_up(self) -> bool:
        """Asks for what follows; whether anything may still follow."""
        waiting = [wish for wish in self.asked if wish.then and wish.operation]
        states = dict(
            Operation.objects.filter(pk__in=[w.operation.pk for w in waiting if w.operation]).values_list(
                "pk", "state"
            )
        )
        for wish in waiting:
            assert wish.operation is not None
            state = states[wish.operation.pk]
            if state in Operation.ENDED:
                kind, wish.then = wish.then, ""
                if state == "succeeded":
                    self._keep(Wish(kind, wish.name, AFTER.get(kind, "")), self._follow(kind, wish))
        return any(wish.then for wish in self.asked)

    def _keep(self, wish: Wish, operation: Operation | None) -> None:
        if operation is not None:
            self.asked.append(replace(wish, operation=operation))
            self.operations.append(operation)

    def _ask(self, wish: Wish) -> Operation | None:
        site = self.site
        if wish.kind == "engine.prune":
            return self._prune(wish)
        if wish.kind == "container.run":
            return site.ask(wish.kind, wish.name, command=QUIET)
        if wish.kind == "container.remove":
            return site.ask(wish.kind, wish.name, force=True)
        return site.ask(wish.kind, wish.name)

    def _prune(self, wish: Wish) -> Operation | None:
        """Of what nobody uses, this round's alone; the rest is still to be asked about."""
        found = unused(self.site.engine, None)
        junk = [item for item in found.found["named_volumes"] if item["name"].startswith(f"{wish.name}-")]
        chosen = replace(found, found={key: [] for key in found.found} | {"named_volumes": junk})
        plan = prune_plans.freeze(chosen, ["named_volumes"], actor=self.alice)
        try:
            return containers.request_prune(plan.pk, actor=self.alice)
        except Refused:  # the one of the round before has not ended
            self.wishes.append(wish)
            return None

    def _follow(self, kind: str, wish: Wish) -> Operation | None:
        before = Operation.objects.get(pk=wish.operation.pk) if wish.operation else None
        return rest.ask(self.site, kind, wish.name, before)

    # Faults

    def begin(self, begin: Start) -> None:
        """Two workers, a gateway and a web process, with the product's own times."""
        self.start = begin
        self.keepers = [begin("worker", FAULTS_PACE="product") for _ in range(2)]
        begin("gateway", FAULTS_PACE="product")
        assert self.site.actor.user is not None
        self.pages = Web(begin, self.site.actor.user)
        self.pages.begin()
        for keeper in self.keepers:
            self._worker(keeper)
        self.recoveries.start()

    def _worker(self, keeper: subprocess.Popen[bytes], besides: int = 0) -> int:
        said = self.site.plan.folder / f"worker-{keeper.pid}"

        def found() -> int:
            pid = int(said.read_text() or 0) if said.exists() else 0
            return pid if pid != besides and Path(f"/proc/{pid}").exists() else 0

        return int(machine.wait_for(found, 60, "no worker"))

    def strike(self, card: str, number: int) -> None:
        """This fault, with so many wishes asked for before and while it lasts."""
        self.ask(number - number // 3)
        time.sleep(self.dice.uniform(0.05, 0.8))
        began = timezone.now()
        ids = None
        if card in ("worker", "workers"):
            chosen = self.keepers if card == "workers" else [self.dice.choice(self.keepers)]
            ids = frozenset(pk for keeper in chosen for pk in self._kill(keeper))
        elif card == "web":
            ids = self._kill_web()
        else:
            getattr(self, f"_{card}", lambda _: self._lose(card, number // 3))(number // 3)
        self.strikes.append(tally.Strike(NAMES[card], began, timezone.now(), ids))
        self.ask(number // 3 if ids is not None else 0)

    def _kill(self, keeper: subprocess.Popen[bytes]) -> list[object]:
        """Stopped first, so that what it holds does not change while that is read."""
        pid = self._worker(keeper)  # one that Redis left while it began has ended by itself
        since = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        held = list(
            Operation.objects.filter(
                state__in=("running", "unknown"), lease_owner__contains=f":{pid}:"
            ).values_list("pk", "fence")
        )
        os.kill(pid, signal.SIGKILL)
        self.recoveries.watch(held, since)
        self._worker(keeper, besides=pid)
        return [pk for pk, _ in held]

    def _kill_web(self) -> frozenset[object]:
        """While requests are under way, some of them accepted; those that were by then.

        Each is asked again with its key until there is an answer: the same operation, once.
        """
        chosen = [self.web.pop() for _ in range(BURST)]
        rows = [self.site.row(wish.name) for wish in chosen]
        mine = Operation.objects.filter(target_id__in=[str(row.pk) for row in rows])
        with ThreadPoolExecutor(BURST) as pool:
            asked = [
                pool.submit(self.pages.ask, f"/containers/{row.pk}/stop/", {"timeout": 5}) for row in rows
            ]
            enough = self.dice.randint(1, BURST // 2)
            machine.wait_for(lambda: mine.count() >= enough, 30, "nothing is accepted", every=0.002)
            self.pages.kill()
            hit = {str(operation.pk): operation for operation in mine.all()}
            self.pages.begin()
            ids = [found.result(120) for found in asked]
        again = {*self.pages.lost} & {*ids}
        self.unanswered[0] += len(again)
        self.unanswered[1] += len(again & hit.keys())
        assert sorted(str(operation.pk) for operation in mine.all()) == sorted(ids), (
            "one operation for each key"
        )
        for wish, key in zip(chosen, ids, strict=True):
            self._keep(wish, Operation.objects.get(pk=key))
        return frozenset(operation.pk for operation in hit.values())

    def _redis(self, number: int) -> None:
        self.redis.kill()
        self.ask(number)
        time.sleep(self.dice.uniform(0.2, 2))
        self.redis.start()

    def _engine(self, number: int) -> None:
        self.engine.kill()
        self.ask(number)
        self.engine.start()
        left = [wish.name for wish in [*self.wishes, *self.web] if _runs(wish)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.site.docker.api.start, left))

    def _lose(self, mode: str, number: int) -> None:
        fault = self.site.door.fail(mode, CHANGES, times=2)
        self.ask(number)
        until = time.monotonic() + 5
        while fault.hits < 2 and time.monotonic() < until:
            time.sleep(0.05)
        self.site.door.heal()

    def _cut(self, _: int) -> None:
        self.site.door.shut()
        time.sleep(self.dice.uniform(0.1, 0.6))
        self.site.door.open()

    def _hang(self, number: int) -> None:
        self.site.door.fail("hang", r".")
        self.ask(number)
        time.sleep(self.dice.uniform(2, 5))
        self.site.door.heal()

    # Afterwards

    def settle(self, seconds: float) -> list[Operation]:
        """All as they have ended, with whatever follows."""
        until = time.monotonic() + seconds
        while (self.wishes or self.follow_up()) and time.monotonic() < until:
            self.ask(20)
            time.sleep(0.2)
        ended = self.site.wait(self.operations, max(1, until - time.monotonic()))
        self.recoveries.stop()
        return ended

    def twice(self, rows: list[Operation]) -> Iterator[str]:
        """What the engine did more than once for one operation."""
        for row in rows:
            if len(found := self._calls(row)) > 1:
                yield f"{row.pk} {row.kind} {row.target_name}: {[str(r) for r in found]}"
        made = [
            one["Labels"].get(names.OPERATION_LABEL, "") for one in self.site.docker.api.containers(all=True)
        ]
        yield from (f"{key}: {made.count(key)} containers" for key in {*made} - {""} if made.count(key) > 1)

    def left_over(self, rows: list[Operation]) -> Iterator[str]:
        """What nobody would ever put right: containers for the meantime, names without one, half a removal."""
        called = [one["Names"][0].removeprefix("/") for one in self.site.docker.api.containers(all=True)]
        whose = {str(row.pk)[:13]: f"{row.kind} {row.state} {row.error_code}" for row in rows}
        meantime = [name for name in called if name.startswith(("slipway-volume-", "slipway-new-"))]
        yield from (f"{name}: {whose.get(name[15:])}" for name in meantime)
        for row in rows:
            back = row.kind == "container.recreate" or (row.kind, row.state) == (
                "container.restore",
                "succeeded",
            )
            if back and row.target_name not in called:
                yield f"{row.pk}: after {row.kind} ({row.state}) there is no {row.target_name}"
        kept = {str(row.pk) for row in rows if row.kind.endswith(".export") and row.state == "succeeded"}
        for path in [*volume_files.file_of("x").parent.iterdir(), *files.spooled("x").parent.iterdir()]:
            if path.name.partition(".")[0] not in kept:
                yield f"a file for the meantime: {path.name}"
        for item in TrashItem.objects.filter(state=TrashItem.State.GOING).select_related("operation"):
            yield f"{item.name} is on its way into the trash, by {item.operation.kind}: {item.operation.state}"

    def _calls(self, row: Operation) -> list[Request]:
        if row.kind not in ONCE:
            return []
        name = row.target_name.removeprefix("faults/").removesuffix(":1")
        name = name.removesuffix("-2") if row.kind == "container.duplicate" else name
        line = ONCE[row.kind].format(
            id=row.params.get("native_id", ""), name=re.escape(name), hex=row.pk.hex[:12]
        )
        found = self.site.door.effects(line)
        return [r for r in found if str(row.pk) in r.body] if row.kind in LABELLED else found


NAMES = {
    "worker": tally.WORKER, "workers": tally.WORKER, "web": tally.WEB, "redis": tally.REDIS, "engine": tally.ENGINE,
    "reset": tally.LOST, "blackhole_response": tally.LOST, "cut": tally.CUT, "hang": tally.HUNG,
}  # fmt: skip


def _runs(wish: Wish) -> bool:
    return wish.name.rpartition("-")[2] in RUNNING
