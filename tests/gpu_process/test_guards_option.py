"""Guards are off only where somebody said so by name, and then everybody is told."""

from __future__ import annotations

import numpy as np
import pytest

from renderer import ML, MLContext, MLError, MLGraphBuilder


def gathered(context: MLContext, index: int) -> float:
    """An element of [1, 2, 3, 4], by an index that the GPU process sees only when it computes."""
    builder = MLGraphBuilder(context)
    table = builder.constant(np.array([1, 2, 3, 4], np.float32))
    with (
        builder.build({"y": builder.gather(table, builder.input("i", "int32", (1,)))}) as graph,
        context.create_tensor("int32", (1,), writable=True) as where,
        context.create_tensor("float32", (1,), readable=True) as found,
    ):
        context.write_tensor(where, np.array([index], np.int32))
        context.dispatch(graph, {"i": where}, {"y": found})
        return float(context.read_tensor(found)[0])


def test_guards_are_on_and_a_wild_index_is_clamped() -> None:
    with ML(backend="onnxruntime") as ml, ml.create_context() as context:
        assert gathered(context, 1000) == 4
        assert ml.status()["host"]["guards"] == "on"


def test_without_guards_the_runtime_is_on_its_own_and_a_warning_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with ML(backend="onnxruntime", guards="off") as ml, ml.create_context() as context:
        assert gathered(context, 3) == 4
        with pytest.raises(MLError):  # this kernel of ONNX Runtime's checks for itself; not all do
            gathered(context, 1000)
        assert ml.status()["host"]["guards"] == "off"
    assert "guards are OFF" in capfd.readouterr().err
