"""The WebNN API: build graphs, write tensors, dispatch, read. `renderer.aio` is its asyncio twin."""

from ipc.descriptors import DataType, Descriptor
from ipc.errors import (
    DataError,
    InvalidStateError,
    MLError,
    MLTypeError,
    NotSupportedError,
    OperationError,
    QuotaExceededError,
    SecurityError,
    UnknownError,
)
from renderer._context_state import LostInfo
from renderer._logging import follow_environment
from renderer.builder import MLGraphBuilder
from renderer.context import MLContext
from renderer.graph import MLGraph
from renderer.ml import ML
from renderer.operand import MLOperand
from renderer.tensor import MLTensor

follow_environment()

__all__ = [
    "ML",
    "DataError",
    "DataType",
    "Descriptor",
    "InvalidStateError",
    "LostInfo",
    "MLContext",
    "MLError",
    "MLGraph",
    "MLGraphBuilder",
    "MLOperand",
    "MLTensor",
    "MLTypeError",
    "NotSupportedError",
    "OperationError",
    "QuotaExceededError",
    "SecurityError",
    "UnknownError",
]
