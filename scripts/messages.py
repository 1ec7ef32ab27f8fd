"""Gathers the texts of templates, scripts and Python into the catalogues of each language.

    python -m scripts.messages                       brings locale/*/LC_MESSAGES/*.po up to date
    python -m scripts.messages --language fr         the same, and begins a language
    python -m scripts.messages new.po …              takes translations over from these files too
    python -m scripts.messages --only templates/operations accounts/a* [old.po …] > new.po
                                                     prints the texts of some files, with what is translated already

It says what is missing, and what no code asks for any more, which goes. No programs of gettext are needed.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import django
from django.utils.translation.template import templatize

from engine import errors
from scripts import catalogues
from scripts.catalogues import Catalogue, Text

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
APPS = ("accounts", "containers_app", "dashboard", "engine", "images_app", "operations", "streams")
DOMAINS = {"django": ("templates/**/*.html", "templates/**/*.txt", *(f"{app}/**/*.py" for app in APPS)),
           "djangojs": ("static/js/**/*.js",)}  # fmt: skip
# What Django calls them, and which of their arguments are context, text and plural.
_CALLS = {
    "gettext": (-1, 0, -1), "gettext_lazy": (-1, 0, -1), "gettext_noop": (-1, 0, -1),
    "ngettext": (-1, 0, 1), "ngettext_lazy": (-1, 0, 1),
    "pgettext": (0, 1, -1), "pgettext_lazy": (0, 1, -1),
    "npgettext": (0, 1, 2), "npgettext_lazy": (0, 1, 2),
}  # fmt: skip
# What is kept of how an operation ended is English; `operations.retold` tells it in the reader's language.
_KEPT = {"cancelled", "leaving", "kept", "until", "Outcome", "Came", "Progress", "Violation", "_said", *(
    name for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, errors.EngineError)
)}  # fmt: skip
_STRING = r"""(u?"(?:[^"\\\n]|\\.)*"|u?'(?:[^'\\\n]|\\.)*')"""
PLACE = re.compile(r"%\(\w+\)s")
_IN_TEMPLATE = re.compile(rf"\b(n?p?gettext|_)\(\s*{_STRING}(?:\s*,\s*{_STRING})?(?:\s*,\s*{_STRING})?")
_SCRIPT_STRING = r"""('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\$]|\\.)*`)"""
_IN_SCRIPT = re.compile(
    rf"(?<![\w.$])(?:tr\(\s*{_SCRIPT_STRING}|plural\([^'\"`\n]*?,\s*{_SCRIPT_STRING}\s*,\s*{_SCRIPT_STRING})"
)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="files of translations to take over")
    parser.add_argument("--language", help="such as de; without it, all that are there")
    parser.add_argument("--only", nargs="+", default=[], help="files, folders or patterns, to print")
    said = parser.parse_args()
    files = said.files
    if said.only:  # the shell has no way to say where the list ends
        files, said.only = (
            [*files, *(Path(one) for one in said.only if one.endswith(".po"))],
            [one for one in said.only if not one.endswith(".po")],
        )
    try:
        given: dict[catalogues.Key, Text] = {}
        for path in files:
            if not path.is_file():
                raise catalogues.CatalogueError(f"There is no {path}.")
            given |= {key: text for key, text in catalogues.read(path).texts.items() if any(text.strings)}
        if said.only:
            print(fragment(said.only, given), end="")
            return
        languages = [said.language] if said.language else sorted(one.name for one in LOCALE.glob("*/"))
        if given and len(languages) != 1:
            raise catalogues.CatalogueError("Say of which language these files are: --language de")
        for language in languages:
            update(language, given)
    except catalogues.CatalogueError as error:
        sys.exit(str(error))


def update(language: str, given: dict[catalogues.Key, Text]) -> None:
    """Writes the catalogues of one language anew, and says what is missing and what is gone."""
    unknown = set(given)
    for domain in DOMAINS:
        path = LOCALE / language / "LC_MESSAGES" / f"{domain}.po"
        old, found = catalogues.read(path), texts_of(sources(domain))
        fresh = Catalogue(
            filled(found, old.texts | given), old.plural if path.exists() else rule_of(language)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(catalogues.written(fresh, language))
        missing = [text for text in fresh.texts.values() if not text.done]
        gone = [text for key, text in old.texts.items() if key not in found]
        unknown -= set(found)
        print(
            f"{language} {domain}: {len(found)} texts, {len(missing)} to translate, {len(gone)} no longer used"
        )
        for word, texts in (("missing", missing), ("gone", gone)):
            for text in texts:
                print(f"  {word}: {text.context and f'({text.context}) '}{text.id[:100]!r}")
    for _, id_ in sorted(unknown):
        print(f"  no code asks for: {id_[:100]!r}")


def fragment(names: list[str], given: dict[catalogues.Key, Text]) -> str:
    """The texts of some files, as a file to fill in."""
    wanted = set(_named(names))
    found: dict[catalogues.Key, Text] = {}
    known: dict[catalogues.Key, Text] = {}
    for domain in DOMAINS:
        found |= texts_of(path for path in sources(domain) if path in wanted)
        for path in LOCALE.glob(f"*/LC_MESSAGES/{domain}.po"):
            known |= catalogues.read(path).texts
    return catalogues.written(Catalogue(filled(found, known | given)), "")


def _named(names: list[str]) -> Iterator[Path]:
    for name in names:
        for path in ROOT.glob(name.rstrip("/")) if any(mark in name for mark in "*?[") else [ROOT / name]:
            yield from path.rglob("*") if path.is_dir() else [path]


def sources(domain: str) -> list[Path]:
    """The files that have texts for this catalogue; tests have none."""
    found = {path for pattern in DOMAINS[domain] for path in ROOT.glob(pattern)}
    others = {"tests", "migrations", "build"}
    return sorted(path for path in found if not others & set(path.relative_to(ROOT).parts))


def texts_of(paths: Iterable[Path]) -> dict[catalogues.Key, Text]:
    """What these files ask for, untranslated."""
    found: dict[catalogues.Key, Text] = {}
    ways = {".py": in_python, ".js": in_script, ".html": in_template, ".txt": in_template}
    for path in paths:
        for text in ways[path.suffix](path.read_text(), str(path.relative_to(ROOT))):
            known = found.setdefault(text.key, text)
            if text.plural and known.plural and known.plural != text.plural:
                raise catalogues.CatalogueError(f"Two plurals for one text: {text.id[:80]!r}")
            known.plural = known.plural or text.plural
    return found


def filled(
    found: dict[catalogues.Key, Text], known: dict[catalogues.Key, Text]
) -> dict[catalogues.Key, Text]:
    """These texts with what is known of their translations."""
    for key, text in found.items():
        if (old := known.get(key)) and bool(old.plural) == bool(text.plural):
            text.strings, text.fuzzy = old.strings, old.fuzzy
    return found


def in_python(source: str, name: str = "") -> Iterator[Text]:
    """Texts in calls of what the module imports from Django's `translation`, under whatever name."""
    tree = ast.parse(source, name)
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        and node.module in ("django.utils.translation", "engine.words") for alias in node.names
    }  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if getattr(node.func, "id", getattr(node.func, "attr", "")) == "operation":
            # Words of kinds of operations are kept in English, and translated where they are shown.
            yield from _words(node)
        if getattr(node.func, "id", getattr(node.func, "attr", "")) in _KEPT and "/fake" not in name:
            yield from _kept(node)
        if not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "field_names":
            yield from (Text(_constant(one, name), "field") for one in node.args)
        if (call := names.get(node.func.id)) in _CALLS:
            values = [_constant(node.args[at], name) if at >= 0 else "" for at in _CALLS[call]]
            yield Text(values[1], values[0], values[2])


