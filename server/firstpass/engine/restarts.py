"""How often and how soon an engine may start again. Knows no engine; the clock and the chance are the caller's."""

import random
from collections import deque
from collections.abc import Callable

STARTS = 5
WINDOW_SECONDS = 600.0

REST_SECONDS = 1.0
"""Before the second start again; each further one waits twice as long. The first comes at once."""


class RestartLimit:
    """At most `starts` in any `window_seconds`, and some seconds between an end and the next start.

    chance: in [0, 1); it stretches a wait to between half of it and one and a half.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        starts: int = STARTS,
        window_seconds: float = WINDOW_SECONDS,
        rest_seconds: float = REST_SECONDS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._starts = starts
        self._window_seconds = window_seconds
        self._rest_seconds = rest_seconds
        self._chance = chance
        self._times: deque[float] = deque()
        self._rests_until = 0.0

    @property
    def given_up(self) -> bool:
        """Whether no start is left before an earlier one is forgotten."""
        self._forget()
        return len(self._times) >= self._starts

    def wait_seconds(self) -> float:
        """Until the next start is allowed; 0 for now."""
        if self.given_up:
            return self._times[0] + self._window_seconds - self._clock()
        return max(0.0, self._rests_until - self._clock())

    def started(self) -> None:
        self._times.append(self._clock())

    def ended(self, *, excused: bool = False) -> None:
        """It died, or its start failed. excused: what it died of is gone, so that this start does not count."""
        if excused and self._times:
            self._times.pop()
            return
        self._forget()
        again = len(self._times) - 1
        rest = self._rest_seconds * 2 ** (again - 1) if again > 0 else 0.0
        self._rests_until = self._clock() + rest * (0.5 + self._chance())

    def _forget(self) -> None:
        while self._times and self._times[0] + self._window_seconds <= self._clock():
            self._times.popleft()
