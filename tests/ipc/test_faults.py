"""Plans of faults mean what their grammar says, and the same plan does the same twice."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest

from ipc import faults
from ipc.channel import ChannelClosed, MessageSocket, pair
from ipc.faults import FaultError, Plan
from ipc.generated.webnn.v1.session_pb2 import Hello, HostReply, HostRequest, RegionOffered, SessionMessage


def what_happens(plan: str, events: int) -> list[str]:
    place = Plan.parse(plan).place("gpu.run")
    assert place is not None
    return [fault.what if (fault := place.next()) else "" for _ in range(events)]


def test_when_counts_from_one() -> None:
    assert what_happens("gpu.run:fail", 3) == ["fail", "", ""]
    assert what_happens("gpu.run:fail@2", 3) == ["", "fail", ""]
    assert what_happens("gpu.run:fail@2-3", 4) == ["", "fail", "fail", ""]
    assert what_happens("gpu.run:fail@*", 2) == ["fail", "fail"]
    assert what_happens("gpu.run:fail@2; gpu.run:kill-after@1-2", 3) == ["kill-after", "fail", ""]


def test_chance_is_decided_by_the_seed_alone() -> None:
    first = what_happens("seed=1; gpu.run:fail@50%", 200)
    assert first == what_happens("seed=1; gpu.run:fail@50%", 200)
    assert first != what_happens("seed=2; gpu.run:fail@50%", 200)
    assert 60 < first.count("fail") < 140


def test_system_calls_are_denied_by_name() -> None:
    assert Plan.parse("gpu.deny:memfd_create; gpu.deny:sendmsg").denied == ("memfd_create", "sendmsg")


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "gpu.run",
        "gpu.run:drop",  # a dispatch is no message
        "renderer.session:fail",  # a message does not fail
        "renderer.run:fail",
        "renderer.call:fail",
        "gpu.call:drop",
        "gpu.run:fail@0.5",
        "gpu.run:delay",
        "gpu.run:fail=3",
        "gpu.run:delay=1.2.3",
        "gpu.run:fail@x",
        "seed=x",
    ],
)
def test_what_is_not_of_the_grammar_is_refused_by_item(text: str) -> None:
    with pytest.raises(FaultError, match="fault '"):
        Plan.parse(f"gpu.run:fail; {text}")


# --- Messages ---------------------------------------------------------------------------------------------------------


def received_of(plan: str, count: int = 4, with_descriptor: bool = False) -> tuple[list[int], int]:
    """Numbers of the messages that arrive when 1..count are sent by a process with this plan; and how it ended."""
    ours, theirs = pair()
    child = os.fork()
    if child == 0:
        ours.close()
        try:
            faults.install(Plan.parse(plan), "renderer")
            _send(theirs, count, with_descriptor)
        finally:
            os._exit(0)
    theirs.close()
    arrived = []
    with MessageSocket(ours, SessionMessage, SessionMessage) as channel:
        try:
            while True:
                message, fds = channel.receive(20)
                if fds:
                    arrived.append(message.region_offered.size)
                    assert os.fstat(fds[0]).st_size == message.region_offered.size
                    os.close(fds[0])
                else:
                    arrived.append(message.hello.protocol_version)
        except ChannelClosed:
            pass
    return arrived, os.waitpid(child, 0)[1]


def _send(sock: socket.socket, count: int, with_descriptor: bool) -> None:
    channel = MessageSocket(sock, SessionMessage, SessionMessage)
    for number in range(1, count + 1):
        if with_descriptor:
            region = os.memfd_create("region")
            os.ftruncate(region, number)
            channel.send(SessionMessage(region_offered=RegionOffered(token=b"t", size=number)), (region,))
            os.close(region)
        else:
            channel.send(SessionMessage(hello=Hello(protocol_version=number)))


@pytest.mark.parametrize(
    ("plan", "arrived"),
    [
        ("", [1, 2, 3, 4]),
        ("renderer.session:drop@2", [1, 3, 4]),
        ("renderer.session:duplicate@2", [1, 2, 2, 3, 4]),
        ("renderer.session:swap@2", [1, 3, 2, 4]),
        ("renderer.session:swap@2-3", [1, 4, 2, 3]),
        ("renderer.session:delay=0.01@*", [1, 2, 3, 4]),
        ("renderer.session:close-before@3", [1, 2]),
        ("renderer.session:close-after@3", [1, 2, 3]),
        ("renderer.host:drop@*", [1, 2, 3, 4]),  # another stream
        ("gpu.session:drop@*", [1, 2, 3, 4]),  # the other side
    ],
)
@pytest.mark.parametrize("with_descriptor", [False, True], ids=["plain", "with descriptors"])
def test_messages_arrive_as_planned(plan: str, arrived: list[int], with_descriptor: bool) -> None:
    assert received_of(plan, with_descriptor=with_descriptor)[0] == arrived


@pytest.mark.parametrize(
    ("what", "arrived", "number"),
    [
        ("kill-before", [1], signal.SIGKILL),
        ("kill-after", [1, 2], signal.SIGKILL),
        ("crash-before", [1], signal.SIGSEGV),
    ],
)
def test_a_process_ends_at_the_message_that_was_named(what: str, arrived: list[int], number: signal.Signals) -> None:
    seen, status = received_of(f"renderer.session:{what}@2")
    assert seen == arrived
    assert os.WTERMSIG(status) == number


def test_nothing_is_in_the_way_without_a_plan() -> None:
    before = MessageSocket.send
    faults.install(Plan.parse("gpu.run:fail; gpu.session:drop"), "renderer")
    assert MessageSocket.send is before


def test_a_deed_fails_or_is_done() -> None:
    place = Plan.parse("gpu.run:fail@2").place("gpu.run")
    assert place is not None
    done: list[int] = []
    do: Callable[[], None] = lambda: done.append(1)  # noqa: E731
    place.deed(do, MemoryError)
    with pytest.raises(MemoryError):
        place.deed(do, MemoryError)
    place.deed(do, MemoryError)
    assert len(done) == 2


def test_streams_are_told_apart_by_what_they_carry() -> None:
    assert {HostRequest.__name__, SessionMessage.__name__} <= faults._STREAMS.keys()
    assert HostReply.__name__ not in faults._STREAMS
