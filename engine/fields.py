"""Closed-world parsing of JSON bodies, one message a field: what `engine.specs` is written with.

A `Fields` looks at one JSON object. Each ``take`` reads one key, checks type and bounds, and on trouble notes a
message under the dotted path of the field (``ports.0.host``) and returns the default, so that one pass finds
everything that is wrong. What nobody took is an unknown field.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from engine.errors import Invalid
from engine.words import gettext

T = TypeVar("T")
MISSING: Any = object()


class Fields:
    """One JSON object being read. Children share ``errors`` (path → messages) with their parent."""

    def __init__(self, data: object, errors: dict[str, list[str]] | None = None, path: str = "") -> None:
        self.errors: dict[str, list[str]] = {} if errors is None else errors
        self.path = path
        self.taken: list[str] = []
        self.data: Mapping[str, Any] = {}
        if isinstance(data, Mapping):
            self.data = data
        else:
            self.fail("", gettext("An object is expected, not %(kind)s.") % {"kind": _kind(data)})

    def fail(self, key: str, message: str) -> None:
        self.errors.setdefault(self._path(key) or "body", []).append(message)

    def _path(self, key: str) -> str:
        return ".".join(part for part in (self.path, key) if part)

    def _take(self, key: str) -> Any:
        self.taken.append(key)
        return self.data.get(key, MISSING)

    def finish(self) -> None:
        """Notes an error for each key that no ``take`` asked for."""
        for key in self.data:
            if key in self.taken:
                continue
            near = difflib.get_close_matches(str(key), self.taken, n=1)
            if near:
                said = gettext('Unknown field. Did you mean "%(name)s"?') % {"name": near[0]}
            else:
                said = gettext("Unknown field. Known here: %(names)s.") % {
                    "names": ", ".join(sorted(self.taken))
                }
            self.fail(_printable(str(key))[:64], said)

    # One value

    def string(self, key: str, default: T, *, longest: int = 4096, empty: bool = False) -> str | T:
        value = self._take(key)
        if value is MISSING or (value is None and default is None):
            return default
        message = text_problem(value, longest, empty)
        if message:
            self.fail(key, message)
            return default
        return str(value)

    def named(self, key: str, check: Callable[[object], str], default: T = MISSING) -> str | T:
        """A string that one of the functions of `engine.names` accepts; no default: it is required."""
        value = self._take(key)
        if value is MISSING or (value is None and default is not MISSING):
            if default is MISSING:
                self.fail(key, gettext("This field is required."))
            return default
        try:
            return check(value)
        except Invalid as error:
            self.fail(key, error.message)
            return default

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self._take(key)
        if value is MISSING:
            return default
        if not isinstance(value, bool):
            self.fail(key, gettext("true or false is expected, not %(kind)s.") % {"kind": _kind(value)})
            return default
        return value

    def integer(self, key: str, default: T, lowest: int, highest: int, *, zero: bool = False) -> int | T:
        """``zero``: 0 is allowed below ``lowest``, as "no limit"."""
        value = self._take(key)
        if value is MISSING or (value is None and default is None):
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, gettext("A whole number is expected, not %(kind)s.") % {"kind": _kind(value)})
            return default
        if not (lowest <= value <= highest or (zero and value == 0)):
            self.fail(key, _bounds(zero) % {"lowest": lowest, "highest": highest})
            return default
        return value

    def number(self, key: str, default: float, lowest: float, highest: float, *, zero: bool = False) -> float:
        value = self._take(key)
        if value is MISSING:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fail(key, gettext("A number is expected, not %(kind)s.") % {"kind": _kind(value)})
            return default
        if not (lowest <= value <= highest or (zero and value == 0)):
            self.fail(key, _bounds(zero) % {"lowest": f"{lowest:g}", "highest": f"{highest:g}"})
            return default
        return value

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        value = self._take(key)
        if value is MISSING:
            return default
        if not isinstance(value, str) or value not in choices:
            self.fail(key, gettext("One of %(names)s is expected.") % {"names": ", ".join(choices)})
            return default
        return value

    # Collections

    def strings(
        self, key: str, default: T, *, most: int, total: int, longest: int = 32768, empty: bool = False
    ) -> tuple[str, ...] | T:
        """A list of strings: at most ``most`` of them and ``total`` bytes together."""
        value = self._take(key)
        if value is MISSING or (value is None and default is None):
            return default
        if not isinstance(value, list | tuple):
            self.fail(key, gettext("A list of strings is expected, not %(kind)s.") % {"kind": _kind(value)})
            return default
        if len(value) > most:
            self.fail(key, _too_many(most, len(value)))
            return default
        bad = [(index, text_problem(item, longest, empty)) for index, item in enumerate(value)]
        for index, message in bad:
            if message:
                self.fail(f"{key}.{index}", message)
        if any(message for _, message in bad):
            return default
        if sum(len(item.encode()) for item in value) > total:
            self.fail(key, gettext("At most %(n)s bytes together are allowed.") % {"n": total})
            return default
        return tuple(value)

    def mapping(
        self, key: str, *, most: int, total: int, check_key: Callable[[str], str] = lambda name: ""
    ) -> dict[str, str]:
        """Strings to strings: at most ``most`` of them and ``total`` bytes together.

        ``check_key`` returns what is wrong with a key, or an empty string.
        """
        value = self._take(key)
        if value is MISSING:
            return {}
        if not isinstance(value, Mapping):
            self.fail(
                key,
                gettext("An object of names and texts is expected, not %(kind)s.") % {"kind": _kind(value)},
            )
            return {}
        if len(value) > most:
            self.fail(key, _too_many(most, len(value)))
            return {}
        found: dict[str, str] = {}
        for name, item in value.items():
            problem = text_problem(name, 1024, False) or check_key(name) or text_problem(item, total, True)
            if problem:
                self.fail(f"{key}.{_printable(str(name))[:64]}", problem)
            else:
                found[name] = item
        if sum(len(name.encode()) + len(item.encode()) for name, item in found.items()) > total:
            self.fail(key, gettext("At most %(n)s bytes together are allowed.") % {"n": total})
            return {}
        return found

    def objects(self, key: str, most: int) -> list[Fields]:
        """A list of objects, each to be read on its own and finished by the caller."""
        value = self._take(key)
        if value is MISSING:
            return []
        if not isinstance(value, list | tuple):
            self.fail(key, gettext("A list of objects is expected, not %(kind)s.") % {"kind": _kind(value)})
            return []
        if len(value) > most:
            self.fail(key, _too_many(most, len(value)))
            return []
        return [Fields(item, self.errors, self._path(f"{key}.{index}")) for index, item in enumerate(value)]

    def child(self, key: str) -> Fields | None:
        """An object inside the object; ``None`` where it is absent or null."""
        value = self._take(key)
        if value is MISSING or value is None:
            return None
        return Fields(value, self.errors, self._path(key))


def text_problem(value: object, longest: int, empty: bool) -> str:
    """What is wrong with a text that goes to an engine, or an empty string. ``longest`` is in bytes of UTF-8."""
    if not isinstance(value, str):
        return gettext("A text is expected, not %(kind)s.") % {"kind": _kind(value)}
    if not value and not empty:
        return gettext("This may not be empty.")
    if "\0" in value:
        return gettext("A NUL character is not allowed.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return gettext("This is not valid Unicode text.")
    return gettext("At most %(n)s bytes are allowed.") % {"n": longest} if size > longest else ""


def _bounds(zero: bool) -> str:
    if zero:
        return gettext("0 (no limit), or from %(lowest)s to %(highest)s is expected.")
    return gettext("From %(lowest)s to %(highest)s is expected.")


def _too_many(most: int, found: int) -> str:
    return gettext("At most %(most)s entries are allowed; these are %(found)s.") % {
        "most": most,
        "found": found,
    }


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return gettext("true or false")
    if isinstance(value, int | float):
        return gettext("a number")
    if isinstance(value, str):
        return gettext("a text")
    return gettext("a list") if isinstance(value, list | tuple) else gettext("an object")


def _printable(text: str) -> str:
    """Keys are echoed as names of fields, so they lose what could change a page or a terminal."""
    return json.dumps(text)[1:-1]
