"""What a message of a repository says of a push: to which branch, and whether there is something new at all.

GitHub, GitLab, Gitea and Forgejo agree here: ``ref`` is ``refs/heads/<branch>``, and what a branch that was deleted
points to is all zeros. Read after the signature was found right, and believed no further than that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

from django.utils.translation import gettext as _

from engine.specs import SpecError
from engine.words import kept

LONGEST = 200
_HEADS = "refs/heads/"


def patterns(text: str) -> list[str]:
    """``main, release/*`` as what branches are compared with."""
    return [one for one in (part.strip() for part in text.split(",")) if one]


def checked(text: str) -> str:
    """As it is kept; raises `SpecError` for what names no branch."""
    found = ", ".join(patterns(text))
    if len(found) > LONGEST or not found.replace(" ", "").isprintable():
        raise SpecError({"branch": [_("Names of branches such as main, release/* are expected.")]})
    return found


def passed_over(wanted: str, headers: Mapping[str, str], body: bytes) -> str:
    """Why nothing is to be done, in a sentence that is kept; empty where something is.

    ``wanted``: a push to a branch of these alone. Without it whatever is new will do.
    """
    said = _said(headers, body)
    if said.get("deleted") is True or (said.get("after") and not str(said["after"]).strip("0")):
        return kept("Nothing to do: what was pushed to is gone.")
    ref = said.get("ref")
    branch = ref[len(_HEADS) :] if isinstance(ref, str) and ref.startswith(_HEADS) else ""
    if wanted and not any(branch and fnmatchcase(branch, one) for one in patterns(wanted)):
        return kept(f"Nothing to do: this is no push to {wanted}.")
    return ""


def _said(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The message, where it is an object; GitHub sends it as a field of a form, too."""
    try:
        if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            # `curl -d` says so of JSON, too: many fields are an error, as no payload is none.
            fields = parse_qs(body.decode(errors="replace"), max_num_fields=20)
            body = fields.get("payload", [""])[0].encode()
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
