"""Single sign-on by OpenID Connect: one provider, named by the environment.

allauth speaks the protocol: state, PKCE, the exchange of the code. On top of it the ID token has to be signed, for us,
by the issuer that is configured, with the nonce of this very try; and who it is for is decided here. Somebody is known
by the subject alone, never by a name or an address, which another place may give to anybody.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare, get_random_string
from django.utils.translation import gettext as _

from accounts import audit, door, group_mappings
from accounts.access import Actor, actor_of, address_of
from accounts.models import User
from accounts.pages import safe

ID = "sso"
_SIGNED_BY = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
"""Only with a public key: a token that we could sign ourselves proves nothing."""
_MALFORMED = (jwt.PyJWTError, LookupError, TypeError, ValueError)


class Adapter(OpenIDConnectOAuth2Adapter):
    """One try with the provider."""

    def get_provider(self) -> OpenIDConnectProvider:
        return _provider(self.request)

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        path = reverse("accounts:sso_callback")
        return urljoin(settings.PUBLIC_URL, path) if settings.PUBLIC_URL else request.build_absolute_uri(path)

    def complete_login(self, request: HttpRequest, app: SocialApp, token: Any, **kwargs: Any) -> SocialLogin:
        """Who it is: the claims of the ID token, and of what the provider says of its subject besides."""
        try:
            claims = self._claims(kwargs["response"]["id_token"])
            found = {"id_token": claims}
            if "userinfo_endpoint" in self.openid_config:
                info = self._fetch_user_info(token.token)
                if info["sub"] != claims["sub"]:
                    raise OAuth2Error("the user info is somebody else's")
                found["userinfo"] = {**claims, **info}
            return self.get_provider().sociallogin_from_response(request, found)
        except _MALFORMED as error:
            raise OAuth2Error(f"malformed: {error}") from error

    def _claims(self, text: str) -> dict[str, Any]:
        if jwt.get_unverified_header(text).get("alg") not in _SIGNED_BY:
            raise OAuth2Error("signed by no algorithm that proves anything")
        claims: dict[str, Any] = jwtkit.verify_and_decode(
            credential=text,
            keys_url=self.openid_config["jwks_uri"],
            issuer=settings.OIDC["issuer"],
            audience=settings.OIDC["client_id"],
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        return claims


class SocialAdapter(DefaultSocialAccountAdapter):
    """Takes over where allauth would go on by itself."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        raise ImmediateHttpResponse(_arrived(request, sociallogin))

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Any = None,
        extra_context: Any = None,
    ) -> None:
        why = f"{type(exception).__name__}: {exception}" if exception else str(error or "unknown")
        raise ImmediateHttpResponse(
            _failed(request, _("%(name)s did not let you in.") % {"name": settings.OIDC["name"]}, why)
        )

    def authenticate_by_email(self, sociallogin: SocialLogin) -> None:
        """Never."""


def begin(request: HttpRequest, process: str, to: str) -> str:
    """Where the browser has to go to show who it is there. Raises `OSError` where the provider does not answer."""
    nonce = get_random_string(32)
    try:
        away = _provider(request).redirect(request, process, to, nonce=nonce, auth_params={"nonce": nonce})
    except _MALFORMED as error:
        raise OSError(f"the provider describes itself wrongly: {error}") from error
    return str(away["Location"])


def callback(request: HttpRequest) -> HttpResponse:
    """The browser has come back."""
    answer: HttpResponse = OAuth2CallbackView.adapter_view(Adapter(request, ID))(request)
    return answer


def linked(user: User) -> SocialAccount | None:
    """What they are known as at the provider."""
    row: SocialAccount | None = SocialAccount.objects.filter(user=user, provider=ID).first()
    return row


def unlink(user: User, ip: str | None) -> bool:
    """Ends that, and what groups there gave. False where they could not sign in any more then, or it was not so."""
    if not user.has_usable_password() or not SocialAccount.objects.filter(user=user, provider=ID).delete()[0]:
        return False
    group_mappings.forget(user, ip=ip)
    return True


