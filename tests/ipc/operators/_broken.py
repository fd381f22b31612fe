"""Calls that break one rule each, by the rule's id; the rules that a declaration states itself."""

from __future__ import annotations

from ipc.descriptors import Descriptor
from tests.ipc.operators._calls import Call, call, f16, i32, t, u8

NAN = float("nan")


def _windows(name: str, *operands: Descriptor) -> list[tuple[str, Call]]:
    broken: dict[str, dict[str, list[int]]] = {
        "padding_length": {"padding": [1, 1, 1]},
        "strides_length": {"strides": [1]},
        "strides_positive": {"strides": [1, 0]},
        "dilations_length": {"dilations": []},
        "dilations_positive": {"dilations": [0, 1]},
    }
    return [(f"{name}.{rule}", call(name, *operands, **wrong)) for rule, wrong in broken.items()]


def _families() -> list[tuple[str, Call]]:
    cases: list[tuple[str, Call]] = []
    for name in ("add", "sub", "mul", "div", "max", "min", "pow", "equal", "not_equal", "greater", "greater_or_equal"):
        cases += [(f"{name}.broadcast", call(name, t(2, 3), t(2)))]
    for name in ("lesser", "lesser_or_equal"):
        cases += [(f"{name}.broadcast", call(name, t(2), t(3)))]
    for name in ("logical_and", "logical_or", "logical_xor"):
        cases += [(f"{name}.broadcast", call(name, u8(2), u8(3)))]
    for suffix in ("l1", "l2", "log_sum", "log_sum_exp", "max", "mean", "min", "product", "sum", "sum_square"):
        name = f"reduce_{suffix}"
        cases += [
            (f"{name}.axes_range", call(name, t(2, 3), axes=[0, 2])),
            (f"{name}.axes_range", call(name, t(), axes=[0])),
            (f"{name}.axes_unique", call(name, t(2, 3), axes=[1, 1])),
        ]
    for name in ("arg_min", "arg_max"):
        cases += [
            (f"{name}.axis", call(name, t(2, 3), 2)),
            (f"{name}.output_data_type", call(name, t(2, 3), 1, output_data_type="uint32")),
            (f"{name}.index_range", call(name, t(2**31), 0)),
        ]
    pooled = {"strides": [2, 2], "window_dimensions": [2, 2]}
    for name in ("average_pool2d", "l2_pool2d", "max_pool2d"):
        image = t(1, 1, 5, 4)
        cases += _windows(name, image)
        cases += [
            (f"{name}.window_dimensions_length", call(name, image, window_dimensions=[2])),
            (f"{name}.window_dimensions_positive", call(name, image, window_dimensions=[0, 2])),
            (f"{name}.output_sizes_length", call(name, image, output_sizes=[1, 1, 1])),
            (f"{name}.output_sizes", call(name, t(1, 1, 5, 5), output_sizes=[2, 3], **pooled)),  # floor beside ceil
            (f"{name}.output_sizes", call(name, t(1, 1, 5, 5), output_sizes=[4, 4], **pooled)),
            (f"{name}.output.dimensions", call(name, image, window_dimensions=[7, 2])),
        ]
    return cases


