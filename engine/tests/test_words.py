from __future__ import annotations

import pytest

from engine import names, words
from engine.errors import Invalid
from engine.fields import Fields


def _said(name: str) -> str:
    with pytest.raises(Invalid) as refused:
        names.new_network_name(name)
    return refused.value.message


def test_texts_are_english_until_somebody_says_how_they_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_found_by", [])
    assert _said("host") == 'The name "host" means a network of the engine itself: choose another one.'
    assert _said("") == (
        "A network name has 1 to 63 characters: letters, digits, dots, dashes and underscores, "
        "starting with a letter or a digit."
    )

    other = {
        'The name "%(name)s" means a network of the engine itself: choose another one.': "Nicht %(name)s."
    }
    words.speak(lambda text: other.get(text, "Anders."))
    assert _said("host") == "Nicht host."
    assert _said("") == "Anders."
    fields = Fields({"cpus": "two"})
    fields.number("cpus", 0, 0, 1)
    assert fields.errors == {"cpus": ["Anders."]}
