"""Every attempt of `gpu_process.sandbox.attack`, made for real from inside a GPU process and from inside a renderer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gpu_process.confinement import renderer_spec, sandbox_spec
from gpu_process.sandbox import Level, Mode, Role, kernel_features
from gpu_process.sandbox.attack import Attempt, Outcome, attempts_for
from ipc.options import HostOptions
from scripts.owned_host import OwnedHost, owned_host
from scripts.simulator import SimulatorError

# One of the attempts writes to all the memory there is.
_MEMORY_LIMIT: Final = 1 << 30

Make = Callable[[Sequence[str]], list[Outcome]]
"""Makes attempts in a new process, one after the other, until it ends of one: what was observed so far."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One attempt in one process.

    Attributes:
        process: in which kind of process.
        attempt: its stable name.
        goal: what an attacker would gain.
        expected, observed: what should become of it, and what did.
        detail: the kernel's words, or what the host learned of the system call.
        denied: whether it came as expected.
    """

    process: str
    attempt: str
    goal: str
    expected: str
    observed: str
    detail: str
    denied: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def attack_sandboxes(backend: str, level: Level, progress: Callable[[str], object]) -> Iterator[Verdict]:
    """Verdicts on all attempts that must fail at this level.

    Args:
        backend: of the GPU process.
        progress: told what is being done, now and then.

    Raises:
        SimulatorError: a process cannot be started at this level.
    """
    options = HostOptions(backend=backend, sandbox=level.value, memory_limit=_MEMORY_LIMIT, log_level="error")
    grouped = any(feature.name == "memory-group" and feature.available for feature in kernel_features())
    nowhere = Path("/")  # the attempts depend on role, level and backend only
    with owned_host(options) as host:
        makers: dict[Role, tuple[Any, Make]] = {
            Role.GPU_PROCESS: (
                sandbox_spec(options, [backend], nowhere),
                lambda names: _in_gpu_process(host, backend, names),
            ),
            Role.RENDERER: (renderer_spec(options, level, nowhere), lambda names: _in_renderer(host, level, names)),
        }
        for role, (spec, make) in makers.items():
            attempts = attempts_for(spec, memory_group=grouped)
            yield from verdicts(role, spec.mode, attempts, make, progress)


def verdicts(
    role: Role, mode: Mode, attempts: Sequence[Attempt], make: Make, progress: Callable[[str], object]
) -> Iterator[Verdict]:
    """Verdicts on these attempts, made by `make`, each deadly one in a process of its own.

    Raises:
        SimulatorError: an attempt was not made.
    """
    by_name = {attempt.name: attempt for attempt in attempts}
    survivable = [attempt.name for attempt in attempts if not attempt.deadly]
    batches = [survivable, *([attempt.name] for attempt in attempts if attempt.deadly)]
    for batch in batches:
        waiting = list(batch)
        while waiting:
            progress(f"{role.value}: {waiting[0]}")
            outcomes = make(waiting)
            if not outcomes:
                raise SimulatorError(f"{role.value}: attempt {waiting[0]} was not made")
            waiting = waiting[len(outcomes) :]
            for outcome in outcomes:
                yield _verdict(role, by_name[outcome.name], outcome, mode)


def _verdict(role: Role, attempt: Attempt, outcome: Outcome, mode: Mode) -> Verdict:
    observed = f"{outcome.fate.value} with {outcome.error}" if outcome.error else outcome.fate.value
    denied = attempt.judge(outcome, mode)
    return Verdict(role.value, attempt.name, attempt.goal, attempt.expected, observed, outcome.detail, denied)


def _in_gpu_process(host: OwnedHost, backend: str, names: Sequence[str]) -> list[Outcome]:
    return [Outcome.from_json(outcome) for outcome in host.attack_gpu_process(backend, names)["outcomes"]]


def _in_renderer(host: OwnedHost, level: Level, names: Sequence[str]) -> list[Outcome]:
    finished = host.run_renderer([], level=level, attempts=names, capture=True)
    outcomes = [Outcome.from_json(json.loads(line)) for line in finished.output.splitlines()]
    if finished.exit_code < 0 and len(outcomes) < len(names):
        how = finished.reason or f"killed by signal {-finished.exit_code}"
        outcomes.append(Outcome.killed(names[len(outcomes)], how))
    return outcomes
