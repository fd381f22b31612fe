"""Matrix products."""

from __future__ import annotations

from ipc.descriptors import FLOATS, Descriptor, broadcast_shapes, broadcasts_to
from ipc.operators._attributes import boolean, finite
from ipc.operators._declaration import Options, operand, operator, optional
from ipc.operators._rules import Rule


class GemmOptions(Options):
    c: Descriptor | None = optional(FLOATS, (0, 2), like="a")
    alpha: float = finite(1.0, cast_to="a")
    beta: float = finite(1.0, cast_to="a")
    a_transpose: bool = boolean(False)
    b_transpose: bool = boolean(False)


@operator(
    a=operand(FLOATS, 2),
    b=operand(FLOATS, 2, like="a"),
    options=GemmOptions,
    rules={
        "inner": "a and b agree on the inner dimension",
        "c_shape": "c broadcasts to the product",
    },
)
def gemm(rule: Rule, a: Descriptor, b: Descriptor, options: GemmOptions) -> Descriptor:
    """alpha * a @ b + beta * c, on matrices."""
    rows, inner = reversed(a.shape) if options.a_transpose else a.shape
    inner_b, columns = reversed(b.shape) if options.b_transpose else b.shape
    rule("inner", inner == inner_b, a=a.shape, b=b.shape)
    output = Descriptor(a.data_type, (rows, columns))
    if options.c is not None:
        rule("c_shape", broadcasts_to(options.c.shape, output.shape), c=options.c.shape, product=output.shape)
        rule.slot("c")
    return output


@operator(
    a=operand(FLOATS, (2, None)),
    b=operand(FLOATS, (2, None), like="a"),
    rules={
        "inner": "a and b agree on the inner dimension",
        "batch": "the batch dimensions of a and b broadcast",
    },
)
def matmul(rule: Rule, a: Descriptor, b: Descriptor) -> Descriptor:
    """a @ b, on stacks of matrices whose leading dimensions broadcast."""
    rule("inner", a.shape[-1] == b.shape[-2], a=a.shape, b=b.shape)
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rule("batch", batch is not None, a=a.shape, b=b.shape)
    assert batch is not None
    return Descriptor(a.data_type, (*batch, a.shape[-2], b.shape[-1]))
