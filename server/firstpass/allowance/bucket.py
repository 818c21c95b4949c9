"""A bucket that refills evenly: so much at once, and so much a minute on. It knows no clock."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """level: what is left of `size` at `at_unix`, less than nothing where more was used than there was."""

    size: float
    per_second: float
    level: float
    at_unix: float

    @classmethod
    def a_minute(cls, size: float, now_unix: float) -> "Bucket":
        return cls(size, size / 60, size, now_unix)

    def wait(self, amount: float, now_unix: float) -> float:
        """Seconds until that much is there; 0 where it is. What is more than the bucket holds needs a full one."""
        self._refill(now_unix)
        return max(0.0, (min(amount, self.size) - self.level) / self.per_second)

    def use(self, amount: float, now_unix: float) -> None:
        """Takes it, there or not: a debt is paid off before anything else. A negative amount is given back."""
        self._refill(now_unix)
        self.level = min(self.size, self.level - amount)

    def _refill(self, now_unix: float) -> None:
        """A clock that was set back refills nothing."""
        passed = max(0.0, now_unix - self.at_unix)
        self.level, self.at_unix = min(self.size, self.level + passed * self.per_second), now_unix
