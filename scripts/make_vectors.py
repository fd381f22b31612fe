"""Write the repository's own conformance vectors: `python -m scripts.make_vectors [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.vectors import (
    activation,
    convolution,
    elementwise,
    indexing,
    logical,
    matrix,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    shape,
)
from scripts.vectors._suite import Suite

FOLDER = Path(__file__).parents[1] / "tests" / "conformance" / "vectors"

_FAMILIES = (
    activation,
    convolution,
    elementwise,
    indexing,
    logical,
    matrix,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    shape,
)


def suites() -> list[Suite]:
    """All vectors, by family; the same on every call."""
    return [family.suite() for family in _FAMILIES]


def main(folder: Path = FOLDER) -> None:
    """Write one file per family to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for suite in suites():
        (folder / f"{suite.name}.json").write_text(suite.to_json())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
