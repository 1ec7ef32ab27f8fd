"""Somebody who asks for changes of every kind, and who knows from the engine alone whether each happened."""

from __future__ import annotations

import io
import os
import re
import signal
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker

from accounts.access import person
from accounts.models import Team, User
from conftest import BUSYBOX
from containers_app import operations as containers
from containers_app import sync
from containers_app.models import Container, Network, Volume
from dashboard import invariants
from engine import names
from engine.connect import connect
from images_app import image_files, transfers
from images_app import operations as images
from images_app import sync as images_sync
from images_app.models import Image
from operations.models import Engine, Operation
from tests import machine
from tests.chaos import Faulty, Request
from tests.faults import rest
from tests.faults.points import Plan
from tests.saved import saved

SLEEPY = ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]
STATES = {"start": "created", "pause": "running", "stop": "running", "restart": "running", "kill": "running"}
"""What a container must be for that, where it matters."""
AGAIN = {"container.restart", "container.kill"}
"""Kinds that are not begun again after a worker was lost."""
KINDS = (
    "container.run", "container.start", "container.stop", "container.restart", "container.kill", "container.pause",
    "container.rename", "container.update", "container.remove", "volume.create", "volume.remove", "image.tag",
    "image.build",
)  # fmt: skip
MORE = (
    "volume.clone", "volume.import", "network.create", "network.remove", "network.connect", "network.disconnect",
    "image.import",
)  # fmt: skip
"""Kinds that each round of the storm has but one of, as it has of those in `rest.KINDS`."""
LABELLED = {"volume.create", "volume.clone", "volume.import", "network.create", *rest.LABELLED}
"""Kinds whose effect carries the id of the operation."""
OTHERWISE = {
    "image.pull": "a registry is needed: its lost answers and its ends are in tests/test_cancelling.py",
    "registry.untag": "a registry is needed; no engine is asked for anything",
    "image.scan": "a scanner is needed: images_app/tests/test_scan_verb.py; no engine is changed",
    "image.push": "a matrix of its own, with a registry",
    "volume.backup": "a matrix of its own: it has more to leave behind than an engine shows",
    "engine.prune": "in the storm: what one worker has removed the next one finds gone",
}
"""Kinds that the matrix leaves out, and why."""
CALLS = {
    "container.run": r"POST \S*/containers/create\?\S*name={name}\b",
    "container.start": r"POST \S*/{id}/start",
    "container.stop": r"POST \S*/{id}/kill",
    "container.restart": r"POST \S*/{id}/restart",
    "container.kill": r"POST \S*/{id}/kill",
    "container.pause": r"POST \S*/{id}/pause",
    "container.rename": r"POST \S*/{id}/rename",
    "container.update": r"POST \S*/{id}/update",
    "container.remove": r"POST \S*/containers/{id}/rename",  # into the trash
    "volume.create": r"POST \S*/volumes/create",
    "volume.remove": r"DELETE \S*/volumes/{name}\b",
    "volume.clone": r"POST \S*/volumes/create",
    "volume.import": r"POST \S*/volumes/create",
    "network.create": r"POST \S*/networks/create",
    "network.remove": r"DELETE \S*/networks/{id}",
    "network.connect": r"POST \S*/networks/{network}/connect",
    "network.disconnect": r"POST \S*/networks/{network}/disconnect",
    "image.tag": r"POST \S*/tag\?\S*repo=faults%2F{name}\b",
    "image.import": r"POST \S*/images/load",
    "image.build": r"POST \S*/build\?\S*t=faults%2F{name}%3A1",
}
"""The one request with which the engine does it."""


