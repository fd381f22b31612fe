"""A builder method's call: which arguments it takes, in which form they come out, what it says of wrong ones."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import ipc.operators as ops
from ipc.errors import MLTypeError
from ipc.operators import Bound


class _Operand:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


A, B, C = (_Operand(name) for name in "abc")


def _bind(operator: str, *args: object, **options: object) -> Bound[_Operand]:
    return ops.bind(ops.REGISTRY[operator], args, options, lambda value: isinstance(value, _Operand))


def test_operands_come_by_slot_and_options_with_their_defaults() -> None:
    operands, attributes, label = _bind("gemm", A, B, c=C, alpha=2, label="fc")
    assert operands == {"a": A, "b": B, "c": C}
    assert attributes == {"alpha": 2.0, "beta": 1.0, "a_transpose": False, "b_transpose": False}
    assert label == "fc"


def test_positional_parameters_can_be_given_by_name() -> None:
    assert _bind("softmax", A, axis=1) == _bind("softmax", input=A, axis=1) == _bind("softmax", A, 1)


def test_every_slot_and_attribute_is_a_key_in_the_order_of_the_declaration() -> None:
    operands, attributes, _ = _bind("conv2d", A, B)
    assert list(operands.items()) == [("input", A), ("filter", B), ("bias", None)]
    assert list(attributes) == list(ops.conv2d.attributes)


def test_none_stands_for_an_option_that_was_not_given() -> None:
    assert _bind("conv2d", A, B, bias=None, strides=None, label=None) == _bind("conv2d", A, B)


def test_an_empty_list_is_not_an_absent_one() -> None:
    assert _bind("reduce_sum", A, axes=[]).attributes["axes"] == ()
    assert _bind("reduce_sum", A).attributes["axes"] is None


def test_lists_are_copied() -> None:
    axes, inputs = [0], [A, B]
    reduced, concat = _bind("reduce_sum", A, axes=axes), _bind("concat", inputs, 0)
    axes.append(1)
    inputs.append(C)
    assert reduced.attributes["axes"] == (0,)
    assert concat.operands["inputs"] == (A, B)


def test_a_lone_surrogate_in_a_label_is_replaced() -> None:
    assert _bind("abs", A, label="\ud800x").label == "\ufffdx"


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str | None]] = [
    ("conv2d", (A,), {}, "conv2d.arguments", "conv2d: filter is missing"),
    (
        "conv2d",
        (A, B, C),
        {},
        "conv2d.arguments",
        "conv2d: takes at most 2 positional arguments (input, filter), options by name: 3 were given",
    ),
    ("conv2d", (A, B), {"input": C}, "conv2d.arguments", "conv2d: input is given twice"),
    (
        "conv2d",
        (A, B),
        {"gruops": 2, "label": "stem"},
        "conv2d.arguments",
        "conv2d [stem]: there is no option 'gruops'; did you mean 'groups'?",
    ),
    ("abs", (A,), {"roundingType": "ceil"}, "abs.arguments", "abs: there is no option 'roundingType'"),
    (
        "conv2d",
        (A, B),
        {"groups": -1, "label": "stem"},
        "conv2d.groups.conversion",
        "conv2d [stem]: groups is a uint32: -1 is not within 0 to 4294967295",
    ),
    ("conv2d", (A, 3), {}, "conv2d.filter.conversion", "conv2d: filter is an operand: 3 is not"),
    ("conv2d", (A, None), {}, "conv2d.filter.conversion", "conv2d: filter is an operand: None is not"),
    ("conv2d", (A, B), {"bias": 3}, "conv2d.bias.conversion", "conv2d: bias is an operand or None: 3 is not"),
    ("concat", (A, 0), {}, "concat.inputs.conversion", "concat: inputs is a list of operands: a is not a list"),
    ("concat", ([A, 3], 0), {}, "concat.inputs.conversion", "concat: inputs is a list of operands: 3 is not"),
    (
        "conv2d",
        (A, B),
        {"input_layout": "chwn"},
        "conv2d.input_layout.conversion",
        "conv2d: input_layout is one of 'nchw', 'nhwc': 'chwn' is not",
    ),
    ("pad", (A, [0], [0]), {"mode": "symmetric"}, "pad.mode.conversion", None),
    ("elu", (A,), {"alpha": float("nan")}, "elu.alpha.conversion", "elu: alpha is a finite float64: nan is not finite"),
    ("softmax", (A,), {}, "softmax.arguments", "softmax: axis is missing"),
    ("softmax", (A, None), {}, "softmax.axis.conversion", "softmax: axis is a uint32: None is not a number"),
    ("abs", (A,), {"label": 3}, "abs.label.conversion", "abs: label is a string: 3 is not"),
    ("abs", (3,), {"label": "\u202ex"}, "abs.input.conversion", "abs [\\u202ex]: input is an operand: 3 is not"),
]


@pytest.mark.parametrize(("operator", "args", "options", "rule", "message"), WRONG)
def test_a_wrong_argument_is_a_type_error_that_names_it(
    operator: str, args: tuple[Any, ...], options: dict[str, Any], rule: str, message: str | None
) -> None:
    with pytest.raises(MLTypeError) as refusal:
        _bind(operator, *args, **options)
    assert refusal.value.rule == rule
    assert rule in ops.REGISTRY[operator].all_rules()
    assert message is None or str(refusal.value) == message


def test_an_error_inside_the_callers_iterable_is_the_callers() -> None:
    def axes() -> Iterator[int]:
        yield 0
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        _bind("reduce_sum", A, axes=axes())


def test_a_signature_reads_like_a_hand_written_one() -> None:
    assert str(ops.signature(ops.clamp)).replace("'", "") == (
        "(input: MLOperand, *, min_value: int | float | None = None, max_value: int | float | None = None, "
        "label: str = ) -> MLOperand"
    )
    assert str(ops.signature(ops.gemm)).replace("'", "") == (
        "(a: MLOperand, b: MLOperand, *, c: MLOperand | None = None, alpha: float = 1.0, beta: float = 1.0, "
        "a_transpose: bool = False, b_transpose: bool = False, label: str = ) -> MLOperand"
    )
    assert ops.signature(ops.split).return_annotation == "list[MLOperand]"


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_binding_takes_exactly_what_the_signature_says(name: str) -> None:
    operator = ops.REGISTRY[name]
    parameters = ops.signature(operator).parameters
    assert set(parameters) == {*operator.slots, *operator.attributes, "label"}
    required = [key for key, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    assert required == list(operator.positional)
    given: dict[str, Any] = {
        key: [A] if operator.slots[key].presence == "variadic" else A for key in operator.slots if key in required
    }
    values = {"uint32": 1, "modulo_uint32": 1, "data_type": "int8", "uint32 | list[uint32]": 1}
    for key, attribute in operator.attributes.items():
        if key in required:
            given[key] = values.get(attribute.kind.name, [1])
    defaults = {key: parameter.default for key, parameter in parameters.items() if key not in required}
    assert _bind(name, **given, **defaults) == _bind(name, **given)
