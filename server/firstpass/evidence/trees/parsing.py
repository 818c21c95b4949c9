"""A text's tree, within a limit of time that somebody else keeps. Knows no clock, and not what the tree is read for.

tree-sitter asks whether to go on only while it reads from a callable, and 0.26.1 never lets go of what a callable gave
it: so all that one ever gives are a few buffers that are written anew for each text. The tree that is kept is then made
of bytes, with the first one's help: a tree of a callable would ask it for the text behind each node.
"""

from collections import deque
from collections.abc import Callable

import tree_sitter

from firstpass.evidence.memory import forgotten

UNWATCHED_BYTES = 512
"""A text as short as this is parsed without being asked: mending what does not parse takes quadratic time, a tenth of a
second for a text of this size that was made to be slow."""

_LARGEST = 1 << 14
_BITS = 3

Reader = Callable[[int, object], bytes | bytearray]
Stops = Callable[[], bool]
"""Says whether to stop."""


class _Buffers:
    """One for each size of few significant bits: a few pieces of these sizes make any text up."""

    def __init__(self) -> None:
        sizes = {size << more for size in range(1, 1 << _BITS) for more in range(_LARGEST.bit_length())}
        self._by_size = {size: bytearray(size) for size in sizes if size <= _LARGEST}

    def reader(self, text: bytes) -> Reader:
        """Gives what stands at an offset. What it gave before holds something else from then on."""

        def read(at: int, _point: object) -> bytes | bytearray:
            left = len(text) - at
            if left <= 0:
                return b""
            buffer = self._by_size[_floor(min(left, _LARGEST))]
            buffer[:] = text[at : at + len(buffer)]
            return buffer

        return read

    def wipe(self) -> None:
        """To let go of them would not do: tree-sitter keeps them."""
        for buffer in self._by_size.values():
            buffer[:] = bytes(len(buffer))


def _floor(size: int) -> int:
    """With all but the first significant bits 0."""
    rest = max(size.bit_length() - _BITS, 0)
    return size >> rest << rest


_idle: deque[_Buffers] = deque()
"""As many as were ever in use at once."""


@forgotten
def _wipe() -> None:
    """One at a time, which nobody uses meanwhile."""
    for _ in range(len(_idle)):
        buffers = _taken()
        buffers.wipe()
        _idle.appendleft(buffers)


def parsed(parser: tree_sitter.Parser, text: bytes, stops: Stops) -> tree_sitter.Tree | None:
    """None where `stops` said so first; it is asked every now and then."""
    if len(text) <= UNWATCHED_BYTES:
        return parser.parse(text)
    watched = _watched(parser, text, stops)
    return parser.parse(text, watched) if watched else None


def _taken() -> _Buffers:
    try:
        return _idle.pop()
    except IndexError:
        return _Buffers()


def _watched(parser: tree_sitter.Parser, text: bytes, stops: Stops) -> tree_sitter.Tree | None:
    buffers = _taken()
    try:
        return parser.parse(buffers.reader(text), progress_callback=lambda _at, _has_error: stops())
    except ValueError:  # "Parsing failed": the callback stopped it
        parser.reset()
        return None
    finally:
        _idle.append(buffers)