def archive() -> io.BytesIO:
    """A tar with one empty file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as new:
        new.addfile(tarfile.TarInfo("file"))
    made.seek(0)
    return made


class Site:
    """One engine, one team, one person. `prepare` what is needed, `ask` for a change, `happened`, `calls`."""

    def __init__(
        self, engine: Engine, door: Faulty, client: docker.DockerClient, team: Team, tara: User, folder: Path
    ) -> None:
        self.engine, self.door, self.docker, self.team = engine, door, client, team
        self.actor = person(tara, source="ui")
        self.plan = Plan(folder)
        self.backend = connect(door.target if "://" in door.target else f"unix://{door.target}")

    def close(self) -> None:
        self.backend.close()

    def look(self) -> None:
        """The rows equal the engine, and all of it is the team's."""
        images_sync.reconcile(self.engine, self.backend)
        sync.reconcile(self.engine, self.backend)
        # What carries the data of a volume just now: where no gateway is, nobody would see that it has gone again.
        Container.everything.filter(engine=self.engine, name__startswith="slipway-volume-").delete()
        for model in (Container, Volume, Image):
            model.objects.filter(engine=self.engine, team=None).update(team=self.team)
        made = Network.objects.filter(engine=self.engine, team=None).exclude(name__in=names.OWN_NETWORKS)
        made.update(team=self.team)

    def prepare(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Makes what these ``(kind, name)`` need to be asked for."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.make, *zip(*wanted, strict=True)))
        self.look()

    def make(self, kind: str, name: str, command: list[str] = SLEEPY) -> None:
        """One of them, on the engine alone."""
        room, _, verb = kind.partition(".")
        if kind in rest.KINDS:
            rest.prepare(self.docker.api, kind, name, command)
        elif kind in ("volume.remove", "volume.clone", "volume.backup"):
            self.docker.api.create_volume(name)
        elif room == "network" and verb != "create":
            native_id = self.docker.api.create_network(name)["Id"]
            made = self.docker.api.create_container(BUSYBOX, command, name=name)
            if verb != "connect":
                self.docker.api.connect_container_to_network(made["Id"], native_id)
        elif room == "container" and verb != "run":
            made = self.docker.api.create_container(
                BUSYBOX,
                command,
                name=name,
                host_config=self.docker.api.create_host_config(network_mode="none"),
            )
            if STATES.get(verb) == "running":
                self.docker.api.start(made["Id"])

    def row(self, name: str) -> Container:
        return Container.objects.select_related("engine", "team").get(engine=self.engine, name=name)

    def ask(self, kind: str, name: str, **params: Any) -> Operation:
        """Tara asks for it; ``before``: what `rest.FIRST` names, where there is that."""
        if kind in rest.KINDS:
            return rest.ask(self, kind, name, **params)
        verb = kind.partition(".")[2]
        here: dict[str, Any] = {"actor": self.actor, "engine": self.engine, "team": self.team}
        if kind == "container.run":
            body = {"image": BUSYBOX, "name": name, "command": SLEEPY, "networks": ["none"], "pull": "never"}
            body["mounts"] = [{"type": "volume", "source": f"{name}-data", "target": "/data"}]
            return containers.request_run({**body, **params}, **here)
        if kind.startswith("volume."):
            return self._ask_volume(verb, name)
        if kind.startswith("network."):
            return self._ask_network(verb, name)
        if kind == "image.tag":
            image = Image.objects.get(engine=self.engine, tags__name=BUSYBOX)
            return images.request_tag(image, f"faults/{name}:1", actor=self.actor)
        if kind == "image.import":
            archive_ = image_files.spool(io.BytesIO(saved({f"faults/{name}:1": name.encode()})))
            return transfers.request_import(archive_, **here)
        if kind == "image.build":
            text = params.pop("dockerfile", f"FROM {BUSYBOX}\nLABEL name={name}\n")
            return images.request_build(tags=[f"faults/{name}:1"], dockerfile=text, **here, **params)
        usual = {
            "rename": {"name": f"{name}-2"},
            "stop": {"timeout": 5},
            "restart": {"timeout": 1},
            "update": {"resources": {"pids": 50}},
        }
        params = {**usual.get(verb, {}), **params}
        return containers.request(self.row(name), verb, actor=self.actor, params=params)

    def _ask_volume(self, verb: str, name: str) -> Operation:
        here: dict[str, Any] = {"actor": self.actor, "engine": self.engine, "team": self.team}
        if verb == "create":
            return containers.request_volume_create({"name": name}, **here)
        if verb == "import":
            return containers.request_volume_import({"name": name}, archive(), **here)
        volume = Volume.objects.get(engine=self.engine, native_id=name)
        if verb == "backup":
            return containers.request_volume_backup(volume, actor=self.actor)
        if verb == "clone":
            return containers.request_volume_clone(volume, {"name": f"{name}-copy"}, actor=self.actor)
        return containers.request_volume_remove(volume, actor=self.actor)

    def _ask_network(self, verb: str, name: str) -> Operation:
        if verb == "create":
            return containers.request_network_create(
                {"name": name}, actor=self.actor, engine=self.engine, team=self.team
            )
        network = Network.objects.get(engine=self.engine, name=name)
        if verb == "remove":
            return containers.request_network_remove(network, actor=self.actor, force=True)
        if verb == "connect":
            return containers.request_network_connect(network, self.row(name), {}, actor=self.actor)
        return containers.request_network_disconnect(network, self.row(name), actor=self.actor)

    @staticmethod
    def target_name(kind: str, name: str) -> str:
        """What stands in ``target_name`` of what `ask` asks for: the key of a plan."""
        return f"faults/{name}:1" if kind in ("image.tag", "image.build", "image.import") else name

    def will(self, kind: str, name: str, point: str, act: str = "die") -> Path:
        """Whoever carries that out dies or sleeps at this point, once."""
        return self.plan.put(kind, self.target_name(kind, name), point, act)

    def networks_of(self, name: str) -> list[str]:
        """The ids of the networks that a container is on, as the engine says; of one that never ran by their names."""
        said = self.docker.api.inspect_container(name)["NetworkSettings"]["Networks"]
        known = {one["Name"]: one["Id"] for one in self.docker.api.networks()}
        return [known[key] for key in said]

    def calls(self, operation: Operation, name: str) -> list[Request]:
        """The requests with which the engine did what this operation is about; once, if all is well."""
        native_id = str(operation.params.get("native_id", ""))
        network, hex_ = operation.params.get("network_id", ""), operation.pk.hex[:12]
        line = {**CALLS, **rest.CALLS}[operation.kind]
        found = self.door.effects(
            line.format(id=re.escape(native_id), name=re.escape(name), network=network, hex=hex_)
        )
        labelled = operation.kind in LABELLED
        return [r for r in found if str(operation.pk) in r.body] if labelled else found

    def wait(self, operations: Sequence[Operation], seconds: float = 60) -> list[Operation]:
        """All of them as they have ended."""
        ids = [operation.pk for operation in operations]

        def ended() -> bool:
            return not Operation.objects.active().filter(pk__in=ids).exists()

        try:
            machine.wait_for(ended, seconds, "", every=0.1)
        except AssertionError:
            left = Operation.objects.active().filter(pk__in=ids)
            told = [f"{o.kind} {o.target_name} {o.state} attempt {o.attempt} {o.error_message}" for o in left]
            raise AssertionError(f"not ended: {told}") from None
        by_id = Operation.objects.in_bulk(ids)
        return [by_id[pk] for pk in ids]

    def holds(self, *, engines: bool = True) -> None:
        """I1 to I6, with everything ended."""
        journal = invariants.read_journal(self.door.write(self.plan.folder / "journal"))
        found = invariants.check(journal=journal, engines=engines, grace=timedelta(0))
        assert {f.name for f in found} >= {"I1", "I2", "I3", "I4", "I6"}
        broken = [f"{f.name}: {line}" for f in found for line in f.broken]
        assert not broken, "\n".join(broken)

    def wake_all(self) -> None:
        """Ends those that were put to sleep and never woken."""
        for path in self.plan.folder.glob("*.done"):
            with suppress(OSError, ValueError):
                pid = int(path.read_text())
                if b"tests.faults.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)


Ask = Callable[..., Operation]
