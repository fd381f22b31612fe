"""Comparisons, logic and selection; truth is uint8, and any value but 0 is true."""

from __future__ import annotations

from ipc.descriptors import ANY, COMMON, FLOATS, DataType, Descriptor
from ipc.operators._declaration import operand, operator
from ipc.operators._families import broadcast, comparison, predicate
from ipc.operators._rules import Rule

_TRUTH = {DataType.UINT8}

equal = comparison("equal", ANY, "1 where a == b, else 0", required=COMMON)
not_equal = comparison("not_equal", ANY, "1 where a != b, else 0", required=COMMON)
greater = comparison("greater", ANY, "1 where a > b, else 0", required=COMMON)
greater_or_equal = comparison("greater_or_equal", ANY, "1 where a >= b, else 0", required=COMMON)
lesser = comparison("lesser", ANY, "1 where a < b, else 0", required=COMMON)
lesser_or_equal = comparison("lesser_or_equal", ANY, "1 where a <= b, else 0", required=COMMON)

logical_not = predicate("logical_not", _TRUTH, "1 where a is 0, else 0")
logical_and = comparison("logical_and", _TRUTH, "1 where a and b are not 0, else 0")
logical_or = comparison("logical_or", _TRUTH, "1 where a or b is not 0, else 0")
logical_xor = comparison("logical_xor", _TRUTH, "1 where one of a and b is 0 and the other is not, else 0")

is_nan = predicate("is_nan", FLOATS, "1 where a is NaN, else 0", spec_name="isNaN")
is_infinite = predicate("is_infinite", FLOATS, "1 where a is infinite, else 0")


@operator(
    condition=operand(_TRUTH),
    true_value=operand(ANY, required=COMMON),
    false_value=operand(ANY, required=COMMON, like="true_value"),
    outputs={"output": operand(ANY, required=COMMON)},
    rules={
        "values_broadcast": "the shapes of true_value and false_value broadcast",
        "condition_broadcast": "the shape of condition broadcasts with that of the values",
    },
)
def where(rule: Rule, condition: Descriptor, true_value: Descriptor, false_value: Descriptor) -> Descriptor:
    """true_value where condition is not 0, else false_value.

    The values broadcast with each other first, then the condition with both.
    """
    values = Descriptor(
        true_value.data_type, broadcast(rule, "values_broadcast", true_value=true_value, false_value=false_value)
    )
    return Descriptor(values.data_type, broadcast(rule, "condition_broadcast", condition=condition, values=values))
