"""Who asked, called to mind again from what a row or a message says, with the rights of today."""

from __future__ import annotations

from accounts.access import Actor, person
from accounts.models import ApiToken, User
from accounts.tokens import usable


def recall(user: User | None, *, source: str, token_key: str = "") -> Actor | None:
    """The actor, or ``None`` where the account or the token is gone."""
    if user is None:
        return None
    if not token_key:
        return person(user, source=source)
    token = ApiToken.objects.select_related("user").filter(key=token_key, user=user).first()
    if token is None or not usable(token):
        return None
    return Actor(
        user=user,
        source=source,
        scopes=frozenset(token.scopes),
        token_key=token.key,
        token_team_id=token.team_id,
    )
