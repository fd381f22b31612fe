"""Peer: a bare gRPC service that echoes bytes over a Unix socket, in a process of its own; no messages, no checks."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from scripts.bench.peers._serving import serve

_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_METHOD = "/peer.Echo/Echo"


if TYPE_CHECKING:
    _Handler = grpc.GenericRpcHandler[bytes, bytes]
else:
    _Handler = grpc.GenericRpcHandler  # generic in the stubs only


class _Echo(_Handler):
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        del details
        return grpc.stream_stream_rpc_method_handler(lambda messages, _: iter(messages))


def _server(address: str) -> None:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Echo()], options=_OPTIONS)
    server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    sys.stdin.read()  # until whoever started us has gone
    server.stop(None)


class _Client:
    """One stream that stays open, as a timeline does."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="webnn-sim.")
        address = f"unix:{Path(self._directory.name, 'echo')}"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "scripts.bench.peers.grpc_echo", address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        channel: Any = grpc.insecure_channel(
            address, options=_OPTIONS
        )  # the stubs want serializers that may be left out
        self._replies: Iterator[bytes] = channel.stream_stream(_METHOD)(self._messages())

    def echo(self, size: int, calls: int) -> dict[str, Any]:
        """Round trips of `size` bytes, in pieces of at most 4 MiB."""
        data = bytes(size)
        pieces = [data[start : start + (4 << 20)] for start in range(0, size, 4 << 20)] or [b""]
        us = []
        for _ in range(calls):
            start = time.perf_counter_ns()
            for piece in pieces:
                self._sent.put(piece)
            for _ in pieces:
                next(self._replies)
            us.append((time.perf_counter_ns() - start) / 1e3)
        return {"us": us}

    def _messages(self) -> Iterator[bytes]:
        while (message := self._sent.get()) is not None:
            yield message

    def close(self) -> None:
        self._sent.put(None)
        self._process.communicate()
        self._directory.cleanup()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _server(sys.argv[1])
    else:
        client = _Client()
        try:
            serve({"echo": client.echo})
        finally:
            client.close()
