"""What is said to somebody who may not: one sentence, in their language, and in English for the audit trail."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

NOBODY, VIEWER, OPERATOR, ADMIN, SITE = "", "viewer", "operator", "team admin", "site administrator"
_ROLES = (
    gettext_noop("viewer"), gettext_noop("operator"), gettext_noop("team admin"), gettext_noop("site administrator"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lack:
    """What is missing: the role ``needed`` (or, with ``scopes``, a token's scope), and one's own (``yours``).

    ``there``: it is about one thing; ``grant``: a grant would do instead; ``sign_in``: nobody is signed in.
    """

    needed: str = ""
    yours: str = ""
    scopes: bool = False
    there: bool = False
    grant: bool = False
    sign_in: bool = False
    permission: str = ""
    """What one's own permission set, whose name is ``yours``, does not hold."""

    def told(self) -> str:
        """The sentence in the reader's language."""
        return _sentence(self)

    def english(self) -> str:
        """The same as it is kept."""
        with translation.override("en"):
            return _sentence(self)


NOTHING = Lack()


def _sentence(lack: Lack) -> str:
    if lack.sign_in:
        return _("Sign in first.")
    if lack.scopes:
        values = {"scope": lack.needed, "scopes": lack.yours}
        return _("This token lacks the scope “%(scope)s”: it has %(scopes)s.") % values
    if lack.permission:
        said = {"set": lack.yours, "permission": lack.permission, "role": translation.gettext(lack.needed)}
        return (
            _("Your permission set “%(set)s” does not hold “%(permission)s”; the role %(role)s does.") % said
        )
    return _of_role(lack) % {
        "role": translation.gettext(lack.needed),
        "yours": translation.gettext(lack.yours) if lack.yours else "",
    }


def _of_role(lack: Lack) -> str:
    if lack.needed == SITE:
        if lack.yours:
            return _("This needs the role %(role)s; yours is %(yours)s.")
        return _("This needs the role %(role)s.")
    if lack.grant:
        if not lack.yours:
            return _("This needs the role %(role)s of the owning team or the grant for it.")
        if lack.there:
            return _(
                "This needs the role %(role)s of the owning team or the grant for it; yours there is %(yours)s."
            )
        return _("This needs the role %(role)s of the owning team or the grant for it; yours is %(yours)s.")
    if not lack.yours:
        return _("This needs the role %(role)s of the owning team.")
    if lack.there:
        return _("This needs the role %(role)s of the owning team; yours there is %(yours)s.")
    return _("This needs the role %(role)s of the owning team; yours is %(yours)s.")
