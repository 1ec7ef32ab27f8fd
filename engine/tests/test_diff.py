"""Two settings, and what differs."""

from engine.diff import Difference, differences


def test_settings_are_compared_field_by_field() -> None:
    old = {
        "image": "a:1",
        "resources": {"memory": 1, "cpus": 2},
        "ports": [{"host": 1}, {"host": 2}],
        "user": "x",
    }
    new = {"image": "a:2", "resources": {"memory": 1, "cpus": 3}, "ports": [{"host": 1}], "tty": True}
    assert differences(old, new) == [
        Difference("image", "changed", "a:1", "a:2"),
        Difference("ports.1", "removed", {"host": 2}, None),
        Difference("resources.cpus", "changed", 2, 3),
        Difference("tty", "added", None, True),
        Difference("user", "removed", "x", None),
    ]


def test_the_same_settings_have_no_difference() -> None:
    assert differences({"a": [1, {"b": None}]}, {"a": (1, {"b": None})}) == []
