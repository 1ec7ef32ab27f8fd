"""The command line against a running Slipway and its engine, as people type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests import machine

BUSYBOX = "slipway-test/busybox:1"
DOCKERFILE = f"""FROM {BUSYBOX}
COPY . /srv
RUN ls /srv
CMD ["sh", "-c", "printf 'one\\\\033[2J\\\\n'; echo two >&2; sleep 600"]
"""


class Shell:
    """Somebody's terminal."""

    def __init__(self, app: machine.LiveApp, home: Path) -> None:
        self.app = app
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
        self.environment = {**kept, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(machine.ROOT)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "slipway", *words]

    def __call__(self, *words: str, typed: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        assert "\x1b" not in done.stdout + done.stderr
        return done


@pytest.fixture
def shell(live_app: machine.LiveApp, tmp_path: Path) -> Shell:
    """Signed in, by `login`."""
    found = Shell(live_app, tmp_path / "home")
    found("login", live_app.url, typed="slp_wrong\n", code=1)
    said = found("login", live_app.url, typed=live_app.token("admin", "admin") + "\n")
    assert f"as admin. Kept in {tmp_path}" in said.stdout
    return found


@pytest.mark.slow
def test_the_words_of_docker_do_what_docker_does(
    shell: Shell, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    for name, text in {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "secret\n",
        "secret": "x",
        "page": "x",
    }.items():
        (folder / name).write_text(text)
    built = shell("build", "-t", "cli:1", str(folder))
    assert docker_client.images.get("cli:1").id
    assert "page" in built.stderr
    assert "secret" not in built.stderr.replace(".dockerignore", "").replace("'secret'", "")
    assert "cli:1" in shell("images").stdout

    made = shell("run", "-d", "--name", "cli-web", "-e", "K=v", "-p", "127.0.0.1::80", "cli:1").stdout.strip()
    assert json.loads(shell("run", "--json", "--name", "cli-web", "cli:1", code=1).stdout or "{}") == {}
    assert "Slipway cannot say: --gpus" in shell("run", "--gpus", "all", "cli:1", code=2).stderr
    (row,) = [one for one in json.loads(shell("ps", "--json").stdout) if one["name"] == "cli-web"]
    assert row["id"] == made
    assert "cli-web" in shell("ps").stdout
    printed = shell("logs", "--tail", "all", "cli-web")
    assert (printed.stdout, printed.stderr) == ("one\\x1b[2J\n", "two\n")

    assert shell("stop", "-t", "0", "cli-web").stdout == "cli-web\n"
    assert "cli-web" not in shell("ps").stdout
    assert "cli-web" in shell("ps", "-a").stdout
    assert shell("start", row["engine_id"][:12]).stdout == "cli-web\n"
    assert "force" in shell("rm", "cli-web", code=1).stderr
    assert shell("rm", "-f", "cli-web").stdout == "cli-web\n"
    assert "There is no container cli-web" in shell("logs", "cli-web", code=1).stderr
    assert "container.remove" in shell("operations").stdout
    for words in (["volumes", "ls"], ["networks", "ls"]):
        assert shell(*words).stdout


@pytest.mark.slow
def test_ctrl_c_lets_go_and_says_how_to_come_back(shell: Shell, busybox: str, tmp_path: Path) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo begun; sleep 600\n")
    with subprocess.Popen(
        shell.command("build", "-t", "slow:1", str(folder)),
        env=shell.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        assert build.stderr
        seen = []
        for line in build.stderr:
            seen.append(line)
            if line.strip() == "begun":
                break
        build.send_signal(signal.SIGINT)
        rest = build.stderr.read()
    assert build.returncode == 130, (seen, rest)
    assert "Detached: image.build goes on" in rest
    ended = shell("operations", "-w", "--cancel", rest.split()[-1], code=1)
    assert "cancelled" in ended.stderr.lower()
