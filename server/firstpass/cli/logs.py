"""The server's log on stderr: lines for people, or JSON for machines. A reader that stalls holds up no request."""

import atexit
import json
import logging
import os
import queue
import threading
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Literal

from firstpass.cli.terminal import WordlessFormatter

Format = Literal["text", "json"]
LINES = 10_000
"""So many wait for a reader; more are lost."""

END_SECONDS = 1.0
"""So long the end of the process waits for a reader to take what is left."""

STDERR = 2


class JsonFormatter(WordlessFormatter):
    """A line a record; what it has as `fields` stands beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        return json.dumps(said | {"message": super().format(record)} | getattr(record, "fields", {}))


class Aside(QueueHandler):
    """Writes the line at once, and has another thread send it."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return logging.makeLogRecord({"msg": self.format(record), "levelno": record.levelno})

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


def show_log(log_format: Format = "text") -> None:
    """From now on, until the process ends."""
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(LINES)
    aside, sending = Aside(waiting), threading.Thread(target=_send, args=(waiting,), name="log", daemon=True)
    text = WordlessFormatter("%(asctime)s %(message)s", "%H:%M:%S")
    aside.setFormatter(JsonFormatter() if log_format == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[aside])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sending.start()
    atexit.register(_end, waiting, sending)


def _send(waiting: queue.Queue[logging.LogRecord | None]) -> None:
    """Until None comes. Past `sys.stderr`, whose lock the interpreter's end would wait for while a reader stalls."""
    while (record := waiting.get()) is not None:
        left = f"{record.getMessage()}\n".encode(errors="backslashreplace")
        with suppress(OSError):
            while left:
                left = left[os.write(STDERR, left) :]


def _end(waiting: queue.Queue[logging.LogRecord | None], sending: threading.Thread) -> None:
    with suppress(queue.Full):
        waiting.put(None, timeout=END_SECONDS)
        sending.join(END_SECONDS)
