"""How often an engine may start. Knows no engine; the clock is the caller's."""

from collections import deque
from collections.abc import Callable

STARTS = 3
WINDOW_SECONDS = 300.0


class RestartLimit:
    """At most `starts` in any `window_seconds`."""

    def __init__(
        self, clock: Callable[[], float], starts: int = STARTS, window_seconds: float = WINDOW_SECONDS
    ) -> None:
        self._clock = clock
        self._starts = starts
        self._window_seconds = window_seconds
        self._times: deque[float] = deque()

    def wait_seconds(self) -> float:
        """Until the next start is allowed; 0 for now."""
        now = self._clock()
        while self._times and self._times[0] + self._window_seconds <= now:
            self._times.popleft()
        if len(self._times) < self._starts:
            return 0.0
        return self._times[0] + self._window_seconds - now

    def record(self) -> None:
        self._times.append(self._clock())
