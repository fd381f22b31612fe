"""ONNX models as WebNN graphs: `outputs = load(builder, "model.onnx")`, then `builder.build(outputs)`."""

from renderer.loaders.onnx._load import OLDEST_OPSET, load
from renderer.loaders.onnx._node import TRANSLATIONS

OPERATORS = frozenset(TRANSLATIONS)
"""The ONNX operators that are known, by name. Others are computed at once where all that they need is known."""

__all__ = ["OLDEST_OPSET", "OPERATORS", "load"]
