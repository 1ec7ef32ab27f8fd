"""What the demo is made of: six images and fifteen containers, in every state that a list can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MARK = "slipway-demo"
"""The label on all that the demo makes; only what carries it is ever removed."""

MEBI = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Image:
    """A folder of `dashboard/demo/images` with its Dockerfile, and the tags that the result gets."""

    folder: str
    tags: tuple[str, ...]
    build_args: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> tuple[str, ...]:
        """The tags with the repository before them."""
        return tuple(f"demo/{self.folder}:{tag}" for tag in self.tags)


@dataclass(frozen=True, slots=True)
class Container:
    """A run body of the REST contract; ``then``: ``pause``, ``stop`` or nothing once it runs."""

    body: Mapping[str, Any]
    then: str = ""

    @property
    def name(self) -> str:
        """Its name on the engine."""
        return str(self.body["name"])


IMAGES = (
    Image("base", ("1",)),
    Image("web", ("1.4.2", "1.4", "latest")),
    Image("orders", ("2.0.1", "latest")),
    Image("worker", ("0.9.0",)),
    Image("reports", ("2.1.0", "2.1", "2", "latest"), {"REVISION": "4f1c2a9"}),
    Image("redis", ("7", "latest")),
)


def _run(name: str, image: str, *, then: str = "", memory: int = 0, **body: Any) -> Container:
    body["labels"] = {MARK: "1", **body.get("labels", {})}
    if memory:
        body["resources"] = {"memory": memory * MEBI, "cpus": 0.5, "pids": 64}
    return Container({"name": name, "image": f"demo/{image}", **body}, then)


def _in(stack: str, service: str, image: str, *, needs: str = "", **body: Any) -> Container:
    """One of a compose project: what compose itself would have named and labelled it."""
    labels = {
        "com.docker.compose.project": stack,
        "com.docker.compose.service": service,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.depends_on": needs,
        "com.docker.compose.project.working_dir": f"/srv/{stack}",
        "com.docker.compose.project.config_files": f"/srv/{stack}/compose.yaml",
    }
    return _run(f"{stack}-{service}-1", image, labels=labels, **body)


def _volume(source: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": source, "target": target}


VOLUMES = ("session-data", "shop-data")

_HERE = [{"container": 8080, "host_ip": "127.0.0.1"}]
_ALWAYS, _STOPPED = {"name": "always"}, {"name": "unless-stopped"}

CONTAINERS = (
    _in(
        "shop",
        "web",
        "web:1.4.2",
        needs="orders:service_started:true",
        memory=8,
        ports=_HERE,
        restart_policy=_STOPPED,
    ),
    _in(
        "shop",
        "orders",
        "orders:2.0.1",
        needs="db:service_started:true",
        memory=8,
        environment={"PAUSE": "1.2"},
        restart_policy=_STOPPED,
    ),
    _in("shop", "db", "redis:7", memory=12, mounts=[_volume("shop-data", "/data")], restart_policy=_STOPPED),
    _in("billing", "reports", "reports:2.1", memory=32),
    _in("billing", "payments", "worker:0.9.0", command=["crash"], restart_policy=_ALWAYS),
    _in("billing", "backup", "worker:0.9.0", command=["backup"]),
    _run("website", "web:latest", memory=8, ports=_HERE, restart_policy=_ALWAYS),
    _run("status-page", "web:1.4", environment={"PROBE": "ready"}),
    _run("orders", "orders:latest", environment={"API_TOKEN": "not-a-real-token", "PAUSE": "0.4"}),
    _run("session-store", "redis:latest", memory=16, mounts=[_volume("session-data", "/data")]),
    _run("image-resizer", "worker:0.9.0", command=["resize"], memory=24),
    _run("import-customers", "worker:0.9.0", command=["import"]),
    _run("search-indexer", "worker:0.9.0", then="pause"),
    _run("old-website", "web:1.4", then="stop"),
    _run("next-release", "reports:latest", start=False, ports=[{"container": 8080}]),
)
