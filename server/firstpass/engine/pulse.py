"""When an engine last said a word, and since when it owes one. Knows no HTTP; the clock is the caller's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pulse:
    """Any byte of any reply is a sign of life, whoever asked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open = self._callers = 0
        self._owed_from: float | None = None
        self._awaited_from: float | None = None
        self._heard = clock()

    @contextmanager
    def asked(self, *, caller: bool = True) -> Iterator[None]:
        """While somebody waits for a reply, a caller or a canary.

        Who is through with it has got it; who leaves by an exception, as one that is cancelled, is still owed a word.
        """
        now = self._clock()
        self._owed_from = now if self._owed_from is None else self._owed_from
        if caller and self._awaited_from is None:
            self._awaited_from = now
        self._open += 1
        self._callers += caller
        try:
            yield
        finally:
            self._open -= 1
            self._callers -= caller
        self._owed_from = self._owed_from if self._open else None
        self._awaited_from = self._awaited_from if self._callers else None

    def heard(self) -> None:
        self._heard = self._clock()
        self._owed_from = self._heard if self._open else None
        self._awaited_from = self._heard if self._callers else None

    @property
    def heard_at(self) -> float:
        return self._heard

    @property
    def silent_seconds(self) -> float:
        """For how long it has said nothing although it was asked; 0 where it owes nobody a word."""
        if self._owed_from is None:
            return 0.0
        return self._clock() - max(self._heard, self._owed_from)

    @property
    def awaited_from(self) -> float | None:
        """Since when it owes a caller a word; None where it owes none to any."""
        return self._awaited_from

    @property
    def quiet_seconds(self) -> float:
        """For how long it has said nothing, asked or not."""
        return self._clock() - self._heard
