"""ONNX's protobuf messages, without the package around them.

`import onnx` loads its checker, its parser, further number types and a JSON library: 50 ms of every start, of which
nothing is used here. Its messages are one generated module that depends on protobuf only.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx.onnx_ml_pb2 import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

_MODULE = "onnx.onnx_ml_pb2"


def _load() -> Any:
    """The module, under its own name, so that whoever imports the package later gets the very same messages.

    Raises:
        ImportError: `onnx` is not installed.
    """
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = importlib.util.find_spec("onnx")  # does not import it
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
    spec = importlib.util.spec_from_file_location(_MODULE, Path(package.origin).with_name("onnx_ml_pb2.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[_MODULE] = module
    return module


if not TYPE_CHECKING:
    _messages = _load()
    AttributeProto = _messages.AttributeProto
    GraphProto = _messages.GraphProto
    ModelProto = _messages.ModelProto
    NodeProto = _messages.NodeProto
    TensorProto = _messages.TensorProto
    ValueInfoProto = _messages.ValueInfoProto

__all__ = ["AttributeProto", "GraphProto", "ModelProto", "NodeProto", "TensorProto", "ValueInfoProto"]
