"""How a part says what it is doing, for a trace of a request. It knows no tracer: where there is none, nobody hears."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

Value = str | int | float | bool
Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""

Note = Callable[[str, Value], None]
"""Says something of the work that is going on: a name as OpenTelemetry's conventions have it, and a value, no text."""


class Spans(Protocol):
    def __call__(self, name: str) -> AbstractContextManager[Note]:
        """The work inside of the block, as part of what is going on already."""
        ...

    def request(self, group: str, headers: Headers) -> AbstractContextManager[Note]:
        """A request of a group of routes; all else is part of one. Its `traceparent` (W3C Trace Context) is heeded."""
        ...

    def about(self, facts: Mapping[str, Value]) -> None:
        """Of what is going on now."""
        ...

    def onward(self) -> Mapping[str, str]:
        """Headers that say to a server on this machine what it works for: the `traceparent` of what is going on now."""
        ...

    def close(self) -> None:
        """Waits until what was heard is written."""
        ...


class _Silence(AbstractContextManager[Note]):
    def __enter__(self) -> Note:
        return _heard_by_nobody

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _heard_by_nobody(name: str, value: Value) -> None:
    return None


_SILENCE = _Silence()


class _Unheard:
    """What is said where nothing is traced."""

    def __call__(self, name: str) -> AbstractContextManager[Note]:
        return _SILENCE

    def request(self, group: str, headers: Headers) -> AbstractContextManager[Note]:
        return _SILENCE

    def about(self, facts: Mapping[str, Value]) -> None:
        return None

    def onward(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        return None


UNHEARD: Spans = _Unheard()
