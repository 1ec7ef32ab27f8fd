"""The picture of networks: lanes, lines and stops. Pure."""

from __future__ import annotations

from uuid import uuid4

from containers_app.models import Container, Network
from containers_app.network_map import Line, Picture, Shown, picture


def drawn(wanted: dict[str, list[str]], *known: str) -> Picture:
    """Containers, each on these networks; ``known``: networks of which there are rows."""
    networks = [Network(name=name, native_id=f"id-{name}") for name in known]
    ids = {network.name: network.native_id for network in networks}
    shown = [
        Shown(
            Container(
                id=uuid4(), name=name, networks=[{"name": one, "native_id": ids.get(one, "")} for one in on]
            )
        )
        for name, on in wanted.items()
    ]
    return picture(networks, shown)


def told(found: Picture) -> list[str]:
    return [
        (line.lane.name if line.lane else "alone") if line.shown is None else f"  {line.shown.row.name}"
        for line in found.lines
    ]


def of(found: Picture, name: str) -> Line:
    return next(line for line in found.lines if line.shown and line.shown.row.name == name)


def test_containers_stand_below_their_network_once_each() -> None:
    found = drawn({"web": ["front"], "api": ["front", "back"], "db": ["back"], "box": []}, "front", "back")
    assert told(found) == ["back", "  api", "  db", "front", "  web", "alone", "  box"]
    assert [lane.name for lane in of(found, "api").others] == ["front"]


def test_a_bar_reaches_over_all_lanes_of_a_container() -> None:
    found = drawn({"web": ["front"], "api": ["front", "back"], "db": ["back"]}, "front", "back")
    back, front = found.lanes
    assert of(found, "api").bar == (back.x, front.x)
    assert of(found, "web").bar is None
    assert {piece.x for piece in of(found, "api").pieces if piece.stop} == {back.x, front.x}
    assert (front.top, front.bottom) == (1, 4), "it begins where its first container stands"


def test_lanes_that_do_not_meet_share_a_column() -> None:
    found = drawn({f"c{n}": [f"n{n}"] for n in range(30)}, *[f"n{n}" for n in range(30)])
    assert {lane.column for lane in found.lanes} == {0}
    meeting = drawn({"hub": [f"n{n}" for n in range(5)]}, *[f"n{n}" for n in range(5)])
    assert sorted(lane.column for lane in meeting.lanes) == [0, 1, 2, 3, 4]


def test_the_engines_own_come_last_and_what_is_not_known_has_its_name_alone() -> None:
    found = drawn({"a": ["bridge"], "b": ["zoo"], "c": ["none"]}, "zoo", "empty")
    assert [lane.name for lane in found.lanes] == ["zoo", "bridge", "none"]
    assert found.lanes[1].row is None
    assert [row.name for row in found.empty] == ["empty"]


def test_nothing_is_drawn_of_nothing() -> None:
    found = drawn({})
    assert (list(found.lines), list(found.lanes)) == ([], [])
