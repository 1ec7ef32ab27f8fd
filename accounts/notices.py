"""Mails about what somebody signs in with: that it was changed, when, and from where. To them, in their language.

Written as rows beside the line of the audit trail, in the transaction of the change: nothing is told that did not
happen, and no request waits for a server of mails. A worker sends them, at least once each, and tries again for a day.
They hold no secret, and no link: whoever doubts one goes to Slipway the way they always do.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, timedelta
from smtplib import SMTPException
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, AuditEntry, User
from accounts.notice import Notice

log = logging.getLogger(__name__)

GIVE_UP = timedelta(hours=24)
LEASE = timedelta(seconds=60)
BACK_OFF = (30, 120, 600, 1800, 3600)
"""Seconds before the next attempt; the last holds for all that follow."""
WORDS = {
    "password": _("Your password was changed"),
    "reset": _("Your password was set anew, by a link for a lost one"),
    "password_by": _("Your password was set by a site administrator"),
    "add.totp": _("An authenticator app was added to your account"),
    "add.webauthn": _("A passkey was added to your account"),
    "remove.totp": _("An authenticator app was taken from your account"),
    "remove.webauthn": _("A passkey was taken from your account"),
    "remove": _("All second factors were taken from your account"),
    "codes": _("Your recovery codes were made anew"),
    "code_used": _("A recovery code was used for your account"),
    "link": _("Single sign-on opens your account from now on"),
    "unlink": _("Single sign-on opens your account no more"),
    "token": _("A token was made for your account"),
    "rotate": _("A token of yours has a new secret"),
    "address": _("The address of your account was changed"),
}
"""What is told, by the word that `Notice.about` keeps: subject and first sentence."""
_BY_VERB = {
    "auth.password": "password", "auth.reset": "reset", "factor.codes": "codes", "auth.link": "link",
    "auth.unlink": "unlink", "token.create": "token", "token.rotate": "rotate",
}  # fmt: skip
_sending = threading.Lock()


def of(entry: AuditEntry) -> None:
    """Has the person told whom this line of the trail is about, where it is about what they sign in with."""
    about = _about(entry) if settings.EMAIL_HOST and entry.outcome == "succeeded" else ""
    user = _whose(entry) if about else None
    if user is None:
        return
    just_now = timezone.now() - timedelta(minutes=1)
    added = Notice.objects.filter(user=user, about__startswith="add.", at__gt=just_now)
    if about == "codes" and added.exists():
        return  # the first codes come with the first factor, which is told already
    tell(
        user,
        about,
        entry,
        name=entry.target_name if entry.target_type == "token" else entry.detail.get("passkey", ""),
    )


def tell(user: User, about: str, entry: AuditEntry, *, name: str = "", address: str | None = None) -> None:
    """Writes the mail down, for a worker to send; nothing where there is nowhere to send it to."""
    to = user.email if address is None else address
    if not settings.EMAIL_HOST or not to:
        return
    language = (
        user.language or (translation.get_language() if entry.actor == user else "") or settings.LANGUAGE_CODE
    )
    by = "" if entry.actor == user or about == "reset" else entry.actor_name
    Notice.objects.create(
        user=user, address=to, about=about, language=language, at=entry.at, ip=entry.ip,
        name=" ".join(str(name).split())[:80], by=by,
    )  # fmt: skip


def _about(entry: AuditEntry) -> str:
    verb, detail = entry.verb, entry.detail
    if verb in ("factor.add", "factor.remove"):
        word = f"{verb.removeprefix('factor.')}.{detail.get('kind', '')}".rstrip(".")
        return word if word in WORDS else ""
    if verb in ("auth.login", "auth.confirm"):
        return "code_used" if "recovery_codes" in detail.get("by", ()) else ""
    if verb == "user.change":
        fields = (str(field).lower() for field in detail.get("fields", ()))
        return "password_by" if any("password" in field for field in fields) else ""
    return _BY_VERB.get(verb, "")


def _whose(entry: AuditEntry) -> User | None:
    if entry.target_type == "user":
        return User.objects.filter(pk=entry.target_id).first()
    if entry.target_type == "token":
        token = ApiToken.objects.select_related("user").filter(pk=entry.target_id).first()
        return token.user if token else None
    return entry.actor


# Sending them


def wake() -> bool:
    """Has a thread send what is due, if one is not at it already."""
    if not _due().exists() or not _sending.acquire(blocking=False):
        return False
    threading.Thread(target=_in_thread, name="notices", daemon=True).start()
    return True


def _in_thread() -> None:
    try:
        send_due()
    except Exception:
        log.exception("mails about accounts could not be sent")
    finally:
        _sending.release()
        connection.close()


def send_due() -> int:
    """Sends what is due, oldest first, until the server of mails does not answer; how many went out. Blocking."""
    sent = 0
    while row := _due().select_related("user").first():
        mine = Notice.objects.filter(pk=row.pk, attempts=row.attempts)
        if not mine.update(attempts=F("attempts") + 1, lease_until=timezone.now() + LEASE):
            continue  # another worker has it
        try:
            _mail(row).send()
        except (OSError, SMTPException) as error:
            _later(row, error)
            if not isinstance(error, SMTPException):
                break  # nobody there: whatever else is due waits too
        except Exception as error:  # what is wrong with one keeps no other waiting
            log.exception("a mail about an account broke")
            _later(row, error)
        else:
            Notice.objects.filter(pk=row.pk).delete()
            sent += 1
    return sent


def _due() -> QuerySet[Notice]:
    now = timezone.now()
    return Notice.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), due_at__lte=now).order_by(
        "due_at", "pk"
    )


def _later(row: Notice, error: Exception) -> None:
    now = timezone.now()
    if now - row.at > GIVE_UP:
        log.error("a mail about the account of %s was given up: %s", row.user, type(error).__name__)
        row.delete()
        return
    wait = BACK_OFF[min(row.attempts, len(BACK_OFF) - 1)]
    Notice.objects.filter(pk=row.pk).update(due_at=now + timedelta(seconds=wait), lease_until=None)
    log.warning("a mail about an account could not be sent, and is tried again: %s", error)


def _mail(row: Notice) -> EmailMessage:
    """In plain text. All attempts have one ``Message-ID``."""
    zone = ZoneInfo(row.user.zone) if row.user.zone else UTC
    with translation.override(row.language):
        said = str(WORDS.get(row.about, row.about))
        at = f"{row.at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
        site = settings.PUBLIC_URL or "Slipway"
        context = {"row": row, "user": row.user, "said": said, "site": site, "at": at}
        text = render_to_string("accounts/mail/notice.txt", context)
    host = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
    headers = {"Message-ID": f"<{row.pk}@{host}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(
        f"[Slipway] {said}", text, settings.DEFAULT_FROM_EMAIL, [row.address], headers=headers
    )
