"""The operators, each declared once. `ops.gemm` is a declaration; see `docs/adding-an-operator.md`."""

from ipc.operators._declaration import REGISTRY, Operator, RuleError
from ipc.operators._inference import cast_attributes, infer_outputs
from ipc.operators._support import declared_limits, limits_to_json, with_int4
from ipc.operators.matrix import gemm, matmul

__all__ = [
    "REGISTRY",
    "Operator",
    "RuleError",
    "cast_attributes",
    "declared_limits",
    "gemm",
    "infer_outputs",
    "limits_to_json",
    "matmul",
    "with_int4",
]
