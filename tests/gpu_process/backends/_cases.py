"""Calls of every operator: for each, what its operands look like and which attributes to try."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType
from ipc.limits import TensorLimits

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        shapes: of each operand by slot; a list of them where the slot is variadic. Left out: absent.
        options: attributes by name.
        values: operands with special content, by slot: made from data type and shape.
    """

    operator: str
    shapes: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.operator}({self.shapes}, {dict(self.options)})"


def cases() -> Iterator[Case]:
    yield from _elementwise()
    yield from _movement()
    yield from _indexing()
    yield from _reductions()
    yield from _windows()
    yield from _statistics()
    yield from _recurrent()
    yield from _quantization()


_ROUNDING = ["ceil", "floor", "round_even"]
_DEEP = (2, 1, 3, 1, 2, 1, 2, 2)  # rank 8


def _elementwise() -> Iterator[Case]:
    for name in ("add", "sub", "mul", "div", "max", "min", "pow"):
        for a, b in (((61,), (61,)), ((5, 1, 4), (3, 1)), ((), (3,)), (_DEEP, (3, 1, 2, 1, 1, 2)), ((), ())):
            yield Case(name, {"a": a, "b": b})
    for name in ("equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal"):
        for a, b in (((61,), (61,)), ((5, 1, 4), (3, 1)), ((), _DEEP)):
            yield Case(name, {"a": a, "b": b})
    for name in ("logical_and", "logical_or", "logical_xor"):
        yield Case(name, {"a": (61,), "b": (61,)})
        yield Case(name, {"a": (3, 1), "b": ()})
    for name in ("logical_not", "is_nan", "is_infinite"):
        yield Case(name, {"a": (61,)})
        yield Case(name, {"a": ()})
    unary = [*_ROUNDING, "abs", "cos", "erf", "exp", "identity", "log", "neg", "reciprocal", "sign", "sin"]
    activations = ["elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "linear", "relu", "sigmoid", "softplus"]
    for name in [*unary, "sqrt", "tan", *activations, "softsign", "tanh"]:
        for shape in ((61,), (), _DEEP):
            yield Case(name, {"input": shape})
    yield Case("elu", {"input": (61,)}, {"alpha": 0.5})
    yield Case("leaky_relu", {"input": (61,)}, {"alpha": -2.0})
    for name in ("elu", "leaky_relu"):
        yield Case(name, {"input": (61,)}, {"alpha": 1e308})  # infinite, once it is cast
    yield Case("linear", {"input": (61,)}, {"alpha": 0.5, "beta": -3.0})
    yield Case("hard_sigmoid", {"input": (61,)}, {"alpha": -0.5, "beta": 0.25})
    for bounds in (
        {},
        {"min_value": 1},
        {"max_value": 1},
        {"min_value": 0, "max_value": 5},
        {"min_value": 3, "max_value": 3},
    ):
        yield Case("clamp", {"input": (61,)}, bounds)
    yield Case("clamp", {"input": (61,)}, {"min_value": -np.inf, "max_value": np.inf})
    for x, slope in (((61,), (61,)), ((3, 4), (4,)), ((4,), (3, 4)), ((2, 3, 4), (3, 1)), ((), ())):
        yield Case("prelu", {"input": x, "slope": slope})
    for condition, true, false in (((61,), (61,), (61,)), ((3, 1), (4,), ()), ((), (2, 3), (3,)), (_DEEP, (2,), ())):
        yield Case("where", {"condition": condition, "true_value": true, "false_value": false})
    for data_type in DataType:
        if not data_type.is_packed:
            yield Case("cast", {"input": (61,)}, {"data_type": data_type})


def _movement() -> Iterator[Case]:
    yield Case("concat", {"inputs": [(2, 3)]}, {"axis": 1})
    yield Case("concat", {"inputs": [(2, 3), (2, 1), (2, 4)]}, {"axis": 1})
    yield Case("concat", {"inputs": [_DEEP, _DEEP]}, {"axis": 3})
    yield Case("expand", {"input": (3, 1)}, {"new_shape": (2, 3, 4)})
    yield Case("expand", {"input": ()}, {"new_shape": _DEEP})
    yield Case("expand", {"input": (3,)}, {"new_shape": (3,)})
    for mode in ("constant", "edge", "reflection"):
        yield Case("pad", {"input": (3, 4)}, {"beginning_padding": (1, 2), "ending_padding": (2, 3), "mode": mode})
        ones = (0, 0, 1, 0, 1, 0, 1, 1)
        yield Case("pad", {"input": _DEEP}, {"beginning_padding": ones, "ending_padding": (0,) * 8, "mode": mode})
    yield Case("pad", {"input": (3, 4)}, {"beginning_padding": (5, 0), "ending_padding": (0, 9), "value": 7})
    yield Case("pad", {"input": ()}, {"beginning_padding": (), "ending_padding": ()})
    yield Case("reshape", {"input": (3, 4)}, {"new_shape": (2, 6)})
    yield Case("reshape", {"input": (1, 1)}, {"new_shape": ()})
    yield Case("reshape", {"input": (48,)}, {"new_shape": _DEEP})
    yield Case("reverse", {"input": _DEEP})
    yield Case("reverse", {"input": (3, 4)}, {"axes": (1,)})
    yield Case("reverse", {"input": (3, 4)}, {"axes": ()})
    yield Case("reverse", {"input": ()})
    yield Case("slice", {"input": (5, 7)}, {"starts": (1, 2), "sizes": (3, 5)})
    yield Case("slice", {"input": (5, 7)}, {"starts": (0, 1), "sizes": (5, 6), "strides": (2, 4)})
    yield Case("slice", {"input": ()}, {"starts": (), "sizes": ()})
    yield Case("slice", {"input": _DEEP}, {"starts": (1, 0, 1, 0, 0, 0, 0, 1), "sizes": (1, 1, 2, 1, 2, 1, 2, 1)})
    yield Case("split", {"input": (6, 4)}, {"splits": 3})
    yield Case("split", {"input": (6, 4)}, {"splits": 1})
    yield Case("split", {"input": (2, 6)}, {"splits": (1, 3, 2), "axis": 1})
    yield Case("tile", {"input": (2, 3)}, {"repetitions": (2, 3)})
    yield Case("tile", {"input": (2, 3)}, {"repetitions": (1, 1)})
    yield Case("tile", {"input": _DEEP}, {"repetitions": (1, 2, 1, 1, 2, 1, 1, 1)})
    yield Case("transpose", {"input": (2, 3, 4)})
    yield Case("transpose", {"input": (2, 3, 4)}, {"permutation": (1, 0, 2)})
    yield Case("transpose", {"input": _DEEP}, {"permutation": (7, 2, 0, 1, 4, 3, 6, 5)})
    yield Case("transpose", {"input": ()})
    for upper in (True, False):
        for diagonal in (0, 1, -2, 100, -100):
            yield Case("triangular", {"input": (4, 5)}, {"upper": upper, "diagonal": diagonal})
        yield Case("triangular", {"input": (2, 1, 2, 1, 2, 1, 3, 3)}, {"upper": upper})


def _indexing() -> Iterator[Case]:
    yield Case("gather", {"input": (5, 4), "indices": (3, 2)})
    yield Case("gather", {"input": (5, 4), "indices": ()}, {"axis": 1})
    yield Case("gather", {"input": (2, 3, 1, 2, 2, 1, 3), "indices": (2, 2)}, {"axis": 6})
    yield Case("gather", {"input": (5,), "indices": ()})
    yield Case("gather_elements", {"input": (5, 4), "indices": (7, 4)})
    yield Case("gather_elements", {"input": _DEEP, "indices": (2, 1, 5, 1, 2, 1, 2, 2)}, {"axis": 2})
    yield Case("gather_nd", {"input": (5, 4), "indices": (6, 2)})
    yield Case("gather_nd", {"input": (5, 4), "indices": (1,)})
    yield Case("gather_nd", {"input": _DEEP, "indices": (2, 5)})
    # one update: the result for duplicate targets is not specified
    yield Case("scatter_elements", {"input": (5, 4), "indices": (1, 4), "updates": (1, 4)})
    yield Case(
        "scatter_elements",
        {"input": _DEEP, "indices": (2, 1, 1, 1, 2, 1, 2, 2), "updates": (2, 1, 1, 1, 2, 1, 2, 2)},
        {"axis": 2},
    )
    yield Case("scatter_nd", {"input": (5, 4), "indices": (1, 2), "updates": (1,)})
    yield Case("scatter_nd", {"input": (5, 4), "indices": (1,), "updates": (4,)})
    yield Case("scatter_nd", {"input": _DEEP, "indices": (1, 3), "updates": (1, 1, 2, 1, 2, 2)})


def _reductions() -> Iterator[Case]:
    names = ["l1", "l2", "log_sum", "log_sum_exp", "max", "mean", "min", "product", "sum", "sum_square"]
    for name in names:
        for options in ({}, {"axes": ()}, {"axes": (1,)}, {"axes": (2, 0), "keep_dimensions": True}):
            yield Case(f"reduce_{name}", {"input": (3, 4, 5)}, options)
        yield Case(f"reduce_{name}", {"input": ()})
        yield Case(f"reduce_{name}", {"input": ()}, {"axes": ()})
        yield Case(f"reduce_{name}", {"input": _DEEP}, {"axes": (0, 2, 7)})
        yield Case(f"reduce_{name}", {"input": _DEEP}, {"axes": ()})
    for name in ("arg_min", "arg_max"):
        for output in ("int32", "int64"):
            yield Case(name, {"input": (3, 41)}, {"axis": 1, "output_data_type": output})
        yield Case(name, {"input": (7,)}, {"axis": 0})
        yield Case(name, {"input": _DEEP}, {"axis": 2, "keep_dimensions": True})
    for exclusive in (False, True):
        for reversed in (False, True):
            options = {"exclusive": exclusive, "reversed": reversed}
            yield Case("cumulative_sum", {"input": (3, 7)}, {"axis": 1, **options})
            yield Case("cumulative_sum", {"input": _DEEP}, {"axis": 2, **options})


def _windows() -> Iterator[Case]:
    image, filter = (2, 4, 7, 8), (6, 4, 3, 2)
    yield Case("conv2d", {"input": image, "filter": filter})
    yield Case(
        "conv2d",
        {"input": image, "filter": filter, "bias": (6,)},
        {"padding": (1, 2, 3, 4), "strides": (2, 3), "dilations": (2, 3)},
    )
    yield Case("conv2d", {"input": image, "filter": (4, 1, 3, 3), "bias": (4,)}, {"groups": 4})
    for layout, shape in (("hwio", (3, 2, 2, 6)), ("ohwi", (6, 3, 2, 2)), ("ihwo", (2, 3, 2, 6))):
        yield Case(
            "conv2d",
            {"input": (2, 7, 8, 4), "filter": shape},
            {"input_layout": "nhwc", "filter_layout": layout, "groups": 2},
        )
    transposed = (4, 3, 3, 2)
    yield Case("conv_transpose2d", {"input": image, "filter": transposed})
    for options in (
        {"strides": (2, 3), "output_padding": (1, 2)},
        {"strides": (3, 2), "padding": (1, 0, 2, 1), "dilations": (2, 3)},
        {"strides": (3, 2), "padding": (1, 1, 1, 1), "output_sizes": (20, 15)},
    ):
        yield Case("conv_transpose2d", {"input": image, "filter": transposed, "bias": (3,)}, options)
    for layout, shape in (("hwoi", (3, 2, 3, 4)), ("ohwi", (3, 3, 2, 4))):
        yield Case(
            "conv_transpose2d",
            {"input": (2, 7, 8, 4), "filter": shape},
            {"input_layout": "nhwc", "filter_layout": layout, "groups": 2, "strides": (2, 2)},
        )
    for name in ("average_pool2d", "l2_pool2d", "max_pool2d"):
        for options in (
            {},
            {"window_dimensions": (3, 2)},
            {"window_dimensions": (3, 3), "padding": (1, 2, 0, 1), "strides": (2, 3)},
            {"window_dimensions": (3, 2), "dilations": (2, 3), "padding": (1, 1, 1, 1)},
            {"window_dimensions": (3, 3), "strides": (3, 3), "output_shape_rounding": "ceil"},
            {"window_dimensions": (3, 3), "strides": (3, 3), "output_sizes": (3, 3)},
            {"window_dimensions": (3, 3), "strides": (4, 4), "padding": (0, 0, 2, 1), "output_shape_rounding": "ceil"},
            {"window_dimensions": (2, 2), "padding": (2, 2, 3, 5), "strides": (1, 2)},
            {"window_dimensions": (20, 9), "padding": (13, 9, 1, 0), "strides": (3, 1)},
            {
                "window_dimensions": (2, 2),
                "padding": (3, 2, 3, 5),
                "strides": (3, 2),
                "dilations": (2, 3),
                "output_shape_rounding": "ceil",
            },
        ):
            yield Case(name, {"input": image}, options)
        yield Case(name, {"input": (2, 7, 8, 4)}, {"layout": "nhwc", "window_dimensions": (3, 2), "strides": (2, 1)})
        yield Case(name, {"input": (2, 7, 8, 4)}, {"layout": "nhwc"})
    for mode in ("nearest-neighbor", "linear"):
        for options in (
            {"sizes": (3, 16)},
            {"sizes": (21, 5)},
            {"scales": (1.5, 0.5)},
            {"sizes": (9, 5), "axes": (1, 2)},
            {"sizes": (5, 9), "axes": (3, 0)},
            {},
        ):
            yield Case("resample2d", {"input": (2, 12, 7, 8)}, {"mode": mode, **options})


def _statistics() -> Iterator[Case]:
    for shape, axis in (((2, 3, 4, 5), 1), ((2, 3, 4, 5), 3), ((3,), 0), (_DEEP, 2), ((4, 3), 1)):
        vector = (shape[axis],)
        yield Case("batch_normalization", {"input": shape, "mean": vector, "variance": vector}, {"axis": axis})
        both = {"scale": vector, "bias": vector}
        yield Case(
            "batch_normalization",
            {"input": shape, "mean": vector, "variance": vector, **both},
            {"axis": axis, "epsilon": 0.01},
        )
    yield Case("instance_normalization", {"input": (2, 3, 4, 5)})
    yield Case("instance_normalization", {"input": (2, 3, 4, 5), "scale": (3,), "bias": (3,)}, {"epsilon": 0.1})
    yield Case("instance_normalization", {"input": (2, 4, 5, 3), "bias": (3,)}, {"layout": "nhwc"})
    for shape, axes in (
        ((2, 3, 4), None),
        ((2, 3, 4), (2,)),
        ((2, 3, 4), (2, 1)),
        ((2, 3, 4), (0, 2)),
        ((2, 3, 4), (1, 0)),
        ((), None),
        ((4,), None),
        ((4,), (0,)),
        ((2, 3), ()),
        (_DEEP, (7, 2, 0)),
    ):
        listed = tuple(range(1, len(shape))) if axes is None else axes
        sizes = tuple(shape[axis] for axis in listed)
        options = {} if axes is None else {"axes": axes}
        yield Case("layer_normalization", {"input": shape}, options)
        yield Case("layer_normalization", {"input": shape, "scale": sizes, "bias": sizes}, options)
        yield Case("layer_normalization", {"input": shape, "bias": sizes}, options)
    vector = {"mean": (3,), "variance": (3,), "scale": (3,), "bias": (3,)}
    for epsilon in (0.0, -1.0, 1e308):  # infinite, once it is cast
        yield Case("batch_normalization", {"input": (2, 3, 4, 5), **vector}, {"epsilon": epsilon})
        yield Case("instance_normalization", {"input": (1, 3, 1, 1), "bias": (3,)}, {"epsilon": epsilon})
        for shape, axes in (((4,), ()), ((), ()), ((1, 1), (0, 1)), ((2, 3), (1,))):
            both = dict.fromkeys(("scale", "bias"), tuple(shape[axis] for axis in axes))
            yield Case("layer_normalization", {"input": shape, **both}, {"axes": axes, "epsilon": epsilon})
    for axis in (0, 1, 2):
        yield Case("softmax", {"input": (3, 4, 5)}, {"axis": axis})
    yield Case("softmax", {"input": _DEEP}, {"axis": 2})
    yield Case("matmul", {"a": (3, 4), "b": (4, 5)})
    yield Case("matmul", {"a": (2, 1, 3, 4), "b": (5, 4, 2)})
    yield Case("matmul", {"a": (2, 1, 1, 2, 1, 1, 3, 4), "b": (1, 2, 1, 1, 1, 2, 4, 2)})
    yield Case("matmul", {"a": (2, 3, 1), "b": (1, 4)})
    for a, b, options in (
        ((3, 4), (4, 5), {}),
        ((4, 3), (5, 4), {"a_transpose": True, "b_transpose": True, "alpha": 0.5, "beta": -2.0}),
        ((1, 3), (5, 1), {"a_transpose": True, "b_transpose": True}),
    ):
        for c in (None, (), (5,), (1, 5), (3, 1), (3, 5), (1, 1), (1,)):
            yield Case("gemm", {"a": a, "b": b} | ({} if c is None else {"c": c}), options)


def _recurrent() -> Iterator[Case]:
    steps, batch, inputs, hidden = 4, 3, 5, 2
    for name, gates in (("gru", 3), ("lstm", 4)):
        layouts = ("zrn", "rzn") if name == "gru" else ("iofg", "ifgo")
        cell = {
            "input": (batch, inputs),
            "weight": (gates * hidden, inputs),
            "recurrent_weight": (gates * hidden, hidden),
            "hidden_state": (batch, hidden),
        }
        if name == "lstm":
            cell["cell_state"] = (batch, hidden)
        biases = {"bias": (gates * hidden,), "recurrent_bias": (gates * hidden,)}
        peephole = {"peephole_weight": (3 * hidden,)}
        activations = ("relu", "tanh", "sigmoid")[: gates - 1]
        for layout in layouts:
            yield Case(f"{name}_cell", cell, {"hidden_size": hidden, "layout": layout})
            yield Case(
                f"{name}_cell", cell | biases, {"hidden_size": hidden, "layout": layout, "activations": activations}
            )
            yield Case(f"{name}_cell", cell | {"bias": biases["bias"]}, {"hidden_size": hidden, "layout": layout})
            if name == "lstm":
                yield Case("lstm_cell", cell | biases | peephole, {"hidden_size": hidden, "layout": layout})
            else:
                yield Case("gru_cell", cell | biases, {"hidden_size": hidden, "layout": layout, "reset_after": False})
        for direction, count in (("forward", 1), ("backward", 1), ("both", 2)):
            whole = {
                "input": (steps, batch, inputs),
                "weight": (count, gates * hidden, inputs),
                "recurrent_weight": (count, gates * hidden, hidden),
            }
            both = {key: (count, *shape) for key, shape in biases.items()}
            states = {"initial_hidden_state": (count, batch, hidden)}
            if name == "lstm":
                states["initial_cell_state"] = (count, batch, hidden)
            options = {"steps": steps, "hidden_size": hidden, "direction": direction}
            for layout in layouts:
                yield Case(name, whole, {**options, "layout": layout})
                yield Case(
                    name,
                    whole | both | states,
                    {**options, "layout": layout, "return_sequence": True, "activations": activations},
                )
            if name == "gru":
                yield Case(name, whole | both, {**options, "reset_after": False, "return_sequence": True})
            else:
                peepholes = {"peephole_weight": (count, 3 * hidden)}
                yield Case(name, whole | peepholes, {**options, "return_sequence": True})
                yield Case(
                    name,
                    whole | both | states | peepholes,
                    {**options, "layout": "ifgo", "activations": activations, "return_sequence": True},
                )


def _quantization() -> Iterator[Case]:
    for name in ("quantize_linear", "dequantize_linear"):
        for shape, parameters in (
            ((61,), (1,)),
            ((), ()),
            ((4, 6), (2, 3)),
            ((4, 6), (4, 1)),
            ((4, 6), (4, 6)),
            ((2, 1, 4, 1, 2, 1, 2, 6), (1, 1, 2, 1, 2, 1, 1, 3)),
            ((5, 3), (1, 1)),
        ):
            yield Case(name, {"input": shape, "scale": parameters, "zero_point": parameters})


def operand(random: np.random.Generator, slot: str, data_type: DataType, shape: Shape, case: Case) -> Array:
    """Content for a slot: extremes among random values, or what the operator is about."""
    count = int(np.prod(shape))
    if data_type.is_packed:
        return random.integers(0, 256, (count + 1) // 2, dtype=np.uint8) & (0xFF if count % 2 == 0 else _tail(count))
    if slot == "condition" or case.operator.startswith("logical"):
        return random.choice(np.array([0, 1, 2, 255], np.uint8), shape)
    if slot == "indices":
        info = np.iinfo(data_type.storage)
        far = np.array([info.min, info.max, 0, 1, 2, 3, 4, 5, 6], np.int64)
        return random.choice(np.concatenate([far, [-1, -2, -5]]) if info.min else far, shape).astype(data_type.storage)
    if data_type.is_float:
        return _floats(random, slot, data_type, shape, case)
    return _integers(random, data_type, shape)


def _tail(count: int) -> Array:
    mask = np.full((count + 1) // 2, 0xFF, np.uint8)
    mask[-1] = 0x0F
    return mask


def _integers(random: np.random.Generator, data_type: DataType, shape: Shape) -> Array:
    info = np.iinfo(data_type.storage)
    special = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, info.max // 2 + 1]
    special += [-1, -2, -3] if info.min else []
    values = np.array(special, data_type.storage)[random.integers(0, len(special), shape)]
    other = random.integers(info.min, info.max, shape, data_type.storage, endpoint=True)
    return np.where(random.random(shape) < 0.7, values, other).astype(data_type.storage)


_SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.5, np.nan, np.inf, -np.inf, 1e-3, 300.7, -300.7, 65504.0]
_FAR = [2.0**31, -(2.0**31), 2.0**32, 2.0**63, -(2.0**63), 2.0**64, 1e30, 2147483520.0, 1e-40]
_MOVEMENT = ["concat", "expand", "pad", "reshape", "reverse", "slice", "split", "tile", "transpose", "triangular"]
_INDEXING = ["gather", "gather_elements", "gather_nd", "scatter_elements", "scatter_nd"]
_COMPARING = ["equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal", "is_nan", "is_infinite"]
_ARITHMETIC = ["add", "sub", "mul", "div", "max", "min", "abs", "identity", "neg", "sign", *_ROUNDING]
_EXTREMA = ["arg_max", "arg_min", "max_pool2d", "reduce_max", "reduce_min"]
_OTHERS = ["clamp", "relu", "cast", "where", "quantize_linear", "dequantize_linear", "resample2d"]
_EXTREMES_WELCOME = frozenset([*_MOVEMENT, *_INDEXING, *_COMPARING, *_ARITHMETIC, *_EXTREMA, *_OTHERS])


def _floats(random: np.random.Generator, slot: str, data_type: DataType, shape: Shape, case: Case) -> Array:
    values = random.normal(0, 0.3 if case.operator[:3] in ("gru", "lst") else 1, shape)
    if case.operator in _EXTREMES_WELCOME and slot != "scale":
        special = np.array(_SPECIAL + (_FAR if data_type is DataType.FLOAT32 else []))
        if case.operator == "resample2d":  # differences of great numbers have no digits
            special = np.array([0.0, np.inf])
        values = np.where(random.random(shape) < 0.5, random.choice(special, shape), values * 10)
    if (
        slot in ("variance", "scale")
        or case.operator in ("log", "sqrt", "reduce_log_sum")
        or (case.operator == "pow" and slot == "a")
    ):
        values = np.abs(values) + 0.1
    with np.errstate(over="ignore"):
        return np.asarray(values, data_type.storage)


def data_types(
    limits: Mapping[str, TensorLimits], slots: Sequence[str], like: Mapping[str, str | None]
) -> Iterator[dict[str, DataType]]:
    """Every combination of listed types in which slots that share a type do."""
    free = [slot for slot in slots if like[slot] is None]
    chosen: list[dict[str, DataType]] = [{}]
    for slot in free:
        chosen = [{**each, slot: data_type} for each in chosen for data_type in sorted(limits[slot].data_types)]
    for each in chosen:
        yield each | {slot: each[like[slot]] for slot in slots if like[slot] is not None}  # type: ignore[index]
