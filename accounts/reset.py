"""A new password for somebody who has lost theirs: by a link that is good once, for 20 minutes, the newest alone.

It opens nothing by itself: whoever has used it signs in as always, second step included. Links name the address of
``SLIPWAY_PUBLIC_URL``, whatever a request says of itself; without it, or without a server for mails, none are sent.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.crypto import get_random_string, salted_hmac
from django.utils.translation import gettext as _

from accounts import audit, sessions
from accounts.access import Actor
from accounts.models import ResetLink, User

log = logging.getLogger(__name__)
MINUTES = 20


def by_mail() -> bool:
    """Whether links can be sent here."""
    return bool(settings.EMAIL_HOST and settings.PUBLIC_URL)


def link(user: User) -> str:
    """A new link for them; an older one stops working."""
    secret = get_random_string(40)
    until = timezone.now() + timedelta(minutes=MINUTES)
    ResetLink.objects.update_or_create(user=user, defaults={"digest": _digest(secret), "expires_at": until})
    base = settings.PUBLIC_URL or f"http://{settings.BIND}"
    return f"{base.rstrip('/')}{reverse('accounts:reset')}?link={secret}"


def send(name: str, by: Actor) -> None:
    """Sends a link to whoever is meant, where there is such a person and they have an address. Tells nobody whether."""
    found = User.objects.filter(Q(username=name) | Q(email__iexact=name), is_active=True).exclude(email="")
    for user in found[:3]:
        if not user.has_usable_password():
            continue
        with translation.override(user.language or translation.get_language()):
            text, subject = _mail(user)
        audit.record("auth.reset", by, outcome="accepted", name=user.username)
        mail = EmailMessage(subject, text, settings.DEFAULT_FROM_EMAIL, [user.email])
        # Beside the request: how long it takes would tell that there is somebody.
        threading.Thread(target=_post, args=(mail,), name="mail", daemon=True).start()


def _mail(user: User) -> tuple[str, str]:
    """The text of a mail, and its subject, in the language of now."""
    context = {"user": user, "link": link(user), "minutes": MINUTES, "site": settings.PUBLIC_URL}
    return render_to_string("accounts/mail/reset.txt", context), _("A new password for Slipway")


def owner(secret: str) -> User | None:
    """Whose link this is, while it is good."""
    good = ResetLink.objects.filter(
        digest=_digest(secret), expires_at__gt=timezone.now(), user__is_active=True
    )
    row = good.select_related("user").first()
    return row.user if row else None


def use(secret: str, password: str, ip: str | None) -> bool:
    """Sets the password and ends every session; false where the link was used, or replaced, meanwhile."""
    with transaction.atomic():
        user = owner(secret)
        if user is None or not ResetLink.objects.filter(user=user, digest=_digest(secret)).delete()[0]:
            return False
        user.set_password(password)
        user.save(update_fields=["password"])
        sessions.end_all(user)
        audit.about("auth.reset", Actor(user=None, source="ui", ip=ip), user, name=user.username)
    return True


def _post(mail: EmailMessage) -> None:
    try:
        mail.send()
    except (OSError, SMTPException):
        log.exception("A mail could not be sent")


def _digest(secret: str) -> str:
    return salted_hmac("slipway.accounts.reset", secret, algorithm="sha256").hexdigest()
