"""Calls that are right, with their outputs computed by hand; the first of an operator gives every optional operand."""

from __future__ import annotations

from ipc.descriptors import Descriptor
from tests.ipc.operators._calls import Call, call, f16, i32, t, u8

Case = tuple[Call, list[Descriptor]]

_BINARY = ("add", "sub", "mul", "div", "max", "min", "pow")
_COMPARISON = ("equal", "not_equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal")
_UNARY_ANY_SIGN = ("abs", "neg", "sign", "relu")
_UNARY_FLOAT = (
    *("ceil", "cos", "erf", "exp", "floor", "identity", "log", "reciprocal", "round_even", "sin", "sqrt", "tan"),
    *("elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "linear", "sigmoid", "softplus", "softsign", "tanh"),
    "clamp",
)
_REDUCTION = ("l1", "l2", "log_sum", "log_sum_exp", "max", "mean", "min", "product", "sum", "sum_square")


def _elementwise() -> list[Case]:
    cases: list[Case] = []
    for name in _BINARY:
        cases += [
            (call(name, t(2, 3), t(2, 3)), [t(2, 3)]),
            (call(name, t(4, 1, 3), t(2, 1)), [t(4, 2, 3)]),
            (call(name, t(), t(5)), [t(5)]),
            (call(name, i32(), i32()), [i32()]),
        ]
    for name in _COMPARISON:
        cases += [
            (call(name, t(2, 3), t(2, 3)), [u8(2, 3)]),
            (call(name, i32(3, 1), i32(1, 4)), [u8(3, 4)]),
        ]
    for name in ("logical_and", "logical_or", "logical_xor"):
        cases += [(call(name, u8(3, 1), u8(4)), [u8(3, 4)])]
    for name in _UNARY_ANY_SIGN:
        cases += [(call(name, t(2, 3)), [t(2, 3)]), (call(name, t(type="int8")), [t(type="int8")])]
    for name in _UNARY_FLOAT:
        cases += [(call(name, t(2, 3)), [t(2, 3)]), (call(name, f16()), [f16()])]
    cases += [
        (call("logical_not", u8(2)), [u8(2)]),
        (call("is_nan", f16(2, 2)), [u8(2, 2)]),
        (call("is_infinite", t(3)), [u8(3)]),
        (call("where", u8(2, 1), t(1, 3), t(1)), [t(2, 3)]),
        (call("where", u8(5, 1, 1), i32(2, 1), i32(3)), [i32(5, 2, 3)]),
        (call("prelu", t(2, 3), t(3)), [t(2, 3)]),
        (call("prelu", i32(3), i32(2, 1)), [i32(2, 3)]),
        (call("clamp", i32(2), min_value=2.5, max_value=2), [i32(2)]),  # 2.5 is 2 as an int32
        (call("clamp", t(2), min_value=-float("inf"), max_value=float("inf")), [t(2)]),
        (call("clamp", u8(2), min_value=300, max_value=255), [u8(2)]),  # 300 saturates
        (call("clamp", i32(2), min_value=float("nan"), max_value=0), [i32(2)]),
        (call("cast", t(2), "int64"), [t(2, type="int64")]),
        (call("cast", i32(), "float16"), [f16()]),
        (call("softmax", t(2, 3), 1), [t(2, 3)]),
    ]
    return cases


def _matrix() -> list[Case]:
    return [
        (call("gemm", t(2, 3), t(3, 4), c=t(4)), [t(2, 4)]),
        (call("gemm", t(3, 2), t(4, 3), a_transpose=True, b_transpose=True, c=t(2, 1)), [t(2, 4)]),
        (call("gemm", f16(2, 3), f16(3, 4), c=f16()), [f16(2, 4)]),
        (call("matmul", t(2, 3), t(3, 4)), [t(2, 4)]),
        (call("matmul", t(5, 1, 2, 3), t(6, 3, 4)), [t(5, 6, 2, 4)]),
    ]


def _spatial() -> list[Case]:
    image, kernel = t(1, 4, 9, 9), t(6, 2, 3, 3)
    pooled = ("average_pool2d", "l2_pool2d", "max_pool2d")
    cases: list[Case] = [
        (call("conv2d", image, kernel, groups=2, bias=t(6)), [t(1, 6, 7, 7)]),
        (call("conv2d", t(1, 1, 5, 5), t(1, 1, 3, 3), padding=[1, 1, 1, 1]), [t(1, 1, 5, 5)]),
        (call("conv2d", t(1, 1, 5, 6), t(1, 1, 3, 3), strides=[2, 2]), [t(1, 1, 2, 2)]),
        (call("conv2d", t(1, 1, 7, 7), t(1, 1, 3, 3), dilations=[3, 2]), [t(1, 1, 1, 3)]),
        (call("conv2d", t(1, 1, 5, 5), t(1, 1, 3, 3), padding=[1, 0, 0, 2]), [t(1, 1, 4, 5)]),
        (call("conv2d", t(2, 5, 6, 3), t(3, 2, 3, 8), input_layout="nhwc", filter_layout="hwio"), [t(2, 3, 5, 8)]),
        (call("conv2d", t(1, 3, 5, 5), t(8, 3, 2, 3)), [t(1, 8, 4, 3)]),
        (call("conv2d", t(1, 2, 5, 5), t(8, 4, 3, 2), filter_layout="ohwi"), [t(1, 8, 2, 3)]),
        (call("conv2d", t(1, 3, 5, 5), t(3, 2, 3, 8), filter_layout="ihwo"), [t(1, 8, 4, 3)]),
        (call("conv_transpose2d", t(1, 4, 3, 3), t(4, 2, 3, 3), groups=3, bias=t(6)), [t(1, 6, 5, 5)]),
        (call("conv_transpose2d", t(1, 1, 3, 3), t(1, 2, 3, 3), strides=[3, 2]), [t(1, 2, 9, 7)]),
        (
            call("conv_transpose2d", t(1, 1, 3, 3), t(1, 1, 3, 3), strides=[3, 2], output_padding=[2, 1]),
            [t(1, 1, 11, 8)],
        ),
        (
            call("conv_transpose2d", t(1, 1, 3, 3), t(1, 1, 3, 3), strides=[3, 2], output_sizes=[11, 8]),
            [t(1, 1, 11, 8)],
        ),
        (
            call(
                *("conv_transpose2d", t(1, 1, 3, 3), t(1, 1, 3, 3)),
                strides=[3, 2],
                output_sizes=[9, 7],
                output_padding=[7, 7],  # ignored beside the sizes
            ),
            [t(1, 1, 9, 7)],
        ),
        (
            call("conv_transpose2d", t(1, 1, 3, 3), t(1, 1, 3, 3), padding=[1, 1, 1, 1], dilations=[2, 2]),
            [t(1, 1, 5, 5)],
        ),
        (
            call("conv_transpose2d", t(1, 3, 3, 4), t(2, 3, 5, 4), input_layout="nhwc", filter_layout="hwoi"),
            [t(1, 4, 5, 5)],
        ),
        (call("conv_transpose2d", t(1, 4, 3, 3), t(5, 2, 3, 4), filter_layout="ohwi"), [t(1, 5, 4, 5)]),
        (call("resample2d", t(1, 1, 4, 4)), [t(1, 1, 4, 4)]),
        (call("resample2d", t(1, 1, 4, 4), scales=[2, 0.5]), [t(1, 1, 8, 2)]),
        (call("resample2d", t(1, 1, 10, 10), scales=[0.7, 0.1]), [t(1, 1, 6, 1)]),  # 0.7 is below 7/10 as a float32
        (call("resample2d", t(1, 1, 3, 3), scales=[1 / 3, 2 / 3]), [t(1, 1, 1, 2)]),
        (call("resample2d", u8(2, 3, 4, 5), sizes=[7, 8], axes=[1, 0]), [u8(8, 7, 4, 5)]),
        (call("resample2d", t(1, 1, 4, 4), sizes=[1, 9], scales=[5, 5]), [t(1, 1, 1, 9)]),
        (call("resample2d", u8(1, 1, 2**30, 1), scales=[1.9999998807907104, 1]), [u8(1, 1, 2**31 - 128, 1)]),
    ]
    for name in pooled:
        cases += [
            (call(name, t(1, 2, 5, 4)), [t(1, 2, 1, 1)]),
            (call(name, t(1, 2, 5, 5), window_dimensions=[3, 3]), [t(1, 2, 3, 3)]),
            (call(name, t(1, 5, 4, 2), window_dimensions=[3, 2], layout="nhwc"), [t(1, 3, 3, 2)]),
            (call(name, t(1, 1, 5, 5), window_dimensions=[2, 2], strides=[2, 2]), [t(1, 1, 2, 2)]),
            (
                call(name, t(1, 1, 5, 5), window_dimensions=[2, 2], strides=[2, 2], output_shape_rounding="ceil"),
                [t(1, 1, 3, 3)],
            ),
            (
                call(name, t(1, 1, 5, 5), window_dimensions=[2, 2], strides=[2, 2], output_sizes=[3, 3]),
                [t(1, 1, 3, 3)],
            ),
            (
                call(
                    *(name, t(1, 1, 5, 5)),
                    window_dimensions=[3, 3],
                    padding=[1, 0, 0, 1],
                    strides=[2, 2],
                    output_sizes=[2, 2],
                ),
                [t(1, 1, 2, 2)],
            ),
            (call(name, t(1, 1, 7, 7), window_dimensions=[3, 3], dilations=[2, 3]), [t(1, 1, 3, 1)]),
            (call(name, t(1, 1, 3, 3), padding=[1, 1, 0, 0]), [t(1, 1, 3, 1)]),
        ]
    return cases


def _normalization() -> list[Case]:
    return [
        (
            call("batch_normalization", t(2, 3, 4), t(3), t(3), scale=t(3), bias=t(3)),
            [t(2, 3, 4)],
        ),
        (call("batch_normalization", t(2), t(2), t(2), axis=0), [t(2)]),
        (call("instance_normalization", t(1, 2, 3, 4), scale=t(2), bias=t(2)), [t(1, 2, 3, 4)]),
        (call("instance_normalization", t(1, 2, 3, 4), scale=t(4), layout="nhwc"), [t(1, 2, 3, 4)]),
        (call("layer_normalization", t(2, 3, 4), scale=t(3, 4), bias=t(3, 4)), [t(2, 3, 4)]),
        (call("layer_normalization", t(2, 3, 4), axes=[2, 0], scale=t(4, 2)), [t(2, 3, 4)]),
        (call("layer_normalization", t(2), scale=t(), bias=t()), [t(2)]),
        (call("layer_normalization", t(), axes=[]), [t()]),
    ]


def _reductions() -> list[Case]:
    cases: list[Case] = []
    for name in (f"reduce_{suffix}" for suffix in _REDUCTION):
        cases += [
            (call(name, t(2, 3, 4)), [t()]),
            (call(name, t(2, 3, 4), axes=[2, 0]), [t(3)]),
            (call(name, t(2, 3, 4), axes=[1], keep_dimensions=True), [t(2, 1, 4)]),
            (call(name, t(2, 3, 4), keep_dimensions=True), [t(1, 1, 1)]),
            (call(name, t(2, 3), axes=[]), [t(2, 3)]),
            (call(name, f16()), [f16()]),
        ]
    for name in ("arg_min", "arg_max"):
        cases += [
            (call(name, t(2, 3), 1), [i32(2)]),
            (call(name, u8(2, 3), 0, keep_dimensions=True, output_data_type="int64"), [t(1, 3, type="int64")]),
            (call(name, t(3), 0), [i32()]),
            (call(name, u8(2**31 - 1), 0), [i32()]),
        ]
    cases += [
        (call("cumulative_sum", t(2, 3), 1), [t(2, 3)]),
        (call("cumulative_sum", i32(2, 3), 2**32, exclusive=True, reversed=True), [i32(2, 3)]),  # modulo 2**32
        (call("cumulative_sum", i32(2, 3), float("nan")), [i32(2, 3)]),
    ]
    return cases


def _shapes() -> list[Case]:
    return [
        (call("reshape", t(2, 3), [3, 2, 1]), [t(3, 2, 1)]),
        (call("reshape", u8(1, 1), []), [u8()]),
        (call("reshape", t(), [1] * 8), [t(*[1] * 8)]),
        (call("expand", t(3, 1), [2, 3, 4]), [t(2, 3, 4)]),
        (call("expand", t(), []), [t()]),
        (call("transpose", t(2, 3, 4)), [t(4, 3, 2)]),
        (call("transpose", t(2, 3, 4), permutation=[1, 2, 0]), [t(3, 4, 2)]),
        (call("transpose", t(), permutation=[]), [t()]),
        (call("reverse", t(2, 3)), [t(2, 3)]),
        (call("reverse", t(2, 3), axes=[]), [t(2, 3)]),
        (call("reverse", t(2, 3), axes=[1, 0]), [t(2, 3)]),
        (call("concat", [t(2, 3), t(2, 4)], 1), [t(2, 7)]),
        (call("concat", [t(2)], 0), [t(2)]),
        (call("concat", [t(1)] * 8192, 0), [t(8192)]),
        (call("split", t(4, 6), 2), [t(2, 6)] * 2),
        (call("split", t(4, 6), [1, 2, 3], axis=1), [t(4, 1), t(4, 2), t(4, 3)]),
        (call("split", t(8192), 8192), [t(1)] * 8192),
        (call("split", t(8192), [1] * 8192), [t(1)] * 8192),
        (call("split", t(4), 1), [t(4)]),
        (call("split", t(4), [4]), [t(4)]),
        (call("slice", t(4, 6), [1, 2], [3, 4]), [t(3, 4)]),
        (call("slice", t(4, 6), [0, 1], [4, 5], strides=[3, 2]), [t(2, 3)]),
        (call("slice", t(), [], []), [t()]),
        (call("pad", t(2, 3), [1, 0], [2, 5]), [t(5, 8)]),
        (call("pad", t(2, 3), [1, 2], [1, 0], mode="reflection"), [t(4, 5)]),
        (call("pad", t(2), [7], [7], mode="edge", value=float("nan")), [t(16)]),
        (call("pad", t(), [], []), [t()]),
        (call("tile", t(2, 3), [1, 4]), [t(2, 12)]),
        (call("tile", t(2, 3), [2**32 + 2, 1]), [t(4, 3)]),  # modulo 2**32
        (call("triangular", t(2, 3), diagonal=-(2**31)), [t(2, 3)]),
    ]


def _indexing() -> list[Case]:
    return [
        (call("gather", t(4, 5, 6), i32(2, 3), axis=1), [t(4, 2, 3, 6)]),
        (call("gather", t(4), i32()), [t()]),
        (call("gather_elements", t(4, 5), i32(2, 5)), [t(2, 5)]),
        (call("gather_elements", u8(4, 5), i32(4, 9), axis=1), [u8(4, 9)]),
        (call("gather_nd", t(4, 5, 6), i32(7, 2)), [t(7, 6)]),
        (call("gather_nd", t(4, 5), i32(2)), [t()]),
        (call("scatter_elements", t(4, 5), i32(2, 5), t(2, 5)), [t(4, 5)]),
        (call("scatter_nd", t(4, 5, 6), i32(7, 2), t(7, 6)), [t(4, 5, 6)]),
        (call("scatter_nd", t(4, 5), i32(2), t()), [t(4, 5)]),
    ]


def _quantization() -> list[Case]:
    return [
        (call("dequantize_linear", u8(4, 6), t(2, 3), u8(2, 3)), [t(4, 6)]),
        (call("dequantize_linear", i32(), f16(), i32()), [f16()]),
        (call("quantize_linear", t(4, 6), t(1, 6), u8(1, 6)), [u8(4, 6)]),
        (call("quantize_linear", f16(4), f16(4), t(4, type="int8")), [t(4, type="int8")]),
    ]


def _recurrent() -> list[Case]:
    gru = {"bias": t(1, 15), "recurrent_bias": t(1, 15), "initial_hidden_state": t(1, 3, 5), "return_sequence": True}
    lstm = {"bias": t(1, 20), "recurrent_bias": t(1, 20), "peephole_weight": t(1, 15), "return_sequence": True}
    states = {"initial_hidden_state": t(1, 3, 5), "initial_cell_state": t(1, 3, 5)}
    return [
        (call("gru", t(2, 3, 4), t(1, 15, 4), t(1, 15, 5), 2, 5, **gru), [t(1, 3, 5), t(2, 1, 3, 5)]),
        (call("gru", t(2, 3, 4), t(1, 15, 4), t(1, 15, 5), 2, 5), [t(1, 3, 5)]),
        (call("gru", t(2, 3, 4), t(2, 15, 4), t(2, 15, 5), 2, 5, direction="both"), [t(2, 3, 5)]),
        (
            call("gru_cell", t(3, 4), t(15, 4), t(15, 5), t(3, 5), 5, bias=t(15), recurrent_bias=t(15)),
            [t(3, 5)],
        ),
        (
            call("lstm", t(2, 3, 4), t(1, 20, 4), t(1, 20, 5), 2, 5, **lstm, **states),
            [t(1, 3, 5), t(1, 3, 5), t(2, 1, 3, 5)],
        ),
        (
            call("lstm", t(2, 3, 4), t(2, 20, 4), t(2, 20, 5), 2, 5, direction="both"),
            [t(2, 3, 5), t(2, 3, 5)],
        ),
        (
            call(
                *("lstm_cell", t(3, 4), t(20, 4), t(20, 5), t(3, 5), t(3, 5), 5),
                bias=t(20),
                recurrent_bias=t(20),
                peephole_weight=t(15),
            ),
            [t(3, 5), t(3, 5)],
        ),
    ]


VALID: list[Case] = [
    *_elementwise(),
    *_matrix(),
    *_spatial(),
    *_normalization(),
    *_reductions(),
    *_shapes(),
    *_indexing(),
    *_quantization(),
    *_recurrent(),
]
