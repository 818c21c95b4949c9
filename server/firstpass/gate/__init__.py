"""Whether to accept a draft that no check finds fault with, by a score with a promise. Knows no tier and no contract.

`signals` says what a draft shows of itself, `score` makes one number of it, `bounds` finds the threshold that keeps the
promise, `file` keeps all of it, and `drift` hears from audits whether the promise still holds.
"""

from firstpass.gate.file import Gate, load_gate

__all__ = ["Gate", "load_gate"]
