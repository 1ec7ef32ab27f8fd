#!/usr/bin/env python3
"""Makes the secrets that compose.yaml reads, each a file, in DIR (`secrets/` where none is named).

Standard library only. What is there already stays as it is. The folder is closed to others; the files in it can be
read, since each is shown inside its containers alone, where the processes are not root.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

OWNER, RUNTIME, DATABASE = "slipway_owner", "slipway", "slipway"
# All but what runs or reconfigures the server: a password of the dashboard is no password of the machine.
ACL = "user default off\nuser slipway on #{digest} ~* &* +@all -@admin -@dangerous +info\n"


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444), "w") as file:
        os.fchmod(file.fileno(), 0o444)
        file.write(text + "\n")


def make(folder: Path) -> list[str]:
    """The names of the files that are new."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = []

    def group(texts: dict[str, str]) -> None:
        """Files that hold the same password are made together, or not at all."""
        there = [name for name in texts if (folder / name).exists()]
        if there and len(there) < len(texts):
            sys.exit(
                f"{folder}: {', '.join(there)} is there, {', '.join(sorted({*texts} - {*there}))} is not."
            )
        for name, text in texts.items():
            if not there:
                _write(folder / name, text)
                made.append(name)

    group({"secret_key": secrets.token_urlsafe(64)})
    owner, runtime, redis = (secrets.token_urlsafe(32) for _ in range(3))
    group(
        {
            "postgres_password": owner,
            "database_owner_url": f"postgres://{OWNER}:{owner}@postgres:5432/{DATABASE}",
        }
    )
    group({"database_url": f"postgres://{RUNTIME}:{runtime}@postgres:5432/{DATABASE}"})
    digest = hashlib.sha256(redis.encode()).hexdigest()
    group(
        {
            "redis_acl": ACL.format(digest=digest).strip(),
            "redis_url": f"redis://slipway:{redis}@redis:6379/0",
        }
    )
    return made


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "secrets")
    print(f"{where}: {', '.join(make(where)) or 'all there already'}")
