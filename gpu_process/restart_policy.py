"""When a GPU process that has crashed is started again, and for whom. Source: Chromium's `gpu_process_host.cc`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from gpu_process.exit_status import Death


@dataclass(slots=True)
class _Recent:
    """The crashes of one backend that nobody caused."""

    count: int = 0
    last: float = float("-inf")


class RestartPolicy:
    """Counts crashes: those that a renderer caused against the renderer, all others against the backend.

    A backend with too many recent crashes is disabled until the host is started anew: only a crash makes up for earlier
    ones, and what is disabled no longer crashes.
    """

    def __init__(
        self,
        *,
        crash_limit: int,
        forgive_after: float,
        charge_limit: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: as in `ipc.options.HostOptions`; `clock` gives seconds."""
        self._crash_limit = crash_limit
        self._forgive_after = forgive_after
        self._charge_limit = charge_limit
        self._clock = clock
        self._recent: dict[str, _Recent] = {}
        self._charges: Counter[Hashable] = Counter()
        self._deaths: Counter[str] = Counter()

    def died(self, group: str, death: Death, culprit: Hashable | None) -> None:
        """Note that the GPU process of `group` has died.

        Args:
            group: of backends, that share a process.
            culprit: the renderer whose command was running, None where none is known.
        """
        self._deaths[death.cause] += 1
        if not death.cause.is_crash:
            return
        if culprit is not None:
            self._charges[culprit] += 1
            return
        now = self._clock()
        recent = self._recent.setdefault(group, _Recent())
        forgiven = int(min((now - recent.last) / self._forgive_after, recent.count)) if self._forgive_after else 0
        recent.count += 1 - forgiven
        recent.last = now

    def refusal(self, group: str, renderer: Hashable) -> str | None:
        """Why `renderer` gets no session in `group`, or None where it may have one."""
        if self._charges[renderer] >= self._charge_limit:
            return (
                f"this renderer has crashed the GPU process {self._charges[renderer]} times and gets no more sessions"
            )
        if group in self._recent and self._recent[group].count >= self._crash_limit:
            return f"{group} is disabled after {self._recent[group].count} recent crashes of its GPU process"
        return None

    def status(self) -> dict[str, object]:
        """For diagnostics: deaths by cause, recent crashes and whether that disables, by group."""
        return {
            "deaths": dict(self._deaths),
            "recent_crashes": {group: recent.count for group, recent in self._recent.items()},
            "disabled": [group for group, recent in self._recent.items() if recent.count >= self._crash_limit],
        }
