"""The GPU process itself, from its fork to its end: confined before it reads a byte from a renderer."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gpu_process import faults, recording
from gpu_process.backends import BackendError, BackendOptions, load_backend
from gpu_process.exit_status import EXIT_START_FAILED
from gpu_process.quotas import Quotas
from gpu_process.running_note import RunningNote
from gpu_process.sandbox import (
    Level,
    Report,
    SandboxError,
    SandboxSpec,
    attack,
    enter_namespaces,
    lock_in,
    restrict_filesystem,
)
from gpu_process.service import GpuService
from ipc import trace
from ipc.channel import ChannelClosed, LostDescriptorsError, MessageSocket
from ipc.faults import Plan
from ipc.generated.webnn.v1.session_pb2 import (
    Attempted,
    GpuReply,
    GpuRequest,
    Ready,
    SessionReport,
    StartFailed,
    StatusReply,
)
from ipc.options import HostOptions

# A call that another Python thread holds up waits 5 ms by default; measured 0.14 ms with this (docs/performance.md).
_SWITCH_INTERVAL = 50e-6

# The host reads its sockets at once. If it does not, it is as good as dead, and so is this process.
_HOST_PATIENCE = 10.0

_LONGEST_REASON = 8 << 10

_M_ARENA_MAX = -8  # malloc.h

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endowment:
    """What a GPU process gets from its launcher; all of it belongs to the process.

    Attributes:
        control: its socket to the host.
        note: where it notes whose command is running.
        supervisor: over which the listener of its system-call filter goes to the host.
        lifeline: reading end of a pipe that closes when the launcher ends.
    """

    control: socket.socket
    note: RunningNote
    supervisor: socket.socket
    lifeline: int


def run(endowment: Endowment, backends: Sequence[str], spec: SandboxSpec, options: HostOptions) -> int:
    """Run a GPU process in this one, a fresh fork with one thread, until the host lets go of it; its exit status."""
    control = MessageSocket(endowment.control, GpuRequest, GpuReply)
    trace.start(options.trace, trace.Role.GPU_PROCESS)
    try:
        with trace.stage(trace.Stage.START):
            service, report = _start(control, endowment, backends, spec, options)
    except (SandboxError, BackendError, ImportError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        control.send(GpuReply(start_failed=StartFailed(reason=reason)), timeout=_HOST_PATIENCE)
        return EXIT_START_FAILED
    status = json.dumps({"sandbox": report.to_json()})
    control.send(GpuReply(ready=Ready(backends=backends, status_json=status)), timeout=_HOST_PATIENCE)
    _serve(control, service)
    return 0


def _start(
    control: MessageSocket[GpuRequest, GpuReply],
    endowment: Endowment,
    names: Sequence[str],
    spec: SandboxSpec,
    options: HostOptions,
) -> tuple[GpuService, Report]:
    process = os.getpid()  # before its namespace gives it another number
    enter_namespaces(spec, lifeline=endowment.lifeline)
    if spec.level is not Level.STRICT:  # there it is for the processes that guard this one
        os.close(endowment.lifeline)
    restrict_filesystem(spec)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # Graphs are compiled by whichever thread took the call, and each would keep what it freed to itself.
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    backend_options = BackendOptions(
        threads=options.threads, guards=options.guards == "on", in_place=options.tensor_memory == "auto"
    )
    backends = {name: load_backend(name, backend_options) for name in names}
    for backend in backends.values():
        backend.warm_up()
    plan = Plan.parse(options.faults)
    if plan.faults:
        backends = faults.disturb_backends(plan, backends)
    endowment.note.map()

    def report_bad_message(session: int, reason: str, field: str) -> None:
        report = SessionReport(session=session, bad_message=reason, field=field[:_LONGEST_REASON])
        control.send(GpuReply(session_report=report), timeout=_HOST_PATIENCE)

    service = GpuService(
        backends,
        run_directory=spec.run_directory,
        quotas=Quotas.of(options.quotas),
        report=report_bad_message,
        in_place=backend_options.in_place,
        running=endowment.note.write,
        spin_us=options.spin_us,
    )
    service.start()
    service.warm_up()
    if plan.faults:
        faults.disturb_process(plan)
    recording.start(options, process, backends)
    report = lock_in(spec, supervisor=endowment.supervisor)
    endowment.supervisor.close()  # whoever held it could answer for the host
    return service, report


def _serve(control: MessageSocket[GpuRequest, GpuReply], service: GpuService) -> None:
    """Obey the host until it closes its end, or is gone."""
    while True:
        try:
            request, fds = control.receive()
            match request.WhichOneof("message"):
                case "adopt_session":
                    service.adopt_session(request.adopt_session.session, socket.socket(fileno=fds[0]))
                case "end_session":
                    service.end_session(request.end_session.session)
                case "status":
                    reply = StatusReply(json=json.dumps(service.status()))
                    control.send(GpuReply(status=reply), timeout=_HOST_PATIENCE)
                case "attempt":
                    outcome = attack.run_attempt(request.attempt.name).to_json()
                    control.send(GpuReply(attempted=Attempted(json=json.dumps(outcome))), timeout=_HOST_PATIENCE)
        except LostDescriptorsError as lost:
            # Renderers have used up what there is: the new one sees its socket close, and the host hears why.
            logger.warning("%s", lost)
            refused = GpuRequest.FromString(lost.packet).adopt_session.session
            control.send(GpuReply(session_report=SessionReport(session=refused)), timeout=_HOST_PATIENCE)
        except ChannelClosed:
            # Nothing here is worth a goodbye: renderers see their sockets close, and the launcher removes the files.
            trace.stop()
            os._exit(0)