def _convolutions() -> list[tuple[str, Call]]:
    image, kernel = t(1, 4, 9, 9), t(6, 2, 3, 3)
    transposed = ("conv_transpose2d", t(1, 4, 3, 3), t(4, 2, 3, 3))
    return [
        *_windows("conv2d", t(1, 2, 9, 9), kernel),
        ("conv2d.groups_positive", call("conv2d", image, kernel, groups=0)),
        ("conv2d.groups_input", call("conv2d", image, kernel, groups=3)),
        ("conv2d.filter_channels", call("conv2d", image, kernel, groups=4)),
        ("conv2d.groups_output", call("conv2d", image, t(5, 2, 3, 3), groups=2)),
        ("conv2d.bias_shape", call("conv2d", image, kernel, groups=2, bias=t(4))),
        ("conv2d.output.dimensions", call("conv2d", t(1, 2, 2, 9), kernel)),
        ("conv2d.output.dimensions", call("conv2d", t(1, 2, 9, 9), kernel, padding=[2**32 - 1] * 4)),
        *_windows(*transposed),
        ("conv_transpose2d.output_padding_length", call(*transposed, output_padding=[0])),
        ("conv_transpose2d.output_sizes_length", call(*transposed, output_sizes=[5])),
        ("conv_transpose2d.output_padding", call(*transposed, output_padding=[0, 1])),
        ("conv_transpose2d.groups_positive", call(*transposed, groups=0)),
        ("conv_transpose2d.filter_channels", call("conv_transpose2d", t(1, 3, 3, 3), t(4, 2, 3, 3))),
        ("conv_transpose2d.bias_shape", call(*transposed, groups=3, bias=t(2))),
        ("conv_transpose2d.output_sizes", call(*transposed, output_sizes=[5, 4])),
        ("conv_transpose2d.output_sizes", call(*transposed, output_sizes=[5, 7], strides=[1, 1])),
        ("conv_transpose2d.output_sizes", call(*transposed, output_sizes=[6, 5], strides=[1, 1])),
        ("conv_transpose2d.output.dimensions", call(*transposed, padding=[3, 2, 0, 0])),
    ]


def _shapes() -> list[tuple[str, Call]]:
    return [
        ("reshape.element_count", call("reshape", t(2, 3), [5])),
        ("reshape.output.dimensions", call("reshape", t(2, 3), [6, 0])),
        ("reshape.output.rank", call("reshape", t(1), [1] * 9)),
        ("expand.broadcast", call("expand", t(2), [3])),
        ("expand.broadcast", call("expand", t(1, 1), [1])),
        ("expand.output.dimensions", call("expand", t(1), [0])),
        ("expand.output.rank", call("expand", t(1), [1] * 9)),
        ("transpose.permutation_length", call("transpose", t(2, 3), permutation=[0])),
        ("transpose.permutation_range", call("transpose", t(2, 3), permutation=[0, 2])),
        ("transpose.permutation_unique", call("transpose", t(2, 3), permutation=[1, 1])),
        ("reverse.axes_range", call("reverse", t(2), axes=[1])),
        ("reverse.axes_unique", call("reverse", t(2), axes=[0, 0])),
        ("concat.count", call("concat", [], 0)),
        ("concat.count", call("concat", [t(1)] * 8193, 0)),
        ("concat.axis", call("concat", [t(1)], 1)),
        ("concat.same_type", call("concat", [t(1), f16(1)], 0)),
        ("concat.same_rank", call("concat", [t(1), t(1, 1)], 0)),
        ("concat.same_shape", call("concat", [t(2, 3), t(2, 4)], 0)),
        ("concat.same_shape", call("concat", [t(2, 3), t(4, 3)], 1)),
        ("concat.inputs.rank", call("concat", [t()], 0)),
        ("concat.output.dimensions", call("concat", [u8(2**30), u8(2**30)], 0)),
        ("split.axis", call("split", t(4), 2, axis=1)),
        ("split.count", call("split", t(4), 0)),
        ("split.count", call("split", u8(8193), 8193)),
        ("split.count", call("split", t(4), [])),
        ("split.count", call("split", u8(8193), [1] * 8193)),
        ("split.divides", call("split", t(4), 3)),
        ("split.pieces_positive", call("split", t(4), [4, 0])),
        ("split.sum", call("split", t(4), [1, 2])),
        ("slice.sizes_positive", call("slice", t(4), [0], [0])),
        ("slice.starts_length", call("slice", t(4), [0, 0], [1])),
        ("slice.sizes_length", call("slice", t(4), [0], [1, 1])),
        ("slice.strides_length", call("slice", t(4), [0], [1], strides=[])),
        ("slice.strides_positive", call("slice", t(4), [0], [1], strides=[0])),
        ("slice.within", call("slice", t(4), [2], [3])),
        ("slice.within", call("slice", t(4), [2**32 - 1], [1])),
        ("pad.beginning_padding_length", call("pad", t(4), [], [0])),
        ("pad.ending_padding_length", call("pad", t(4), [0], [0, 0])),
        ("pad.reflection", call("pad", t(4), [4], [0], mode="reflection")),
        ("pad.reflection", call("pad", t(4), [0], [4], mode="reflection")),
        ("pad.reflection", call("pad", t(4, 4), [3, 4], [3, 3], mode="reflection")),
        ("gather_elements.indices_shape", call("gather_elements", t(2, 3, 4), i32(2, 3, 5), axis=0)),
        ("pad.output.dimensions", call("pad", t(4), [2**32 - 1], [0])),
        ("tile.repetitions_length", call("tile", t(4), [1, 1])),
        ("tile.repetitions_positive", call("tile", t(4), [0])),
        ("tile.output.dimensions", call("tile", t(4), [-1])),
    ]


