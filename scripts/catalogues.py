"""Catalogues of translated texts: reads and writes ``.po`` files, and compiles what Django and browsers read.

Standard library only, since a clone is built before its packages are there. Files hold texts by context and id, in
that order, without places in the code: so that a change of the code alone changes none of them.
"""

from __future__ import annotations

import ast
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Key = tuple[str, str]
"""Context (empty without one) and id."""
_LINE = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr(?:\[(\d+)\])?)?\s*(".*")')
_PLURAL = re.compile(r"nplurals\s*=\s*(\d+)\s*;\s*plural\s*=\s*([^;\n]+)")
USUAL_PLURAL = "nplurals=2; plural=(n != 1);"


class CatalogueError(Exception):
    """What is wrong in a file, for whoever wrote it."""


@dataclass(slots=True)
class Text:
    """One text: ``strings`` has one translation, with ``plural`` one for each form; empty ones are missing."""

    id: str
    context: str = ""
    plural: str = ""
    strings: list[str] = field(default_factory=list)
    fuzzy: bool = False

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.context, self.id

    @property
    def done(self) -> bool:
        """Whether it is translated, in every form."""
        return bool(self.strings) and all(self.strings) and not self.fuzzy


@dataclass(slots=True)
class Catalogue:
    """All texts of a file by key, and the rule by which its language counts."""

    texts: dict[Key, Text] = field(default_factory=dict)
    plural: str = USUAL_PLURAL

    @property
    def forms(self) -> int:
        """How many forms a counted text has."""
        found = _PLURAL.search(self.plural)
        return int(found[1]) if found else 2


def read(path: Path) -> Catalogue:
    """The catalogue in this file; an empty one where there is none."""
    found = Catalogue()
    for text in _entries(path):
        if not text.id:
            if rule := re.search(r"Plural-Forms:\s*(.*)", "".join(text.strings)):
                found.plural = rule[1].strip()
            continue
        if text.key in found.texts:
            raise CatalogueError(f"{path.name} has twice: {text.id[:80]}")
        found.texts[text.key] = text
    return found


def _entries(path: Path) -> Iterator[Text]:
    parts: dict[str, str] = {}
    name, fuzzy = "", False
    lines = path.read_text().splitlines() if path.exists() else []
    for line in map(str.strip, lines):
        found = _LINE.fullmatch(line)
        if line and not line.startswith("#") and not (found and (found[1] or name)):
            raise CatalogueError(f"{path.name} has a line that is none of a catalogue: {line[:80]}")
        begins = line.startswith("#") or (found and found[1] in ("msgctxt", "msgid"))
        if begins and any(part.startswith("msgstr") for part in parts):
            yield _text(parts, fuzzy)
            parts, name, fuzzy = {}, "", False
        if found:
            name = found[1] or name
            parts[name] = parts.get(name, "") + str(ast.literal_eval(found[3]))
        else:
            fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
    if parts:
        yield _text(parts, fuzzy)


def _text(parts: dict[str, str], fuzzy: bool) -> Text:
    strings = [value for name, value in sorted(parts.items()) if name.startswith("msgstr")]
    return Text(
        parts.get("msgid", ""), parts.get("msgctxt", ""), parts.get("msgid_plural", ""), strings, fuzzy
    )


def written(catalogue: Catalogue, language: str) -> str:
    """The file's text."""
    head = (
        f"Language: {language}\nContent-Type: text/plain; charset=UTF-8\nPlural-Forms: {catalogue.plural}\n"
    )
    blocks = [f'msgid ""\nmsgstr {_quoted(head)}\n']
    for _, text in sorted(catalogue.texts.items(), key=lambda one: (one[0][1], one[0][0])):
        lines = ["#, fuzzy"] if text.fuzzy else []
        if text.context:
            lines.append(f"msgctxt {_quoted(text.context)}")
        lines.append(f"msgid {_quoted(text.id)}")
        if text.plural:
            lines.append(f"msgid_plural {_quoted(text.plural)}")
            strings = (text.strings + [""] * catalogue.forms)[: catalogue.forms]
            lines += [f"msgstr[{number}] {_quoted(string)}" for number, string in enumerate(strings)]
        else:
            lines.append(f"msgstr {_quoted(text.strings[0] if text.strings else '')}")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    lines = escaped.splitlines(keepends=True)
    if len(lines) <= 1:
        return '"' + escaped.replace("\n", "\\n") + '"'
    return "\n".join(['""', *('"' + line.replace("\n", "\\n") + '"' for line in lines)])


def compiled(catalogue: Catalogue) -> bytes:
    """A ``.mo`` file of what is translated, as `gettext` reads it."""
    head = f"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: {catalogue.plural}\n"
    pairs = {b"": head.encode()}
    for text in catalogue.texts.values():
        if text.done:
            key = f"{text.context}\x04{text.id}" if text.context else text.id
            key = f"{key}\x00{text.plural}" if text.plural else key
            pairs[key.encode()] = "\x00".join(text.strings).encode()
    keys = sorted(pairs)
    tables, data = [b"", b""], b""
    start = 28 + 16 * len(keys)
    for table, values in enumerate([keys, [pairs[key] for key in keys]]):
        for value in values:
            tables[table] += struct.pack("<II", len(value), start + len(data))
            data += value + b"\x00"
    return (
        struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, 0) + b"".join(tables) + data
    )


def script(catalogue: Catalogue) -> str:
    """The same for pages: a script that says what is translated, and how the language counts (see texts.js)."""
    texts = {text.id: text.strings for text in catalogue.texts.values() if text.done}
    found = _PLURAL.search(catalogue.plural)
    rule = found[2].strip() if found else "n != 1"
    if not re.fullmatch(r"[n0-9()?:<>=!&|% ]+", rule):
        raise CatalogueError(f"This rule for plurals is none: {rule[:80]}")
    said = json.dumps(texts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"globalThis.slipwayTexts={{texts:{said},form:n=>Number({rule})}}\n"
