"""S-25: nothing but ids and names reaches an engine."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import names
from engine.connect import connect
from engine.errors import Invalid, Unreachable

NOWHERE = connect("unix:///nonexistent/slipway-test.sock")
"""A call that gets as far as connecting says `Unreachable`; one that is refused before says `Invalid`."""

ALMOST = st.one_of(
    st.text(),
    st.text("0123456789abcdef", min_size=60, max_size=68),
    st.from_regex(r"[0-9a-f]{64}[\n/. ]?", fullmatch=True),
    st.sampled_from(["../containers/x", "..", ".", "/", "a/b", "a%2fb", "a?b=c", "a#b", "-a", ".a", "a\n"]),
)


def reaches_the_engine(call: Callable[[], object]) -> bool:
    try:
        call()
    except Invalid:
        return False
    except Unreachable:
        return True
    raise AssertionError("there is no engine that could have answered")


@given(ALMOST)
@example("0" * 64)
@example("0" * 64 + "\n")
@example("０" * 64)  # digits, but not ASCII
def test_only_whole_container_ids_reach_an_engine(value: str) -> None:
    right = re.fullmatch(r"[0-9a-f]{64}", value, re.ASCII) is not None
    assert reaches_the_engine(lambda: NOWHERE.container(value)) is right
    assert reaches_the_engine(lambda: NOWHERE.remove(value)) is right
    assert reaches_the_engine(lambda: NOWHERE.kill(value)) is right
    assert reaches_the_engine(lambda: list(NOWHERE.logs(value))) is right


@given(ALMOST.map(lambda value: "sha256:" + value) | ALMOST)
@example("sha256:" + "0" * 64)
def test_only_whole_image_ids_reach_an_engine(value: str) -> None:
    right = re.fullmatch(r"sha256:[0-9a-f]{64}", value, re.ASCII) is not None
    assert reaches_the_engine(lambda: NOWHERE.remove_image(value)) is right
    assert reaches_the_engine(lambda: NOWHERE.image(value)) is right


@given(ALMOST)
@example("data")
@example("a..b")
@example("../containers/victim")
def test_only_volume_names_reach_an_engine(value: str) -> None:
    pattern = re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}", value, re.ASCII)
    right = pattern is not None and ".." not in value
    assert reaches_the_engine(lambda: NOWHERE.remove_volume(value)) is right


@given(ALMOST)
def test_names_that_are_looked_for_hold_no_path(value: str) -> None:
    if reaches_the_engine(lambda: NOWHERE.find_container(value)):
        assert not set(value) & set("/%?#\\ \n")


@given(st.text() | st.from_regex(r"[a-zA-Z0-9:/@._-]{1,40}", fullmatch=True))
def test_what_is_parsed_as_a_reference_is_stable_and_clean(value: str) -> None:
    try:
        short = names.image_reference(value)
    except Invalid:
        return
    assert names.image_reference(short) == short
    assert re.fullmatch(r"[a-zA-Z0-9:/@._-]{1,400}", short, re.ASCII)
    assert ".." not in short
    assert ":" in short


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("nginx", "nginx:latest"),
        ("nginx:1.27", "nginx:1.27"),
        ("library/nginx", "nginx:latest"),
        ("docker.io/nginx:1", "nginx:1"),
        ("index.docker.io/team/app", "team/app:latest"),
        ("docker.io/library/a/b", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/team/app:2", "localhost:5000/team/app:2"),
        ("Registry.Example/app", "registry.example/app:latest"),
        ("app@sha256:" + "a" * 64, "app@sha256:" + "a" * 64),
        ("app:1@sha256:" + "a" * 64, "app:1@sha256:" + "a" * 64),
        ("deadbeefdead", "deadbeefdead:latest"),
    ],
)
def test_references_come_back_in_short_form(given_: str, expected: str) -> None:
    assert names.image_reference(given_) == expected


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "a b",
        "Nginx",
        "team/App",
        "app:",
        "app:..",
        "app@",
        "app@sha256:abc",
        "app@md5:" + "a" * 32,
        "/app",
        "app/",
        "a//b",
        "../app",
        "a/../b",
        "app\n",
        "https://registry.example/app",
        "user@registry.example/app",
        "a" * 256,
        "a" * 64,
        "app:1?x=y",
        "-app",
        "app-",
        None,
        7,
    ],
)
def test_what_is_no_reference_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        names.image_reference(bad)


@pytest.mark.parametrize(
    "bad", ["a", "abcdef123456", "0" * 64, "ABCDEF123456", "slipway-web", "a b", "a/b", "é1", "a" * 64]
)
def test_a_new_container_may_not_look_like_an_id_or_like_us(bad: str) -> None:
    with pytest.raises(Invalid):
        names.container_name(bad)


@pytest.mark.parametrize("good", ["web", "web-1", "my_app.2", "deadbeefcafg", "abcdef12345", "z" * 63])
def test_ordinary_names_are_fine(good: str) -> None:
    assert names.container_name(good) == good


@pytest.mark.parametrize("bad", ["<img src=x>", "a\nb", "host:x", "container:abc", "", "a" * 65, "\u202eabc"])
def test_hostile_network_names_are_refused(bad: str) -> None:
    with pytest.raises(Invalid):
        names.network_reference(bad)


@pytest.mark.parametrize("good", ["front", "bridge", "a" * 64, "0123456789abcdefghijklmno"])
def test_networks_are_named_or_numbered(good: str) -> None:
    assert names.network_reference(good) == good


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("KILL", True),
        ("SIGHUP", True),
        ("9", True),
        ("kill", False),
        ("0", False),
        ("KILL;", False),
        ("", False),
    ],
)
def test_signals(value: str, right: bool) -> None:
    if right:
        assert names.signal(value) == value
    else:
        with pytest.raises(Invalid):
            names.signal(value)