def _provider(request: HttpRequest) -> OpenIDConnectProvider:
    app = SocialApp(
        provider="openid_connect",
        provider_id=ID,
        name=settings.OIDC["name"],
        client_id=settings.OIDC["client_id"],
        secret=settings.OIDC["secret"],
        settings={
            "server_url": settings.OIDC["issuer"], "oauth_pkce_enabled": True, "scope": settings.OIDC["scopes"],
        },
    )  # fmt: skip
    return Provider(request, app=app)


class Provider(OpenIDConnectProvider):
    """The one of the settings."""

    oauth2_adapter_class = Adapter


def _arrived(request: HttpRequest, login: SocialLogin) -> HttpResponse:
    """The provider vouches for somebody: lets them in, links them, or not."""
    state, claims = login.state, login.account.extra_data.get("id_token", {})
    if not constant_time_compare(claims.get("nonce", ""), state.get("nonce", "-")):
        return _failed(request, _("That answer was for another try. Try again."), "nonce")
    known = SocialAccount.objects.filter(provider=ID, uid=login.account.uid).select_related("user").first()
    if state.get("process") == "connect":
        return _link(request, login.account.uid, known)
    user = known.user if known else _made(request, login)
    if user is None:
        said = _("Nobody here is linked with this account of %(name)s.") % {"name": settings.OIDC["name"]}
        return _failed(
            request,
            _("%(said)s Sign in otherwise and link it, or ask a site administrator.") % {"said": said},
            "unknown",
        )
    if user.is_active:  # before the second step: who does not take it keeps nothing that has gone there
        group_mappings.judge(user, login.account.extra_data, ip=address_of(request))
    return door.enter(request, user, "socialaccount", safe(request, state.get("next", "")), provider=ID)


def _link(request: HttpRequest, uid: str, known: SocialAccount | None) -> HttpResponse:
    user = request.user
    if not isinstance(user, User):
        return HttpResponseRedirect(reverse("accounts:login"))
    if (known and known.user != user) or (not known and linked(user)):
        messages.error(
            request, _("That account is linked with somebody else, or you with another."), extra_tags="bad"
        )
    elif not known:
        with transaction.atomic():
            SocialAccount.objects.create(user=user, provider=ID, uid=uid, extra_data={})
            audit.about("auth.link", actor_of(request), user)
        messages.success(
            request, _("Linked with %(name)s") % {"name": settings.OIDC["name"]}, extra_tags="ok"
        )
    return HttpResponseRedirect(reverse("accounts:security"))


def _made(request: HttpRequest, login: SocialLogin) -> User | None:
    """Somebody new, where the settings say so and their name is free: without a password, in no team."""
    if settings.OIDC["unknown"] != "create" or not isinstance(login.user, User):
        return None
    name = login.user.username or login.user.email.partition("@")[0]
    try:
        UnicodeUsernameValidator()(name)
    except ValidationError:
        return None
    if User.objects.filter(username__iexact=name).exists():
        return None
    with transaction.atomic():
        user = User(
            username=name[:150], email=login.user.email,
            first_name=login.user.first_name[:150], last_name=login.user.last_name[:150],
        )  # fmt: skip
        user.set_unusable_password()
        user.save()
        SocialAccount.objects.create(user=user, provider=ID, uid=login.account.uid, extra_data={})
        by = Actor(user=user, source="ui", ip=address_of(request))
        audit.about("user.create", by, user)
    return user


def _failed(request: HttpRequest, said: str, why: str) -> HttpResponse:
    nobody = Actor(user=None, source="ui", ip=address_of(request))
    detail = {"by": ["socialaccount"], "reason": why}
    audit.record("auth.login", nobody, outcome="failed", name="unknown", detail=detail)
    messages.error(request, said, extra_tags="bad")
    signed_in = request.user.is_authenticated
    return HttpResponseRedirect(reverse("accounts:security" if signed_in else "accounts:login"))
