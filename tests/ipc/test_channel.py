"""The message socket takes a packet whole and as declared, or not at all, and never waits longer than told."""

from __future__ import annotations

import array
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ipc import channel
from ipc.channel import MAX_PACKET_BYTES, ChannelClosed, ChannelError, MessageSocket
from ipc.generated.webnn.v1.session_pb2 import (
    GpuReply,
    GpuRequest,
    Hello,
    Ready,
    RegionOffered,
    SessionGranted,
    SessionMessage,
    StatusReply,
    StatusRequest,
)

HELLO = SessionMessage(hello=Hello(protocol_version=1, role="test"))
REGION = SessionMessage(region_offered=RegionOffered(token=b"t" * 16, size=1))

Ours = MessageSocket[SessionMessage, SessionMessage]


@pytest.fixture
def ends() -> Iterator[tuple[Ours, socket.socket]]:
    """A message socket, and the raw end of its peer."""
    ours, theirs = channel.pair()
    with MessageSocket(ours, SessionMessage, SessionMessage) as messages, theirs:
        yield messages, theirs


@pytest.fixture(autouse=True)
def no_descriptor_leaks() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= before


def send_raw(sock: socket.socket, data: bytes, fds: int = 0) -> None:
    descriptors = [os.open(os.devnull, os.O_RDONLY) for _ in range(fds)]
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if fds else [])
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_message_arrives_with_its_descriptor(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    peer = MessageSocket(theirs, SessionMessage, SessionMessage)
    reader, writer = os.pipe()
    ours.send(REGION, [writer])
    os.close(writer)
    message, (received,) = peer.receive(1)
    assert message == REGION
    assert not os.get_inheritable(received)
    os.write(received, b"!")
    assert os.read(reader, 1) == b"!"
    os.close(received)
    os.close(reader)


@pytest.mark.parametrize(
    ("data", "fds", "complaint"),
    [
        (b"\xff\xff\xff", 0, "not a SessionMessage"),
        (HELLO.SerializeToString() + b"\xf8\x07\x01", 0, "unknown fields"),
        (SessionMessage(hello=Hello(role="x")).SerializeToString()[:1] + b"\x03\x98\x06\x01", 0, "unknown fields"),
        (b"x" * (MAX_PACKET_BYTES + 1), 0, "more than"),
        (b"x" * (MAX_PACKET_BYTES + 1), 1, "more than"),
        (HELLO.SerializeToString(), 1, "hello came with 1 descriptors, not 0"),
        (REGION.SerializeToString(), 0, "region_offered came with 0 descriptors, not 1"),
        (REGION.SerializeToString(), 2, "region_offered came with 2 descriptors, not 1"),
        (REGION.SerializeToString(), 100, "descriptors were lost"),
        (b"\xff\xff\xff", 1, "not a SessionMessage"),
        (b"", 1, "descriptors"),
    ],
)
def test_a_malformed_packet_is_refused_and_its_descriptors_closed(
    ends: tuple[Ours, socket.socket], data: bytes, fds: int, complaint: str
) -> None:
    ours, theirs = ends
    if not data:
        send_raw(theirs, data, fds)
        with pytest.raises(ChannelClosed):
            ours.receive(1)
        return
    send_raw(theirs, data, fds)
    with pytest.raises(ChannelError, match=complaint):
        ours.receive(1)


def test_a_descriptor_for_which_there_is_no_room_is_an_error_not_a_silent_loss(
    ends: tuple[Ours, socket.socket],
) -> None:
    ours, theirs = ends
    send_raw(theirs, REGION.SerializeToString(), 1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    plugs = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]  # so that none below the limit is free
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(plugs) + 1, limits[1]))
    try:
        with pytest.raises(ChannelError, match="none is free here"):
            ours.receive(1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for plug in plugs:
            os.close(plug)


def test_the_end_of_the_peer_is_told_from_an_error(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(ChannelClosed):
        ours.receive(1)
    with pytest.raises(ChannelClosed):
        ours.send(HELLO)


def test_a_peer_that_closed_with_unread_packets_is_still_heard_out(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    ours.send(HELLO)
    theirs.send(HELLO.SerializeToString())
    theirs.close()
    assert ours.receive(1)[0] == HELLO
    with pytest.raises(ChannelClosed):
        ours.receive(1)


def test_nothing_to_receive_is_none_or_a_timeout(ends: tuple[Ours, socket.socket]) -> None:
    ours, _ = ends
    assert ours.receive_nowait() is None
    with pytest.raises(TimeoutError):
        ours.receive(0)
    with pytest.raises(TimeoutError):
        ours.receive(0.01)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ours.receive(0.2)
    assert time.monotonic() - began > 0.19


def fill(ours: Ours) -> None:
    """Send until the peer's buffer is full."""
    while True:
        ours.send(HELLO, timeout=0)


def test_a_peer_that_does_not_read_blocks_no_longer_than_the_deadline(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    # Blocking mode belongs to the open file: a peer that has a copy of our end can set it.
    with socket.socket(fileno=os.dup(ours.fileno())) as copy:
        copy.setblocking(False)
        copy.setblocking(True)
    with pytest.raises(TimeoutError):
        fill(ours)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        ours.send(HELLO, timeout=0.05)
    assert time.monotonic() - start < 5
    assert theirs.recv(1)


def test_a_send_that_waits_goes_on_when_the_peer_reads(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    with pytest.raises(TimeoutError):
        fill(ours)
    reading = threading.Thread(target=lambda: list(iter(lambda: theirs.recv(100), b"")))
    reading.start()
    ours.send(HELLO, timeout=10)
    ours.close()
    reading.join()


def test_what_cannot_be_a_packet_is_a_mistake_of_the_sender(ends: tuple[Ours, socket.socket]) -> None:
    ours, _ = ends
    with pytest.raises(ValueError, match="bytes"):
        ours.send(SessionMessage())
    with pytest.raises(ValueError, match="bytes"):
        ours.send(SessionMessage(granted=SessionGranted(secret=b"x" * MAX_PACKET_BYTES)))
    with pytest.raises(ValueError, match="1 descriptors, not 0"):
        ours.send(REGION)
    with pytest.raises(TypeError):
        ours.send(StatusRequest())  # type: ignore[arg-type]


def test_the_largest_packet_travels(ends: tuple[Ours, socket.socket]) -> None:
    ours, theirs = ends
    room = MAX_PACKET_BYTES - SessionMessage(granted=SessionGranted(secret=bytes(1 << 15))).ByteSize()
    largest = SessionMessage(granted=SessionGranted(secret=bytes((1 << 15) + room)))
    assert largest.ByteSize() == MAX_PACKET_BYTES
    ours.send(largest)
    with MessageSocket(theirs, SessionMessage, SessionMessage) as peer:
        assert peer.receive(5)[0] == largest


def test_the_kernel_tells_who_sent_a_packet() -> None:
    ours, theirs = channel.pair()
    with MessageSocket(ours, GpuReply, GpuRequest) as host, theirs:
        host.learn_peer_pid()
        child = os.fork()
        if child == 0:
            theirs.send(GpuReply(ready=Ready()).SerializeToString())
            os._exit(0)
        host.receive(5)
        assert host.peer_pid == child
        os.waitpid(child, 0)
        theirs.send(GpuReply(status=StatusReply()).SerializeToString())
        host.receive(5)
        assert host.peer_pid == os.getpid()
        theirs.close()
        with pytest.raises(ChannelClosed):
            host.receive(5)
        assert host.peer_pid == os.getpid(), "nobody sends an end"


def test_a_socket_that_is_shut_down_has_ended_at_both_ends_and_keeps_its_number(
    ends: tuple[Ours, socket.socket],
) -> None:
    ours, theirs = ends
    number = ours.fileno()
    ours.shut_down()
    ours.shut_down()
    assert theirs.recv(1) == b""
    with pytest.raises(ChannelClosed):
        ours.receive(5)
    assert ours.fileno() == number


def test_a_closed_socket_is_an_error(ends: tuple[Ours, socket.socket]) -> None:
    ours, _ = ends
    ours.close()
    with pytest.raises(ChannelError, match="the socket failed"):
        ours.receive_nowait()


def test_only_a_packet_socket_carries_messages() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream, pytest.raises(ValueError, match="SEQPACKET"):
        MessageSocket(stream, SessionMessage, SessionMessage)
    elsewhere: Any = SimpleNamespace(family=socket.AF_VSOCK, type=socket.SOCK_SEQPACKET)
    with pytest.raises(ValueError, match="Unix"):
        MessageSocket(elsewhere, SessionMessage, SessionMessage)


def test_grpc_never_goes_over_a_network() -> None:
    with pytest.raises(ValueError, match="Unix domain"):
        channel.open_grpc_channel("localhost:1234")


def test_tokens_are_random_bytes() -> None:
    assert len({channel.new_token() for _ in range(100)}) == 100
    assert len(channel.new_token()) == channel.TOKEN_BYTES
    assert len(channel.new_secret()) == channel.SECRET_BYTES
