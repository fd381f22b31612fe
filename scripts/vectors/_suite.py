"""Vectors as they are written down: calls of builder methods with what they must return."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.vectors._tensor import Number, Tensor

Tolerance = tuple[str, float]

EXACT: Tolerance = ("EXACT", 0)
"""To the bit, the sign of zero included; only which NaN it is does not matter."""


def ulp(value: float) -> Tolerance:
    """So many representable values away at most, or integers apart; +0 and -0 are equal."""
    return ("ULP", value)


def atol(value: float) -> Tolerance:
    """An absolute difference."""
    return ("ATOL", value)


@dataclass(slots=True)
class Suite:
    """The vectors of one file.

    Attributes:
        name: of the file, without suffix.
    """

    name: str
    tests: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        name: str,
        method: str,
        arguments: Mapping[str, Any],
        expected: Tensor | Sequence[Tensor],
        *,
        options: Mapping[str, Any] | None = None,
        tolerance: Tolerance = EXACT,
        constant: Sequence[str] = (),
    ) -> None:
        """One call.

        Args:
            method: the specification's name; so are the keys of arguments and options.
            arguments: positional, in order; tensors, lists of them, and plain values.
            expected: one tensor, or a list where the method returns one.
            constant: names of tensors that the graph holds as constants.
        """
        inputs: dict[str, Any] = {}

        def reference(key: str, value: Any) -> Any:
            if isinstance(value, Tensor):
                inputs[key] = _tensor(value) | ({"constant": True} if key in constant else {})
                return key
            if isinstance(value, list) and value and isinstance(value[0], Tensor):
                return [reference(f"{key}{index}", item) for index, item in enumerate(value)]
            return _number(value) if isinstance(value, float) else value

        calls = [{key: reference(key, value)} for key, value in arguments.items()]
        if options:
            calls.append({"options": {key: reference(key, value) for key, value in options.items()}})
        several = isinstance(expected, Sequence)
        outputs = list(expected) if isinstance(expected, Sequence) else [expected]
        names = [f"output{index}" if several else "output" for index in range(len(outputs))]
        self.tests.append(
            {
                "name": f"{method} {name}",
                "tolerance": {"metricType": tolerance[0], "value": tolerance[1]},
                "graph": {
                    "inputs": inputs,
                    "operators": [{"name": method, "arguments": calls, "outputs": names if several else names[0]}],
                    "expectedOutputs": dict(zip(names, map(_tensor, outputs), strict=True)),
                },
            }
        )

    def to_json(self) -> str:
        """The file's text, a line per vector."""
        lines = ",\n".join(json.dumps(test, allow_nan=False) for test in self.tests)
        return f'{{"source": "scripts/vectors/{self.name}.py", "tests": [\n{lines}\n]}}\n'


def _tensor(value: Tensor) -> dict[str, Any]:
    return {
        "data": [_number(item) for item in value.values],
        "descriptor": {"dataType": value.data_type, "shape": list(value.shape)},
    }


def _number(value: Number) -> Number | str:
    """JSON has no NaN and no infinities; minus zero and whole floats are written so that they survive any reader."""
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 and math.copysign(1, value) < 0:
        return "-0"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
