"""How long a reply may get where a model's thoughts count too. Knows no wire format."""

from firstpass.exchange import Ask

THOUGHT_TOKENS = 8192
"""Room for thoughts, where whoever set the limit did not think of them. A model that has none does not use it."""


def room(ask: Ask) -> int | None:
    """The most tokens, None where nobody says: a contract's limit is of the answer alone, a caller's of both."""
    limit = ask.sampling.max_tokens
    return limit + THOUGHT_TOKENS if limit is not None and "max_tokens" in ask.wishes else limit
