"""What templates draw with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from dashboard.templatetags import ui

EVIL = '"><script>alert(1)</script>'


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1 KB"), (31_200_000, "31.2 MB"), (312_000_000, "312 MB"),
     (1_210_000_000, "1.21 GB"), (3_400_000_000_000, "3.4 TB")],
)  # fmt: skip
def test_sizes_are_counted_by_thousands(size: int | None, text: str) -> None:
    assert ui.filesize_dec(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(None, "–"), (512 * 1024**2, "512 MB"), (1536 * 1024, "1.5 MB"), (3 * 1024**3, "3 GB")]
)
def test_memory_is_counted_as_it_was_asked_for(size: int | None, text: str) -> None:
    assert ui.memory(size) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [(1, "just now"), (24, "24 s ago"), (9 * 60, "9 min ago"), (3 * 3600, "3 h ago"), (41 * 86400, "41 d ago"),
     (-30 * 86400, "in 30 d")],
)  # fmt: skip
def test_times_are_told_in_their_largest_unit(past: int, text: str) -> None:
    html = ui.ago(timezone.now() - timedelta(seconds=past))
    assert f">{text}</time>" in html
    assert 'data-time="ago"' in html


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("registry.example:5000/team/web:1.4", ("registry.example:5000/team/", "web", ":1.4")),
        ("nginx:alpine", ("", "nginx", ":alpine")),
        ("team/web", ("team/", "web", "")),
        (f"web@sha256:{'a' * 64}", ("", "web", f"@sha256:{'a' * 12}")),
    ],
)
def test_a_reference_keeps_its_name_and_tag(reference: str, parts: tuple[str, str, str]) -> None:
    html, (path, name, tag) = ui.image_ref(reference), parts
    assert f'<span class="nm">{name}</span><span class="tag">{tag}</span>' in html
    assert (f'<span class="pre">{path}</span>' in html) == bool(path)


def test_nothing_that_is_drawn_is_markup_of_somebody_else() -> None:
    for html in (ui.image_ref(EVIL), ui.avatar(EVIL), ui.glyph(EVIL), ui.icon(EVIL), ui.bar(5, EVIL)):
        assert "<script>" not in html


def test_geometry_stands_in_attributes() -> None:
    assert 'width="62%"' in ui.bar(62)
    assert 'class="v"' not in ui.bar(None)
    assert 'd="M0 17L28 1L56 9"' in ui.spark([0, 2, 1], 56, 18)
    assert "style=" not in ui.bar(62) + ui.spark([1, 2]) + ui.live_spark("x") + ui.mem_bar(95)
    assert "bar bad" in ui.mem_bar(95)
    assert 'data-values="0.25 0.001 52428800"' in ui.live_spark("x", [0.25, 0.001, 52428800])
    assert "data-values" not in ui.live_spark("x")


def test_a_person_has_the_same_colour_everywhere() -> None:
    assert ui.avatar("Grace Hopper") == ui.avatar("Grace Hopper")
    assert ">GH<" in ui.avatar("Grace Hopper")
    assert ">?<" in ui.avatar("")


def test_a_part_of_the_address_changes_and_the_rest_stays() -> None:
    request = RequestFactory().get("/containers/?q=web&view=running&page=3")
    told = Template('{% query view="" %} {% query view="stopped" %} {% without "q" %}')
    assert told.render(Context({"request": request})) == "?q=web ?q=web&amp;view=stopped ?view=running"


def test_times_go_by_the_clock_of_the_reader() -> None:
    at = datetime(2026, 11, 24, 23, 30, 5, tzinfo=UTC)
    assert ">2026-11-24 23:30 UTC<" in ui.at(at)
    with timezone.override("Asia/Tokyo"):
        told = ui.at(at)
        assert ">2026-11-25 08:30 JST<" in told
        assert 'datetime="2026-11-24T23:30:05+00:00"' in told
        assert ">08:30<" in ui.clock(at)
