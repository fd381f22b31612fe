"""Support limits: what a context can take, computed once in the GPU process and validated against on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ipc.descriptors import ANY, MAX_RANK, MAX_TENSOR_BYTES, DataType, Descriptor, in_order


@dataclass(frozen=True, slots=True)
class TensorLimits:
    """Data types and ranks that one operand may have. Source: WebNN, `MLTensorLimits`."""

    data_types: frozenset[DataType]
    min_rank: int
    max_rank: int

    def allows(self, descriptor: Descriptor) -> bool:
        return self.allows_type(descriptor.data_type) and self.allows_rank(descriptor.rank)

    def allows_type(self, data_type: DataType) -> bool:
        return data_type in self.data_types

    def allows_rank(self, rank: int) -> bool:
        return self.min_rank <= rank <= self.max_rank

    def to_json(self) -> dict[str, object]:
        return {
            "dataTypes": [data_type.value for data_type in in_order(self.data_types)],
            "rankRange": {"min": self.min_rank, "max": self.max_rank},
        }


ANY_TENSOR = TensorLimits(ANY, 0, MAX_RANK)


@dataclass(frozen=True, slots=True)
class SupportLimits:
    """What a context supports. Source: WebNN, `MLOpSupportLimits`.

    Attributes:
        operators: operator name (snake_case) -> operand or output name (snake_case) -> limits. An operator that is
            missing is not supported at all.
    """

    operators: Mapping[str, Mapping[str, TensorLimits]]
    preferred_input_layout: str = "nchw"
    max_tensor_byte_length: int = MAX_TENSOR_BYTES
    input: TensorLimits = ANY_TENSOR
    constant: TensorLimits = ANY_TENSOR
    output: TensorLimits = ANY_TENSOR
