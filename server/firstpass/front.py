"""A whole server in this process: as the command's main work, or beside it in a thread. Knows no request."""

import gc
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import uvicorn

from firstpass.app import Again, build
from firstpass.errors import TierUnavailable
from firstpass.loopback import is_loopback
from firstpass.settings import Server, Settings
from firstpass.startup_files import refuse_strangers
from firstpass.web.connection import Patience, prompt
from firstpass.web.doorkeeper import Doorkeeper, possible
from firstpass.web.draining import Draining
from firstpass.web.tls import Pair

log = logging.getLogger(__name__)

DRAIN_SECONDS = 30
"""For answers that are under way when the server is told to end."""

CLOSE_SECONDS = 5
"""After that, for callers to close their connections."""

LISTEN_SECONDS = 30.0
POLL_SECONDS = 0.2


class Front(uvicorn.Server):
    """Goes on listening while what runs ends, so that who comes by then is told so and not just cut off."""

    def __init__(self, config: uvicorn.Config, draining: Draining) -> None:
        super().__init__(config)
        self._draining = draining

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._draining.end(DRAIN_SECONDS, lambda: self.force_exit)
        await super().shutdown(sockets)


def front(settings: Settings, again: Again | None = None) -> uvicorn.Server:
    """The whole server, ready to `run` until a signal or `should_exit` ends it.

    again: reads the settings once more, at SIGHUP and where a caller wants it. Raises: BadSettings, StoreFailed.
    """
    refuse_strangers(settings.server.allowed_startup_files)
    wanted = settings.server
    context = _tls(wanted)
    if context is None and not is_loopback(wanted.host):
        log.warning("plain HTTP on %s: keys and prompts go over the network in the clear", wanted.host)
    draining = Draining(build(settings, again))
    patience = Patience(wanted.header_seconds, wanted.body_seconds, wanted.send_seconds)
    doorkeeper = Doorkeeper(possible(wanted.connections), wanted.connections_an_address, wanted.trusted_proxies)
    config = uvicorn.Config(
        draining,
        host=wanted.host,
        port=wanted.port,
        loop="firstpass.web.loop:PromptLoop",
        http=prompt(patience, doorkeeper),
        proxy_headers=bool(wanted.trusted_proxies),
        forwarded_allow_ips=list(wanted.trusted_proxies),
        ssl_context_factory=None if context is None else lambda config, default: context,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        server_header=False,
        ws="none",
    )
    return Front(config, draining)


def _tls(wanted: Server) -> ssl.SSLContext | None:
    if wanted.tls_certificate is None or wanted.tls_key is None:
        return None
    return Pair(wanted.tls_certificate, wanted.tls_key, wanted.tls_client_ca).context()


def run(server: uvicorn.Server) -> None:
    """Until a signal ends it. uvicorn raises the signal again when it is done; for Ctrl-C that is no error.

    What is there by now stays, and is looked at by no collection: a whole one of it held up the event loop for 90 ms.
    """
    gc.collect()
    gc.freeze()
    with suppress(KeyboardInterrupt):
        server.run()


@contextmanager
def beside(settings: Settings) -> Iterator[str]:
    """The server in a thread for as long as the block runs; gives its URL, once the engine is ready.

    Raises: BadSettings, StoreFailed, TierUnavailable.
    """
    server = front(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        url = address(server)
        wait_until_ready(url, settings.first_engine.start_deadline_seconds)
        yield url
    finally:
        server.should_exit = True
        thread.join()


def address(server: uvicorn.Server) -> str:
    """Where our own server listens, once it does: what else may answer on that port must not get a diff.

    Raises: TierUnavailable.
    """
    deadline = time.monotonic() + LISTEN_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise TierUnavailable("the front did not start")
        time.sleep(POLL_SECONDS)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    scheme = "https" if server.config.is_ssl else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def wait_until_ready(url: str, deadline_seconds: float) -> None:
    """Raises: TierUnavailable where the engine failed, or is not ready in time."""
    end = time.monotonic() + deadline_seconds
    with httpx.Client(base_url=url, trust_env=False) as client:
        while (detail := _why_not_ready(client)) is not None:
            if "failed" in detail or time.monotonic() > end:
                raise TierUnavailable(detail)
            time.sleep(POLL_SECONDS)


def _why_not_ready(client: httpx.Client) -> str | None:
    """On a busy machine a front that is up may take seconds to say so."""
    try:
        response = client.get("/readyz")
    except httpx.HTTPError as error:
        return f"the front does not answer ({type(error).__name__})"
    return None if response.is_success else str(response.json()["error"]["message"])
