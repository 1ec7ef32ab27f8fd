"""What the habit tests look at: the files of the repository, read once."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = (
    "accounts",
    "containers_app",
    "dashboard",
    "engine",
    "images_app",
    "operations",
    "slipway",
    "streams",
)
NOT_OURS = {".venv", "node_modules", "var", ".git"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that git knows or would take, relative to the top; in a copy without git, every file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode == 0:
        found = [Path(line) for line in listed.stdout.splitlines()]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
    return tuple(
        sorted(
            p
            for p in found
            if (ROOT / p).is_file() and not NOT_OURS & set(p.parts) and "build" not in p.parts
        )
    )


def texts() -> list[Path]:
    """The files that are text: git's own way to tell is a zero byte near the beginning."""
    return [path for path in files() if b"\0" not in (ROOT / path).read_bytes()[:8000]]


def with_ending(*endings: str) -> list[Path]:
    """The files whose names end so."""
    return [path for path in files() if path.suffix in endings]


@functools.cache
def text(path: Path) -> str:
    """Its content."""
    return (ROOT / path).read_text()


@functools.cache
def tree(path: Path) -> ast.Module:
    """Its Python."""
    return ast.parse(text(path), str(path))


def python(*, tests: bool = True) -> list[Path]:
    """Our Python files without migrations."""
    found = [path for path in with_ending(".py") if "migrations" not in path.parts]
    return found if tests else [path for path in found if not is_test(path)]


def is_test(path: Path) -> bool:
    """Whether it only exists to test."""
    return "tests" in path.parts or path.name == "conftest.py"


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """``(name, lines)`` of each function, decorators and nested functions included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def imports(path: Path) -> set[str]:
    """The top-level names that it imports."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
