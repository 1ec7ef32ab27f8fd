"""How much may go in a time: so many a second for long, and a burst before that."""

from __future__ import annotations

import asyncio
import time


class Credit:
    """A bucket that holds ``burst`` and is filled with ``rate`` a second. It begins full."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = float(burst), time.monotonic()

    async def spend(self, size: float) -> None:
        """Takes so much, and waits for as long as that is more than there was."""
        now = time.monotonic()
        self._left, self._at = min(self._burst, self._left + (now - self._at) * self._rate) - size, now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)
