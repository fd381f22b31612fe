"""Every declared operator is implemented or refused by every backend, and leaving one out is noticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_process.backends import BACKEND_NAMES, import_runtime
from gpu_process.backends._registry import ImplementationRegistry
from ipc.operators import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
GATE = "test_every_declared_operator_is_implemented_or_refused"


def _implementations(backend: str) -> ImplementationRegistry[object]:  # type: ignore[type-var]
    """What a backend has registered."""
    import_runtime(backend)
    if backend == "reference":
        from gpu_process.backends.reference._kernels import KERNELS

        return KERNELS  # type: ignore[return-value]
    return sys.modules[f"gpu_process.backends.{backend}._lowering"].LOWERINGS  # type: ignore[no-any-return]


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_every_declared_operator_is_implemented_or_refused(backend: str) -> None:
    entries = _implementations(backend).entries()
    unanswered = [name for name in REGISTRY if name not in entries]
    silent = [name for name, entry in entries.items() if entry.implementation is None and not entry.refusal]
    assert not unanswered, f"{backend} neither implements nor refuses {', '.join(unanswered)}"
    assert not silent, f"{backend} refuses {', '.join(silent)} without a reason"
    assert not entries.keys() - REGISTRY.keys()


_DECLARATION = """
from ipc.descriptors import FLOATS, Descriptor
from ipc.operators import Rule, operand, operator

@operator(a=operand(FLOATS))
def double(rule: Rule, a: Descriptor) -> Descriptor:
    \"\"\"2 * a, element by element.\"\"\"
    return a
"""
_KERNEL = """
from gpu_process.backends.reference import kernel

@kernel(double)
def double_kernel(a):
    return 2 * a
"""
_LOWERING = """
from gpu_process.backends.onnxruntime import lowers

@lowers(double)
def double_to_onnx(node, a):
    return node.binary("Add", a, a)
"""
_REFUSAL = """
from gpu_process.backends.openvino._lowering import LOWERINGS

LOWERINGS.refuse(double, "nobody has asked for it")
"""
_EVERYTHING = {"reference": _KERNEL, "onnxruntime": _LOWERING, "openvino": _REFUSAL}


@pytest.mark.parametrize("forgotten", [(), ("reference",), ("onnxruntime", "openvino")], ids=" ".join)
def test_a_declaration_that_a_backend_forgets_fails_the_test_above(forgotten: tuple[str, ...], tmp_path: Path) -> None:
    """The gate itself, run where one more operator is declared."""
    said = [text for backend, text in _EVERYTHING.items() if backend not in forgotten]
    (tmp_path / "double.py").write_text("\n".join([_DECLARATION, *said]))
    gate = f"{Path(__file__).relative_to(ROOT)}::{GATE}"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "double", "-p", "no:cacheprovider", gate]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50)
    complaints = set(re.findall(r"AssertionError: (\w+) neither implements nor refuses double", result.stdout))
    assert complaints == set(forgotten), result.stdout + result.stderr
    assert result.returncode == (1 if forgotten else 0)
