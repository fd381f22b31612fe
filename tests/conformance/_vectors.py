"""Vectors as data: graphs with inputs, the builder calls that make them, and the outputs they must give.

One form for both sources: the files in `vectors/`, and the shared ones taken from web-platform-tests. Names in it are
the specification's, camelCase; what each field means is said in `vectors/README.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc.descriptors import DataType, Descriptor

Array = npt.NDArray[Any]
OWN_VECTORS = Path(__file__).parent / "vectors"
SHARED_VECTORS = Path(__file__).parents[3] / "shared" / "wpt" / "conformance"

_FILLED_COMPARED = 1000  # of an expectation given as one number, the suite compares this many elements


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor given to the graph; `array` has the storage's dtype and shape."""

    descriptor: Descriptor
    array: Array
    is_constant: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a builder method.

    Attributes:
        method: the specification's name.
        arguments: positional; a string, or list of strings, that names an operand stands for it.
        options: by the specification's names, likewise.
        outputs: names of the operands that it returns.
        returns_list: whether it returns a sequence.
    """

    method: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    outputs: tuple[str, ...]
    returns_list: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """What an output must be.

    Attributes:
        values: flat, float64 or the integer type, one value per element, as written (not rounded to float16).
        compared: how many elements count, from the first.
    """

    descriptor: Descriptor
    values: Array
    compared: int


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a result may be from what is expected.

    Attributes:
        metric: ULP, ATOL or EXACT (the sign of zero counts).
        floor: an absolute difference that is allowed whatever the metric: ULPs of a sum that cancels mean nothing.
    """

    metric: str
    value: float
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class Vector:
    """One graph with its inputs and expected outputs.

    Attributes:
        source: name of the file, without suffix.
        set_aside: why it is no test of an implementation, or empty.
    """

    source: str
    name: str
    inputs: Mapping[str, Input]
    calls: tuple[Call, ...]
    expected: Mapping[str, Expected]
    tolerance: Tolerance
    set_aside: str

    @property
    def id(self) -> str:
        return f"{self.source}: {self.name}"


def load_vectors(folder: Path) -> list[Vector]:
    """All vectors of a folder, in the order of file names; none if there is no such folder."""
    return [vector for path in sorted(folder.glob("*.json")) for vector in _vectors_of(path)]


def _vectors_of(path: Path) -> Iterator[Vector]:
    for test in json.loads(path.read_text())["tests"]:
        graph = test["graph"]
        yield Vector(
            source=path.stem,
            name=test["name"],
            inputs={name: _input(entry) for name, entry in graph["inputs"].items()},
            calls=tuple(_call(entry) for entry in graph["operators"]),
            expected={name: _expected(entry) for name, entry in graph["expectedOutputs"].items()},
            tolerance=Tolerance(test["tolerance"]["metricType"], test["tolerance"]["value"]),
            set_aside=test.get("setAside", ""),
        )


def _input(entry: Mapping[str, Any]) -> Input:
    descriptor = _descriptor(entry["descriptor"])
    values = _values(entry["data"], descriptor)
    if descriptor.data_type.is_packed:
        nibbles = np.zeros(2 * descriptor.byte_length, np.uint8)
        nibbles[: values.size] = values.astype(np.uint8) & 0xF
        array = nibbles[0::2] | nibbles[1::2] << 4
    else:
        array = values.astype(descriptor.data_type.storage).reshape(descriptor.shape)
    return Input(descriptor, array, bool(entry.get("constant", False)))


def _expected(entry: Mapping[str, Any]) -> Expected:
    descriptor = _descriptor(entry["descriptor"])
    filled = not isinstance(entry["data"], list) and descriptor.element_count > 1
    compared = min(_FILLED_COMPARED, descriptor.element_count) if filled else descriptor.element_count
    return Expected(descriptor, _values(entry["data"], descriptor), compared)


def _call(entry: Mapping[str, Any]) -> Call:
    members = [next(iter(argument.items())) for argument in entry["arguments"]]
    outputs = entry["outputs"]
    return Call(
        method=entry["name"],
        arguments=tuple(value for name, value in members if name != "options"),
        options=dict(members).get("options", {}),
        outputs=tuple(outputs) if isinstance(outputs, list) else (outputs,),
        returns_list=isinstance(outputs, list),
    )


def _descriptor(entry: Mapping[str, Any]) -> Descriptor:
    return Descriptor(DataType(entry["dataType"]), tuple(entry["shape"]))


def _values(data: Any, descriptor: Descriptor) -> Array:
    items = data if isinstance(data, list) else [data] * descriptor.element_count
    if descriptor.data_type.is_float:
        return np.array([float(item) for item in items], np.float64)
    dtype = np.dtype(np.int8) if descriptor.data_type is DataType.INT4 else descriptor.data_type.storage
    return np.array([int(item) for item in items], dtype)
