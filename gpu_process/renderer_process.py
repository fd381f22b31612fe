"""A renderer that the host starts: confines itself, and only then runs what it was started for.

It is one process from the start of its interpreter to the end of the script: what is confined executes nothing. At
level `strict` that process is the grandchild of the one that the host sees, which ends as it does.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import runpy
import signal
import socket
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from gpu_process import manners
from gpu_process.confinement import renderer_spec
from gpu_process.exit_status import EXIT_START_FAILED
from gpu_process.sandbox import (
    Level,
    MemoryGroup,
    Report,
    SandboxError,
    SandboxSpec,
    attack,
    enter_namespaces,
    lock_in,
    restrict_filesystem,
)
from ipc.channel import MessageSocket
from ipc.generated.webnn.v1.session_pb2 import HostRequest, Ready, RendererStart, StartFailed
from ipc.options import HostOptions

_HOST_PATIENCE = 10.0
_LONGEST_REASON = 8 << 10

# By name, for this room does not import that one.
_PROGRAM = "renderer"


def main() -> int:
    """`python -m gpu_process.renderer_process`, as the host starts it; the exit status is the program's."""
    parser = argparse.ArgumentParser(prog="python -m gpu_process.renderer_process", description=__doc__)
    parser.add_argument("--host", type=int, required=True, help="process id of the host")
    parser.add_argument("--control-fd", type=int, required=True, help="over which it says that it is confined")
    parser.add_argument("--supervisor-fd", type=int, required=True, help="over which its filter's listener goes")
    parser.add_argument("--lifeline-fd", type=int, required=True, help="closes when the host ends")
    parser.add_argument("--options", type=HostOptions.from_json, required=True)
    parser.add_argument("--level", type=Level, required=True)
    parser.add_argument("--run-directory", type=Path, required=True)
    parser.add_argument("--memory-group", type=Path)
    parser.add_argument("--read", type=Path, action="append", default=[], help="path that the program may read")
    parser.add_argument("--directory", type=Path, required=True, help="to work in, if it is there inside")
    parser.add_argument("--attempt", action="append", default=[], help="attack on the sandbox, instead of a program")
    parser.add_argument("arguments", nargs="*", help="of the program")
    options = parser.parse_args()

    manners.die_with_parent(options.host, signal.SIGKILL)
    control = MessageSocket(socket.socket(fileno=options.control_fd), HostRequest, RendererStart)
    supervisor = socket.socket(fileno=options.supervisor_fd)
    for fd in (options.control_fd, options.supervisor_fd, options.lifeline_fd):
        os.set_inheritable(fd, False)
    spec = renderer_spec(options.options, options.level, options.run_directory, options.read)
    # Found now: inside, the folder that holds the packages of a checkout can't be listed. Not imported yet: that starts
    # threads, and a process with threads can't enter namespaces.
    program = importlib.util.find_spec(_PROGRAM)
    assert program is not None
    try:
        if options.memory_group:
            MemoryGroup(options.memory_group).add(os.getpid())
        report = _confine(spec, supervisor, options.lifeline_fd)
    except (SandboxError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        control.send(RendererStart(start_failed=StartFailed(reason=reason)), timeout=_HOST_PATIENCE)
        return EXIT_START_FAILED
    with contextlib.suppress(OSError):  # not all of the user's directories are there
        os.chdir(options.directory)
    ready = Ready(status_json=json.dumps({"sandbox": report.to_json()}))
    control.send(RendererStart(ready=ready), timeout=_HOST_PATIENCE)
    control.close()
    if options.attempt:
        return _attack(options.attempt)
    return _run(program, options.arguments)


def _confine(spec: SandboxSpec, supervisor: socket.socket, lifeline: int) -> Report:
    enter_namespaces(spec, lifeline=lifeline)
    if spec.level is not Level.STRICT:  # there it is for the processes that guard this one
        os.close(lifeline)
    restrict_filesystem(spec)
    report = lock_in(spec, supervisor=supervisor)
    supervisor.close()  # whoever held it could answer for the host
    return report


def _run(program: ModuleSpec, arguments: list[str]) -> int:
    assert program.loader is not None
    sys.argv = [_PROGRAM, *arguments]
    sys.modules[_PROGRAM] = importlib.util.module_from_spec(program)
    program.loader.exec_module(sys.modules[_PROGRAM])
    runpy.run_module(_PROGRAM, run_name="__main__", alter_sys=True)
    return 0


def _attack(names: list[str]) -> int:
    """Make the attempts one by one; each outcome is a line of JSON on standard output."""
    for name in names:
        print(json.dumps(attack.run_attempt(name).to_json()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
