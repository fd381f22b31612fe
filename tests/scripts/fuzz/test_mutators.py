"""Mutators change one thing, the same for the same seed, and say what must be named where they know."""

from __future__ import annotations

from random import Random

import pytest

from gpu_process.validation import validate_graph
from ipc.codec import CodecError, decode_graph, encode_graph, parse
from ipc.descriptors import Descriptor
from ipc.generated.webnn.v1 import graph_pb2
from ipc.verdicts import BadMessage, BadMessageReason
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.peer import close_all
from scripts.fuzz.wire.attacks import PLACEHOLDERS, TENSOR, WireCase, attack
from scripts.fuzz.wire.handles import HANDLES
from scripts.fuzz.wire.miswiring import miswired
from scripts.fuzz.wire.mutators import garbled, mutated


def _message(seed: int) -> graph_pb2.Graph:
    return encode_graph(legal_graph(Random(seed), limits_of("reference")).graph)


def test_the_reason_that_is_expected_is_the_one_that_is_named() -> None:
    expected = 0
    for seed in range(300):
        data, reason = mutated(_message(seed % 10), Random(seed))
        if reason:
            expected += 1
            with pytest.raises(CodecError) as refusal:
                decode_graph(parse(graph_pb2.Graph, data))
            assert refusal.value.reason == reason
    assert expected > 5


def test_what_is_miswired_is_refused_for_that_and_every_way_is_tried() -> None:
    sources = _Sources()
    reasons = set()
    for seed in range(400):
        data, reason = miswired(_message(seed % 10), Random(seed), (b"r" * 16, b"t" * 16, b"c" * 16))
        reasons.add(reason)
        with pytest.raises(BadMessage) as refusal:
            validate_graph(decode_graph(parse(graph_pb2.Graph, data)), limits_of("reference"), sources)
        assert refusal.value.reason == reason
    assert len(reasons) == 14


class _Sources:
    """One tensor that is no constant; regions and constants of any name."""

    def region_size(self, token: bytes) -> int:
        del token
        return 2**40

    def tensor_descriptor(self, token: bytes) -> Descriptor:
        if token == b"t" * 16:
            raise BadMessage(BadMessageReason.NOT_A_CONSTANT_TENSOR, "x")
        return TENSOR


def test_most_mutations_change_the_message_and_none_changes_the_original() -> None:
    message = _message(1)
    before = message.SerializeToString()
    changed = sum(mutated(message, Random(seed))[0] != before for seed in range(200))
    assert changed > 150
    assert message.SerializeToString() == before


def test_a_seed_means_the_same_attack() -> None:
    for seed in range(80):
        case = attack(Random(seed))
        assert attack(Random(seed)) == case
        assert WireCase.from_json(case.to_json()) == case


def test_every_attack_is_made() -> None:
    kinds = {attack(Random(seed)).kind for seed in range(300)}
    assert kinds == {
        *("CreateContext", "DestroyContext", "CreateTensor", "CreateConstantTensor", "CreateGraph", "DefineBindings"),
        *("Timeline", "second timeline", "hello", "socket", "secret", "frames"),
    }


def test_bytes_are_garbled_without_end() -> None:
    assert len({garbled(b"0123456789", Random(seed)) for seed in range(100)}) > 50
    assert isinstance(garbled(b"", Random(1)), bytes)


@pytest.mark.parametrize("name", HANDLES)
def test_descriptors_are_made_and_can_be_closed(name: str) -> None:
    close_all(HANDLES[name](4096))


def test_placeholders_differ() -> None:
    assert len(set(PLACEHOLDERS.values())) == len(PLACEHOLDERS)
