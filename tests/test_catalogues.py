"""Catalogues of texts: what is gathered, how files are read and written, and what is compiled from them."""

from __future__ import annotations

import gettext
import io
from pathlib import Path

import pytest

from scripts import catalogues, messages
from scripts.catalogues import Catalogue, CatalogueError, Text

GERMAN = r"""
msgid ""
msgstr ""
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

msgid "Stop “%(name)s”"
msgstr "„%(name)s“ "
"stoppen"
msgctxt "of a list"
msgid "Open"
msgstr "Geöffnet"

#, fuzzy
msgid "Maybe"
msgstr "Vielleicht"

msgid "%(n)s row"
msgid_plural "%(n)s rows"
msgstr[0] "%(n)s Zeile"
msgstr[1] "%(n)s Zeilen"

#~ msgid "Gone"
#~ msgstr "Fort"
"""


def test_a_file_reads_back_as_it_was_written_and_python_reads_what_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "django.po"
    path.write_text(GERMAN)
    found = catalogues.read(path)
    path.write_text(catalogues.written(found, "de"))
    assert catalogues.read(path) == found
    assert path.read_text() == catalogues.written(catalogues.read(path), "de")
    german = gettext.GNUTranslations(io.BytesIO(catalogues.compiled(found)))
    assert german.gettext("Stop “%(name)s”") == "„%(name)s“ stoppen"
    assert german.pgettext("of a list", "Open") == "Geöffnet"
    assert german.gettext("Open") == "Open"
    assert german.gettext("Maybe") == "Maybe"
    assert [german.ngettext("%(n)s row", "%(n)s rows", n) for n in (1, 2)] == ["%(n)s Zeile", "%(n)s Zeilen"]
    said = catalogues.script(found)
    assert '"%(n)s row":["%(n)s Zeile","%(n)s Zeilen"]' in said
    assert "form:n=>Number((n != 1))" in said
    assert "Vielleicht" not in said


@pytest.mark.parametrize("text", ['msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n', "hello\n", '"a"\n'])
def test_a_file_that_is_no_catalogue_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "django.po"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=r"django\.po"):
        catalogues.read(path)


def test_a_rule_for_plurals_that_is_code_is_refused() -> None:
    with pytest.raises(CatalogueError, match="plurals"):
        catalogues.script(Catalogue(plural="nplurals=2; plural=alert(n);"))


def test_texts_are_gathered_from_templates_python_and_scripts() -> None:
    template = """{% translate "100% sure" %}{# no #}{% translate "Open" context "of a list" as x %}
    {% include "a.html" with title=_("Title") %}{{ x|default:_("None") }}
    {% blocktranslate trimmed with name=x.name %}
      Stop <b>{{ name }}</b>
    {% endblocktranslate %}
    {% blocktranslate trimmed count n=rows %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}"""
    assert [(t.context, t.id, t.plural) for t in messages.in_template(template)] == [
        ("", "100%% sure", ""),
        ("of a list", "Open", ""),
        ("", "Title", ""),
        ("", "None", ""),
        ("", "Stop <b>%(name)s</b>", ""),
        ("", "%(n)s row", "%(n)s rows"),
    ]
    python = """from django.utils.translation import gettext as _, ngettext, pgettext_lazy as _c
def f(n):
    registry.operation("container.stop", label="Stop", doing="Stopping", done="Stopped")
    return _("Stop " "it") % {}, ngettext("%(n)s row", "%(n)s rows", n), _c("of a list", "Open"), other("no")
"""
    assert {(t.context, t.id, t.plural) for t in messages.in_python(python)} == {
        ("", "Stop", ""),
        ("", "Stopping", ""),
        ("", "Stopping %(name)s", ""),
        ("", "Stopped %(name)s", ""),
        ("", "Stopping %(name)s failed", ""),
        ("", "Stop it", ""),
        ("", "%(n)s row", "%(n)s rows"),
        ("of a list", "Open", ""),
    }
    script = """// tr('not this')
    say(tr('It\\'s gone')); tr("So", { a }); plural(rows.length, '{n} row', '{n} rows'); answer.tr('no')
    el.textContent = tr(`Long`)"""
    assert [(t.id, t.plural) for t in messages.in_script(script)] == [
        ("It's gone", ""),
        ("So", ""),
        ("{n} row", "{n} rows"),
        ("Long", ""),
    ]


def test_a_text_put_together_at_run_time_is_refused() -> None:
    python = "from django.utils.translation import gettext as _\n_(f'{a} is gone')"
    with pytest.raises(CatalogueError, match="put together"):
        list(messages.in_python(python, "a.py"))
    with pytest.raises(CatalogueError, match="inside of a text"):
        list(
            messages.in_template(
                "{% blocktranslate %}{{ row.name }} is gone{% endblocktranslate %}", "a.html"
            )
        )


def test_translations_survive_a_change_of_the_code_and_what_is_gone_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "LOCALE", tmp_path / "locale")
    page = tmp_path / "templates" / "page.html"
    page.parent.mkdir()
    page.write_text('{% translate "Stop" %}{% translate "Start" %}')
    messages.update("de", {("", "Stop"): Text("Stop", strings=["Stoppen"])})
    page.write_text('{% translate "Stop" %}{% translate "Kill" %}')
    capsys.readouterr()
    messages.update("de", {})
    said = capsys.readouterr().out
    assert "de django: 2 texts, 1 to translate, 1 no longer used" in said
    assert "missing: 'Kill'" in said
    assert "gone: 'Start'" in said
    found = catalogues.read(tmp_path / "locale/de/LC_MESSAGES/django.po")
    assert {text.id: text.strings for text in found.texts.values()} == {"Kill": [""], "Stop": ["Stoppen"]}
    assert 'msgid "Stop"\nmsgstr "Stoppen"' in messages.fragment(["templates"], {})
    assert "Stop" not in messages.fragment(["static"], {})
