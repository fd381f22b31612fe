"""The asyncio twin of `renderer`: what the specification calls a promise method is a coroutine; the rest is the same.

    from renderer import aio

    async with aio.ML() as ml:
        with await ml.create_context(backend="reference") as context:
            builder = aio.MLGraphBuilder(context)
            ...
            graph = await builder.build({"y": y})

Both are faces of one core, and start no threads of their own. Cancelling an await leaves everything usable: what was
begun goes on, and what nobody gets any more is destroyed.
"""

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
from renderer.aio.builder import MLGraphBuilder
from renderer.aio.context import MLContext
from renderer.aio.ml import ML
from renderer.graph import MLGraph
from renderer.operand import MLOperand
from renderer.tensor import MLTensor

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
