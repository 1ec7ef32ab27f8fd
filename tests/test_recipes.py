"""The recipes of docs/api.md, run as they are written."""

from __future__ import annotations

import csv
import subprocess
from itertools import pairwise
from pathlib import Path

import docker
import pytest

from tests import machine, readme, registry

DOCKERFILE = 'FROM demo/base:1\nCMD ["sh", "-c", "while sleep 0.2; do date; done"]\n'


@pytest.mark.slow
def test_the_recipes_do_what_they_say(
    live_app: machine.LiveApp,
    docker_client: docker.DockerClient,
    registry_place: registry.Place,
    tmp_path: Path,
) -> None:
    machine.import_busybox(docker_client, "demo/base:1")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    token = live_app.token("admin", "admin")
    (tmp_path / "token").write_text(token + "\n")
    lines = "\n".join(readme.blocks("sh", "docs/api.md"))
    # All that differs from the page is where things are, and the registry's account.
    for written, here in {
        "http://127.0.0.1:8000": live_app.url,
        '"registry.example.com", "username": "ci", "password": "from a safe place"': (
            f'"{registry_place.host}", "tls": false, "username": "{registry.USER}", "password": "{registry.PASSWORD}"'
        ),
    }.items():
        assert lines.count(written) == 1
        lines = lines.replace(written, here)
    said = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert said.returncode == 0, said.stdout + said.stderr

    words = said.stdout.split("\n")
    twice = [first for first, again in pairwise(words) if first == again and len(first) == 36]
    assert len(twice) == 1, "the second asking was another operation"
    assert words.count("succeeded") == 3  # the push, the file, the restored volume
    assert docker_client.containers.get("shop").attrs["Config"]["Image"] == "shop:1"
    assert {"shop-data", "shop-data-then"} <= {volume.name for volume in docker_client.volumes.list()}
    assert "job" in words, "what was cleaned up"
    assert not docker_client.containers.list(all=True, filters={"name": "^job$"})
    verbs = {row["verb"] for row in csv.DictReader((tmp_path / "audit.csv").read_text().splitlines())}
    assert {
        "container.run",
        "container.recreate",
        "image.push",
        "volume.backup",
        "engine.prune",
    } - verbs == set()
    renewed = (tmp_path / "token").read_text().strip()
    assert live_app.api(token, "GET", "/api/v1/tokens/")[0] == 401
    assert live_app.api(renewed, "GET", "/api/v1/tokens/")[0] == 200
    # Where there are two, a page that pushes suggests neither.
    for row in live_app.api(renewed, "GET", "/api/v1/registries/")[1]["results"]:
        assert live_app.api(renewed, "DELETE", f"/api/v1/registries/{row['id']}/")[0] == 204
