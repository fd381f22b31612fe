"""A graph's parts are counted before they are made: exactly, in any form, and at the price of its length."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from gpu_process.graph_parts import check_parts
from gpu_process.quotas import Quotas
from ipc.codec import CodecError, encode_graph
from ipc.errors import QuotaExceededError
from ipc.generated.webnn.v1 import graph_pb2
from ipc.operators import REGISTRY
from ipc.verdicts import BadMessageReason as Reason
from tests.service_rig import unary

_MOST = 3 + max(len(operator.slots) + len(operator.attributes) for operator in REGISTRY.values())


def _with(**counts: int) -> bytes:
    """A graph with so many empty parts."""
    graph = graph_pb2.Graph()
    for field, count in counts.items():
        for _ in range(count):
            getattr(graph, field).add()
    return graph.SerializeToString()


def test_what_a_renderer_sends_passes() -> None:
    check_parts(encode_graph(unary("relu", label="x" * 1000)).SerializeToString(), Quotas())
    check_parts(b"", Quotas())


@pytest.mark.parametrize("field", ["operands", "inputs", "outputs", "constants", "operations"])
def test_each_kind_of_part_is_counted(field: str) -> None:
    quota = "operations" if field == "operations" else "operands"
    limits = Quotas.of({quota: 3})
    check_parts(_with(**{field: 3}), limits)
    with pytest.raises(QuotaExceededError, match=f"quota {quota}: 4 exceed the limit of 3"):
        check_parts(_with(**{field: 4}), limits)


PARTS = [b"\x12\x00", b"\x20\x01", b"\x20\x81\x01", b"\x25abcd", b"\x21abcdefgh", b"\xf8\x07\x01"]


def _operation(content: bytes) -> bytes:
    length, encoded = len(content), bytearray(b"\x2a")
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*encoded, length]) + content


@pytest.mark.parametrize("part", PARTS)
def test_parts_of_an_operation_are_counted_whatever_their_form(part: bytes) -> None:
    check_parts(_operation(part * _MOST) * 2, Quotas())
    with pytest.raises(CodecError) as raised:
        check_parts(_operation(part) + _operation(part * (_MOST + 1)), Quotas())
    assert (raised.value.reason, raised.value.field) == (Reason.OPERATION_PARTS, "operations[1]")


WRONG = {
    "a field that there is not": (b"\x32\x00", Reason.UNKNOWN_FIELD),
    "a field of another form": (b"\x08\x00", Reason.UNKNOWN_FIELD),
    "a group": (b"\x0b\x0c", Reason.MALFORMED),
    "a length that is not there": (b"\x0a", Reason.MALFORMED),
    "a length that is cut off": (b"\x0a\x80", Reason.MALFORMED),
    "a length beyond the end": (b"\x0a\x01", Reason.MALFORMED),
    "a length beyond its operation": (b"\x2a\x02\x0a\x01x", Reason.MALFORMED),
    "a length of two bytes where one will do": (b"\x0a\x80\x00", Reason.NOT_CANONICAL),
    "a length of eleven bytes": (b"\x0a" + b"\x80" * 10 + b"\x01", Reason.MALFORMED),
    "eight bytes that are cut off": (b"\x2a\x08\x21abcdefg", Reason.MALFORMED),
    "four bytes that are cut off": (b"\x2a\x04\x25abc", Reason.MALFORMED),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_counted_is_no_graph(name: str) -> None:
    data, reason = WRONG[name]
    with pytest.raises(CodecError) as raised:
        check_parts(data, Quotas())
    assert (raised.value.reason, raised.value.field) == (reason, "Graph")


def test_a_length_of_ten_bytes_is_read_whole() -> None:
    with pytest.raises(CodecError, match="malformed"):  # and not taken for a small one
        check_parts(b"\x0a" + b"\x80" * 9 + b"\x01", Quotas())


def test_refusing_the_largest_message_takes_no_memory_and_hardly_any_time() -> None:
    limits = Quotas()
    data = b"\x0a\x00" * (limits.graph_message_bytes // 2)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(QuotaExceededError):
        check_parts(data, limits)
    seconds = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert seconds < 5
