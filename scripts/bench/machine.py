"""The machine and its processes, as the kernel tells: what a report needs to be understood later."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PACKAGES = ("grpcio", "protobuf", "numpy", "onnxruntime", "openvino", "iceoryx2", "torch")
_TICKS = os.sysconf("SC_CLK_TCK")


def environment() -> dict[str, Any]:
    """Processor, memory, kernel, versions, and how busy the machine was; JSON-ready."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": versions,
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def busy_seconds(before: tuple[float, float]) -> tuple[float, float]:
    """Seconds of processor time of everybody, and seconds that were stolen from this machine, since `before`."""
    now = processor_seconds()
    return now[0] - before[0], now[1] - before[1]


def processor_seconds() -> tuple[float, float]:
    """Since the machine started: busy, and stolen by others on the same host."""
    user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft) / _TICKS, steal / _TICKS


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that these processes have used together."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it has ended
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def peak_memory(pid: int) -> int | None:
    """Most resident bytes that a process ever had; None where that can't be read."""
    return _kilobytes(f"/proc/{pid}/status", "VmHWM")


def proportional_memory(pid: int) -> int | None:
    """Resident bytes, shared pages divided among those who share them; None where that can't be read."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss")


def _kilobytes(path: str, name: str) -> int | None:
    value = _first(path, name)
    return None if value is None else int(value.split()[0]) * 1024


def _first(path: str, name: str) -> str | None:
    with contextlib.suppress(OSError):
        for line in Path(path).read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None
