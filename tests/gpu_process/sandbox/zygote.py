"""A launcher for the tests: imports a runtime once, then forks processes that confine themselves and take orders.

It is a process of its own, so that what is forked carries no thread of the test runner. Orders travel as JSON packets.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import mmap
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_process.sandbox import (
    Level,
    MemoryGroup,
    Mode,
    Role,
    SandboxError,
    SandboxSpec,
    attack,
    enter_namespaces,
    lock_in,
    restrict_filesystem,
)

if TYPE_CHECKING:
    import grpc

PACKET = 1 << 20
COMPUTE = "/test.Compute/Run"


def to_json(spec: SandboxSpec) -> dict[str, Any]:
    """A specification for the way to the zygote."""
    return {
        "run_directory": str(spec.run_directory),
        "role": spec.role,
        "level": spec.level,
        "mode": spec.mode,
        "backends": list(spec.backends),
        "read_paths": [str(path) for path in spec.read_paths],
        "memory_limit": spec.memory_limit,
        "largest_region": spec.largest_region,
        "max_descriptors": spec.max_descriptors,
        "max_threads": spec.max_threads,
        "deny": list(spec.deny),
        "outside": dict(spec.outside),
    }


def _from_json(values: dict[str, Any]) -> SandboxSpec:
    return SandboxSpec(
        **values
        | {
            "run_directory": Path(values["run_directory"]),
            "role": Role(values["role"]),
            "level": Level(values["level"]),
            "mode": Mode(values["mode"]),
            "backends": tuple(values["backends"]),
            "read_paths": tuple(map(Path, values["read_paths"])),
            "deny": tuple(values["deny"]),
        }
    )


def _send(channel: socket.socket, message: dict[str, Any], *descriptors: int) -> None:
    socket.send_fds(channel, [json.dumps(message).encode()], list(descriptors))


# --- The launcher -----------------------------------------------------------------------------------------------------


def main() -> None:
    """Serves `fork` and `wait` orders on the inherited socket until it closes; then its lifeline closes, too."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    compute = _RUNTIMES[sys.argv[2]]()
    lifeline, held = os.pipe()
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, PACKET, 2)
        if not data:
            return
        order = json.loads(data)
        if order["do"] == "wait":
            _send(channel, {"status": os.waitpid(order["pid"], 0)[1]})
            continue
        pid = os.fork()
        if pid == 0:
            channel.close()
            os.close(held)
            _run_confined(order, compute, lifeline, *(socket.socket(fileno=descriptor) for descriptor in descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        _send(channel, {"pid": pid})


def _run_confined(
    order: dict[str, Any],
    compute: Callable[[int], list[float]],
    lifeline: int,
    control: socket.socket,
    supervisor: socket.socket | None = None,
) -> None:
    """Start-up in the order that the product uses; then orders, until there are no more."""
    try:
        if order["memory_group"] is not None:
            MemoryGroup(Path(order["memory_group"])).add(os.getpid())
        spec = _from_json(order["spec"])
        enter_namespaces(spec, lifeline=lifeline if spec.level is Level.STRICT else None)
        if order["skip_landlock"] is False:
            restrict_filesystem(spec)
        server = _serve(spec, compute) if order["serve"] else None
        earlier_thread = futures.ThreadPoolExecutor(1)
        earlier_thread.submit(threading.get_ident).result()
        report = lock_in(spec, supervisor=supervisor)
        if supervisor is not None:
            supervisor.close()
        _send(control, {"ready": True, "threads": threading.active_count(), "report": report.to_json()})
        _obey(control, earlier_thread)
        del server
    except SandboxError as error:
        _send(control, {"ready": False, "layer": error.layer, "remedy": error.remedy, "error": str(error)})
        os._exit(3)
    except BaseException:
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def _serve(spec: SandboxSpec, compute: Callable[[int], list[float]]) -> object:
    """A gRPC server in the run directory, warmed up by a call to itself."""
    import grpc

    def run(request: bytes, context: grpc.ServicerContext) -> bytes:
        return json.dumps(compute(int(request))).encode()

    handler = grpc.method_handlers_generic_handler("test.Compute", {"Run": grpc.unary_unary_rpc_method_handler(run)})
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[handler])
    address = f"unix:{spec.run_directory}/service.sock"
    server.add_insecure_port(address)
    server.start()
    with grpc.insecure_channel(address) as channel:
        call_compute(channel, b"2")
    return server


def call_compute(channel: grpc.Channel, request: bytes) -> bytes:
    """Calls the service over `channel`, bytes to bytes."""
    method = channel.unary_unary(COMPUTE, request_serializer=bytes, response_deserializer=bytes)
    reply: bytes = method(request, timeout=20)
    return reply


# --- The confined process ---------------------------------------------------------------------------------------------


def _obey(control: socket.socket, earlier_thread: futures.Executor) -> None:
    regions: list[mmap.mmap] = []
    while data := control.recv(PACKET):
        order = json.loads(data)
        match order["do"]:
            case "attempt":
                _send(control, dict(attack.run_attempt(order["name"]).to_json()))
            case "attempt-in-earlier-thread":
                _send(control, dict(earlier_thread.submit(attack.run_attempt, order["name"]).result().to_json()))
            case "region":
                descriptor = os.memfd_create("region", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(descriptor, order["size"])
                regions.append(mmap.mmap(descriptor, order["size"]))
                regions[-1][:4] = b"data"
                _send(control, {"size": order["size"]}, descriptor)
                os.close(descriptor)
            case "script":
                scope: dict[str, Any] = {}
                exec(compile(Path(order["path"]).read_text(), order["path"], "exec"), scope)
                _send(control, {"result": scope["result"]})
            case "descriptors":
                _send(control, {"open": _open_descriptors()})
            case "exit":
                os._exit(order["code"])
            case "abort":
                os.abort()
            case "crash":
                ctypes.string_at(0)


def _open_descriptors() -> list[int]:
    found = []
    for descriptor in range(1024):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.append(descriptor)
    return found


# --- Runtimes ---------------------------------------------------------------------------------------------------------


def _nothing() -> Callable[[int], list[float]]:
    return lambda size: [float(size)]


def _onnxruntime() -> Callable[[int], list[float]]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    importlib.import_module("grpc")
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper

    def compute(size: int) -> list[float]:
        """Sum of the rows of ones @ ones plus one, by a model that has never been seen before."""
        info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc"]
        nodes = [helper.make_node("MatMul", ["a", "b"], ["ab"]), helper.make_node("Add", ["ab", "a"], ["c"])]
        model = helper.make_model(
            helper.make_graph(nodes, f"graph{size}", info[:2], info[2:]), opset_imports=[helper.make_opsetid("", 17)]
        )
        model.ir_version = 8
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        ones = np.ones((size, size), np.float32)
        return [float(value) for value in session.run(None, {"a": ones, "b": ones})[0][0]]

    return compute


def _openvino() -> Callable[[int], list[float]]:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its stub neither forks nor phones
    importlib.import_module("grpc")
    import numpy as np
    import openvino as ov
    import openvino.opset13 as opset

    core = ov.Core()

    def compute(size: int) -> list[float]:
        a, b = (opset.parameter([size, size], np.float32, name=name) for name in "ab")
        model = ov.Model([opset.add(opset.matmul(a, b, False, False), a)], [a, b], f"graph{size}")
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        ones = np.ones((size, size), np.float32)
        return [float(value) for value in compiled([ones, ones])[0][0]]

    return compute


def _renderer() -> Callable[[int], list[float]]:
    importlib.import_module("grpc")
    importlib.import_module("numpy")
    return _nothing()


_RUNTIMES: dict[str, Callable[[], Callable[[int], list[float]]]] = {
    "none": _nothing,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "renderer": _renderer,
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.disable()
    main()
