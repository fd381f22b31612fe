"""What a browser is told to build is what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from renderer import ML, MLContext, MLGraphBuilder
from scripts.bench.models import MODELS
from scripts.bench.recipe import recipe, recorded


@pytest.fixture(scope="module")
def context() -> Iterator[MLContext]:
    with ML(backend="reference") as ml, ml.create_context() as context:
        yield context


def test_a_recipe_has_positional_arguments_options_that_differ_and_the_bytes(context: MLContext) -> None:
    b = MLGraphBuilder(context)
    x = b.input("x", "float32", (2, 3))
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    y = b.softmax(b.clamp(b.gemm(x, b.constant(weight), alpha=0.5, label="fc"), max_value=6), 1)
    made, data = recipe(*recorded(b, {"y": y}))
    json.dumps(made, allow_nan=False)
    by_method = {operation["method"]: operation for operation in made["operations"]}
    assert by_method["gemm"]["arguments"] == [{"operand": 0}, {"operand": 1}]
    assert by_method["gemm"]["options"] == {"alpha": 0.5, "label": "fc"}
    assert by_method["clamp"]["options"] == {"maxValue": 6.0}
    assert by_method["softmax"]["arguments"][1] == 1
    (constant,) = made["constants"]
    found = np.frombuffer(data, np.float32, 6, constant["offset"]).reshape(constant["shape"])
    np.testing.assert_array_equal(found, weight)
    assert made["inputs"] == [{"operand": 0, "name": "x", "dataType": "float32", "shape": [2, 3]}]
    assert list(made["outputs"]) == ["y"]


def test_numbers_that_json_does_not_have_are_wrapped(context: MLContext) -> None:
    b = MLGraphBuilder(context)
    x = b.input("x", "float32", (2,))
    wide = b.input("wide", "int64", (2,))
    outputs = {
        "a": b.pad(x, [1], [1], value=float("-inf")),
        "b": b.clamp(wide, min_value=-(2**62)),
    }
    made, _ = recipe(*recorded(b, outputs))
    options = [operation["options"] for operation in made["operations"]]
    assert {"value": {"number": "-Infinity"}} in options
    assert {"minValue": {"bigint": str(-(2**62))}} in options
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_recipe(context: MLContext, name: str) -> None:
    b = MLGraphBuilder(context)
    outputs = MODELS[name].outputs(b, MODELS[name].weights(0))
    made, data = recipe(*recorded(b, outputs))
    assert list(made["outputs"]) == [MODELS[name].output]
    assert len(data) == sum(constant["length"] + -constant["length"] % 8 for constant in made["constants"])
