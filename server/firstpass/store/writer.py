"""The thread that writes to the SQLite file. What waits for it is committed together. It knows no row and no table."""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from firstpass.errors import StoreFailed, StoreLost, StoreUnavailable
from firstpass.store import opening
from firstpass.store.files import OpenFiles
from firstpass.store.reasons import explained, reason

log = logging.getLogger(__name__)

TOGETHER = 256
"""Writes in one commit. Each waits for all of them."""

TRY_SECONDS = 1.0
"""How long until an empty write is tried again, where nothing could be written."""

ASIDE_SECONDS = 0.1
"""For which nobody wrote, when what is done aside has its turn."""

MOST_BEFORE_ASIDE = 128
"""Writes that are made before it has one all the same."""

TRIAL = "UPDATE migrations SET name = name WHERE rowid = 1"
"""Changes nothing, and has to reach the disk like any other."""


@dataclass(slots=True, eq=False)
class Job:
    """what: for people. answer: of the event loop that it came from, or of a thread that waits, where loop is None."""

    what: str
    work: Callable[[], Any]
    answer: "asyncio.Future[Any] | Future[Any]"
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        """Whoever waits. A caller that was cancelled does not."""
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class Writer:
    """Begins with the first job, ends with `close`. It alone has transactions on this connection.

    lock: of the connection; who does something else with it takes it, and waits for the commit that is just made.
    trouble: why the last commit failed, where that was no job's own doing; None once one is made.
    aside: what is done a little at a time while nobody waits; says whether there is more. It may be lost and done anew.
    """

    def __init__(self, connection: apsw.Connection, files: OpenFiles, aside: Callable[[], bool]) -> None:
        self.lock = threading.Lock()
        self.trouble: str | None = None
        self._connection = connection
        self._files = files
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._taking = threading.Lock()
        self._log_is_due = False
        self._closed = False
        self._aside, self._aside_is_due, self._writes = aside, True, 0

    @property
    def writes_here(self) -> bool:
        """Whether this is its own thread, in the middle of a job."""
        return threading.current_thread() is self._thread

    def wait(self, what: str, work: Callable[[], Any]) -> Any:
        """Until it is durable. Raises: what the work raises; StoreFailed."""
        answer: Future[Any] = Future()
        self._take(Job(what, work, answer))
        return answer.result()

    def soon(self, what: str, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """For the running event loop, which goes on meanwhile. Who is cancelled leaves the job to be done."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._take(Job(what, work, answer, loop))
        return answer

    def stop(self) -> None:
        """After all that was given to it."""
        self._jobs.put(None)

    def close(self) -> None:
        """Returns once all is written. Nothing is taken after it."""
        with self._taking:
            self._closed = True
            self.stop()
        if self._thread is not None:
            self._thread.join()

    def _take(self, job: Job) -> None:
        """Raises: StoreFailed."""
        with self._taking:
            if self._closed:
                raise StoreFailed(f"the store could not {job.what}: it is closed", part="store")
            self._jobs.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        ended = False
        while not ended:
            try:
                first = self._next()
            except Empty:
                self._try_again() if self.trouble else self._do_aside()
                continue
            jobs, ended = self._waiting(first)
            self._write(jobs)
            _tell(jobs)
            first, jobs = None, []  # what waits for the next holds no store alive

    def _next(self) -> Job | None:
        """Raises: Empty where there is something else to do meanwhile."""
        if self.trouble:
            return self._jobs.get(timeout=TRY_SECONDS)
        if self._aside_is_due and self._writes >= MOST_BEFORE_ASIDE:
            raise Empty
        return self._jobs.get(timeout=ASIDE_SECONDS if self._aside_is_due else None)

    def _do_aside(self) -> None:
        """Where it fails, it is tried again after the next commit."""
        job = Job("index what it has", self._aside, Future())
        with self.lock:
            self._together([job])
        self._aside_is_due, self._writes = job.error is None and bool(job.result), 0
        if job.error is not None:
            log.error("%s", job.error)

    def _waiting(self, first: Job | None) -> tuple[list[Job], bool]:
        """The jobs that are there, and whether they are the last."""
        there = [first]
        while there[-1] is not None and len(there) < TOGETHER:
            try:
                there.append(self._jobs.get_nowait())
            except Empty:
                break
        return [job for job in there if job is not None], there[-1] is None

    def _write(self, jobs: list[Job]) -> None:
        """Where they fail together after they were begun, it may be the doing of one: each is tried alone."""
        if not jobs:
            return
        self._aside_is_due, self._writes = True, self._writes + len(jobs)
        with self.lock:
            if not self._together(jobs) and len(jobs) > 1:
                for job in jobs:
                    self._together([job])
            if self._log_is_due:
                self._empty_soon()

    def _together(self, jobs: list[Job]) -> bool:
        """False where some are to be tried alone."""
        begun = False
        for job in jobs:
            job.result = job.error = None
        try:
            self._files.check()
            self._roll_back()  # what could not be undone before
            self._connection.execute("BEGIN IMMEDIATE")
            begun = True
            for job in jobs:
                self._one(job, len(jobs) > 1)
            self._connection.execute("COMMIT")
            self._files.check()
        except (apsw.Error, OSError, StoreFailed, _Undone) as error:
            self._undo(jobs, error)
            return not begun
        except Exception as error:
            log.error("writes failed as nobody foresaw", exc_info=error)
            self._undo(jobs, error)
            return not begun
        self.trouble = None
        return True

    def _one(self, job: Job, among_others: bool) -> None:
        """Raises: _Undone where its error undid the others' work too, as on a full disk, and where it was alone."""
        run = self._connection.execute
        if among_others:
            run("SAVEPOINT job")
        try:
            job.result = job.work()
        except Exception as error:
            job.error = reason(job.what, error)
            if not among_others or not self._connection.in_transaction:
                raise _Undone from error
            run("ROLLBACK TO job")
        if among_others:
            run("RELEASE job")

    def _undo(self, jobs: Iterable[Job], error: Exception) -> None:
        """Each job has an error then, whatever happened: nobody waits for ever, and the thread goes on."""
        try:
            self._roll_back()
        except Exception as worse:
            log.error("what failed in the store could not be undone yet", exc_info=worse)
            error = worse
        for job in jobs:
            job.error = job.error or _shared(job.what, error)
            if isinstance(job.error, StoreUnavailable):
                self.trouble = str(job.error)
            elif not isinstance(error, _Undone | StoreLost):
                self.trouble = str(_shared(job.what, error))

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _try_again(self) -> None:
        """Whether something can be written by now, for the next caller to know."""
        trial = Job("write", lambda: self._connection.execute(TRIAL), Future())
        with self.lock:
            try:
                self._connection.set_busy_timeout(0)
                self._together([trial])
                self._connection.set_busy_timeout(opening.BUSY_MILLISECONDS)
            except apsw.Error as error:
                self._undo([trial], error)

    def empty_log(self, wait_milliseconds: int) -> None:
        """`secure_delete` zeroes old bytes in the file, but the log keeps old pages until nobody reads it.

        Where somebody does, it is tried again after each commit. Raises: StoreFailed.
        """
        with self.lock, explained("empty its log"):
            self._files.check()
            self._empty_log(wait_milliseconds)

    def _empty_log(self, wait_milliseconds: int) -> None:
        self._log_is_due = True
        self._connection.set_busy_timeout(wait_milliseconds)
        try:
            [(busy, _, _)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._log_is_due = bool(busy)
        except (apsw.BusyError, apsw.LockedError):
            pass
        finally:
            self._connection.set_busy_timeout(opening.BUSY_MILLISECONDS)

    def _empty_soon(self) -> None:
        """What was just committed is durable, whatever comes of this."""
        try:
            self._empty_log(0)
        except Exception as error:
            log.warning("old pages stay in the store's log for now: %s", error, exc_info=error)


class _Undone(Exception):
    """A transaction is gone, with all that was done in it."""


def _shared(what: str, error: Exception) -> StoreFailed:
    """An own one for each job that it fails: whoever waits adds its traceback to what it is given."""
    found = copy(error) if isinstance(error, StoreFailed) else reason(what, error)
    if isinstance(found, StoreFailed):
        return found
    return StoreFailed(f"the store could not {what}: {error!r}", part="store")


def _tell(jobs: Iterable[Job]) -> None:
    """Each event loop is woken once."""
    by_loop: defaultdict[asyncio.AbstractEventLoop | None, list[Job]] = defaultdict(list)
    for job in jobs:
        by_loop[job.loop].append(job)
    for loop, told in by_loop.items():
        if loop is None:
            _tell_all(told)
            continue
        try:
            loop.call_soon_threadsafe(_tell_all, told)
        except RuntimeError:
            log.debug("%d writes were made, and the event loop that asked for them is closed", len(told))


def _tell_all(jobs: Iterable[Job]) -> None:
    for job in jobs:
        job.tell()
