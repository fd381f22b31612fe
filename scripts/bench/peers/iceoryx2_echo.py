"""Peer: iceoryx2, publish and subscribe both ways between two processes, both polling with `sched_yield`.

The best IPC library there is to compare with. It trusts its peers, so that it is a yardstick and no alternative.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from typing import Any

import iceoryx2 as iox2

from scripts.bench.peers._serving import serve


class _Message(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint64), ("padding", ctypes.c_uint8 * 56)]


class _Ends:
    """A publisher and a subscriber; the echo has them the other way round."""

    def __init__(self, name: str, *, is_echo: bool) -> None:
        self._node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        there, back = (
            self._node.service_builder(iox2.ServiceName.new(f"{name}/{direction}"))
            .publish_subscribe(_Message)
            .open_or_create()
            for direction in ("there", "back")
        )
        sends, receives = (back, there) if is_echo else (there, back)
        self._publisher = sends.publisher_builder().create()
        self._subscriber = receives.subscriber_builder().create()

    def send(self, number: int) -> None:
        sample = self._publisher.loan_uninit()
        sample.write_payload(_Message(number=number)).send()

    def receive(self) -> int:
        while (sample := self._subscriber.receive()) is None:
            os.sched_yield()
        return int(sample.payload().contents.number)


def _echo(name: str) -> None:
    ends = _Ends(name, is_echo=True)
    print("ready", flush=True)
    for _ in sys.stdin:  # a line wakes it, and the number 0 sends it back to sleep: others are measured meanwhile
        while number := ends.receive():
            ends.send(number)


class _Client:
    def __init__(self) -> None:
        name = f"webnn-sim/{os.getpid()}"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "scripts.bench.peers.iceoryx2_echo", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._ends = _Ends(name, is_echo=False)
        self._number = 0

    def echo(self, calls: int) -> dict[str, Any]:
        """Round trips of 64 bytes."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        try:
            self._there_and_back()  # it is awake now
            return {"us": [self._there_and_back() for _ in range(calls)], "version": "0.10"}
        finally:
            self._ends.send(0)

    def _there_and_back(self) -> float:
        self._number += 1
        start = time.perf_counter_ns()
        self._ends.send(self._number)
        came = self._ends.receive()
        us = (time.perf_counter_ns() - start) / 1e3
        if came != self._number:
            raise RuntimeError(f"message {came} came back instead of {self._number}")
        return us

    def close(self) -> None:
        self._process.communicate(timeout=5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _echo(sys.argv[1])
    else:
        client = _Client()
        try:
            serve({"echo": client.echo})
        finally:
            client.close()
