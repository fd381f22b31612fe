"""One use of the whole service by itself, before the sandbox closes."""

from __future__ import annotations

import os
import socket

from ipc.channel import CONTEXT_METADATA, PROTOCOL_VERSION, SESSION_METADATA, MessageSocket, open_grpc_channel
from ipc.codec import encode_descriptor
from ipc.descriptors import DataType, Descriptor
from ipc.errors import InvalidStateError
from ipc.generated.webnn.v1 import context_pb2, session_pb2
from ipc.shared_memory import map_pool
from ipc.timeline import ClientTensor, connect
from ipc.timeline.stub import ServiceStub

_SECONDS = 30.0


def use_once(sock: socket.socket, backend: str) -> None:
    """Open a session at the renderer's end `sock`, create a context, write and read a tensor, and leave.

    Raises:
        TimeoutError: the service does not answer.
        grpc.RpcError: it refuses.
    """
    content = b"\1\2\3\4"
    with MessageSocket(sock, session_pb2.SessionMessage, session_pb2.SessionMessage) as session:
        granted = session.receive(_SECONDS)[0].granted
        hello = session_pb2.Hello(protocol_version=PROTOCOL_VERSION, role="warm-up")
        session.send(session_pb2.SessionMessage(hello=hello), timeout=_SECONDS)
        with open_grpc_channel(granted.address) as channel:
            stub = ServiceStub(channel)
            secret = ((SESSION_METADATA, granted.secret),)
            request = context_pb2.CreateContextRequest(
                backend=backend,
                power_preference=context_pb2.POWER_PREFERENCE_DEFAULT,
                carrier=context_pb2.CARRIER_STREAM,
            )
            context = stub.CreateContext(request, metadata=secret, timeout=_SECONDS).context.token
            timeline = connect("stream", stub, (*secret, (CONTEXT_METADATA, context)), lambda _: None)
            try:
                descriptor = encode_descriptor(Descriptor(DataType.UINT8, (len(content),)))
                wanted = context_pb2.CreateTensorRequest(
                    context=context, descriptor=descriptor, readable=True, writable=True
                )
                tensor = stub.CreateTensor(wanted, metadata=secret, timeout=_SECONDS).tensor
                offered, (fd,) = session.receive(_SECONDS)
                region = map_pool(fd, offered.region_offered.size)
                os.close(fd)
                used = ClientTensor(tensor.token, len(content), region.view(tensor.slot.offset, len(content)))
                timeline.write(used, memoryview(content))
                if timeline.read(used).result(_SECONDS) != content:
                    raise RuntimeError("a tensor does not hold what was written")
            finally:
                timeline.fail(InvalidStateError("warmed up"))
