"""Compile `protos/` into `ipc/generated/` with the pinned generator (grpcio-tools).

The files are mapped to the virtual path `ipc/generated`, so that the generated modules import each other by their real
package names.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generate(target: Path) -> None:
    """Write the generated package below `target`/ipc/generated.

    Raises:
        ModuleNotFoundError: grpcio-tools is not installed (extra `test`).
        RuntimeError: the compiler refused a file; its messages are on standard error.
    """
    from grpc_tools import protoc

    files = sorted(str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos").rglob("*.proto"))
    arguments = [
        "protoc",
        f"-Iipc/generated={ROOT / 'protos'}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *(f"ipc/generated/{file}" for file in files),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError("protoc failed")
    for folder in ("ipc/generated", "ipc/generated/webnn", "ipc/generated/webnn/v1"):
        (target / folder / "__init__.py").write_text("")
    for path in (target / "ipc/generated").rglob("*_pb2_grpc.py"):
        if "class " not in path.read_text():  # a file without services
            path.unlink()


if __name__ == "__main__":
    try:
        generate(ROOT)
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: install the extra `test`")
