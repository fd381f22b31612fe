"""The launcher, a zygote: imports a backend's runtime once, then forks GPU processes in milliseconds.

It is executed afresh, has one thread and no channel, and stays outside the sandbox. Its control socket is its lifeline:
when the host lets go of it, or dies of anything at all, the launcher ends its children and removes their files.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gpu_process import broker, manners
from gpu_process.confinement import sandbox_spec
from gpu_process.event_loop import EventLoop
from gpu_process.exit_status import EXIT_INTERNAL_ERROR
from gpu_process.run_directory import RunDirectory
from gpu_process.running_note import RunningNote
from gpu_process.sandbox import Level, MemoryGroup
from ipc import trace
from ipc.channel import ChannelClosed, MessageSocket
from ipc.generated.webnn.v1.launcher_pb2 import (
    Exited,
    Forked,
    ForkFailed,
    ImportFailed,
    LauncherReply,
    LauncherRequest,
)
from ipc.options import HostOptions

# Its children end by themselves when the host lets go of them; this is for those that cannot.
_GRACE = 0.5

_HOST_PATIENCE = 10.0


@dataclass(slots=True)
class _Child:
    """One GPU process, seen from its parent.

    Attributes:
        process: the host's number of it.
        exit: descriptor that is readable once it has ended.
        lifeline: writing end of its lifeline.
        memory_group: that counts its memory, None where none could be made.
    """

    process: int
    pid: int
    exit: int
    lifeline: int
    memory_group: MemoryGroup | None


class Launcher:
    """Forks GPU processes for the host, and tells it how they ended."""

    def __init__(
        self,
        control: MessageSocket[LauncherRequest, LauncherReply],
        backends: Sequence[str],
        run_directory: RunDirectory,
        options: HostOptions,
    ) -> None:
        self._control = control
        self._backends = tuple(backends)
        self._run_directory = run_directory
        self._options = options
        self._loop = EventLoop()
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Serve the host until it lets go, then end the children and remove the files."""
        self._loop.watch(self._control, self._obey)
        try:
            self._loop.run()
        finally:
            self._end_children()
            self._run_directory.release()
            for group in MemoryGroup.find(f"{self._run_directory.path.name}-"):  # of renderers, if the host is gone
                _remove_group(group)

    def _obey(self) -> None:
        try:
            received = self._control.receive_nowait()
        except ChannelClosed:
            self._loop.stop()
            return
        if received is None:
            return
        request, fds = received
        match request.WhichOneof("message"):
            case "fork_gpu_process":
                self._fork(request.fork_gpu_process.process, fds)
            case "kill_gpu_process":
                if child := self._children.get(request.kill_gpu_process.process):
                    os.kill(child.pid, signal.SIGKILL)  # not yet reaped, so that the number is still its own

    def _fork(self, process: int, fds: list[int]) -> None:
        control, stderr, note, supervisor = fds
        try:
            spec = sandbox_spec(self._options, self._backends, self._run_directory.path / str(process))
            self._run_directory.hold(spec.identity[0])
            self._run_directory.make(str(process), *spec.identity)
        except OSError as error:
            self._tell(LauncherReply(fork_failed=ForkFailed(process=process, reason=str(error))))
        else:
            group = self._memory_group(f"{self._run_directory.path.name}-{process}", spec.memory_limit)
            reader, writer = os.pipe()
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                _become_gpu_process(
                    parent,
                    group,
                    (control, stderr, note, supervisor, reader),
                    self._backends,
                    self._options,
                    spec.run_directory,
                )
            os.close(reader)
            self._options = dataclasses.replace(self._options, faults="")  # they were for the first
            child = _Child(process, pid, os.pidfd_open(pid), writer, group)
            self._children[process] = child
            self._loop.watch(child.exit, lambda: self._reap(child))
            directory = str(group.directory) if group else ""
            self._tell(LauncherReply(forked=Forked(process=process, memory_group=directory)))
        finally:
            for fd in fds:
                os.close(fd)

    def _memory_group(self, name: str, limit: int) -> MemoryGroup | None:
        if Level(self._options.sandbox) is Level.OFF:
            return None
        try:
            return MemoryGroup.create(name, limit)
        except OSError:  # usual for an ordinary user; the layer is optional, and reported as not held
            return None

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._loop.forget(child.exit)
        os.close(child.exit)
        os.close(child.lifeline)
        del self._children[child.process]
        self._run_directory.discard(str(child.process))
        kills = 0
        if child.memory_group:
            kills = child.memory_group.kills()
            _remove_group(child.memory_group)
        self._tell(LauncherReply(exited=Exited(process=child.process, wait_status=status, memory_kills=kills)))

    def _tell(self, reply: LauncherReply) -> None:
        with contextlib.suppress(ChannelClosed):  # then the loop learns it too, and ends
            self._control.send(reply, timeout=_HOST_PATIENCE)

    def _end_children(self) -> None:
        deadline = time.monotonic() + _GRACE
        while self._children and (remaining := deadline - time.monotonic()) > 0:
            self._loop.run_once(remaining)
        for child in self._children.values():
            os.kill(child.pid, signal.SIGKILL)
        while self._children:
            self._loop.run_once()


