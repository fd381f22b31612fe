"""A host that a command owns: it starts confined renderers, attacks its own sandboxes, and ends with the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from gpu_process.sandbox import Level
from ipc.channel import PROTOCOL_VERSION, ChannelClosed, ChannelError, MessageSocket, pair
from ipc.generated.webnn.v1.session_pb2 import (
    AttackSandbox,
    Hello,
    HostReply,
    HostRequest,
    LaunchRenderer,
    SignalRenderer,
    StatusRequest,
)
from ipc.options import HostOptions
from ipc.processes import python_command, python_environment
from scripts.simulator import SimulatorError


@dataclass(frozen=True, slots=True)
class Finished:
    """A renderer that has ended.

    Attributes:
        pid: that it had, in this process's numbering.
        sandbox: its layers, as it read them back from the kernel; as `gpu_process.sandbox.Report` writes them.
        exit_code: of its program; negative: the signal that killed it.
        reason: why it was killed, as far as the host knows; empty otherwise.
        output: what it wrote, if that was captured.
    """

    pid: int
    sandbox: dict[str, Any]
    exit_code: int
    reason: str
    output: str


class OwnedHost:
    """The owner's end of a host's control socket."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        """Takes over the socket."""
        self.pid = pid
        self._channel = MessageSocket(sock, HostReply, HostRequest)
        hello = Hello(protocol_version=PROTOCOL_VERSION, role="owner")
        self._channel.send(HostRequest(hello=hello))
        self._receive("hello")

    def run_renderer(
        self,
        arguments: Sequence[str],
        *,
        level: Level,
        read_paths: Sequence[Path] = (),
        attempts: Sequence[str] = (),
        capture: bool = False,
    ) -> Finished:
        """Run `python -m renderer` with these arguments in a sandbox of its own, to its end.

        Its standard streams are this process's. While it runs, Ctrl-C is for it; the third one kills it.

        Args:
            read_paths: what it may read besides its packages.
            attempts: attacks on its own sandbox that it makes instead.
            capture: its standard output comes back instead.

        Raises:
            SimulatorError: it could not be started as demanded, or the host is gone.
        """
        request = LaunchRenderer(
            sandbox=level.value,
            arguments=arguments,
            read_paths=[str(path.resolve()) for path in read_paths],
            directory=os.getcwd(),
            attempts=attempts,
        )
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(_Capture()) if capture else None
            with contextlib.ExitStack() as streams:
                stdin = streams.enter_context(open(os.devnull, "rb")) if capture else None
                descriptors = (
                    stdin.fileno() if stdin else 0,
                    output.take_writer(streams) if output else 1,
                    2,
                )
                self._send(HostRequest(launch_renderer=request), descriptors)
            launched = self._receive("renderer_launched").renderer_launched
            with self._forwarding_interrupts(launched.renderer):
                ended = self._receive("renderer_ended").renderer_ended
            return Finished(
                launched.pid,
                json.loads(launched.status_json),
                os.waitstatus_to_exitcode(ended.wait_status),
                ended.reason,
                output.text() if output else "",
            )

    def attack_gpu_process(self, backend: str, attempts: Sequence[str]) -> dict[str, Any]:
        """Have a new GPU process make these attempts on its own sandbox, until it dies of one.

        Raises:
            SimulatorError: it does not start, or the host is gone.
        """
        self._send(HostRequest(attack_sandbox=AttackSandbox(backend=backend, attempts=attempts)))
        result: dict[str, Any] = json.loads(self._receive("attacked").attacked.json)
        if result["failure"]:
            raise SimulatorError(result["failure"])
        return result

    def status(self) -> dict[str, Any]:
        """What the host tells about itself and its children.

        Raises:
            SimulatorError: the host is gone.
        """
        self._send(HostRequest(status=StatusRequest()))
        status: dict[str, Any] = json.loads(self._receive("status").status.json)
        return status

    def close(self) -> None:
        """The host ends, and everything with it; idempotent."""
        self._channel.close()

    def _send(self, request: HostRequest, fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(ChannelClosed):  # told by the answer that does not come
            self._channel.send(request, fds)

    def _receive(self, wanted: str) -> HostReply:
        try:
            reply, _ = self._channel.receive(None)
        except (ChannelClosed, ChannelError) as error:
            raise SimulatorError(f"the host is gone: {error}") from error
        match kind := reply.WhichOneof("message"):
            case "launch_refused":
                raise SimulatorError(reply.launch_refused.reason)
            case "session_refused":
                raise SimulatorError(reply.session_refused.reason)
            case _ if kind != wanted:
                raise SimulatorError(f"the host answered {kind} where {wanted} was asked for")
        return reply

    @contextmanager
    def _forwarding_interrupts(self, renderer: int) -> Iterator[None]:
        """The renderer is in no terminal's foreground: what reaches this process is passed on."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        interrupts = 0

        def forward(number: int, frame: FrameType | None) -> None:
            del frame
            nonlocal interrupts
            interrupts += 1
            which = number if interrupts < 3 else signal.SIGKILL
            self._send(HostRequest(signal_renderer=SignalRenderer(renderer=renderer, signal=which)))

        previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class _Capture:
    """What comes through a pipe, read in a thread so that its writer never waits."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    def take_writer(self, stack: contextlib.ExitStack) -> int:
        """The end to write to, which is closed here at the end of `stack`."""
        stack.callback(os.close, self._writer)
        return self._writer

    def text(self) -> str:
        """All of it, once every copy of the writing end is closed."""
        self._thread.join()
        return b"".join(self._chunks).decode(errors="replace")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        os.close(self._reader)

    def _read(self) -> None:
        while chunk := os.read(self._reader, 1 << 16):
            self._chunks.append(chunk)


@contextmanager
def owned_host(options: HostOptions) -> Iterator[OwnedHost]:
    """A host that ends, with all that it has started, at the end of the block; nothing is left behind then.

    Raises:
        SimulatorError: it cannot be started.
    """
    ours, theirs = pair()
    with theirs:
        command = python_command(
            "gpu_process.host_process", f"--control-fd={theirs.fileno()}", f"--options={options.to_json()}"
        )
        process = subprocess.Popen(
            command,
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *options.descriptors],
            start_new_session=True,  # Ctrl-C is for this process, which passes it on
        )
    with process:
        try:
            host = OwnedHost(ours, process.pid)
            try:
                yield host
            finally:
                host.close()
        finally:
            ours.close()