def _words(call: ast.Call) -> Iterator[Text]:
    """What a kind of operation is called, and the sentences of `operations.web.Told`."""
    said = {one.arg: str(one.value.value) for one in call.keywords if isinstance(one.value, ast.Constant)}
    yield from (Text(said[name]) for name in ("label", "doing") if name in said)
    if "doing" in said and "done" in said:
        yield Text(f"{said['doing']} %(name)s")
        yield Text(f"{said['done']} %(name)s")
        yield Text(f"{said['doing']} %(name)s failed")


def _kept(call: ast.Call) -> Iterator[Text]:
    """Sentences among what is given to it, with their values by name."""
    named = (one.value for one in call.keywords if one.arg in ("message", "problem"))
    for given in (*call.args, *named):
        node: ast.AST = given.left if isinstance(given, ast.BinOp) else given  # _("…") % {…}
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in ("_", "gettext"):
            if isinstance(node.args[0], ast.Constant):
                yield Text(str(node.args[0].value), "kept")
            continue
        sentence = _sentence(node, {})
        if " " in sentence.strip() and re.search(r"[a-z]{2}", PLACE.sub("", sentence)):
            yield Text(sentence, "kept")


def _sentence(node: ast.AST, known: dict[str, str]) -> str:
    """A string as it is written, what an f-string fills in as ``%(name)s``; empty for what is none."""
    if isinstance(node, ast.Constant):
        return node.value.replace("%", "%%") if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_sentence(value, known) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        source = ast.unparse(node.value)
        said = re.sub(r"\W+", "_", source).strip("_")
        name = getattr(node.value, "id", getattr(node.value, "attr", said if len(said) < 20 else "value"))
        while known.setdefault(name, source) != source:
            name += "_"
        return f"%({name})s"
    return ""


def _constant(node: ast.expr, name: str) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise catalogues.CatalogueError(f"{name}:{node.lineno} asks for a text that is put together at run time.")


def in_template(source: str, name: str = "") -> Iterator[Text]:
    """Texts of Django's tags, as Django reads them."""
    for found in _IN_TEMPLATE.finditer(templatize(source, origin=name)):
        values = [ast.literal_eval(value) for value in found.groups()[1:] if value]
        if found[1] == "_":
            # Percent signs are doubled where a template looks a text up; the other forms have it already.
            values = [value.replace("%", "%%") for value in values]
        if bad := re.search(r"%\(\w+[|.][^)]*\)s", " ".join(values)):
            raise catalogues.CatalogueError(f"{name} has {bad[0]} inside of a text: name it by “with”.")
        context, text, plural = _CALLS[{"_": "gettext"}.get(found[1], found[1])]
        yield Text(
            values[text], values[context] if context >= 0 else "", values[plural] if plural >= 0 else ""
        )


def in_script(source: str, name: str = "") -> Iterator[Text]:
    """Texts in calls of `tr` and `plural` of texts.js."""
    bare = re.sub(r"^\s*(//|/?\*).*$", "", source, flags=re.MULTILINE)
    for text, one, many in _IN_SCRIPT.findall(bare):
        yield Text(_unquoted(text or one), plural=_unquoted(many) if many else "")


def _unquoted(literal: str) -> str:
    inner = literal[1:-1]
    return re.sub(
        r"\\(?:u([0-9a-fA-F]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else {"n": "\n", "t": "\t"}.get(m[2], m[2]),
        inner,
    )


def rule_of(language: str) -> str:
    """How a language counts, from Django's own catalogue of it."""
    own = Path(django.__file__).parent / "conf" / "locale" / language / "LC_MESSAGES" / "django.po"
    return catalogues.read(own).plural if own.exists() else catalogues.USUAL_PLURAL


if __name__ == "__main__":
    main()
