"""Renderers of a siege, each a process: `python -m tests.gpu_process.siege honest|attack SOCKET ...`."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np

from ipc.channel import ChannelClosed, ChannelError, MessageSocket, new_token
from ipc.errors import MLError
from ipc.generated.webnn.v1 import context_pb2, session_pb2
from ipc.generated.webnn.v1.session_pb2 import HostRequest, OpenSession, SessionMessage
from renderer import ML, MLGraphBuilder
from tests.gpu_process.hosts import Client

PATIENCE = 60.0  # of an honest renderer, in which it must get a context


def honest(path: Path, wanted: int) -> None:
    """Dispatch until `wanted` results were right; what is lost is made anew. A wrong result, or no context, ends it."""
    done = recreated = 0
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    with ML(socket=path) as ml:
        deadline = time.monotonic() + PATIENCE
        while done < wanted:
            try:
                with ml.create_context() as context:
                    builder = MLGraphBuilder(context)
                    graph = builder.build(
                        {"y": builder.matmul(builder.input("x", "float32", (4, 4)), _constant(builder))}
                    )
                    while done < wanted:
                        y = context.compute(graph, {"x": x + done})["y"]
                        assert np.array_equal(y, (x + done) @ np.full((4, 4), 2, np.float32)), "a wrong result"
                        done += 1
                        deadline = time.monotonic() + PATIENCE
            except MLError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"no progress after {done} dispatches: {error}") from error
                recreated += 1
    print(json.dumps({"done": done, "recreated": recreated}))


def _constant(builder: MLGraphBuilder):  # type: ignore[no-untyped-def]
    return builder.constant(np.full((4, 4), 2, np.float32))


# --- Attacks ----------------------------------------------------------------------------------------------------------


def attack(path: Path, seed: int, kinds: list[str]) -> None:
    """Attack until locked out, or there is nothing left to try; one process each time, for it is banned in the end."""
    chance = random.Random(seed)
    chance.shuffle(kinds)
    for kind in kinds:
        with contextlib.suppress(
            MLError, ChannelClosed, ChannelError, grpc.RpcError, TimeoutError, AssertionError, OSError
        ):
            ATTACKS.get(kind, _crash_by(kind))(path, chance)


def _crash_by(label: str) -> Callable[[Path, random.Random], None]:
    def crash(path: Path, chance: random.Random) -> None:
        del chance
        with ML(socket=path) as ml, ml.create_context() as context:
            builder = MLGraphBuilder(context)
            graph = builder.build({"y": builder.neg(builder.input("x", "float32", (1,)), label=label)})
            context.compute(graph, {"x": np.ones(1, np.float32)})

    return crash


def _bad_messages(path: Path, chance: random.Random) -> None:
    for _ in range(5):
        client = Client.connect(path)
        session = client.open()
        sock = session._channel
        match chance.randrange(3):
            case 0:
                sock._sock.send(chance.randbytes(100))
            case 1:
                for _ in range(3):
                    sock.send(SessionMessage(hello=session_pb2.Hello(protocol_version=1)))
            case _:
                sock.send(SessionMessage(closed=session_pb2.SessionClosed(reason="none")))
        with contextlib.suppress(ChannelClosed):
            while True:
                sock.receive(20)
        client.close()


def _calls_with_foreign_tokens(path: Path, chance: random.Random) -> None:
    del chance
    from tests.service_rig import RawRenderer

    client = Client.connect(path)
    client.channel.send(HostRequest(open_session=OpenSession()))
    reply, fds = client.channel.receive(20)
    raw = RawRenderer(reply.session_opened.session, socket.socket(fileno=fds[0]), "reference")
    request = context_pb2.DestroyContextRequest(context=new_token())
    raw.stub.DestroyContext(request, metadata=raw.metadata, timeout=20)


def _flood(path: Path, chance: random.Random) -> None:
    del chance
    client = Client.connect(path)
    for _ in range(10_000):
        client.channel.send(HostRequest(open_session=OpenSession(backend="x" * 1000)), timeout=5)


def _hoard(path: Path, chance: random.Random) -> None:
    """All the memory that the quotas let it have, and then more."""
    del chance
    with ML(socket=path) as ml, ml.create_context() as context:
        for _ in range(100):
            context.create_tensor("float32", (4 << 20,), readable=True, writable=True)


ATTACKS: dict[str, Callable[[Path, random.Random], None]] = {
    "bad-messages": _bad_messages,
    "foreign-tokens": _calls_with_foreign_tokens,
    "flood": _flood,
    "hoard": _hoard,
}

CRASHES = ("segv", "abort", "forbidden", "hang")

if __name__ == "__main__":
    assert MessageSocket
    _, what, where, *rest = sys.argv
    if what == "honest":
        honest(Path(where), int(rest[0]))
    else:
        attack(Path(where), int(rest[0]), rest[1].split(","))
