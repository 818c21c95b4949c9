"""What the life of an engine is made of: runs of it, and who starts them. Protocols, which `child.py` fulfils."""

from typing import Protocol

from firstpass.engine.spec import Asleep, SleepLevel, Warmed
from firstpass.engine.working import Run


class Child(Run, Protocol):
    """A run of an engine that this server started."""

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        ...

    async def exited(self) -> int:
        """The exit status, once no process of it is left."""
        ...

    async def is_up(self) -> bool: ...

    async def warm_up(self, seconds: float) -> Warmed:
        """Raises: TierFailed, Broken."""
        ...

    def new_stages(self) -> list[str]: ...

    def last_lines(self) -> str: ...

    def reason(self) -> str:
        """Why it ended, quoted from its log; empty where that names no error."""
        ...

    async def stop(self) -> None:
        """Returns when no process of it is left. May be called twice."""
        ...

    async def kill(self) -> None:
        """The same at once, for one that may hang."""
        ...

    async def sleep(self, seconds: float) -> Asleep:
        """Raises: TierFailed, Broken."""
        ...

    async def wake(self, level: SleepLevel, seconds: float) -> None:
        """Raises: TierFailed, Broken."""
        ...

    async def memory_bytes(self) -> int | None:
        """Of all its processes; None where that is not known."""
        ...


class Launcher(Protocol):
    @property
    def expects_logprobs(self) -> bool: ...

    async def launch(self) -> Child:
        """Raises: OSError."""
        ...