def _indexing() -> list[tuple[str, Call]]:
    return [
        ("gather.axis", call("gather", t(4), i32(1), axis=1)),
        ("gather.output.rank", call("gather", t(1, 1, 1, 1, 1), i32(1, 1, 1, 1, 1))),
        ("gather_elements.axis", call("gather_elements", t(4), i32(1), axis=1)),
        ("gather_elements.indices_rank", call("gather_elements", t(4), i32(1, 1))),
        ("gather_elements.indices_shape", call("gather_elements", t(4, 5), i32(1, 4))),
        ("gather_nd.coordinates", call("gather_nd", t(4), i32(2))),
        ("scatter_elements.axis", call("scatter_elements", t(4), i32(1), t(1), axis=1)),
        ("scatter_elements.indices_rank", call("scatter_elements", t(4), i32(1, 1), t(1))),
        ("scatter_elements.updates_rank", call("scatter_elements", t(4), i32(1), t(1, 1))),
        ("scatter_elements.indices_shape", call("scatter_elements", t(4, 5), i32(1, 4), t(1, 4))),
        ("scatter_elements.updates_shape", call("scatter_elements", t(4, 5), i32(1, 5), t(2, 5))),
        ("scatter_nd.coordinates", call("scatter_nd", t(4), i32(2**31 - 1), t())),
        ("scatter_nd.updates_shape", call("scatter_nd", t(4, 5), i32(7, 1), t(7, 4))),
    ]


def _quantization() -> list[tuple[str, Call]]:
    cases: list[tuple[str, Call]] = []
    for name, x, zero in (("dequantize_linear", u8, u8), ("quantize_linear", t, u8)):
        cases += [
            (f"{name}.scale_rank", call(name, x(4, 6), t(6), zero(6))),
            (f"{name}.zero_point_rank", call(name, x(4, 6), t(1, 6), zero(6))),
            (f"{name}.same_shape", call(name, x(4, 6), t(1, 6), zero(4, 6))),
            (f"{name}.blockwise", call(name, x(4, 6), t(3, 6), zero(3, 6))),
            (f"{name}.blockwise", call(name, x(4, 6), t(8, 6), zero(8, 6))),
            (f"{name}.zero_point.data_type", call(name, x(4), t(4), t(4, type="int64"))),
        ]
    return cases


def _normalization() -> list[tuple[str, Call]]:
    batch, image, layer = ("batch_normalization", t(2, 3)), ("instance_normalization", t(1, 2, 3, 4)), t(2, 3, 4)
    return [
        ("batch_normalization.axis", call(*batch, t(3), t(3), axis=2)),
        ("batch_normalization.mean_shape", call(*batch, t(2), t(3))),
        ("batch_normalization.variance_shape", call(*batch, t(3), t(2))),
        ("batch_normalization.scale_shape", call(*batch, t(3), t(3), scale=t(2))),
        ("batch_normalization.bias_shape", call(*batch, t(3), t(3), bias=t(2))),
        ("instance_normalization.scale_shape", call(*image, scale=t(4))),
        ("instance_normalization.bias_shape", call(*image, bias=t(2), layout="nhwc")),
        ("layer_normalization.axes_range", call("layer_normalization", layer, axes=[3])),
        ("layer_normalization.axes_unique", call("layer_normalization", layer, axes=[1, 1])),
        ("layer_normalization.scale_rank", call("layer_normalization", layer, scale=t(4))),
        ("layer_normalization.bias_rank", call("layer_normalization", layer, bias=t())),
        ("layer_normalization.scale_shape", call("layer_normalization", layer, axes=[2, 1], scale=t(3, 4))),
        ("layer_normalization.bias_shape", call("layer_normalization", layer, bias=t(4, 3))),
    ]


