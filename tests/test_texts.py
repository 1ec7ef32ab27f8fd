"""Texts that people read are translatable, and the catalogues fit them (docs/languages.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from scripts import catalogues, messages
from tests import house

TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
NO_TEXT = re.compile(
    r"\{%\s*comment.*?endcomment\s*%\}|\{%\s*blocktranslate.*?endblocktranslate\s*%\}"
    r"|\{%\s*block \w*class\s*%\}.*?\{%\s*endblock\s*%\}|\{#.*?#\}"
    r"|<(code|kbd|pre|script|style|svg)\b(?:\"[^\"]*\"|[^>\"])*>.*?</\1>|<!doctype html>",
    re.DOTALL | re.IGNORECASE,
)
ELEMENT = re.compile(r"<(?:\"[^\"]*\"|[^<>\"])*>", re.DOTALL)
READ = re.compile(r"\s(?:title|aria-label|placeholder|alt|data-empty|data-says|data-command)=\"([^\"]*)\"")
CLASS = re.compile(r"\sclass=\"[^\"]*\"")
DEFAULT = re.compile(r"\{\{[^{}]*\|default(?:_if_none)?:'([A-Za-z][^']*)'")
GIVEN = re.compile(r"(?<!_\()'[A-Z][a-z]+ ?[^']*'")
# Names, units, formats and examples of what is typed: the same in every language.
SAME = (
    "docker run --detach --publish 8080:80 nginx:1.27", "https://git.example/team/app.git", "library/nginx", "team/app",
    "hello:1", "name:tag", "/data", "python -i", "Docker Compose", "Slipway", "Docker", "Dockerfile", "BuildKit", "CPU",
    "UTC", "REST", "API",
    "CSV", "JSON", "PEM", "MB", "GB", "min", "stdout", "stderr", "tmpfs", "tcp", "udp", "sctp", "bash",
    "sh", "ro", "id", "FROM", "NAME", "root",
)  # fmt: skip
PLACEHOLDER = re.compile(r"%\(\w+\)s|(?<!%)\{\w+\}|%%")
MARKUP = re.compile(r"</?[a-z]+[^>]*>")


def _bare(source: str) -> Iterator[str]:
    """Words of a template that no translation reaches."""
    without = NO_TEXT.sub(" ", source)
    attributes = "\n".join(TAG.sub(" ", value) for value in READ.findall(without))
    text = ELEMENT.sub("\n", TAG.sub("\n", without))
    instead = DEFAULT.findall(CLASS.sub(" ", without))
    for piece in [*text.splitlines(), *attributes.splitlines(), *instead]:
        left = re.sub(r"&\w+;", "", piece)
        for same in SAME:
            left = re.sub(rf"(?<![\w-]){re.escape(same)}(?![\w-])", "", left)
        if re.search(r"[A-Za-z]{2,}", left):
            yield piece.strip()
    for tag in re.findall(r"\{%\s*include\b.*?%\}", without, re.DOTALL):
        if GIVEN.search(tag):
            yield tag


def _plain(source: str) -> str:
    """Without the quotes inside of tags, so that attributes end where they end."""
    return TAG.sub(lambda tag: tag[0].replace('"', "'"), source)


def test_every_text_of_a_template_can_be_translated() -> None:
    bare = {
        str(path): found for path in house.with_ending(".html")
        if path.parts[0] == "templates" and (found := list(_bare(_plain(house.text(path)))))
    }  # fmt: skip
    assert not bare, "\n".join(f"{path}: {words}" for path, found in bare.items() for words in found)


@pytest.mark.parametrize(
    "source",
    [
        "<p>Stop it</p>",
        '<a title="Stop it"></a>',
        "{% if a %}Stop{% endif %}",
        "<b>{{ n }} rows</b>",
        '<a data-command="Stop"></a>',
        '<b>{{ name|default:"engine" }}</b>',
    ],
)
def test_a_text_that_stands_bare_is_found(source: str) -> None:
    assert list(_bare(_plain(source)))


@pytest.mark.parametrize(
    "source",
    [
        '<p>{% translate "Stop it" %} <code>docker stop</code> · {{ size }} MB</p>',
        '<a title="{% blocktranslate with a=b %}Stop {{ a }}{% endblocktranslate %}" class="two words"></a>',
        '<b class="{{ tone|default:"busy" }}">{{ name|default:_("engine") }} {{ n|default:"–" }}</b>',
    ],
)
def test_what_is_translated_or_is_no_text_is_none(source: str) -> None:
    assert not list(_bare(_plain(source)))


def _files() -> list[Path]:
    return sorted((house.ROOT / "locale").glob("*/LC_MESSAGES/*.po"))


def test_a_translation_has_the_values_and_the_tags_of_its_text() -> None:
    wrong = []
    for path in _files():
        for text in catalogues.read(path).texts.values():
            assert not text.fuzzy, text.id
            for string in filter(None, text.strings):
                many = text.plural if text.plural and string != text.strings[0] else text.id
                for what in (PLACEHOLDER, MARKUP):
                    asked = {*what.findall(many), *what.findall(text.plural or text.id)}
                    have = set(what.findall(string))
                    if not (have <= asked and set(what.findall(many)) - {"%(n)s", "{n}"} <= have):
                        wrong.append(f"{path.parent.parent.name}: {text.id} → {string}")
    assert not wrong, "\n".join(wrong)


def test_a_language_that_is_offered_is_complete_and_has_nothing_that_is_not_asked_for() -> None:
    offered = [code for code, _name in settings.LANGUAGES if code != "en"]
    wrong = []
    for domain in messages.DOMAINS:
        asked = messages.texts_of(messages.sources(domain))
        for code in offered:
            known = catalogues.read(house.ROOT / "locale" / code / "LC_MESSAGES" / f"{domain}.po").texts
            wrong += [f"{code} lacks: {key[1]}" for key in asked if key not in known or not known[key].done]
            wrong += [f"{code} has, and nobody asks: {key[1]}" for key in known if key not in asked]
    assert not wrong, "\n".join(wrong)
