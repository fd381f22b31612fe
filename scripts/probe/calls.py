"""One call of every operator, in a size that is run at once or one that takes long enough to be raced with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType
from ipc.limits import TensorLimits
from ipc.operators import REGISTRY, Operator

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

SMALL, LARGE = 6, 160


@dataclass(frozen=True, slots=True)
class Call:
    """What is called.

    Attributes:
        shapes: by slot; a list where the slot is variadic.
        options: attributes by name.
    """

    operator: Operator
    shapes: Mapping[str, Shape | Sequence[Shape]]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result depends on the elements at its place alone."""
        return self.operator.family in ("elementwise", "logical", "activation", "casting") and (
            self.operator.name != "softmax"
        )

    @property
    def only_moves(self) -> bool:
        """Whether every element of the result is an element of an operand."""
        return self.operator.family in ("shape", "indexing")


def call(name: str, size: int) -> Call:
    """The call of an operator; sizes of its operands grow with `size`."""
    shapes, options = _special(size).get(name, ({}, {}))
    operator = REGISTRY[name]
    if not shapes:
        required = (slot for slot in operator.slots.values() if slot.presence == "required")
        shapes = {slot.name: (size, size) for slot in required}
    return Call(operator, shapes, options)


def _special(n: int) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Calls in which operands differ in shape, or attributes are needed."""
    square, image, hidden = (n, n), (1, 4, n, n), 8
    many = 1 if n == SMALL else n
    window = {"window_dimensions": (3, 3), "padding": (1, 1, 1, 1)}
    reduced = {"axes": (1,)}
    cell = {"input": (n, 4), "hidden_state": (n, hidden)}
    return {
        "clamp": ({"input": square}, {"min_value": 1, "max_value": 2}),
        "cast": ({"input": square}, {"data_type": DataType.INT32}),
        "matmul": ({"a": square, "b": square}, {}),
        "gemm": ({"a": square, "b": square, "c": (n,)}, {}),
        "conv2d": ({"input": image, "filter": (4, 4, 3, 3), "bias": (4,)}, {}),
        "conv_transpose2d": ({"input": image, "filter": (4, 4, 3, 3), "bias": (4,)}, {}),
        **{name: ({"input": image}, window) for name in ("average_pool2d", "l2_pool2d", "max_pool2d")},
        "batch_normalization": (
            {"input": image, **dict.fromkeys(("mean", "variance", "scale", "bias"), (4,))},
            {},
        ),
        "instance_normalization": ({"input": image, "scale": (4,), "bias": (4,)}, {}),
        "layer_normalization": ({"input": square, "scale": (n,), "bias": (n,)}, {}),
        "softmax": ({"input": square}, {"axis": 1}),
        "cumulative_sum": ({"input": square}, {"axis": 1}),
        **{name: ({"input": square}, {"axis": 1}) for name in ("arg_min", "arg_max")},
        **{name: ({"input": square}, reduced) for name in REGISTRY if name.startswith("reduce_")},
        "concat": ({"inputs": [square, square]}, {"axis": 0}),
        "expand": ({"input": (1, n)}, {"new_shape": square}),
        "pad": ({"input": square}, {"beginning_padding": (1, 2), "ending_padding": (2, 1)}),
        "reshape": ({"input": square}, {"new_shape": (n * n,)}),
        "slice": ({"input": square}, {"starts": (1, 2), "sizes": (n - 2, n - 3), "strides": (1, 2)}),
        "split": ({"input": square}, {"splits": 2}),
        "tile": ({"input": square}, {"repetitions": (1, 2)}),
        "gather": ({"input": (n, 4), "indices": (n * n,)}, {}),
        "gather_elements": ({"input": square, "indices": square}, {}),
        "gather_nd": ({"input": square, "indices": (n * n, 2)}, {}),
        # One update: of several of one place, which one wins is the reference's own affair.
        "scatter_elements": ({"input": (n, n * n), "indices": (1, n * n), "updates": (1, n * n)}, {}),
        "scatter_nd": ({"input": (n, 64), "indices": (many, 1), "updates": (many, 64)}, {}),
        "quantize_linear": ({"input": square, "scale": (n, 1), "zero_point": (n, 1)}, {}),
        "dequantize_linear": ({"input": square, "scale": (n, 1), "zero_point": (n, 1)}, {}),
        "resample2d": ({"input": image}, {"sizes": (n + 2, 2 * n), "mode": "linear"}),
        "gru_cell": ({**cell, **_weights(3, hidden)}, {"hidden_size": hidden}),
        "lstm_cell": ({**cell, **_weights(4, hidden), "cell_state": (n, hidden)}, {"hidden_size": hidden}),
        **{
            name: (
                {"input": (n, 1, 4), **{slot: (1, *shape) for slot, shape in _weights(gates, hidden).items()}},
                {"steps": n, "hidden_size": hidden, "return_sequence": True},
            )
            for name, gates in (("gru", 3), ("lstm", 4))
        },
    }


def _weights(gates: int, hidden: int) -> dict[str, Shape]:
    return {"weight": (gates * hidden, 4), "recurrent_weight": (gates * hidden, hidden)}


# --- content ----------------------------------------------------------------------------------------------------------


def filled_with(number: int) -> Callable[[DataType, Shape, int], Array]:
    """Content of one small number, which is legal everywhere."""
    return lambda data_type, shape, _seed: np.full(shape, number, data_type.storage)


def legal(data_type: DataType, shape: Shape, seed: int) -> Array:
    """Ordinary values: 1 to 3, which are also indices, divisors, scales and conditions."""
    random = np.random.default_rng(seed)
    if data_type.is_float:
        return random.uniform(1, 3, shape).astype(data_type.storage)
    return random.integers(1, 4, shape, data_type.storage)


def hostile(data_type: DataType, shape: Shape, seed: int, only: int | None = None) -> Array:
    """Values that break kernels, all of them in turn, or only one."""
    values = hostile_values(data_type)
    if only is not None:
        return np.full(shape, values[only], data_type.storage)
    random = np.random.default_rng(seed)
    return random.choice(values, shape).astype(data_type.storage)


def hostile_values(data_type: DataType) -> Array:
    """Ends of ranges, what traps, what is no number, and indices far and just out of range."""
    if data_type.is_float:
        info = np.finfo(data_type.storage)
        several = (np.nan, np.inf, -np.inf, -0.0, 0.0, info.max, info.min, info.smallest_subnormal, -1, 300.7)
        return np.array(several, data_type.storage)
    low, high = data_type.range
    many = (low, high, 0, -1, 255, low + 1, LARGE**2, -(LARGE**2) - 1, 2**24 + 1, 2**32 + 1, 1 - 2**28)
    return np.array([value for value in dict.fromkeys(many) if low <= value <= high], data_type.storage)


def types(call: Call, limits: Mapping[str, TensorLimits]) -> list[dict[str, DataType]]:
    """Combinations of data types to probe: each type of each slot, the others at their first choice."""
    slots = call.operator.slots
    free = [name for name in call.shapes if slots[name].same_type_as is None]
    first = {name: _preferred(limits[name]) for name in free}
    chosen: list[dict[str, DataType]] = []
    for name in free:
        for data_type in sorted(limits[name].data_types):
            each = first | {name: data_type}
            for other in call.shapes:
                like = slots[other].same_type_as
                if like is not None:
                    each[other] = each[like]
            if each not in chosen:
                chosen.append(each)
    return chosen


def _preferred(limits: TensorLimits) -> DataType:
    wanted = (DataType.FLOAT32, DataType.INT32, DataType.UINT8)
    return next(data_type for data_type in wanted if data_type in limits.data_types)
