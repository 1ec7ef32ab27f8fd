"""The database as all migrations leave it, made once for each state of the migrations and copied from then on.

Migrating takes ten seconds of a processor, which each process of the tests and each Slipway that one starts would
take. What is copied is migrated all the same where it is used: a migration that is not in it yet is applied.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".pytest_cache"
# What migrations do besides what their own files say.
HELPERS = ("accounts/chain.py", "accounts/reading.py", "accounts/triggers.py", "requirements.txt")


def _digest() -> str:
    sums = hashlib.sha256()
    for path in sorted([*ROOT.glob("*/migrations/*.py"), *(ROOT / name for name in HELPERS)]):
        sums.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return sums.hexdigest()[:16]


def database() -> Path:
    """An SQLite database with all migrations and no more."""
    found = KEPT / f"migrated-{_digest()}.sqlite3"
    KEPT.mkdir(exist_ok=True)
    # Processes that start at once wait for the first of them.
    with (KEPT / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            _make(found)
    return found


def copy_to(place: Path) -> None:
    """Puts a copy there, where nothing is yet."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not place.exists():
        shutil.copyfile(database(), place)


def _make(found: Path) -> None:
    for old in KEPT.glob("migrated-*.sqlite3"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="migrated-", dir=KEPT) as home:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")},
            "SLIPWAY_HOME": home,
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        }
        for other in ("DATABASE_URL", "REDIS_URL"):
            environment.pop(other, None)
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"migrate: {done.stdout}{done.stderr}"
        made = Path(home) / "slipway.sqlite3"
        assert not made.with_name(f"{made.name}-wal").exists(), "it was not closed"
        made.rename(found)
