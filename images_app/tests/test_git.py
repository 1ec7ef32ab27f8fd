"""A folder of a commit is fetched from a real git server, and from nowhere else."""

from __future__ import annotations

import base64
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from engine.errors import Cancelled, EngineError, Invalid
from engine.specs import SpecError
from images_app import git
from tests.repositories import ACCOUNT, PASSWORD, repository, served
from tests.repositories import git as git_of

MOST = 50_000_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str], list[str]]]:
    """``(address, commits, Authorization headers)`` of a server with one repository, ``app.git``."""
    root = tmp_path_factory.mktemp("git")
    attributes = "secret.txt export-ignore\n*.txt filter=bad\n"
    commits = repository(
        root,
        "app",
        {"Dockerfile": "FROM scratch\n", "services/api/main.py": "one", "secret.txt": "kept"},
        {".gitattributes": attributes, "services/api/main.py": "two", "out": Path("/etc")},
    )
    git_of(root / "app.git", "tag", "v1", commits[0])
    git_of(root / "app.git", "branch", "feature/x", commits[0])
    with served(root) as (address, seen):
        yield address, commits, seen


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "GIT_HOSTS", ["127.0.0.1"])
    yield tmp_path
    assert not list((tmp_path / "contexts").glob("*")), "something was left behind"


def fetch(url: str, most: int = MOST, stop: bool = False, **more: Any) -> tuple[str, dict[str, str]]:
    wanted = git.source({"url": url, **more})
    with (
        git.fetched(wanted, most=most, should_stop=lambda: stop) as (commit, file),
        tarfile.open(fileobj=file) as tar,
    ):
        found = {}
        for member in tar:
            data = tar.extractfile(member) if member.isreg() else None
            found[member.name] = data.read().decode() if data else member.linkname
        return commit, found


def test_a_branch_a_tag_a_commit_and_a_folder_are_fetched(place: tuple[str, list[str], list[str]]) -> None:
    address, (old, new), _ = place
    commit, files = fetch(f"{address}/app.git")
    assert commit == new
    assert files["services/api/main.py"] == "two"
    assert files["secret.txt"] == "kept", "attributes of releases and filters count for nothing"
    assert files["out"] == "/etc", "and it is for the spool to refuse"
    for ref in ("v1", "feature/x", old):
        commit, files = fetch(f"{address}/app.git#{ref}")
        assert commit == old
        assert files["services/api/main.py"] == "one"
    assert fetch(f"{address}/app.git#main:services/api") == (new, {"main.py": "two"})
    assert fetch(f"{address}/app.git", ref="v1", dir="/services/")[1]["api/main.py"] == "one"


def test_a_password_goes_to_the_server_and_nowhere_else(
    place: tuple[str, list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, (_, new), seen = place
    url = f"{address}/private/app.git"
    with pytest.raises(Invalid, match="asks for an account"):
        fetch(url)
    with pytest.raises(Invalid, match="asks for an account"):
        fetch(url, username=ACCOUNT, password="wrong")
    seen.clear()
    assert fetch(url, username=ACCOUNT, password=PASSWORD)[0] == new
    assert set(seen) == {"Basic " + base64.b64encode(f"{ACCOUNT}:{PASSWORD}".encode()).decode()}
    wanted = git.source({"url": url, "username": ACCOUNT, "password": PASSWORD})
    assert PASSWORD not in repr(wanted)
    origin, params, sealed = git.told(wanted, own_dockerfile=True)
    assert PASSWORD not in repr((origin, params))
    assert sealed == {"git_password": PASSWORD}


@pytest.mark.parametrize(
    ("path", "more", "why"),
    [
        ("/none.git", {}, "no repository"), ("/app.git", {"ref": "gone"}, "no branch"),
        ("/app.git", {"ref": "0" * 40}, "no branch"), ("/app.git", {"dir": "nowhere"}, "no folder"),
        ("/moved/app.git", {}, "has moved"), ("/slow/app.git", {}, "does not answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_is_told_in_words(
    place: tuple[str, list[str], list[str]], path: str, more: dict[str, str], why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        fetch(f"{place[0]}{path}", **more)


def test_a_repository_that_is_too_large_or_not_wanted_any_more_is_left(
    place: tuple[str, list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{place[0]}/app.git"
    with pytest.raises(EngineError):
        fetch(address, most=-1)
    with pytest.raises(Cancelled):
        fetch(address, stop=True)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(Invalid, match="not installed"):
        fetch(address)


def test_a_network_of_ones_own_is_not_reached_unless_it_is_named(
    place: tuple[str, list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = git.source({"url": f"{place[0]}/app.git"})
    monkeypatch.setattr(settings, "GIT_HOSTS", [])
    place[2].clear()
    with (
        pytest.raises(Invalid, match="SLIPWAY_GIT_HOSTS"),
        git.fetched(wanted, most=MOST, should_stop=lambda: False),
    ):
        pass
    assert place[2] == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"url": ""}, "git"), ({"url": "git@host.example:team/app.git"}, "git"), ({"url": "ssh://h/a"}, "git"),
        ({"url": "file:///etc"}, "git"), ({"url": "/etc"}, "git"), ({"url": "ext::sh -c id"}, "git"),
        ({"url": "https://a:b@h.example/x"}, "git"), ({"url": "https://h.example"}, "git"),
        ({"url": "http://h.example/x"}, "git"), ({"url": "https://10.0.0.1/x"}, "git"),
        ({"url": "https://169.254.169.254/x"}, "git"), ({"url": "--upload-pack=id"}, "git"),
        ({"url": "https://h.example/x#--upload-pack=id"}, "git_ref"),
        ({"url": "https://h.example/x", "ref": "a..b"}, "git_ref"),
        ({"url": "https://h.example/x", "ref": "a:b"}, "git_ref"), ({"url": "https://h.example/x#a:../b"}, "git_dir"),
        ({"url": "https://h.example/x", "dir": "a//b"}, "git_dir"),
        ({"url": "https://h.example/x", "dir": "a\nb"}, "git_dir"),
        ({"url": "https://h.example/x", "password": "a\nb"}, "git_password"),
    ],
)  # fmt: skip
def test_what_is_no_repository_is_refused_at_its_field(wish: dict[str, str], field: str) -> None:
    with pytest.raises(SpecError) as wrong:
        git.source(wish)
    assert list(wrong.value.errors) == [field]
