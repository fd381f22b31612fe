"""What was found and is as it should be, or waits for others: no finding again, but counted.

An entry says where it is seen and why it stays; one that nothing matches any more is to be removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.fuzz.mode import Problem


@dataclass(frozen=True, slots=True)
class Known:
    """A problem that is not reported.

    Attributes:
        kind: of the problem.
        words: all of them are in what it says or where it is.
        reason: why it is none.
    """

    kind: str
    words: tuple[str, ...]
    reason: str


_ACCUMULATING = (
    *("conv2d", "conv_transpose2d", "gemm", "gru", "gru_cell", "lstm", "lstm_cell", "matmul", "softmax"),
    *("reduce_l1", "reduce_l2", "reduce_log_sum", "reduce_log_sum_exp", "reduce_mean", "reduce_product"),
    *("reduce_sum", "reduce_sum_square", "cumulative_sum", "average_pool2d", "l2_pool2d"),
    *("batch_normalization", "instance_normalization", "layer_normalization", "resample2d"),
)

KNOWN: tuple[Known, ...] = (
    Known(
        "legal graph refused",
        ("conv_transpose2d", "groups do not divide"),
        "WebNN has no rule that groups divide the input channels of convTranspose2d, and nothing can compute it",
    ),
    *(
        Known(
            "results of special values",
            (f" {operator} {after}",),
            "WebNN does not say how NaN, infinities and overflow pass through sums and recurrences",
        )
        for operator in _ACCUMULATING
        for after in ("to", "of")
    ),
    *(
        Known(
            "results of special values",
            ("openvino:", "to float16", f" instead of {what} "),
            "OpenVINO holds float16 in float32 inside a model, where what is infinite for others is a number",
        )
        for what in ("nan", "inf", "-inf")
    ),
)


def reason_for(problem: Problem, known: Iterable[Known] = KNOWN) -> str | None:
    """Why a problem is none, or None."""
    story = f"{problem.where} {problem.what}"
    return next(
        (entry.reason for entry in known if entry.kind == problem.kind and all(word in story for word in entry.words)),
        None,
    )
