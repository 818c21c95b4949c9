"""Which recorded exchanges are meant. It reads no store: it says of one exchange whether it fits."""

from collections.abc import Iterable
from dataclasses import dataclass

from firstpass.exchange import Answer, Exchange


@dataclass(frozen=True, slots=True)
class Chosen:
    """None leaves it open. search: words that each stand in what was asked or answered, whatever their case.

    contract: with or without its version. since_unix, until_unix: of when it came; the latter is past the end.
    """

    session: str | None = None
    search: str | None = None
    route: str | None = None
    model: str | None = None
    contract: str | None = None
    since_unix: float | None = None
    until_unix: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it leaves everything open."""
        return self == Chosen()

    def fits(self, exchange: Exchange) -> bool:
        ask, ending = exchange.ask, exchange.ending
        route = ending.route if isinstance(ending, Answer) else None
        pinned = ask.contract or ""
        return (
            self.session in (None, ask.session)
            and self.route in (None, route)
            and self.model in (None, ask.model)
            and self.contract in (None, pinned, pinned.partition("@")[0])
            and (self.since_unix is None or ask.received_unix >= self.since_unix)
            and (self.until_unix is None or ask.received_unix < self.until_unix)
            and (self.search is None or self._said(self.search, exchange))
        )

    @staticmethod
    def _said(search: str, exchange: Exchange) -> bool:
        answer = exchange.answer
        texts = [*(message.content for message in exchange.ask.messages), (answer and answer.text) or ""]
        whole = "\n".join(texts).casefold()
        return all(word.strip('"*').casefold() in whole for word in search.split())


def in_order(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """As they were asked, each once."""
    by_id = {exchange.ask.id: exchange for exchange in exchanges}
    return sorted(by_id.values(), key=lambda exchange: exchange.ask.received_unix)