def _others() -> list[tuple[str, Call]]:
    image = t(1, 1, 4, 4)
    return [
        ("where.values_broadcast", call("where", u8(2), t(2), t(3))),
        ("where.condition_broadcast", call("where", u8(2), t(3), t(3))),
        ("where.condition.data_type", call("where", t(3), t(3), t(3))),
        ("prelu.broadcast", call("prelu", t(2), t(3))),
        ("clamp.bounds", call("clamp", t(2), min_value=1, max_value=0.5)),
        ("clamp.bounds", call("clamp", i32(2), min_value=2.6, max_value=2.4)),
        ("clamp.bounds", call("clamp", t(2), min_value=float("nan"), max_value=0)),
        ("clamp.bounds", call("clamp", t(2), max_value=float("nan"))),
        ("softmax.axis", call("softmax", t(2), 1)),
        ("softmax.input.rank", call("softmax", t(), 0)),
        ("cumulative_sum.axis", call("cumulative_sum", t(2), -1)),
        ("gemm.inner", call("gemm", t(2, 3), t(2, 3))),
        ("gemm.c_shape", call("gemm", t(2, 3), t(3, 4), c=t(2))),
        ("matmul.inner", call("matmul", t(2, 3), t(2, 3))),
        ("matmul.batch", call("matmul", t(2, 2, 3), t(3, 3, 4))),
        ("resample2d.scales_positive", call("resample2d", image, scales=[1, 0])),
        ("resample2d.scales_positive", call("resample2d", image, scales=[-1, 1], sizes=[1, 1])),
        ("resample2d.scales_length", call("resample2d", image, scales=[1, 1, 1])),
        ("resample2d.sizes_length", call("resample2d", image, sizes=[1])),
        ("resample2d.sizes_positive", call("resample2d", image, sizes=[1, 0])),
        ("resample2d.axes_length", call("resample2d", image, axes=[1])),
        ("resample2d.axes_range", call("resample2d", image, axes=[1, 4])),
        ("resample2d.axes_unique", call("resample2d", image, axes=[1, 1])),
        ("resample2d.output.dimensions", call("resample2d", image, scales=[0.1, 1])),
        ("resample2d.output.dimensions", call("resample2d", image, scales=[3e38, 1])),
    ]


