"""What allauth asks us for: how somebody is let in, and what it must not do by itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.stages import AuthenticateStage
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import audit
from accounts.access import address_of, person
from accounts.models import User


class SecondStep(AuthenticateStage):
    """After the first one, where somebody has a second factor: on a page of ours."""

    urlname = "accounts:second_step"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        if self._should_handle(self.request):
            return HttpResponseRedirect(reverse(self.urlname)), True
        return None, True


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves, and what is told is told by our own pages."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_stages(self) -> list[str]:
        return ["accounts.adapters.SecondStep"]

    def get_client_ip(self, request: HttpRequest) -> str:
        """Trusted proxies are already looked through."""
        return address_of(request) or "unknown"

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Its texts are not ours."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Nor its mails."""

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        messages.error(request, _("This account cannot sign in."), extra_tags="bad")
        return HttpResponseRedirect(reverse("accounts:login"))

    def login(self, request: HttpRequest, user: User) -> None:  # type: ignore[override, unused-ignore]
        """Lets them in: the session gets a new key, and the trail its line."""
        ways = [
            record.get("type") or record["method"] for record in get_authentication_records(request, user)
        ]
        with transaction.atomic():
            super().login(request, user)
            audit.record("auth.login", person(user, source="ui", ip=address_of(request)), detail={"by": ways})


class FactorAdapter(DefaultMFAAdapter):
    """Names in passkeys and authenticator apps. Codes are checked in `accounts.factors`."""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The host that people use: passkeys are for it alone, whatever the port."""
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        host = urlsplit(settings.PUBLIC_URL).hostname
        return {"id": host or entity["id"], "name": f"Slipway on {host or entity['id']}"}

    def _get_user_identifier(self, user: Any) -> str:
        return str(user.get_username())
