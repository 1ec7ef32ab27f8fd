#!/usr/bin/env python3
"""Runs checks and tests: python3 -m scripts.checks lint | types | check | test | faults | security | bench [options]

``check`` is all but the tests, ``test`` is everything but the long tests of faults, ``faults`` is all tests of faults,
``security`` is the tests of who may do what, with many more tries, ``bench`` measures.
Standard library only; it sets up what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from scripts import build_assets, dockerd, setup

BIN = setup.VENV / "bin"
PYTEST = [str(BIN / "python"), "-m", "pytest"]
TESTS = ("test", "faults", "security", "bench")
TESTS_FAILED, FEW = 1, 8
MOST_LINES = 80
LINT = {
    "ruff": ["ruff", "check", "--output-format", "concise"],
    "formatting": ["ruff", "format", "--check", "--output-format", "concise"],
    "templates": ["djlint", "--lint", "--quiet", "templates"],
    "spelling": ["codespell"],
    "layers": ["lint-imports"],
}
TYPES = {"types": ["mypy"]}
DJANGO = {
    "Django's checks": ["python", "manage.py", "check", "--fail-level", "WARNING"],
    "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
}


def _one(name: str, command: list[str], environment: dict[str, str]) -> tuple[str, int, str, float]:
    started = time.monotonic()
    program = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=setup.ROOT, env=environment, capture_output=True, text=True)
    return name, done.returncode, (done.stdout + done.stderr).strip(), time.monotonic() - started


def run(checks: dict[str, list[str]]) -> bool:
    """Runs them two at a time and shows what the failed ones say. True if all is well."""
    home = tempfile.mkdtemp(prefix="slipway-checks-")
    # Django's checks look for an engine too; whether one runs here says nothing about the code.
    engine = os.environ.get("DOCKER_HOST") or f"unix://{dockerd.DEFAULT_SOCKET}"
    environment = {**os.environ, "SLIPWAY_HOME": home, "DOCKER_HOST": engine}
    failed = []
    try:
        with ThreadPoolExecutor(2) as pool:
            started = [pool.submit(_one, name, command, environment) for name, command in checks.items()]
            for future in started:
                name, code, output, seconds = future.result()
                print(f"{'ok  ' if code == 0 else 'FAIL'} {name} ({seconds:.1f} s)", flush=True)
                if code != 0:
                    failed.append(name)
                    lines = output.splitlines()
                    print("\n".join(lines[:MOST_LINES]), flush=True)
                    if len(lines) > MOST_LINES:
                        print(f"… and {len(lines) - MOST_LINES} lines more", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if failed:
        print(f"Not well: {', '.join(failed)}", flush=True)
    return not failed


def run_tests(options: list[str]) -> None:
    """Becomes pytest, so that its closing line is the last and its exit code ours."""
    os.chdir(setup.ROOT)
    os.execv(BIN / "python", PYTEST + options)  # noqa: S606


def run_all_tests(options: list[str]) -> None:
    """Three processes, each with an engine of its own; one where a given engine has to be shared.

    One more than the cores we count on, since each waits half of its time. A few that failed while others ran beside
    them are run once more, alone, and both results are told: processes with engines and browsers on a busy machine
    can be later than a test's patience.
    """
    if os.environ.get("SLIPWAY_TEST_ENGINE"):
        run_tests(options)
    code = _pytest(["-n", "3", "--dist", "loadfile", *options])
    failed = _failed() if code == TESTS_FAILED else []
    if 0 < len(failed) <= FEW:
        print(f"\nFailed beside other tests, now once more alone: {len(failed)}", flush=True)
        code = _pytest(["-n", "0", *(one for one in options if one.startswith("--timeout")), *failed])
        if code == 0:
            print(
                "These failed beside other tests and passed alone; look into them:",
                *failed,
                sep="\n  ",
                flush=True,
            )
    sys.exit(code)


def _pytest(options: list[str]) -> int:
    """Ctrl-C reaches pytest too, which then tidies up; we wait for it."""
    with subprocess.Popen(PYTEST + options, cwd=setup.ROOT) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def _failed() -> list[str]:
    """What failed in the last run, by pytest's own record."""
    record = setup.ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    return sorted(json.loads(record.read_text())) if record.exists() else []


def main() -> None:
    verb, options = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    groups = {"lint": LINT, "types": TYPES, "check": {**TYPES, **LINT, **DJANGO}}
    if verb not in (*groups, *TESTS):
        sys.exit(__doc__)
    try:
        setup.use_supported_python()
        setup.ensure_python_packages(dev=True)
        if verb in TESTS:
            setup.ensure_assets()
            setup.ensure_redis()
            setup.ensure_engine_program()
        if verb in ("test", "bench"):
            setup.ensure_browser()
        if verb == "test":
            setup.ensure_compose()
            setup.ensure_registry()
        if verb == "faults":
            setup.ensure_postgresql()
    except (setup.SetupError, dockerd.EngineError, build_assets.BuildError) as error:
        sys.exit(str(error))
    if verb == "faults":
        run_tests(["--faults", "tests/faults", *options])
    if verb == "security":
        run_tests(["--security", "-m", "security", *options])
    if verb == "bench":
        # One after the other: two measurements at a time would measure each other.
        run_tests(["--bench", "-n", "0", "-p", "no:randomly", "tests/bench", *options])
    if not run(groups["check" if verb == "test" else verb]):
        sys.exit(1)
    if verb == "test":
        run_all_tests(options)


if __name__ == "__main__":
    main()
