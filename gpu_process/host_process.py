"""The host's program: `python -m gpu_process.host_process`, as its owner starts it; it ends with its control socket."""

from __future__ import annotations

import argparse
import os
import socket
import sys

from gpu_process.launcher_process import LauncherProcess
from gpu_process.quotas import Quotas
from gpu_process.run_directory import RunDirectory
from ipc import trace
from ipc.options import BACKEND_NAMES, HostOptions


def main() -> int:
    """Serve the owner; 0 when it has let go, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m gpu_process.host_process", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True, help="a Unix SOCK_SEQPACKET socket to the owner")
    parser.add_argument("--options", default="{}", help="JSON, as ipc.options.HostOptions writes it")
    parser.add_argument("--prepare", choices=BACKEND_NAMES, help="the backend whose GPU process is started at once")
    arguments = parser.parse_args()
    try:
        options = HostOptions.from_json(arguments.options)
        control = socket.socket(fileno=arguments.control_fd)
        control.set_inheritable(False)
        Quotas.of(options.quotas)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    run_directory = RunDirectory.choose()
    launcher = None
    if arguments.prepare:
        launcher = LauncherProcess.start(options.group_of(arguments.prepare), options, run_directory.path)

    # Not before: nobody waits longer than for the launcher, which imports a backend meanwhile.
    from gpu_process import manners
    from gpu_process.host import Host

    manners.settle(own_session=True)
    manners.log_to_stderr(options.log_level)
    trace.start(options.trace, trace.Role.HOST)
    host = Host(options, run_directory=run_directory, launcher=launcher)
    host.attach(control, os.getppid(), is_owner=True)
    if arguments.prepare:
        host.prepare(arguments.prepare, lambda _: None)
    host.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
