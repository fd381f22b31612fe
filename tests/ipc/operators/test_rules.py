"""Every rule of every operator holds something: a call breaks it and is refused under its id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import ipc.operators as ops
from ipc.descriptors import DataType, Descriptor
from ipc.errors import MLTypeError
from ipc.limits import SupportLimits, TensorLimits
from ipc.operators import RuleError
from tests.ipc.operators._broken import BROKEN
from tests.ipc.operators._calls import LIMITS, Call, call, f16, i32, t, u8
from tests.ipc.operators._valid import VALID

_FULL: dict[str, Call] = {}  # the first right call of each operator, which gives every optional operand
for _call, _ in VALID:
    _FULL.setdefault(_call.operator, _call)

_NEVER_FIRST = {  # outputs that share a shape with the first one, which is refused before them
    "lstm.output1.dimensions",
    "lstm_cell.output1.dimensions",
}


@pytest.mark.parametrize(("rule", "wrong"), BROKEN, ids=str)
def test_a_call_that_breaks_a_rule_is_refused_under_its_id(rule: str, wrong: Call) -> None:
    with pytest.raises(RuleError) as refusal:
        wrong.infer()
    assert refusal.value.rule == rule


def test_every_rule_that_a_declaration_states_is_broken_by_a_call() -> None:
    stated = {f"{operator}.{rule}" for operator in ops.REGISTRY.values() for rule in operator.rules}
    assert stated - {rule for rule, _ in BROKEN} == set()


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_every_rule_that_follows_from_a_declaration_is_broken_by_a_call(name: str) -> None:
    operator = ops.REGISTRY[name]
    broken = {rule: _refusal(attempt) for rule, attempt in _attempts(_FULL[name])}
    assert {rule for rule, refusal in broken.items() if refusal != rule} == set()
    own = {f"{name}.{rule}" for rule in operator.rules}
    assert set(operator.all_rules()) - own - set(broken) - _NEVER_FIRST == set()


def _refusal(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except (RuleError, MLTypeError) as refusal:
        return refusal.rule
    return None


def _attempts(right: Call) -> Iterator[tuple[str, Callable[[], object]]]:
    """For each implied rule of an operator, something that breaks just this."""
    operator = ops.REGISTRY[right.operator]
    others = {name: entries for name, entries in LIMITS.operators.items() if name != operator.name}
    yield f"{operator}.supported", lambda: right.infer(replace(LIMITS, operators=others))
    yield f"{operator}.arguments", call(operator.name).infer
    yield f"{operator}.label.conversion", _with(right, "label", 3).infer
    for name in {**operator.slots, **operator.attributes}:
        yield f"{operator}.{name}.conversion", _with(right, name, _Nonsense()).infer
    for name in {**operator.slots, **operator.outputs}:
        entry = LIMITS.operators[operator.name][name]
        yield f"{operator}.{name}.data_type", _limited(right, name, replace(entry, data_types=frozenset()))
        yield f"{operator}.{name}.rank", _limited(right, name, replace(entry, min_rank=9, max_rank=9))
    outputs = right.infer()
    for index, name in enumerate(operator.outputs):
        smaller = max((output.byte_length for output in outputs[:index]), default=0)
        if f"{operator}.{name}.dimensions" not in _NEVER_FIRST:
            yield f"{operator}.{name}.dimensions", _capped(right, smaller)


def _with(right: Call, name: str, value: object) -> Call:
    positional = ops.REGISTRY[right.operator].positional
    args = tuple(value if parameter == name else given for parameter, given in zip(positional, right.args, strict=True))
    return Call(right.operator, args, right.options if name in positional else right.options | {name: value})


def _limited(right: Call, name: str, entry: TensorLimits) -> Callable[[], object]:
    limits = _limits(right.operator, **{name: entry})
    return lambda: right.infer(limits)


def _capped(right: Call, max_byte_length: int) -> Callable[[], object]:
    return lambda: right.infer(replace(LIMITS, max_tensor_byte_length=max_byte_length))


def _limits(operator: str, **entries: TensorLimits) -> SupportLimits:
    return replace(LIMITS, operators={**LIMITS.operators, operator: {**LIMITS.operators[operator], **entries}})


class _Nonsense:
    """Converts to nothing."""

    def __bool__(self) -> bool:
        raise TypeError("neither true nor false")


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_a_data_type_that_is_not_allowed_is_refused(name: str) -> None:
    operator = ops.REGISTRY[name]
    right = _FULL[name].bind().operands
    for slot in operator.slots.values():
        for data_type in set(DataType) - slot.data_types:
            given = right[slot.name]
            wrong: Any = (
                tuple(Descriptor(data_type, one.shape) for one in given)
                if isinstance(given, tuple)
                else Descriptor(data_type, given.shape if given is not None else ())
            )
            with pytest.raises(RuleError) as refusal:
                ops.infer_outputs(operator, right | {slot.name: wrong}, _FULL[name].bind().attributes, LIMITS)
            assert refusal.value.rule.endswith(".data_type")


def test_an_operand_of_the_type_of_another_is_compared_with_it() -> None:
    with pytest.raises(RuleError, match=r"^add: b has the data type of a: b float16, a float32$"):
        call("add", t(2), f16(2)).infer()


ORDER = [
    # what comes first in the specification's steps is refused first
    ("conv2d.strides_length", call("conv2d", t(1, 1, 5, 5), t(1, 1, 3, 3), strides=[1], groups=0)),
    ("conv2d.filter.data_type", call("conv2d", t(1, 1, 5, 5), f16(1, 1, 3, 3), strides=[1])),
    ("conv2d.bias_shape", call("conv2d", t(1, 1, 5, 5), t(1, 1, 3, 3), bias=f16(2))),
    ("conv2d.bias.data_type", call("conv2d", t(1, 1, 2, 2), t(1, 1, 3, 3), bias=f16(1))),
    ("gemm.inner", call("gemm", t(2, 3), t(4, 2), c=f16(9))),
    ("gemm.c_shape", call("gemm", t(2, 3), t(3, 4), c=f16(9))),
    ("gemm.c.data_type", call("gemm", t(2, 3), t(3, 4), c=f16(4))),
    ("concat.count", call("concat", [t()] * 8193, 0)),
    ("concat.axis", call("concat", [t(1), f16(1)], 1)),
    ("batch_normalization.axis", call("batch_normalization", t(2, 3), f16(3), f16(3), axis=2)),
    ("batch_normalization.mean_shape", call("batch_normalization", t(2, 3), t(2), f16(3))),
    ("reshape.output.rank", call("reshape", t(2), [0] * 9)),
    ("reshape.output.dimensions", call("reshape", t(2), [0, 2])),
    ("gru.steps", call("gru", t(2, 3, 4), t(1, 1, 1), t(1, 1, 1), 3, 0)),
    ("lstm.steps_positive", call("lstm", t(2, 3, 4), t(1, 1, 1), t(1, 1, 1), 0, 0)),
    ("resample2d.scales_positive", call("resample2d", t(1, 1, 4, 4), scales=[0], sizes=[0])),
    ("slice.sizes_positive", call("slice", t(4), [], [0])),
    ("scatter_elements.updates.data_type", call("scatter_elements", t(4), i32(1, 1), f16(1))),
    ("where.values_broadcast", call("where", u8(9), t(2), t(3))),
    ("max_pool2d.window_dimensions_length", call("max_pool2d", t(1, 1, 4, 4), window_dimensions=[], padding=[])),
]


@pytest.mark.parametrize(("rule", "wrong"), ORDER, ids=str)
def test_the_first_broken_rule_of_the_specifications_order_is_named(rule: str, wrong: Call) -> None:
    assert _refusal(wrong.infer) == rule


@pytest.mark.parametrize(("operator", "gates"), [("gru", 3), ("lstm", 4)])
def test_the_bounds_of_a_hidden_size_are_exact(operator: str, gates: int) -> None:
    rule, largest = f"{operator}.hidden_size", (2**31 - 1) // (2 * gates)
    for size, refusal in (0, rule), (1, None), (largest, None), (largest + 1, rule):
        weights = t(1, gates * size, 1), t(1, gates * size, size)
        assert _refusal(call(operator, t(2, 1, 1), *weights, 2, size).infer) == refusal


def test_conversion_comes_before_every_rule() -> None:
    assert _refusal(call("conv2d", t(1), t(1), groups=-1).infer) == "conv2d.groups.conversion"


MESSAGES = [
    (
        call("conv2d", t(1, 4, 5, 5), t(6, 2, 3, 3), groups=3),
        "conv2d [stem]: groups divides the input channels: groups 3, channels 4",
    ),
    (
        call("gemm", t(128, 64), t(32, 128)),
        "gemm [stem]: a and b agree on the inner dimension: a (128, 64), b (32, 128)",
    ),
    (call("abs", u8(2)), "abs [stem]: the data type of input is supported: input uint8"),
    (call("conv2d", t(2, 2), t(1, 1, 1, 1)), "conv2d [stem]: the rank of input is 4: input (2, 2)"),
    (call("softmax", t(), 0), "softmax [stem]: the rank of input is within 1 to 8: input ()"),
    (
        call("conv2d", t(1, 1, 2, 2), t(1, 1, 5, 5)),
        (
            "conv2d [stem]: output has valid dimensions and a supported size "
            "(dimension -2 is not within 1 to 2147483647): output (1, 1, -2, -2)"
        ),
    ),
]


@pytest.mark.parametrize(("wrong", "message"), MESSAGES, ids=str)
def test_a_message_tells_the_whole_story(wrong: Call, message: str) -> None:
    with pytest.raises(RuleError) as refusal:
        wrong.infer()
    assert refusal.value.message("stem") == message
    assert str(refusal.value) == message.replace(" [stem]", "")


def test_a_message_stays_short_however_long_the_list() -> None:
    with pytest.raises(RuleError) as refusal:
        call("expand", t(3), [2] * 1_000_000).infer()
    assert len(str(refusal.value)) < 200
    assert "1000000 entries" in str(refusal.value)


@pytest.mark.parametrize(("sizes", "whole"), [(16, True), (17, False)])
def test_a_list_of_sixteen_is_shown_whole(sizes: int, whole: bool) -> None:
    with pytest.raises(RuleError) as refusal:
        call("expand", t(3), [2] * sizes).infer()
    assert ("entries" not in str(refusal.value)) is whole
