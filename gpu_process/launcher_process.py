"""A launcher's process, started. Little is imported here: a host starts its first one before it imports itself."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ipc.channel import pair
from ipc.options import HostOptions
from ipc.processes import python_command, python_environment


@dataclass(frozen=True, slots=True)
class LauncherProcess:
    """What the host holds of a launcher.

    Attributes:
        backends: that it imports.
        control: its lifeline, and what it is told over.
        stderr: reading end of the pipe that it prints into.
    """

    backends: tuple[str, ...]
    process: subprocess.Popen[bytes]
    control: socket.socket
    stderr: int

    @classmethod
    def start(
        cls, backends: Sequence[str], options: HostOptions, run_directory: Path, broker_sockets: Sequence[Path] = ()
    ) -> LauncherProcess:
        """Start one.

        Args:
            run_directory, broker_sockets: what it removes, should the host not come to it.

        Raises:
            OSError: no process or descriptor is left.
        """
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            control, their_control = pair()
            undo.callback(control.close)
            theirs.callback(their_control.close)
            stderr, their_stderr = os.pipe()
            undo.callback(os.close, stderr)
            theirs.callback(os.close, their_stderr)
            command = python_command(
                "gpu_process.launcher",
                f"--control-fd={their_control.fileno()}",
                f"--host={os.getpid()}",
                f"--backends={','.join(backends)}",
                f"--options={options.to_json()}",
                f"--run-directory={run_directory}",
                *(f"--broker-socket={path}" for path in broker_sockets),
            )
            # OpenBLAS starts its threads when it is loaded, and threads do not survive a fork.
            environment = {**python_environment(), "OPENBLAS_NUM_THREADS": "1"}
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=their_stderr,
                stderr=their_stderr,
                pass_fds=[their_control.fileno(), *options.descriptors],
                start_new_session=True,
            )
            undo.pop_all()
        return cls(tuple(backends), process, control, stderr)
