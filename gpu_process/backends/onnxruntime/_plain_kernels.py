"""Which kernels of the CPU provider may work on memory that a renderer changes meanwhile.

A kernel stands here if, as the tables in `probed` show, it takes every operand only as plain values: no element
decides what memory is touched, and nothing that it wrote is read back from an output to decide so. Wrong values may
come out where memory changes, never an access outside it. Not here, with the reasons where one was measured:

- Gather and its kin, Scatter: an index is checked, and then read again. Gather with constant indices is plain.
- LSTM, GRU: the state is read back from the output.
- Scan, Loop, If: what is in their bodies was not examined.
- Div of integers: a divisor traps. Our guard of it reads the divisor twice, so that it holds for private memory only.
- Cast to a boolean is plain: it reads an element once and writes 0 or 1; a boolean never is an input or output.
"""

from __future__ import annotations

from gpu_process.backends._probed import probed_versions

PROBED_VERSIONS = probed_versions("onnxruntime")
"""Versions of the runtime for which this holds; with any other all tensors are private."""

PLAIN_KERNELS = frozenset(
    {
        # element by element
        *("Abs", "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu"),
        *("Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "Identity", "IsInf"),
        *("IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg", "Not", "Or", "PRelu", "Pow"),
        *("Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Tan"),
        *("Tanh", "Where", "Xor"),
        # linear algebra, windows, statistics
        *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "CumSum", "Gemm", "GlobalAveragePool"),
        *("InstanceNormalization", "LayerNormalization", "LpPool", "MatMul", "MaxPool", "Softmax"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare"),
        # copies, at places that the graph says
        *("Concat", "Expand", "Pad", "Reshape", "Slice", "Split", "Tile", "Transpose", "Trilu"),
    }
)
"""ONNX operators all of whose inputs and outputs are plain, where shapes, axes and the like are constants."""

PLAIN_FOR_FLOATS = frozenset({"Div"})
"""Those of them that are plain if their results are floats."""

PLAIN_WITH_CONSTANTS = {"Gather": frozenset({1})}
"""Operators that are plain if the inputs at these positions follow from constants alone."""
