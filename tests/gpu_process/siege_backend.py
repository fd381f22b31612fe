"""`--preload tests.gpu_process.siege_backend`: the reference, which a graph's label has do what must never happen.

It stands for the bugs of native libraries that valid graphs can reach.
"""

from __future__ import annotations

import ctypes
import os
import threading

from gpu_process.backends import Backend, BackendOptions, reference
from ipc.graph import Graph
from tests.gpu_process.backends_for_tests import MeddlingBackend

_sound = reference.create


def _misbehave(graph: Graph) -> None:
    match graph.operations[0].label:
        case "segv":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "hang":
            threading.Event().wait()
        case "forbidden":
            ctypes.CDLL(None).ptrace(0, 0, 0, 0)


def _create(options: BackendOptions) -> Backend:
    del options
    reference.create = _sound  # which is what the meddling one is made of
    try:
        return MeddlingBackend(before_run=_misbehave)
    finally:
        reference.create = _create


reference.create = _create
