"""`webnn-sim bench peers`: the targets P1 to P21, each against a peer that ran in the same minutes.

A stored figure never stands in for a peer: what did not run says so, and why.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from scripts.bench.run import Run
from scripts.bench.targets._latency import latency, ring
from scripts.bench.targets._lifecycle import lifecycle
from scripts.bench.targets._networks import networks, peak_memory
from scripts.bench.targets._payloads import payloads
from scripts.bench.targets._target import Result, Target, all_met

__all__ = ["Result", "Target", "all_met", "measure"]

_PARTS = {"latency": latency, "ring": ring, "payloads": payloads, "networks": networks, "memory": peak_memory,
          "lifecycle": lifecycle}  # fmt: skip

PARTS = tuple(_PARTS)
"""What can be measured alone."""


def measure(run: Run, parts: tuple[str, ...] = PARTS) -> Iterator[Result]:
    """The results as they come."""
    for part in parts:
        yield from itertools.chain(_PARTS[part](run))
        run.let_go()
