"""The import rules between the rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ipc", "renderer", "gpu_process", "scripts")

FORBIDDEN = {
    "ipc": ("renderer", "gpu_process", "scripts", "tests"),
    "renderer": ("gpu_process", "scripts", "tests"),
    "gpu_process": ("renderer", "scripts", "tests"),
    "gpu_process/backends": (
        "renderer",
        "scripts",
        "tests",
        "grpc",
        "gpu_process.session",
        "gpu_process.service",
        "ipc.channel",
    ),
    "scripts": ("tests",),
}


def _modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it; a relative import would escape the rules and is refused."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = [path for path in (ROOT / room).rglob("*.py") if "generated" not in path.parts]
    assert files
    broken = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in _modules(path)
        for package in FORBIDDEN[room]
        if _within(module, package)
    ]
    assert not broken


def test_every_package_folder_has_its_init() -> None:
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert not [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()]
