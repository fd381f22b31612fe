"""Support limits as they follow from the declarations."""

from __future__ import annotations

import json

import pytest

import ipc.operators as ops
from ipc.descriptors import ANY, INT4S, MAX_RANK, DataType
from ipc.operators import RuleError
from tests.ipc.operators._calls import LIMITS, call, t


def test_limits_are_ready_for_json_in_the_specifications_names() -> None:
    limits = json.loads(json.dumps(ops.limits_to_json(LIMITS)))
    assert len(limits) == 5 + 95
    assert limits["gatherND"]["indices"] == {
        "dataTypes": ["int32", "uint32", "int64"],
        "rankRange": {"min": 1, "max": MAX_RANK},
    }
    assert limits["batchNormalization"]["mean"]["rankRange"] == {"min": 1, "max": 1}
    assert list(limits["lstm"])[-3:] == ["output0", "output1", "output2"]
    assert limits["input"]["dataTypes"] == [data_type.value for data_type in DataType if data_type in ANY]


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_required_limits_are_within_the_allowed_ones(name: str) -> None:
    operator = ops.REGISTRY[name]
    for slot in (*operator.slots.values(), *operator.outputs.values()):
        assert slot.required <= slot.data_types <= ANY
        assert slot.limits.allows_rank(slot.required_rank[0])
        assert slot.limits.allows_rank(slot.required_rank[1])


def test_int4_is_let_in_at_the_quantisation_pair_only() -> None:
    widened = ops.with_int4(LIMITS)
    reached = {
        f"{operator}.{name}"
        for operator, entries in widened.operators.items()
        for name, entry in entries.items()
        if entry.data_types & INT4S
    }
    assert reached == {
        *("dequantize_linear.input", "dequantize_linear.zero_point"),
        *("quantize_linear.zero_point", "quantize_linear.output"),
    }
    assert widened.input.data_types >= INT4S
    assert widened.constant.data_types >= INT4S
    assert not any(entry.data_types & INT4S for entries in LIMITS.operators.values() for entry in entries.values())


@pytest.mark.parametrize("data_type", sorted(INT4S))
def test_int4_round_trips_through_the_pair_in_a_context_that_allows_it(data_type: DataType) -> None:
    quantize = call("quantize_linear", t(4, 6), t(1, 6), t(1, 6, type=data_type))
    dequantize = call("dequantize_linear", t(4, 6, type=data_type), t(1, 6), t(1, 6, type=data_type))
    assert quantize.infer(ops.with_int4(LIMITS)) == [t(4, 6, type=data_type)]
    assert dequantize.infer(ops.with_int4(LIMITS)) == [t(4, 6)]
    for refused in (quantize, dequantize):
        with pytest.raises(RuleError):
            refused.infer()


def test_ranks_that_every_backend_must_have_are_as_declared_or_up_to_five() -> None:
    assert ops.gather.outputs["output"].required_rank == (1, 5)
    assert ops.batch_normalization.slots["input"].required_rank == (3, 5)
    assert ops.relu.slots["input"].required_rank == (0, 5)
    assert ops.conv2d.slots["input"].required_rank == (4, 4)


def test_an_operator_is_declared_once() -> None:
    with pytest.raises(ValueError, match="relu is declared already"):
        ops.REGISTRY.add(ops.relu)
