"""Has a GPU process attack its own sandbox, for `doctor --attack`, and notes what became of each attempt."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gpu_process.process_handle import ProcessHandle
from gpu_process.sandbox.attack import Outcome, OutcomeJson


class Examination:
    """One GPU process that makes the attempts one after the other, until it dies of one."""

    def __init__(
        self, process: ProcessHandle, attempts: Sequence[str], finished: Callable[[Examination], None]
    ) -> None:
        """Begins as soon as the process is ready.

        Args:
            finished: told when there is nothing more to try, or nobody to try it.
        """
        self.process = process
        self._attempts = deque(attempts)
        self._outcomes: list[OutcomeJson] = []
        self._finished = finished
        process.when_settled(self._next)

    def to_json(self) -> dict[str, Any]:
        """Outcomes in the order of the attempts; fewer where the process has died."""
        return {"pid": self.process.pid, "outcomes": self._outcomes, "failure": self.process.failure}

    def _next(self) -> None:
        if self.process.has_ended or not self._attempts:
            self._finished(self)
            return
        name = self._attempts.popleft()
        self.process.attempt(name, lambda outcome: self._observed(name, outcome))

    def _observed(self, name: str, outcome: dict[str, Any] | None) -> None:
        if outcome is None:
            killer, death = self.process.supervision.killer, self.process.death
            self._outcomes.append(Outcome.killed(name, str(killer or death)).to_json())
            self._finished(self)
            return
        # As the process tells it, which is on trial: its word is checked for form here, and for truth by nobody.
        self._outcomes.append(
            {
                "name": name,
                "fate": str(outcome.get("fate")),
                "error": outcome.get("error"),
                "detail": str(outcome.get("detail")),
            }
        )
        self._next()