def _remove_group(group: MemoryGroup) -> None:
    # A process is a member until the kernel has taken it apart, which can be after its parent has reaped it.
    for _ in range(100):
        try:
            group.remove()
        except OSError:
            time.sleep(0.001)
        else:
            return


def _become_gpu_process(
    parent: int,
    group: MemoryGroup | None,
    fds: tuple[int, int, int, int, int],
    backends: Sequence[str],
    options: HostOptions,
    directory: Path,
) -> NoReturn:
    """In the fork: leave everything of the launcher behind, run, and end without its clean-up."""
    status = EXIT_INTERNAL_ERROR
    try:
        control, stderr, note, supervisor, lifeline = fds
        manners.die_with_parent(parent, signal.SIGKILL)
        manners.redirect_streams(stderr)
        manners.close_all_but(control, note, supervisor, lifeline, *options.descriptors)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        manners.log_to_stderr(options.log_level)
        if group:
            group.add(os.getpid())
        from gpu_process import main

        endowment = main.Endowment(
            socket.socket(fileno=control), RunningNote(note), socket.socket(fileno=supervisor), lifeline
        )
        status = main.run(endowment, backends, sandbox_spec(options, backends, directory), options)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _import(backends: Sequence[str], options: HostOptions) -> None:
    """Import all that a GPU process needs, and nothing that starts a thread: a fork would not have it.

    Raises:
        ImportError: it cannot be imported, or starts threads.
    """
    from gpu_process.backends import import_runtime, prepare_import

    prepare_import()
    steps: list[tuple[str, Callable[[str], object]]] = [(name, importlib.import_module) for name in options.preload]
    steps += [(name, import_runtime) for name in backends]
    for name, load in (*steps, ("gpu_process.main", importlib.import_module)):
        load(name)
        if (threads := len(os.listdir("/proc/self/task"))) != 1:
            raise ImportError(f"{name} starts threads when it is imported ({threads - 1} are running)")


def main() -> int:
    """`python -m gpu_process.launcher`, as the host starts it; 0 when the host let go, 1 when an import failed."""
    parser = argparse.ArgumentParser(prog="python -m gpu_process.launcher", description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--host", type=int, required=True, help="process id of the host")
    parser.add_argument("--backends", required=True, help="names, separated by commas")
    parser.add_argument("--options", type=HostOptions.from_json, required=True)
    parser.add_argument("--run-directory", type=Path, required=True)
    parser.add_argument("--broker-socket", type=Path, action="append", default=[], help="removed at the end, if dead")
    arguments = parser.parse_args()

    # While it imports it owns nothing, and may just die with the host; afterwards it has to clean up.
    manners.die_with_parent(arguments.host, signal.SIGTERM)
    manners.settle(own_session=True)
    manners.log_to_stderr(arguments.options.log_level)
    control = MessageSocket(socket.socket(fileno=arguments.control_fd), LauncherRequest, LauncherReply)
    trace.start(arguments.options.trace, trace.Role.LAUNCHER)
    backends = arguments.backends.split(",")
    gc.disable()  # what is imported stays; looking through it again and again finds nothing
    try:
        with trace.stage(trace.Stage.START):
            _import(backends, arguments.options)
    except ImportError as error:
        reason = f"{', '.join(backends)} cannot be imported: {error}"
        with contextlib.suppress(ChannelClosed):
            control.send(LauncherReply(import_failed=ImportFailed(reason=reason)), timeout=_HOST_PATIENCE)
        return 1
    finally:
        manners.outlive_parent()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # or the first collection of each child would copy what they share
    gc.enable()
    try:
        Launcher(control, backends, RunDirectory(arguments.run_directory), arguments.options).run()
    finally:
        for path in arguments.broker_socket:
            broker.remove_if_dead(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
