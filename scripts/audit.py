#!/usr/bin/env python3
"""What Slipway is made of, and what is known against it: python3 -m scripts.audit [sbom]

Without a word: looks up known weaknesses of each pinned package (Python at OSV, the browser's at the npm registry),
searches the whole history for credentials, and writes the list of parts. With ``sbom``: the list of parts alone, two
files in CycloneDX, into ``var/sbom/``. Ends with 1 where something was found, with 2 where something could not be
looked up: not knowing is not the same as knowing that all is well. Standard library only.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts import setup

TOOLS = setup.VENV / "audit"
SEVERE = {"high", "critical"}

EXCEPTIONS: dict[str, tuple[str, str]] = {}
"""What is known and does not touch us: id of the advisory → (until which day, why). Afterwards it counts again."""

CREDENTIALS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(?=\\n|\s*$)|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|glpat-[\w-]{20}"
    rb"|xox[abprs]-[A-Za-z0-9-]{10,}|npm_[A-Za-z0-9]{36}|pypi-AgEI[\w-]{20,}|sk_live_[A-Za-z0-9]{20,}"
)
EXAMPLES = {b"AKIAIOSFODNN7EXAMPLE"}
"""What those who issue credentials print in their manuals."""


def excepted(today: dt.date) -> list[str]:
    """Ids that are passed over today."""
    return [name for name, (until, _why) in EXCEPTIONS.items() if today <= dt.date.fromisoformat(until)]


def tool(name: str) -> str:
    """A program of ``requirements-audit.txt``, apart from what Slipway runs on."""
    stamp = TOOLS / ".installed"
    wanted = (setup.ROOT / "requirements-audit.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = str(setup.VENV / "bin" / "uv")
        for command in (
            ["venv", "--quiet", "--clear", str(TOOLS)],
            [
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--python",
                str(TOOLS),
                "-r",
                "requirements-audit.txt",
            ],
        ):
            subprocess.run([uv, *command], cwd=setup.ROOT, check=True)
        stamp.write_text(wanted)
    return str(TOOLS / "bin" / name)


def _json(command: list[str]) -> tuple[Any, str]:
    """What it printed, read, and what it complained of. None where it printed nothing that can be read."""
    done = subprocess.run(command, cwd=setup.ROOT, capture_output=True, text=True)
    try:
        return json.loads(done.stdout), done.stderr.strip()
    except ValueError:
        return None, (done.stdout + done.stderr).strip()


def python_packages(today: dt.date) -> int:
    """Every severity counts: OSV does not tell them for all."""
    ignored = [word for name in excepted(today) for word in ("--ignore-vuln", name)]
    options = ["--disable-pip", "--require-hashes", "-r", "requirements.txt", "-s", "osv"]
    shown = ["-f", "json", "--progress-spinner", "off"]
    found, said = _json([tool("pip-audit"), *options, *shown, *ignored])
    if found is None:
        last = said.splitlines()[-1] if said else "no answer"
        print(f"?    Python packages could not be looked up: {last[:200]}")
        return 2
    parts = found["dependencies"]
    skipped = [part["name"] for part in parts if "skip_reason" in part]
    known = [(part, weak) for part in parts for weak in part.get("vulns", [])]
    for part, weak in known:
        fixed = ", ".join(weak["fix_versions"]) or "no version yet"
        print(f"FAIL {part['name']} {part['version']}: {weak['id']}, mended in {fixed}")
    if skipped:
        print(f"?    {len(skipped)} Python packages could not be looked up: {', '.join(skipped[:5])} …")
    print(f"     {len(parts)} Python packages, {len(known)} known weaknesses")
    return 1 if known else 2 if skipped else 0


def browser_packages(today: dt.date) -> int:
    found, said = _json([*setup.npm(), "audit", "--package-lock-only", "--json"])
    if not found or "vulnerabilities" not in found:
        why = (found or {}).get("message") or (said.splitlines() or ["no answer"])[-1]
        print(f"?    The browser's packages could not be looked up: {why[:200]}")
        return 2
    passed = set(excepted(today))
    known = [
        (name, one)
        for name, part in found["vulnerabilities"].items()
        for one in part["via"]
        # A word is the name of another package of this list.
        if isinstance(one, dict) and one["severity"] in SEVERE and not passed & set(one["url"].split("/"))
    ]
    for name, one in known:
        print(f"FAIL {name}: {one['title']} ({one['severity']}), {one['url']}")
    print(f"     the browser's packages: {len(known)} known weaknesses that are high or critical")
    return 1 if known else 0


def credentials() -> int:
    """In whatever any commit added."""
    history = subprocess.run(
        ["git", "log", "-p", "--all", "-U0", "--no-color", "--no-ext-diff", "--format=commit %h"],
        cwd=setup.ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    commit, count = b"", 0
    for line in history.splitlines():
        if line.startswith(b"commit "):
            commit = line[7:]
        elif line.startswith(b"+") and (found := CREDENTIALS.search(line)) and found.group() not in EXAMPLES:
            count += 1
            print(
                f"FAIL what looks like a credential came in with {commit.decode()}: {found.group()[:12].decode()}…"
            )
    print(f"     history: {count} credentials")
    return 1 if count else 0


def parts() -> int:
    """Writes what Slipway is made of, one file for Python and one for the browser."""
    folder = setup.ROOT / "var" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    python, browser = folder / "python.cdx.json", folder / "browser.cdx.json"
    command = [tool("cyclonedx-py"), "requirements", "requirements.txt", "--pyproject", "pyproject.toml"]
    subprocess.run([*command, "--output-reproducible", "-o", str(python)], cwd=setup.ROOT, check=True)
    found, said = _json(
        [*setup.npm(), "sbom", "--package-lock-only", "--omit=dev", "--sbom-format", "cyclonedx"]
    )
    if found is None:
        print(f"?    The browser's parts could not be listed: {said.splitlines()[-1][:200]}")
        return 2
    browser.write_text(json.dumps(found, indent=2) + "\n")
    for file in (python, browser):
        count = len(json.loads(file.read_text())["components"])
        print(f"     {file.relative_to(setup.ROOT)}: {count} parts")
    return 0


def main() -> None:
    if sys.argv[1:] not in ([], ["sbom"]):
        sys.exit(__doc__)
    try:
        setup.use_supported_python()
        setup.ensure_python_packages(dev=True)
        if sys.argv[1:]:
            sys.exit(parts())
        today = dt.datetime.now(dt.UTC).date()
        codes = [python_packages(today), browser_packages(today), credentials(), parts()]
    except setup.SetupError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} ended with {error.returncode}")
    sys.exit(1 if 1 in codes else max(codes))


if __name__ == "__main__":
    main()
