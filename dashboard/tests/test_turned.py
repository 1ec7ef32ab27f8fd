"""Marks that turn text around: shown where people read, kept where the server gets them back (S-60)."""

from __future__ import annotations

from dashboard.turned import plain

RLO, LRI = "\u202e", "\u2066"


def test_a_page_without_marks_is_the_same() -> None:
    page = "<p title='x'>exe.jpg</p>"
    assert plain(page) is page


def test_what_people_read_is_shown_and_what_goes_back_is_kept() -> None:
    page = (
        f'<p title="a{RLO}b" data-name="a{RLO}b">one{RLO}two {LRI}</p>'
        f'<input value="v{RLO}" placeholder="p{RLO}" aria-label=\'l{RLO}\'>'
        f"<textarea>t{RLO}</textarea><a href='/x{RLO}'>x</a><option value=\"o{RLO}\">o{RLO}</option>"
        f'<script type="application/json">"{RLO}"</script>after{RLO}'
    )
    assert plain(page) == (
        f'<p title="a[U+202E]b" data-name="a{RLO}b">one[U+202E]two [U+2066]</p>'
        f'<input value="v{RLO}" placeholder="p[U+202E]" aria-label=\'l[U+202E]\'>'
        f"<textarea>t{RLO}</textarea><a href='/x{RLO}'>x</a><option value=\"o{RLO}\">o[U+202E]</option>"
        f'<script type="application/json">"{RLO}"</script>after[U+202E]'
    )


def test_a_page_that_is_broken_off_is_shown_too() -> None:
    assert plain(f"a{RLO}<textarea>b{RLO}") == "a[U+202E]<textarea>b[U+202E]"
