"""A proxy that copies bytes and reads none of them: what anything between a caller and a server costs at least here.

python benchmarks/suites/front/copier.py PORT UPSTREAM_PORT
"""

import asyncio
import sys
from typing import cast

import uvloop


class End(asyncio.Protocol):
    """One side of a connection. What comes is written to the other side, or kept until there is one."""

    def __init__(self) -> None:
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self._kept = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self._kept += data
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def join(self, other: "End") -> None:
        self.other, other.other = other, self
        if self._kept and other.transport is not None:
            other.transport.write(bytes(self._kept))
            self._kept.clear()


class Caller(End):
    """The side of a caller, which is joined to a connection of its own to the server."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__()
        self._upstream_port = upstream_port
        self._joining: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._joining = asyncio.create_task(self._join())

    async def _join(self) -> None:
        _, upstream = await asyncio.get_running_loop().create_connection(End, "127.0.0.1", self._upstream_port)
        self.join(upstream)


async def main(port: int, upstream_port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Caller(upstream_port), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
