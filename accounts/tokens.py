"""Bearer tokens: ``slp_<12 characters key>.<40 characters secret>``, about 238 bits of chance.

The key finds the row, and only a keyed hash of the secret is stored, with a key that is not in the database:
a stolen dump cannot sign in. For secret scanners: ``slp_[A-Za-z0-9]{12}\\.[A-Za-z0-9]{40}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string
from django.utils.translation import gettext as _

from accounts import kept_keys
from accounts.access import Actor
from accounts.models import ApiToken, Team, User
from accounts.permissions import SCOPES

PATTERN = re.compile(r"slp_([A-Za-z0-9]{12})\.([A-Za-z0-9]{40})", re.ASCII)
LONGEST = timedelta(days=365)
USUAL = timedelta(days=30)
MOST_NETWORKS = 20
_USED_EVERY = timedelta(minutes=1)
_LENGTH = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def make(
    user: User,
    name: str,
    scopes: Iterable[str],
    *,
    lasts: timedelta = USUAL,
    team: Team | None = None,
    networks: Iterable[str] = (),
    rate: int | None = None,
) -> tuple[ApiToken, str]:
    """A new token and, this once, its text. Raises `ValidationError` with one message a field.

    ``networks`` (addresses or CIDR) are where it may be used from, else anywhere; ``rate`` its requests a minute.
    """
    wanted = sorted(set(scopes), key=lambda scope: SCOPES.index(scope) if scope in SCOPES else -1)
    wrong: dict[str, list[str]] = {}
    if not name.strip() or len(name) > 80:
        wrong["name"] = [_("A name of 1 to 80 characters is expected.")]
    if not wanted or set(wanted) - set(SCOPES):
        wrong["scopes"] = [_("One or more of %(scopes)s are expected.") % {"scopes": ", ".join(SCOPES)}]
    if not timedelta(0) < lasts <= LONGEST:
        wrong["expires_at"] = [_("A token lasts 365 days at most.")]
    try:
        known = cidrs(networks)
    except ValueError as error:
        wrong["networks"] = [str(error)]
    if rate is not None and not 1 <= rate <= 100_000:
        wrong["rate"] = [_("1 to 100000 requests a minute are expected.")]
    if wrong:
        raise ValidationError(wrong)
    key, secret = get_random_string(12), get_random_string(40)
    token = ApiToken.objects.create(
        user=user,
        team=team,
        name=name.strip(),
        key=key,
        digest=_digest(secret),
        scopes=wanted,
        networks=known,
        rate=rate,
        expires_at=timezone.now() + lasts,
    )
    return token, f"slp_{key}.{secret}"


def cidrs(texts: Iterable[str]) -> list[str]:
    """Networks as they are kept; raises `ValueError` with what is none."""
    found = []
    for text in texts:
        try:
            found.append(str(ip_network(text.strip())))
        except ValueError:
            raise ValueError(
                _("%(value)s is no network such as 192.0.2.0/24 or 2001:db8::/32.")
                % {"value": repr(text[:60])}
            ) from None
    if len(found) > MOST_NETWORKS:
        raise ValueError(_("%(most_networks)s networks at most.") % {"most_networks": MOST_NETWORKS})
    return list(dict.fromkeys(found))


def rotate(token: ApiToken, *, renewed: bool) -> str | None:
    """A new secret in place of the old one, which opens nothing from now on: the text, this once.

    ``renewed``: it lasts as long again as it did at first; else it ends when it would have. ``None`` where it has
    ended, or somebody else has just rotated it.
    """
    secret, now = get_random_string(40), timezone.now()
    ends = now + min(token.expires_at - token.created_at, LONGEST) if renewed else token.expires_at
    there = ApiToken.objects.filter(pk=token.pk, digest=token.digest, revoked_at=None, expires_at__gt=now)
    if not there.update(
        digest=_digest(secret), expires_at=ends, created_at=now if renewed else token.created_at
    ):
        return None
    token.refresh_from_db()
    return f"slp_{token.key}.{secret}"


def lasting(text: str) -> timedelta:
    """``30d``, ``12h``, ``90m`` as a length of time; raises `ValueError` for anything else."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(
            _("%(text)s is not a length of time such as 30d, 12h or 90m.") % {"text": repr(text)}
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def actor_from_bearer(header: str, *, ip: str | None = None) -> Actor | None:
    """Who the header ``Bearer slp_….…`` speaks for, or ``None``: unknown, wrong, expired, revoked, disabled or from
    elsewhere than it may be used, all alike."""
    scheme, _, text = header.partition(" ")
    found = PATTERN.fullmatch(text.strip())
    if scheme.lower() != "bearer" or found is None:
        return None
    key, secret = found.groups()
    token = (
        ApiToken.objects.select_related("user").prefetch_related("user__memberships").filter(key=key).first()
    )
    # Compared in any case, so that an unknown key takes as long as a wrong secret.
    right = _is_of(secret, token)
    if token is None or not right or not usable(token) or not reaches(token, ip):
        return None
    _was_used(token, ip)
    return Actor(
        user=token.user,
        source="api",
        scopes=frozenset(token.scopes),
        token_key=token.key,
        token_team_id=token.team_id,
        token_rate=token.rate,
        ip=ip,
    )


def usable(token: ApiToken) -> bool:
    """Whether it opens anything now: neither revoked nor expired, and its owner not disabled."""
    return token.revoked_at is None and token.expires_at > timezone.now() and token.user.is_active


def reaches(token: ApiToken, ip: str | None) -> bool:
    """Whether it may be used from that address. ``None``, a local socket, is in no network."""
    if not token.networks:
        return True
    if ip is None:
        return False
    address = ip_address(ip.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ip_network(network) for network in token.networks)


def revoke(token: ApiToken) -> bool:
    """Ends it at once; false where it had already been revoked."""
    return bool(ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()))


def _is_of(secret: str, token: ApiToken | None) -> bool:
    """Whether it is this token's. What an older key has hashed is hashed with the one of now from here on."""
    known, found = token.digest if token else "0" * 64, ""
    for digest in kept_keys.hashes(kept_keys.TOKENS, secret):
        if constant_time_compare(known, digest):
            found = digest
            break
    now = _digest(secret)
    if token and found and found != now:
        ApiToken.objects.filter(pk=token.pk, digest=found).update(digest=now)
    return bool(found)


def _digest(secret: str) -> str:
    return kept_keys.hashed(kept_keys.TOKENS, secret)


def _was_used(token: ApiToken, ip: str | None) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > _USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_EVERY)
        with suppress(DatabaseError):  # a full disk is no reason to refuse a read
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now, last_used_ip=ip)
