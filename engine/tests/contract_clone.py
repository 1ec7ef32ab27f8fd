"""What every engine does when a container is made like another one; run by ``test_contract`` as well."""

from __future__ import annotations

import uuid

import pytest

from engine.base import Engine
from engine.changes import ChangeSpec
from engine.docker_text import MASK
from engine.errors import ImageNotFound, Invalid, NameInUse, NotFound
from engine.tests.conftest import BUSYBOX, Create, unused_name
from engine.tests.contract import ENDS, NOBODY
from engine.types import ContainerState, Reach


def test_a_container_is_made_like_another(engine: Engine, create: Create) -> None:
    operation, name = str(uuid.uuid4()), unused_name()
    old = engine.container(
        create(
            ENDS,
            name=name,
            environment={"COLOUR": "blue"},
            secrets={"PLAIN": "hush"},
            labels={"tier": "web"},
            resources={"memory": 67108864, "cpus": 0.5, "pids": 64},
            restart_policy={"name": "on-failure", "max_retries": 4},
            mounts=[{"type": "volume", "source": "slipway-test-data", "target": "/data", "read_only": True}],
            working_dir="/tmp",
        )
    )
    with pytest.raises(NameInUse):
        engine.create_like(old.native_id, image=BUSYBOX, name=name, operation_id=operation)
    other = unused_name()
    made = engine.create_like(old.native_id, image=BUSYBOX, name=other, operation_id=operation)
    new = engine.container(made)
    assert made != old.native_id
    assert (new.name, new.state, new.image_ref) == (other, ContainerState.CREATED, BUSYBOX)
    for same in (
        "command", "environment", "mounts", "memory_limit", "cpu_limit", "pids_limit", "restart_policy",
        "restart_max_retries", "working_dir", "user", "log_driver", "tty", "healthcheck", "reach",
    ):  # fmt: skip
        assert getattr(new, same) == getattr(old, same), same
    assert new.labels == {**old.labels, "io.slipway.operation": operation}
    assert new.hostname == made[:12]
    found = engine.find_by_operation(operation)
    assert found is not None
    assert found.native_id == made


def test_nothing_is_made_like_what_is_not_there(engine: Engine, create: Create) -> None:
    operation = str(uuid.uuid4())
    with pytest.raises(NotFound):
        engine.create_like(NOBODY, image=BUSYBOX, name=unused_name(), operation_id=operation)
    with pytest.raises(ImageNotFound):
        engine.create_like(
            create(ENDS), image="slipway-test/nowhere:1", name=unused_name(), operation_id=operation
        )
    with pytest.raises(Invalid):
        engine.create_like("../x", image=BUSYBOX, name=unused_name(), operation_id=operation)


def test_what_reaches_the_host_is_told(engine: Engine, create: Create) -> None:
    plain = engine.container(create(ENDS, networks=[], ports=[{"container": 80, "host": 8080}]))
    assert plain.reach == Reach(ports=(8080,), addresses=("",), log_driver="json-file", restart_policy="no")
    bold = engine.container(
        create(
            ENDS,
            networks=["host"],
            privileged=True,
            cap_add=["SYS_ADMIN"],
            mounts=[{"type": "bind", "source": "/tmp", "target": "/x"}],
        )
    )
    reach = bold.reach
    assert (reach.privileged, reach.paths, reach.namespaces) == (True, ("/tmp",), ("network host",))
    assert [name.removeprefix("CAP_") for name in reach.capabilities] == ["SYS_ADMIN"]


def test_what_is_to_be_other_is_other_and_the_rest_stays(engine: Engine, create: Create) -> None:
    old = engine.container(
        create(
            ENDS,
            environment={"COLOUR": "blue", "SIZE": "3"},
            secrets={"PLAIN": "hush", "GONE": "hush"},
            labels={"tier": "web", "old": "1"},
            resources={"memory": 67108864, "cpus": 0.5, "pids": 64},
            mounts=[{"type": "volume", "source": "slipway-test-data", "target": "/data", "read_only": True}],
        )
    )
    changes = ChangeSpec.parse(
        {
            "command": ["true"],
            "environment": {"COLOUR": None, "NEW": "1"},
            "secrets": {"PLAIN": None},
            "labels": {"tier": None, "new": "2"},
            "resources": {"memory": 33554432, "pids": 0},
            "restart_policy": {"name": "on-failure", "max_retries": 2},
            "working_dir": "/tmp",
        }
    )
    operation = str(uuid.uuid4())
    made = engine.create_like(
        old.native_id, image=BUSYBOX, name=unused_name(), operation_id=operation, changes=changes
    )
    new = engine.container(made)
    assert new.command[-1] == "true"
    assert {"COLOUR": "blue", "NEW": "1", "PLAIN": MASK}.items() <= new.environment.items()
    assert not {"SIZE", "GONE"} & set(new.environment)
    assert {key: value for key, value in new.labels.items() if not key.startswith("io.slipway.")} == {
        "tier": "web", "new": "2",
    }  # fmt: skip
    assert (new.memory_limit, new.cpu_limit, new.pids_limit) == (33554432, 0.5, 0)
    assert (new.restart_policy, new.restart_max_retries, new.working_dir) == ("on-failure", 2, "/tmp")
    assert new.mounts == old.mounts


def test_another_one_beside_it_gets_ports_of_its_own(engine: Engine, create: Create) -> None:
    old = create(ENDS, ports=[{"container": 80, "host": 29180}], networks=[])
    made = engine.create_like(
        old, image=BUSYBOX, name=unused_name(), operation_id=str(uuid.uuid4()), apart=True
    )
    assert [(port.container, port.host) for port in engine.container(made).ports] == [(80, None)]
    changes = ChangeSpec.parse({"ports": [{"container": 80, "host": 29181}]})
    made = engine.create_like(
        old, image=BUSYBOX, name=unused_name(), operation_id=str(uuid.uuid4()), apart=True, changes=changes
    )
    assert [(port.container, port.host) for port in engine.container(made).ports] == [(80, 29181)]
