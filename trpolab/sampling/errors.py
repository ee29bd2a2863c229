"""How sampling can end without a batch."""

from __future__ import annotations

from typing import Any


class Interrupted(RuntimeError):
    """Sampling or updating was told to stop at once; the iteration is discarded."""


class NonFinite(ArithmeticError):
    """The task or the policy produced a NaN or infinity; the message names slot, step and field."""

    def __init__(self, message: str, sim_steps: int):
        self.sim_steps = sim_steps  # spent before it was found
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes with both arguments."""
        return NonFinite, (str(self), self.sim_steps)


class UnitFailed(RuntimeError):
    """A work unit raised in a worker process; the message ends with the original traceback."""

    def __init__(self, message: str, original: str):
        self.message, self.original = message, original
        super().__init__(f"{message}\n\nIn the worker process:\n{original}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes with both arguments."""
        return UnitFailed, (self.message, self.original)


class WorkerLost(RuntimeError):
    """Two worker processes in succession died, or gave no answer, on the same work unit."""
