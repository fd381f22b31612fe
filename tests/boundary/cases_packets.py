"""Packets with one thing wrong, on the session's socket: greetings, regions, descriptors of the wrong kind."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

from ipc.generated.webnn.v1 import session_pb2
from ipc.verdicts import BadMessageReason as Reason
from tests.boundary.hostile_client import (
    ALL_SEALS,
    GROW,
    SEAL,
    SHRINK,
    WRITE,
    Closed,
    memfd,
    seal,
    sealed,
    send_packet,
)
from tests.boundary.stage import REGION, UNKNOWN, Case, Stage

_PAGE = 4096


def _says(name: str, reason: Reason, field: str, **message: object) -> Case:
    return Case(f"packet: {name}", lambda s: s.session.say(**message), reason, field)


def _bytes(name: str, data: bytes, *, fds: int = 0) -> Case:
    def send(stage: Stage) -> None:
        given = [os.open(os.devnull, os.O_RDONLY) for _ in range(fds)]
        stage.session.say_bytes(data, *given)
        for fd in given:
            os.close(fd)

    return Case(f"packet: {name}", send, Reason.MALFORMED, "session")


def _offered(token: bytes = UNKNOWN, size: int = len(REGION)) -> bytes:
    offer = session_pb2.RegionOffered(token=token, size=size)
    return session_pb2.SessionMessage(region_offered=offer).SerializeToString()


def _offers_a_ring(stage: Stage) -> None:
    fds = [os.eventfd(0) for _ in range(3)]
    stage.session.say(*fds, ring_offered={})
    for fd in fds:
        os.close(fd)


_PACKETS = [
    _bytes("no message", b"\xff\xff"),
    _bytes("an unknown field", b"\xf8\x07\x01"),
    _bytes("larger than a packet may be", b"\x0a" + b"\x80\x80\x08" + bytes(1 << 17)),
    _bytes("a region without a descriptor", _offered()),
    _bytes("a region with two descriptors", _offered(), fds=2),
    _bytes("a region with more descriptors than any packet has", _offered(), fds=16),
    _bytes("a descriptor where none belongs", b"\x22\x12\x0a\x10" + bytes(16), fds=1),
    _says("a second greeting", Reason.UNEXPECTED_MESSAGE, "hello", hello={"protocol_version": 1}),
    _says("what only the GPU process says: granted", Reason.UNEXPECTED_MESSAGE, "granted", granted={}),
    Case("packet: a ring without descriptors", lambda s: s.session.say(ring_offered={}), Reason.MALFORMED, "session"),
    Case("packet: what only the GPU process says: a ring", _offers_a_ring, Reason.UNEXPECTED_MESSAGE, "ring_offered"),
    _says("what only the GPU process says: closed", Reason.UNEXPECTED_MESSAGE, "closed", closed={}),
    _says(
        "a region withdrawn that was never offered",
        Reason.UNKNOWN_REGION,
        "region_withdrawn.token",
        region_withdrawn={"token": UNKNOWN},
    ),
    _says("a region withdrawn without a token", Reason.UNKNOWN_REGION, "region_withdrawn.token", region_withdrawn={}),
    Case(
        "packet: a region withdrawn twice",
        lambda s: [s.session.say(region_withdrawn={"token": s.region}) for _ in range(2)] and None,
        Reason.UNKNOWN_REGION,
        "region_withdrawn.token",
    ),
    Case(
        "packet: a region's token that is too short",
        lambda s: s.session.region(REGION, b"short") and None,
        Reason.INVALID_TOKEN,
        "region_offered.token",
    ),
    Case(
        "packet: a region without a token",
        lambda s: (s.session.region(REGION, b""), None)[1],
        Reason.INVALID_TOKEN,
        "region_offered.token",
    ),
    Case(
        "packet: a region's token twice",
        lambda s: s.session.region(REGION, s.region) and None,
        Reason.DUPLICATE_REGION,
        "region_offered.token",
    ),
]


def _region(name: str, make: Callable[[], int], reason: Reason, field: str, size: int = _PAGE) -> Case:
    """A descriptor handed over as a region."""

    def send(stage: Stage) -> None:
        fd = make()
        try:
            stage.session.offer(fd, size)
        finally:
            os.close(fd)

    return Case(f"region: {name}", send, reason, field)


def _content(seals: int, *, sealable: bool = True) -> Callable[[], int]:
    return lambda: memfd(bytes(_PAGE), seals=seals, sealable=sealable)


def _a_socket() -> int:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours.detach()


def _a_pipe() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def _a_file() -> int:
    fd = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
    os.write(fd, bytes(_PAGE))
    return fd


def _path_only() -> int:
    fd = sealed(bytes(_PAGE))
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_PATH)
    finally:
        os.close(fd)


def _huge_pages() -> int:
    fd = os.memfd_create("huge", os.MFD_HUGETLB | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 2 << 20)
    seal(fd, ALL_SEALS)
    return fd


def _in_its_own_socket() -> Callable[[Stage], None]:
    """Its own end of the session, handed over inside it: a cycle that only the kernel could collect."""

    def send(stage: Stage) -> None:
        stage.session.offer(stage.session.sock.fileno(), _PAGE)

    return send


_KINDS: dict[str, Callable[[], int]] = {
    "a socket": _a_socket,
    "a pipe": _a_pipe,
    "a directory": lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY),
    "a file": _a_file,
    "a device": lambda: os.open("/dev/zero", os.O_RDWR),
    "an event counter": lambda: os.eventfd(0),
    "a process": lambda: os.pidfd_open(os.getpid()),
    "a path without the right to use it": _path_only,
}

_REGIONS = [
    *(_region(name, make, Reason.REGION_KIND, "region_offered") for name, make in _KINDS.items()),
    Case("region: the session's own socket", _in_its_own_socket(), Reason.REGION_KIND, "region_offered"),
    *(
        _region(name, _content(seals), Reason.REGION_SEALS, "region_offered")
        for name, seals in {
            "no seals": 0,
            "can shrink": ALL_SEALS & ~SHRINK,
            "can grow": ALL_SEALS & ~GROW,
            "can be written": ALL_SEALS & ~WRITE,
            "can be sealed further": ALL_SEALS & ~SEAL,
            "sealed against future writing only, which is no defence": (ALL_SEALS & ~WRITE) | 16,
        }.items()
    ),
    _region("cannot be sealed", _content(0, sealable=False), Reason.REGION_SEALS, "region_offered"),
    _region("a byte less is declared", _content(ALL_SEALS), Reason.REGION_SIZE, "region_offered.size", _PAGE - 1),
    _region("a byte more is declared", _content(ALL_SEALS), Reason.REGION_SIZE, "region_offered.size", _PAGE + 1),
    _region("nothing is declared", _content(ALL_SEALS), Reason.REGION_SIZE, "region_offered.size", 0),
    _region("the largest size is declared", _content(ALL_SEALS), Reason.REGION_SIZE, "region_offered.size", 2**64 - 1),
    _region("empty", lambda: memfd(seals=ALL_SEALS), Reason.REGION_SIZE, "region_offered.size", 0),
    _region(
        "larger than any may be",
        lambda: memfd(size=2**40 + 1, seals=ALL_SEALS),
        Reason.REGION_SIZE,
        "region_offered.size",
        2**40 + 1,
    ),
    _region(
        "a hole",
        lambda: memfd(size=2**30, seals=ALL_SEALS),
        Reason.REGION_SPARSE,
        "region_offered.size",
        2**30,
    ),
    _region(
        "a hole of one page at the end",
        lambda: memfd(bytes(_PAGE), size=2 * _PAGE, seals=ALL_SEALS),
        Reason.REGION_SPARSE,
        "region_offered.size",
        2 * _PAGE,
    ),
]


def _flood(stage: Stage) -> None:
    """More regions than are taken, and then more refusals than are remembered."""
    fd = sealed(REGION)
    with suppress(Closed):
        for number in range(4096):
            send_packet(stage.session.sock, _offered(number.to_bytes(16, "big")), [fd])
    os.close(fd)


_FLOOD = [Case("region: more than are taken or refused", _flood, Reason.REGION_FLOOD, "region_offered")]

CASES = [*_PACKETS, *_REGIONS, *_FLOOD]