def _recurrent() -> list[tuple[str, Call]]:
    gru = ("gru", t(2, 3, 4), t(1, 15, 4), t(1, 15, 5), 2, 5)
    gru_cell = ("gru_cell", t(3, 4), t(15, 4), t(15, 5), t(3, 5), 5)
    lstm = ("lstm", t(2, 3, 4), t(1, 20, 4), t(1, 20, 5), 2, 5)
    lstm_cell = ("lstm_cell", t(3, 4), t(20, 4), t(20, 5), t(3, 5), t(3, 5), 5)
    long = 400_000_000  # twice the gates of it are no dimension, once they are
    return [
        ("gru.steps", call("gru", t(2, 3, 4), t(1, 15, 4), t(1, 15, 5), 3, 5)),
        ("gru.weight_shape", call("gru", t(2, 3, 4), t(2, 15, 4), t(1, 15, 5), 2, 5)),
        ("gru.weight_shape", call(*gru, direction="both")),
        ("gru.recurrent_weight_shape", call("gru", t(2, 3, 4), t(1, 15, 4), t(1, 15, 4), 2, 5)),
        ("gru.hidden_size", call("gru", t(2, 3, 1), t(1, 3 * long, 1), t(1, 3 * long, long), 2, long)),
        ("gru.bias_shape", call(*gru, bias=t(1, 5))),
        ("gru.recurrent_bias_shape", call(*gru, recurrent_bias=t(2, 15))),
        ("gru.initial_hidden_state_shape", call(*gru, initial_hidden_state=t(1, 5, 3))),
        ("gru.activations_length", call(*gru, activations=["relu"])),
        ("gru_cell.weight_shape", call("gru_cell", t(3, 4), t(12, 4), t(15, 5), t(3, 5), 5)),
        ("gru_cell.recurrent_weight_shape", call("gru_cell", t(3, 4), t(15, 4), t(15, 4), t(3, 5), 5)),
        ("gru_cell.hidden_state_shape", call("gru_cell", t(3, 4), t(15, 4), t(15, 5), t(3, 4), 5)),
        ("gru_cell.hidden_size", call("gru_cell", t(3, 1), t(3 * long, 1), t(3 * long, long), t(3, long), long)),
        ("gru_cell.bias_shape", call(*gru_cell, bias=t(5))),
        ("gru_cell.recurrent_bias_shape", call(*gru_cell, recurrent_bias=t(5))),
        ("gru_cell.activations_length", call(*gru_cell, activations=[])),
        ("lstm.steps_positive", call("lstm", t(2, 3, 4), t(1, 20, 4), t(1, 20, 5), 0, 5)),
        ("lstm.steps", call("lstm", t(2, 3, 4), t(1, 20, 4), t(1, 20, 5), 1, 5)),
        ("lstm.weight_shape", call("lstm", t(2, 3, 4), t(1, 15, 4), t(1, 20, 5), 2, 5)),
        ("lstm.recurrent_weight_shape", call("lstm", t(2, 3, 4), t(1, 20, 4), t(1, 5, 20), 2, 5)),
        ("lstm.hidden_size", call("lstm", t(2, 3, 1), t(1, 4 * long, 1), t(1, 4 * long, long), 2, long)),
        ("lstm.bias_shape", call(*lstm, bias=t(1, 15))),
        ("lstm.recurrent_bias_shape", call(*lstm, recurrent_bias=t(1, 15))),
        ("lstm.peephole_weight_shape", call(*lstm, peephole_weight=t(1, 20))),
        ("lstm.initial_hidden_state_shape", call(*lstm, initial_hidden_state=t(2, 3, 5))),
        ("lstm.initial_cell_state_shape", call(*lstm, initial_cell_state=t(1, 3, 4))),
        ("lstm.activations_length", call(*lstm, activations=["relu", "tanh"])),
        ("lstm_cell.weight_shape", call("lstm_cell", t(3, 4), t(15, 4), t(20, 5), t(3, 5), t(3, 5), 5)),
        ("lstm_cell.recurrent_weight_shape", call("lstm_cell", t(3, 4), t(20, 4), t(20, 4), t(3, 5), t(3, 5), 5)),
        ("lstm_cell.hidden_state_shape", call("lstm_cell", t(3, 4), t(20, 4), t(20, 5), t(3, 4), t(3, 5), 5)),
        ("lstm_cell.cell_state_shape", call("lstm_cell", t(3, 4), t(20, 4), t(20, 5), t(3, 5), t(3, 4), 5)),
        (
            "lstm_cell.hidden_size",
            call("lstm_cell", t(3, 1), t(4 * long, 1), t(4 * long, long), t(3, long), t(3, long), long),
        ),
        ("lstm_cell.bias_shape", call(*lstm_cell, bias=t(15))),
        ("lstm_cell.recurrent_bias_shape", call(*lstm_cell, recurrent_bias=t(15))),
        ("lstm_cell.peephole_weight_shape", call(*lstm_cell, peephole_weight=t(20))),
        ("lstm_cell.activations_length", call(*lstm_cell, activations=["relu"] * 4)),
    ]


BROKEN: list[tuple[str, Call]] = [
    *_families(),
    *_convolutions(),
    *_shapes(),
    *_indexing(),
    *_quantization(),
    *_normalization(),
    *_others(),
    *_recurrent(),
]
