"""What Django's own rules for passwords do not know."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User


class NotOurName:
    """Refuses the product's name with little beside it: the first thing that is tried here."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Raises `ValidationError` where fewer than ten characters are left without it."""
        rest = password.casefold().replace("slipway", "")
        if rest != password.casefold() and len(rest) < 10:
            raise ValidationError(_("This password is little more than the name of this product."))

    def get_help_text(self) -> str:
        """For forms that list their rules."""
        return _("Your password cannot be the name of this product.")
