"""The sandbox of the GPU process and of renderers: what is left to a process when its input cannot be trusted.

Three steps, in this order, with the process's own start-up between them:

1. `enter_namespaces`, in the forked child of a launcher that has already imported what is large;
2. `restrict_filesystem`, before the first other thread;
3. `lock_in`, after warm-up, and before the first byte from outside is read.

The host keeps the other end of `lock_in`'s socket: `receive_listener`, then a `Supervisor`.
"""

from gpu_process.sandbox.inspection import Evidence, Feature, confined_pid, held_layers, kernel_features
from gpu_process.sandbox.landlock import restrict_filesystem
from gpu_process.sandbox.levels import (
    LEVEL_OPTION,
    MODE_OPTION,
    NOBODY,
    Layer,
    Level,
    Mode,
    Role,
    SandboxError,
    SandboxSpec,
    read_namespaces,
)
from gpu_process.sandbox.limits import MemoryGroup
from gpu_process.sandbox.lock_in import Report, lock_in
from gpu_process.sandbox.namespaces import enter_namespaces
from gpu_process.sandbox.seccomp import receive_listener
from gpu_process.sandbox.violations import Outcome, Supervisor, Violation

__all__ = [
    "LEVEL_OPTION",
    "MODE_OPTION",
    "NOBODY",
    "Evidence",
    "Feature",
    "Layer",
    "Level",
    "MemoryGroup",
    "Mode",
    "Outcome",
    "Report",
    "Role",
    "SandboxError",
    "SandboxSpec",
    "Supervisor",
    "Violation",
    "confined_pid",
    "enter_namespaces",
    "held_layers",
    "kernel_features",
    "lock_in",
    "read_namespaces",
    "receive_listener",
    "restrict_filesystem",
]
