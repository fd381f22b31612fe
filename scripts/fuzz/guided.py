"""The coverage-guided engine: a target of `targets.py` under atheris, which is libFuzzer for Python (extra `fuzz`).

python -m scripts.fuzz.guided seeds NAME FOLDER                               writes inputs to begin with
python -m scripts.fuzz.guided NAME [FOLDER ...] [libFuzzer's options]         runs
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_INSTRUMENTED = ["ipc", "gpu_process"]
_USAGE = "usage: python -m scripts.fuzz.guided [seeds NAME FOLDER | NAME [FOLDER ...] [libFuzzer's options]]"


def fuzz(name: str, arguments: Sequence[str]) -> None:
    """Run a target until it finds something or its options end it; does not return.

    Raises:
        ModuleNotFoundError: atheris is not installed.
        KeyError: there is no such target.
    """
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):  # before anything else has imported what is attacked
        from scripts.fuzz.targets import TARGETS
    atheris.Setup([name, *arguments], TARGETS[name])
    atheris.Fuzz()


def write_seeds(name: str, folder: Path) -> None:
    """Write what a target begins with."""
    from scripts.fuzz.targets import seeds

    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (folder / f"{name}-{number:04}").write_bytes(data)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["seeds", name, folder]:
            write_seeds(name, Path(folder))
        case [name, *arguments]:
            fuzz(name, arguments)
        case _:
            sys.exit(_USAGE)
