"""The command line against a running Slipway and its engine, as people type it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from slipway.__main__ import main
from tests import machine

BUSYBOX = "slipway-test/busybox:1"
DOCKERFILE = f"""FROM {BUSYBOX}
COPY . /srv
RUN ls /srv
CMD ["sh", "-c", "printf 'one\\\\033[2J\\\\n'; echo two >&2; sleep 600"]
"""


@dataclass
class Shell:
    """Somebody's terminal."""

    app: machine.LiveApp
    monkeypatch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def __call__(self, *words: str, typed: str = "", code: int = 0) -> Any:
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        ended = main(list(words))
        said = self.captured.readouterr()
        assert ended == code, (words, said)
        assert "\x1b" not in said.out + said.err
        return said


@pytest.fixture
def shell(
    live_app: machine.LiveApp,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Shell:
    """Signed in, by `login`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    found = Shell(live_app, monkeypatch, capsys)
    found("login", live_app.url, typed="slp_wrong\n", code=1)
    said = found("login", live_app.url, typed=live_app.token("admin", "admin") + "\n")
    assert f"as admin. Kept in {tmp_path}" in said.out
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
    assert "page" in built.err
    assert "secret" not in built.err.replace(".dockerignore", "").replace("'secret'", "")
    assert "cli:1" in shell("images").out

    made = shell("run", "-d", "--name", "cli-web", "-e", "K=v", "-p", "127.0.0.1::80", "cli:1").out.strip()
    assert json.loads(shell("run", "--json", "--name", "cli-web", "cli:1", code=1).out or "{}") == {}
    assert "Slipway cannot say: --gpus" in shell("run", "--gpus", "all", "cli:1", code=2).err
    (row,) = [one for one in json.loads(shell("ps", "--json").out) if one["name"] == "cli-web"]
    assert row["id"] == made
    assert "cli-web" in shell("ps").out
    printed = shell("logs", "--tail", "all", "cli-web")
    assert (printed.out, printed.err) == ("one\\x1b[2J\n", "two\n")

    assert shell("stop", "-t", "0", "cli-web").out == "cli-web\n"
    assert "cli-web" not in shell("ps").out
    assert "cli-web" in shell("ps", "-a").out
    assert shell("start", row["engine_id"][:12]).out == "cli-web\n"
    assert "force" in shell("rm", "cli-web", code=1).err
    assert shell("rm", "-f", "cli-web").out == "cli-web\n"
    assert "There is no container cli-web" in shell("logs", "cli-web", code=1).err
    assert "container.remove" in shell("operations").out
    for words in (["volumes", "ls"], ["networks", "ls"]):
        assert shell(*words).out


@pytest.mark.slow
def test_ctrl_c_lets_go_and_says_how_to_come_back(shell: Shell, busybox: str, tmp_path: Path) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo begun; sleep 600\n")
    with subprocess.Popen(
        [sys.executable, "-m", "slipway", "build", "-t", "slow:1", str(folder)],
        cwd=machine.ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as build:
        assert build.stderr
        seen = []
        try:
            for line in build.stderr:
                seen.append(line)
                if line.strip() == "begun":
                    break
            build.send_signal(signal.SIGINT)
            rest = build.stderr.read()
        except BaseException:
            build.kill()  # the end of the block would wait for it for ever
            raise
    assert build.returncode == 130, (seen, rest)
    assert "Detached: image.build goes on" in rest
    ended = shell("operations", "-w", "--cancel", rest.split()[-1], code=1)
    assert "cancelled" in ended.err.lower()
