"""Habits: where we say "always", a test says it too. An exception stands here, with its reason in words."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests import house

MOST_LINES = 400
MOST_LINES_ELSE = 700
"""Style sheets and tests are read by searching, not from top to bottom."""
MOST_FUNCTION_LINES = 50

LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "engine/docker_map.py:container": "one line a field of ContainerInfo, without a branch",
    "engine/fake_facts.py:_info": "one line a field of ContainerInfo, without a branch",
}

# Tests that say: this raises nothing.
QUIET_TESTS = {
    "test_a_normal_day_is_allowed": "guard rails speak by raising",
    "test_anything_at_all_can_be_typed": "any text is parsed without a fault",
    "test_whatever_goes_wrong_operations_hold_what_they_promise": "the state machine asserts, and raises",
    "test_streams_answer_a_ping": "a ping speaks by raising",
}

# Imported although requirements.in does not name them, because they are part of a package that it names.
PARTS_OF_OTHERS = {
    "kombu": "Celery's own transport library, whose version Celery pins",
    "requests": "the Docker SDK raises its errors",
    "urllib3": "the Docker SDK raises its errors",
    "asgiref": "Django's own bridge between threads and the event loop",
}


def _problems(found: list[str]) -> str:
    return "\n  ".join(["", *sorted(found)])


# --- Size and names ----------------------------------------------------------------------------------


def test_files_are_short_enough_to_read() -> None:
    long = []
    for path in house.with_ending(".py", ".js", ".css", ".html", ".sh"):
        most = MOST_LINES_ELSE if path.suffix == ".css" or house.is_test(path) else MOST_LINES
        lines = house.text(path).count("\n")
        if lines > most and str(path) not in LONG_FILES and "migrations" not in path.parts:
            long.append(f"{path}: {lines} lines")
    assert not long, _problems(long)


def test_functions_are_short_enough_to_read() -> None:
    long = [
        f"{path}: {name} has {lines} lines"
        for path in house.python()
        for name, lines in house.functions(path)
        if lines > MOST_FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS
    ]
    assert not long, _problems(long)


def test_exceptions_to_the_sizes_are_still_needed() -> None:
    gone = [name for name in LONG_FILES if house.text(Path(name)).count("\n") <= MOST_LINES]
    for name in LONG_FUNCTIONS:
        path, _, function = name.rpartition(":")
        if all(
            lines <= MOST_FUNCTION_LINES for found, lines in house.functions(Path(path)) if found == function
        ):
            gone.append(name)
    assert not gone, f"take these off the lists: {gone}"


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [str(path) for path in house.files() if path.stem in drawers]


def test_nothing_is_left_for_later_without_a_place() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    found = [
        str(path)
        for path in house.texts()
        if path.name != "test_house.py" and path.suffix != ".json" and marks.search(house.text(path))
    ]
    assert not found, _problems(found)


# --- Pages -------------------------------------------------------------------------------------------


INLINE = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an event attribute": re.compile(r"<[^>]*\s(on[a-z]+|hx-on[:\w-]*)\s*=", re.IGNORECASE),
    "a script without a file": re.compile(
        r"<script\b(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", re.IGNORECASE
    ),
    "unescaped output": re.compile(r"\|\s*safe\b|autoescape\s+off"),
}


@pytest.mark.parametrize("what", INLINE)
def test_templates_hold_nothing_that_the_security_policy_forbids(what: str) -> None:
    found = [
        f"{path}: {what}: {match.group()[:80]}"
        for path in house.with_ending(".html")
        for match in INLINE[what].finditer(house.text(path))
    ]
    assert not found, _problems(found)


def test_scripts_never_turn_text_into_markup() -> None:
    """S-60."""
    ways = re.compile(
        r"\.(innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function\("
    )
    found = [str(path) for path in house.with_ending(".js", ".mjs") if ways.search(house.text(path))]
    assert not found, _problems(found)


def test_templates_use_only_icons_that_are_in_the_sprite() -> None:
    sprite = (house.ROOT / "static/build/icons.svg").read_text()
    drawn = set(re.findall(r'<symbol[^>]*\bid="([\w-]+)"', sprite))
    assert drawn, "the sprite has no symbols"
    wanted = {
        (name, str(path))
        for path in house.with_ending(".html")
        for name in re.findall(r"""{%\s*icon\s+["']([\w-]+)["']""", house.text(path))
    }
    missing = [f"{path}: {name}" for name, path in wanted if name not in drawn]
    assert not missing, _problems(missing)


# --- Settings and documents --------------------------------------------------------------------------


def _environment_names() -> set[str]:
    """What the settings read: the first argument of every ``env.type("NAME")``."""
    return {
        str(node.args[0].value)
        for path in ("dashboard/settings.py", "dashboard/sign_on.py")
        for node in ast.walk(house.tree(Path(path)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "id", "") == "env"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_setting_has_a_row_in_the_readme() -> None:
    names = _environment_names()
    assert {"SLIPWAY_HOME", "SLIPWAY_BIND", "DATABASE_URL", "REDIS_URL", "DOCKER_HOST"} <= names
    rows = set(re.findall(r"^\| `([A-Z_]+)`", house.text(Path("README.md")), re.MULTILINE))
    assert names - rows == set(), "settings without a row in README.md"
    assert rows - names == set(), "rows in README.md for settings that there are not"


def test_the_environment_is_read_in_the_settings_alone() -> None:
    reads = re.compile(r"environ(\.get\(|\[)\"(SLIPWAY_\w+|DATABASE_URL|REDIS_URL)")
    # They run before the settings can; the command line runs without any.
    allowed = {"scripts/setup.py", "scripts/checks.py", "slipway/where.py"}
    found = [
        str(path)
        for path in house.python(tests=False)
        if str(path) not in allowed and reads.search(house.text(path))
    ]
    assert not found, _problems(found)


def test_the_changelog_says_what_is_not_released_yet() -> None:
    assert "\n## Unreleased\n" in house.text(Path("CHANGELOG.md"))


def test_links_between_our_documents_lead_somewhere() -> None:
    broken = [
        f"{path}: {target}"
        for path in house.with_ending(".md")
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", house.text(path))
        if not (house.ROOT / path.parent / target).exists()
    ]
    assert not broken, _problems(broken)


def test_every_requirement_that_is_kept_is_named_by_a_test() -> None:
    kept = re.findall(
        r"^\| (S-\d\d) \|.*\| (?:yes|partly) \|", house.text(Path("docs/security.md")), re.MULTILINE
    )
    assert len(kept) >= 16
    tests = "".join(house.text(path) for path in house.python() if house.is_test(path))
    missing = [name for name in kept if name not in tests and name.lower().replace("-", "_") not in tests]
    assert not missing, _problems(missing)


# --- What may stand in the repository ----------------------------------------------------------------


def test_no_file_names_a_package_registry_or_a_path_of_somebody_s_machine() -> None:
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
    paths = [rf"(?<![\w.-])/{name}/(?=[\w.-])" for name in ("work", "root", r"home/\w+", "Users")]
    pattern = re.compile("|".join([*map(re.escape, hosts), *paths]))
    found = [
        f"{path}: {match.group()}" for path in house.texts() for match in pattern.finditer(house.text(path))
    ]
    assert not found, _problems(found)


def test_every_package_that_is_imported_is_asked_for() -> None:
    runtime = _asked_for("requirements.in")
    development = runtime | _asked_for("requirements-dev.in")
    ours = {*house.ROOMS, "scripts", "tests", "conftest"} | set(sys.stdlib_module_names)
    offered = importlib.metadata.packages_distributions()
    missing = set()
    for path in house.python():
        asked = development if house.is_test(path) else runtime
        for module in house.imports(path) - ours - set(PARTS_OF_OTHERS):
            packages = {_normal(name) for name in offered.get(module, [module])}
            if not packages & asked:
                missing.add(f"{path}: {module}")
    assert not missing, _problems(list(missing))


def _asked_for(name: str) -> set[str]:
    lines = house.text(Path(name)).splitlines()
    return {_normal(found[0]) for line in lines if (found := re.match(r"[A-Za-z][\w.-]*", line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_tests_are_never_skipped() -> None:
    pattern = re.compile(r"pytest\.mark\.skip|pytest\.skip\(|importorskip|unittest\.skip|pytest\.mark\.xfail")
    found = [
        str(path)
        for path in house.python()
        if house.is_test(path) and path.name != "test_house.py" and pattern.search(house.text(path))
    ]
    assert not found, _problems(found)


def test_every_test_asserts_something() -> None:
    modules = [path for path in house.python() if house.is_test(path)]
    parts = [part for path in modules for part in ast.walk(house.tree(path)) if _is_function(part)]
    asserting = {part.name for part in parts if _asserts(part, set())}
    for _ in range(3):  # what calls what asserts, asserts
        asserting |= {part.name for part in parts if _asserts(part, asserting)}
    empty = {part.name for part in parts if part.name.startswith("test_")} - asserting - set(QUIET_TESTS)
    assert not empty, _problems(list(empty))


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _asserts(node: ast.AST, asserting: set[str]) -> bool:
    """An assert, an expected error or warning, or a call of something that asserts."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assert):
            return True
        if isinstance(part, ast.Call):
            called = part.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in {"raises", "warns", "fail"} or name in asserting:
                return True
    return False


def test_the_layers_name_every_room() -> None:
    contracts = tomllib.loads(house.text(Path("pyproject.toml")))["tool"]["importlinter"]
    assert set(contracts["root_packages"]) == set(house.ROOMS)
    assert contracts["contracts"][0]["type"] == "layers"


def test_what_the_sidebar_leads_to_is_reached_on_a_phone() -> None:
    wide, narrow = (
        set(re.findall(r'href="\{% url "(\w+:\w+)" %\}"', house.text(Path(f"templates/parts/{name}.html"))))
        for name in ("nav", "tabbar")
    )
    assert len(wide) > 10
    assert wide <= narrow, wide - narrow
