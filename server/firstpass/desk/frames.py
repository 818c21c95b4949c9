"""Messages on a socket: eight bytes that say the length, and as many bytes. Knows nothing of what they mean."""

import struct

_LENGTH = struct.Struct(">Q")
HEAD_BYTES = _LENGTH.size


def framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


def length(head: bytes) -> int:
    (found,) = _LENGTH.unpack(head)
    return int(found)
