"""How sure a model was of the names that it wrote, by its tokens' log-probabilities. Knows no contract and no diff.

A sequence's mean hides a collapse: an answer is mostly its form, of which every model is sure.
"""

import re
from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence
from itertools import accumulate

from firstpass.chat import TokenLogprob
from firstpass.contract.references import NAME


def least_sure(tokens: Sequence[TokenLogprob], names: Container[str]) -> tuple[str, float] | None:
    """Of what `sureness` says, the lowest; None where the tokens spell none of the names."""
    return min(sureness(tokens, names), key=lambda pair: pair[1], default=None)


def sureness(tokens: Sequence[TokenLogprob], names: Container[str]) -> Iterator[tuple[str, float]]:
    """(name, the lowest natural-log probability of the tokens that it touches), wherever the tokens spell one of them.

    A token counts that has any character of the name.
    """
    text = "".join(token.token for token in tokens)
    begins = [0, *accumulate(len(token.token) for token in tokens)]
    found = (match for match in NAME.finditer(text) if match[0] in names)
    return ((match[0], _lowest(tokens, begins, match)) for match in found)


def _lowest(tokens: Sequence[TokenLogprob], begins: Sequence[int], match: re.Match[str]) -> float:
    first, last = bisect_right(begins, match.start()) - 1, bisect_right(begins, match.end() - 1) - 1
    return min(token.logprob for token in tokens[first : last + 1])
