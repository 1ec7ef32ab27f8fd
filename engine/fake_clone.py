"""Containers of the fake engine made anew: what its programs know of a container's settings is its spec."""

from __future__ import annotations

from dataclasses import replace

from engine import names
from engine.changes import KEEPING, ChangeSpec
from engine.fake_facts import FakeReads
from engine.fake_program import plan
from engine.fake_world import Container
from engine.specs import ContainerSpec


class FakeClones(FakeReads):
    """The part of `engine.base.Engine` that makes a container like another one."""

    def create_like(
        self,
        native_id: str,
        *,
        image: str,
        name: str,
        operation_id: str,
        changes: ChangeSpec | None = None,
        apart: bool = False,
        deadline: float = 30,
    ) -> str:
        names.container_id(native_id)
        target, _ = names.image_target(image), names.container_name(name)
        label = {names.OPERATION_LABEL: names.operation_id(operation_id)}

        def work() -> str:
            old = self._container(native_id)
            new, before = self.world.find_image(target), self.world.images.get(old.image_id)
            self.world.require_free_name(name)
            brought = before.labels if before else {}
            asked = {key: value for key, value in old.labels.items() if brought.get(key) != value}
            spec = replace(_changed(old.spec, changes) if changes else old.spec, image=target, name=name)
            if apart and not (changes and "ports" in changes.given):
                spec = replace(spec, ports=tuple(replace(port, host=None) for port in spec.ports))
            if changes and "labels" in changes.given:
                asked = {key: asked[key] for key in changes.kept["labels"]} | dict(changes.spec.labels)
            command = (*(spec.entrypoint or ()), *(spec.command if spec.command is not None else new.command))
            made = self.world.new_id(name)
            self.world.containers[made] = Container(
                made, name, spec, new.native_id, command, {**new.labels, **asked, **label}, self.world.now(),
                plan(list(command)),
            )  # fmt: skip
            self.world.note("container", "create", made)
            return made

        return self._do("create_like", work, deadline, writes=True)


def _changed(old: ContainerSpec, changes: ChangeSpec) -> ContainerSpec:
    """The old wish with what is to be other."""
    new = changes.spec
    found = {name: getattr(new, name) for name in changes.given if hasattr(old, name) and name not in KEEPING}
    found |= {name: getattr(new, name) for name in changes.limits}
    if "restart_policy" in changes.given:
        found["restart_max_retries"] = new.restart_max_retries
    known = {**old.environment, **old.secrets}
    for name in ("environment", "secrets"):
        if name in changes.given:
            kept = {key: known[key] for key in changes.kept.get(name, ())}
            found[name] = {**kept, **getattr(new, name)}
    return replace(old, **found)
