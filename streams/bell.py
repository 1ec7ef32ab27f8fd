"""The doorbell: "topic X changed, number n". A number, never data: pages read the rows again.

Topics: ``containers``, ``container:<uuid>``, ``images``, ``image:<uuid>``, ``volumes``, ``networks``,
``operations``, ``operation:<uuid>``, ``engines``, ``builds``.
"""

from __future__ import annotations

from collections.abc import Iterable


def ring(*topics: str) -> None:
    """Rings each topic once: INCR its number and PUBLISH it. Best effort: never raises, since rows are the truth.

    Call it after the commit. Blocking, for workers and requests.
    """
    raise NotImplementedError


async def aring(topics: Iterable[str]) -> None:
    """The same on asyncio, for the gateway."""
    raise NotImplementedError
