"""Runs transformers' own command line with its server on a Unix socket, which it has no option for.

    python -P on_socket.py SOCKET serve MODEL --host 192.0.2.1 ...

It is run by its path, as the guard is: the package may lie where the engine's Python does not look. Its server asks
uvicorn for a TCP port (transformers 5.19, cli/serve.py: uvicorn.Config(app, host=..., port=...)); uvicorn takes the
socket first where both are named. Should a later version go another way, NO_HOST makes it fail rather than listen.
"""

import sys
from typing import Any

NO_HOST = "192.0.2.1"
"""No machine has this address (RFC 5737), so nothing can listen on it."""


def main(socket: str, arguments: list[str]) -> None:
    import uvicorn
    from transformers.cli.transformers import main as command_line

    class OnSocket(uvicorn.Config):
        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(app, **options | {"uds": socket})

    uvicorn.Config = OnSocket  # type: ignore[assignment, misc]
    sys.argv = ["transformers", *arguments]
    command_line()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
