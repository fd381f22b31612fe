"""Stands in for the service and for the reference backend in a GPU process, and does on request what must never happen.

`--preload tests.gpu_process.tiny_service` puts it in place. Everything around it is the product's own: host, launcher,
fork, sandbox, control socket. A session speaks its own protocol, and obeys one word in the role of a `Hello`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import sys
import threading
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpu_process.running_note import Running
from ipc.channel import PROTOCOL_VERSION, ChannelClosed, MessageSocket, new_secret
from ipc.generated.webnn.v1.session_pb2 import SessionGranted, SessionMessage


class TinyBackend:
    """Computes nothing. A module that is preloaded after this one may set `fault`."""

    name = "tiny"
    version = "0"
    fault = ""

    def warm_up(self) -> None:
        match self.fault:
            case "raise":
                raise ValueError("this backend does not work here")
            case "mistake":
                raise KeyError("an internal mistake")
            case "abort":
                os.write(2, b"native library: cannot go on\n")
                os.abort()
            case "hang":
                print("waiting for a device", file=sys.stderr, flush=True)
                threading.Event().wait()


class TinyService:
    """The face of `gpu_process.service.GpuService`, and behind it one thread per session that waits for a word."""

    def __init__(
        self,
        backends: Mapping[str, Any],
        *,
        run_directory: Path,
        quotas: object,
        report: Callable[[int, str, str], None],
        in_place: bool,
        running: Running,
        **others: object,
    ) -> None:
        self._backends = backends
        self._directory = run_directory
        self._report = report
        self._running = running
        self._hangs = False
        self._last_wishes: dict[int, threading.Event] = {}
        self.address = f"unix:{run_directory / 'tiny'}"

    def start(self) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._directory / "tiny"))  # a file to be left behind

    def warm_up(self) -> None:
        print("warming up", flush=True)  # must not reach the user's standard output

    def adopt_session(self, session: int, sock: socket.socket) -> None:
        threading.Thread(target=self._obey, args=(session, sock), daemon=True).start()

    def end_session(self, session: int) -> None:
        pass

    def status(self) -> dict[str, object]:
        if self._hangs:
            threading.Event().wait()
        return {"backends": list(self._backends), "pid_inside": os.getpid()}

    def _obey(self, session: int, sock: socket.socket) -> None:
        channel = MessageSocket(sock, SessionMessage, SessionMessage)
        granted = SessionGranted(protocol_version=PROTOCOL_VERSION, secret=new_secret(), address=self.address)
        channel.send(SessionMessage(granted=granted))
        try:
            while True:
                word = channel.receive()[0].hello.role
                if word == "run":
                    self._running(session)
                self._do(session, word)
                channel.send(SessionMessage(granted=granted))
        except ChannelClosed:
            self._running(0)
            self._report(session, "", "")
            if session in self._last_wishes:
                self._last_wishes[session].set()

    def _do(self, session: int, word: str) -> None:
        match word:
            case "segv":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "native":
                _crash_in_native_thread()
            case "forbidden":
                ctypes.CDLL(None).ptrace(0, 0, 0, 0)
            case "unknown":
                ctypes.CDLL(None).setpgid(0, 0)
            case "memory":
                hoard()
            case "work":
                self._running(session)
                threading.Event().wait()
            case "segv when it is gone":
                self._last_wishes[session] = threading.Event()
                threading.Thread(target=self._crash_after, args=(session,)).start()
            case "exit":
                os._exit(3)
            case "hang":
                self._hangs = True
            case "bad message":
                self._report(session, "UNKNOWN_TOKEN", "dispatch.graph")
            case "swear":
                os.write(2, b"\x1b]0;owned\x07 \xff\n" * 2000)
            case "run" | "":
                pass
            case _:
                raise AssertionError(word)

    def _crash_after(self, session: int) -> None:
        """At work for a session that ends meanwhile."""
        self._running(session)
        self._last_wishes[session].wait()
        ctypes.string_at(0)


def _crash_in_native_thread() -> None:
    """As in a library's own pool of threads: Python knows nothing of the one that crashes."""
    libc = ctypes.CDLL(None)
    libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.strlen, None)  # of nowhere
    threading.Event().wait()


def hoard() -> None:
    """Fills shared memory, which no limit of the process itself counts, until someone objects."""
    while True:
        region = os.memfd_create("hoard")
        os.ftruncate(region, 64 << 20)
        memory = mmap.mmap(region, 64 << 20)
        for offset in range(0, len(memory), mmap.PAGESIZE):
            memory[offset] = 1


def _install() -> None:
    service = types.ModuleType("gpu_process.service")
    service.GpuService = TinyService  # type: ignore[attr-defined]
    sys.modules["gpu_process.service"] = service
    backend = types.ModuleType("gpu_process.backends.reference")
    backend.create = lambda options: TinyBackend()  # type: ignore[attr-defined]
    sys.modules["gpu_process.backends.reference"] = backend


if "gpu_process.launcher" in sys.modules or any(argument.startswith("--run-directory") for argument in sys.argv):
    _install()
