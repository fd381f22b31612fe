"""Conversion between data types."""

from __future__ import annotations

from ipc.descriptors import ANY, COMMON, DataType, Descriptor
from ipc.operators._attributes import data_type as data_type_attribute
from ipc.operators._declaration import operand, operator
from ipc.operators._rules import Rule

_REQUIRED = COMMON | {DataType.INT8, DataType.UINT8}


@operator(input=operand(ANY, required=_REQUIRED), data_type=data_type_attribute())
def cast(_rule: Rule, input: Descriptor, data_type: DataType) -> Descriptor:
    """x as a value of data_type.

    To a float: the nearest value, infinity beyond the range. Float to integer: truncated toward zero, saturated, NaN
    gives 0. Integer to integer: the low bits.
    """
    return Descriptor(data_type, input.shape)
