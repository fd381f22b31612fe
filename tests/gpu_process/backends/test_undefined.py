"""What the rules let through although it means nothing: no backend builds it, and all say why in the same words."""

from __future__ import annotations

import pytest

from gpu_process.backends import BackendError, BackendOptions, load_backend
from ipc.descriptors import DataType, Descriptor
from tests.conformance._in_process import BackendContext


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("backend", ["reference", "onnxruntime", "openvino"])
def test_groups_that_do_not_divide_the_input_channels_of_a_transposed_convolution(backend: str, layout: str) -> None:
    context = BackendContext(load_backend(backend, BackendOptions()))
    builder = context.builder()
    shape = (1, 4, 3, 3) if layout == "nchw" else (1, 3, 3, 4)
    images = builder.input("images", Descriptor(DataType.FLOAT32, shape))
    filter = builder.input("filter", Descriptor(DataType.FLOAT32, (4, 2, 3, 3)))
    result = builder.call("conv_transpose2d", [images, filter], {"groups": 3, "input_layout": layout})
    with pytest.raises(BackendError, match="conv_transpose2d: 3 groups do not divide 4 input channels"):
        context.compute(builder.build({"y": result}), {})
