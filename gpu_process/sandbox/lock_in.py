"""The last step of start-up: from here on the process can only compute."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from gpu_process.sandbox import seccomp
from gpu_process.sandbox.inspection import Evidence, Witness
from gpu_process.sandbox.levels import LEVEL_OPTION, Layer, Level, Mode, SandboxError, SandboxSpec
from gpu_process.sandbox.limits import apply_resource_limits, refuse_executable_memory
from gpu_process.sandbox.privileges import forbid_new_privileges, make_undumpable


class LayerJson(TypedDict):
    """One layer in `Report.to_json`."""

    held: bool | None
    required: bool
    detail: str


class ReportJson(TypedDict):
    """The form of `Report.to_json`."""

    level: str
    mode: str
    layers: dict[str, LayerJson]


@dataclass(frozen=True, slots=True)
class Report:
    """What holds for a process, as it read it back from the kernel itself after the last step."""

    level: Level
    mode: Mode
    layers: Mapping[Layer, Evidence]

    @property
    def missing(self) -> frozenset[Layer]:
        """Layers that the level requires and that do not hold."""
        return frozenset(layer for layer in self.level.required if not self.layers[layer].held)

    def to_json(self) -> ReportJson:
        """For `doctor` and for the way to the host."""
        return {
            "level": self.level.value,
            "mode": self.mode.value,
            "layers": {
                layer.value: {"held": held, "required": layer in self.level.required, "detail": detail}
                for layer, (held, detail) in self.layers.items()
            },
        }


def lock_in(spec: SandboxSpec, *, supervisor: socket.socket | None = None) -> Report:
    """Applies limits, undumpability and the system-call filter, to all threads and for good; reads back what holds.

    Call it when everything that will be needed has been imported, opened, compiled once and called once.

    Args:
        spec: as given to the steps before.
        supervisor: a Unix socket whose other end the host holds; it gets the listener (`seccomp.receive_listener`).

    Raises:
        SandboxError: a layer cannot be applied, or does not hold after all. The process must end.
    """
    witness = Witness(outside=spec.outside)
    try:
        if spec.level is not Level.OFF:
            forbid_new_privileges()
            apply_resource_limits(spec)
            make_undumpable()
            if not spec.executable_memory:
                refuse_executable_memory()
            seccomp.install(spec, supervisor)
        report = Report(spec.level, spec.mode, witness.testify())
    finally:
        witness.close()
    for layer in sorted(report.missing):
        raise SandboxError(
            layer,
            f"it was applied, and yet the kernel says: {report.layers[layer].detail}",
            f"call every step in its order, or ask for less by name with {LEVEL_OPTION}",
        )
    return report
