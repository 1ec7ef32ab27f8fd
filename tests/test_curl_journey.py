"""The main job by `curl`, with the README's own commands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import machine, readme


@pytest.fixture
def demo_base(docker_client: docker.DockerClient) -> str:
    """What the README's Dockerfile starts from, without the rest of the demo."""
    machine.import_busybox(docker_client, "demo/base:1")
    return "demo/base:1"


def _in_a_shell(commands: str, folder: Path, app: machine.LiveApp) -> subprocess.CompletedProcess[str]:
    """As somebody would who pastes them one after the other: each one has to succeed."""
    (folder / ".venv").symlink_to(Path(machine.sys.prefix))
    (folder / "manage.py").symlink_to(machine.ROOT / "manage.py")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder, env=app.environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def _documents(text: str) -> list[Any]:
    """The JSON objects in what was printed."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (start := text.find("{", at)) >= 0:
        document, at = decoder.raw_decode(text, start)
        found.append(document)
    return found


@pytest.mark.slow
def test_the_commands_of_the_readme_do_what_they_say(
    live_app: machine.LiveApp, demo_base: str, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(readme.dockerfile())
    set_up, job = readme.blocks("sh")
    # All that differs from the page is where this Slipway listens.
    assert set_up.count("http://127.0.0.1:8000") == 1
    said = _in_a_shell(set_up.replace("http://127.0.0.1:8000", live_app.url) + job, tmp_path, live_app)
    assert said.returncode == 0, said.stdout + said.stderr

    operations = [found for found in _documents(said.stdout) if "kind" in found and "progress" in found]
    assert [(found["kind"], found["state"]) for found in operations] == [
        ("image.build", "succeeded"),
        ("container.run", "succeeded"),
        ("container.stop", "succeeded"),
        ("container.remove", "succeeded"),
    ]
    assert {found["source"] for found in operations} == {"api"}
    assert {found["actor"] for found in operations} == {"admin"}
    (seen,) = [
        found for found in _documents(said.stdout) if found.get("name") == "hello" and "ports" in found
    ]
    assert seen["state"] == "running"
    assert "<h1>Built here</h1>" in said.stdout
    assert re.search(r"\b\d\d:\d\d:\d\d UTC \d{4}", said.stdout), "no line of the log"
    assert docker_client.images.get("hello:1")
    assert not docker_client.containers.list(all=True, filters={"name": "^hello$"})
