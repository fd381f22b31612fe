"""A confined renderer runs a user's script: it computes, imports, calls the GPU process, and reaches nothing else."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from gpu_process.sandbox import Layer, Level, Role, SandboxSpec, confined_pid, held_layers
from tests.gpu_process.sandbox.conftest import Confined, Launcher
from tests.gpu_process.sandbox.zygote import COMPUTE

SCRIPT = """
import concurrent.futures, pathlib, sys, tempfile
import grpc
import numpy as np

assert "wave" not in sys.modules and "_elementtree" not in sys.modules
import wave               # a module that nobody has imported before
import _elementtree       # and a library

with concurrent.futures.ThreadPoolExecutor(3) as pool:
    total = sum(pool.map(lambda n: float(np.ones((n, n)).sum()), range(4)))
model = pathlib.Path("{model}").read_text()
with tempfile.NamedTemporaryFile() as scratch:
    scratch.write(b"scratch")
with grpc.insecure_channel("unix:{socket}") as channel:
    reply = channel.unary_unary("{method}")(b"3", timeout=10)
result = [total, model, reply.decode()]
"""


@pytest.fixture
def service(run_directory: Path) -> Iterator[Path]:
    """A server outside, on a socket in the run directory that others may connect to."""
    handler = grpc.method_handlers_generic_handler(
        "test.Compute", {"Run": grpc.unary_unary_rpc_method_handler(lambda request, context: request * 2)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[handler])
    path = run_directory / "service.sock"
    server.add_insecure_port(f"unix:{path}")
    server.start()
    path.chmod(0o666)
    yield path
    server.stop(None).wait()


@pytest.fixture
def files() -> Iterator[Path]:
    """A folder that every user may read, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="webnn-files-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@pytest.fixture
def model(files: Path) -> Path:
    path = files / "model.txt"
    path.write_text("weights")
    return path


@pytest.fixture
def script(files: Path, service: Path, model: Path) -> Path:
    path = files / "script.py"
    path.write_text(SCRIPT.format(model=model, socket=service, method=COMPUTE))
    return path


@pytest.fixture(params=["self", "nobody"])
def renderer(
    request: pytest.FixtureRequest,
    launchers: Callable[[str, str], Launcher],
    spec: SandboxSpec,
    script: Path,
    model: Path,
) -> Iterator[Confined]:
    spec = dataclasses.replace(spec, role=Role.RENDERER, read_paths=(script, model))
    process = launchers("renderer", request.param).fork(spec)
    assert process.start["ready"], process.start
    yield process
    if process.control.fileno() >= 0:
        process.status()


def test_a_script_computes_imports_reads_its_model_and_calls_the_service(renderer: Confined, script: Path) -> None:
    assert renderer.order("script", path=str(script))["result"] == [14.0, "weights", "33"]
    assert renderer.violations == []
    assert renderer.status() == 0


def test_every_layer_of_strict_is_held(renderer: Confined) -> None:
    layers = renderer.start["report"]["layers"]
    assert [name for name in Level.STRICT.required if not layers[name]["held"]] == []
    outside = held_layers(confined_pid(renderer.gate))
    assert outside[Layer.PID_NAMESPACE].held
    assert outside[Layer.USER_NAMESPACE].held
    if os.geteuid() == 0:
        assert outside[Layer.NETWORK_NAMESPACE].held


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/root", "/home", "/var", "/dev/sda", "/sys/class/net", "{repository}/gpu_process"]
)
def test_no_file_is_reached_but_what_was_given(renderer: Confined, script: Path, path: str) -> None:
    path = path.format(repository=Path(__file__).parents[3])
    script.write_text(
        "import os\n"
        "try:\n"
        f"    result = os.listdir({path!r}) if os.path.isdir({path!r}) else open({path!r}).read()\n"
        "except OSError as error:\n"
        "    result = type(error).__name__\n"
    )
    assert renderer.order("script", path=str(script))["result"] in ("FileNotFoundError", "PermissionError")
