"""Forms of the account pages. Templates get them as they are: a field's own label, help and messages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils.translation import gettext_lazy as _

from accounts import reading, tokens
from accounts.access import Actor
from accounts.models import Team, User
from accounts.permissions import SCOPES
from accounts.querysets import visible_teams

PASSWORD_HELP = _("15 characters or more. A few unrelated words are easy to remember and hard to guess.")
_LASTS = (("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")))


class SignInForm(AuthenticationForm):
    """User name and password. One sentence for whatever is wrong with them."""

    error_messages = {
        "invalid_login": _("User name and password do not go together."),
        "inactive": _("User name and password do not go together."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("User name")
        self.fields["username"].widget.attrs |= {"autocomplete": "username", "autofocus": True}


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=32,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autofocus": True,
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )


class ConfirmForm(forms.Form):
    """The password, once more."""

    password = forms.CharField(
        label=_("Password"),
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )


class KeyNameForm(forms.Form):
    """What a passkey is called in its owner's list."""

    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class SetUpForm(forms.Form):
    """The first administrator."""

    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1024,
        strip=False,
        help_text=PASSWORD_HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    password_again = forms.CharField(
        label=_("Password again"),
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        password, again = found.get("password"), found.get("password_again")
        if password and again and again != password:
            self.add_error("password_again", _("The two passwords differ."))
        if password:
            _check(self, "password", password, User(username=found.get("username", "")))
        return found


class NewPasswordForm(forms.Form):
    """A new password, twice."""

    new = forms.CharField(
        label=_("New password"),
        max_length=1024,
        strip=False,
        help_text=PASSWORD_HELP,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    new_again = forms.CharField(
        label=_("New password again"),
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        password, again = found.get("new"), found.get("new_again")
        if password and again and again != password:
            self.add_error("new_again", _("The two passwords differ."))
        if password:
            _check(self, "new", password, self.user)
        return found


class PasswordForm(NewPasswordForm):
    """A new password for the one who is signed in, and knows the old one."""

    old = forms.CharField(
        label=_("Password now"),
        max_length=1024,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ("old", "new", "new_again")

    def clean(self) -> dict[str, Any]:
        found = super().clean()
        if "old" in found and not self.user.check_password(found["old"]):
            self.add_error("old", _("This is not your password."))
        return found


class ReadingForm(forms.ModelForm):
    """Language and time zone of one's pages."""

    language = forms.ChoiceField(label=_("Language"), required=False)
    zone = forms.CharField(
        label=_("Time zone"), max_length=64, required=False, validators=[reading.check_zone],
        help_text=_("Begin to type a place. Empty for the clock of the browser."),
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    class Meta:
        model = User
        fields = ("language", "zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["language"].choices = [("", _("As the browser says")), *settings.LANGUAGES]  # type: ignore[attr-defined]
        self.fields["zone"].widget.attrs["placeholder"] = _("As the browser says")


class ForgotForm(forms.Form):
    """Who has forgotten their password."""

    name = forms.CharField(
        label=_("User name or e-mail address"),
        max_length=254,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
        ),
    )


class TokenForm(forms.Form):
    """A new token of one's own. ``scope``: each holds those before it."""

    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("What it is for, such as “nightly build”.")
    )
    scope = forms.ChoiceField(
        label=_("It may"),
        choices=(
            ("read", _("Read")),
            ("operate", _("Read, start and stop")),
            ("write", _("Read, start, stop, create and remove")),
            ("admin", _("Everything you may")),
        ),
        initial="read",
    )
    lasts = forms.ChoiceField(label=_("Expires in"), choices=_LASTS, initial="30")
    team = forms.ModelChoiceField(
        Team.objects.none(),
        label=_("Team"),
        required=False,
        empty_label=_("All of mine"),
        to_field_name="slug",
    )

    networks = forms.CharField(
        label=_("From these networks alone"), required=False, max_length=1000,
        help_text=_(
            "Addresses or networks such as 192.0.2.0/24, with spaces between them; from everywhere without any."
        ),
    )  # fmt: skip
    rate = forms.IntegerField(
        label=_("Requests a minute"), required=False, min_value=1, max_value=100_000,
        help_text=_("Fewer than others have; empty for the usual number."),
    )  # fmt: skip

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["team"].queryset = visible_teams(actor)  # type: ignore[attr-defined]

    def clean_networks(self) -> list[str]:
        """As they are kept."""
        try:
            return tokens.cidrs(self.cleaned_data["networks"].replace(",", " ").split())
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def scopes(self) -> list[str]:
        """The scope that was picked and those that it holds, so that a token says all that it may."""
        return list(SCOPES[: SCOPES.index(self.cleaned_data["scope"]) + 1])


def _check(form: forms.Form, field: str, password: str, user: User) -> None:
    try:
        password_validation.validate_password(password, user)
    except forms.ValidationError as error:
        form.add_error(field, error)
