"""Ourselves as one of the measured: a renderer that is told what to do like every peer, through the public API alone.

Run as `python -m scripts.bench.ours`; see `peers._serving` for how it is spoken to.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ipc import trace
from ipc.errors import InvalidStateError
from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLOperand, MLTensor
from scripts.bench.models import MODELS, Model
from scripts.bench.peers._serving import serve


class _Built:
    """A model with its tensors."""

    def __init__(self, context: MLContext, model: Model[Any], weights: Any) -> None:
        builder = MLGraphBuilder(context)
        self.graph = builder.build(model.outputs(builder, weights))
        self.inside = context.create_tensor(model.descriptor, writable=True)
        self.outside = context.create_tensor(model.output_descriptor, readable=True)
        self.fresh = model.fresh_input()
        self.result = np.empty(model.output_descriptor.shape, np.float32)
        self._context = context
        self._inputs, self._outputs = {model.input: self.inside}, {model.output: self.outside}

    def run(self) -> None:
        self._context.write_tensor(self.inside, self.fresh.array)
        self._context.dispatch(self.graph, self._inputs, self._outputs)
        self._context.read_tensor(self.outside, out=self.result)

    def destroy(self) -> None:
        for item in (self.graph, self.inside, self.outside):
            item.destroy()


class _Ours:
    """Everything that can be asked for."""

    def __init__(self) -> None:
        self._ml: ML | None = None
        self._context: MLContext
        self._chained: tuple[MLGraph, tuple[MLTensor, MLTensor]] | None = None
        self._models: dict[str, _Built] = {}

    # --- Beginning and end --------------------------------------------------------------------------------------------

    def open(self, options: Mapping[str, Any], carrier: str | None) -> dict[str, Any]:
        """Start everything; how long it took."""
        if options.get("trace"):
            trace.start(options["trace"], trace.Role.RENDERER)
        start = time.perf_counter_ns()
        self._ml = ML(**options)
        self._context = self._ml.create_context(carrier=carrier)
        first_ms = (time.perf_counter_ns() - start) / 1e6
        return {"ms": first_ms, "carrier": self._context.carrier, "backend": self._context.backend}

    def close(self) -> None:
        """End everything that was opened."""
        if self._ml is not None:
            self._models.clear()
            self._ml.destroy()
        trace.stop()

    def processes(self) -> dict[str, int]:
        """Process ids by role."""
        assert self._ml is not None
        status = self._ml.status()
        found = {"renderer": os.getpid(), "host": status["host"]["pid"]}
        found |= {f"launcher {i}" if i else "launcher": it["pid"] for i, it in enumerate(status["launchers"])}
        return found | {"GPU process": self._context.gpu_process_pid}

    # --- Round trips --------------------------------------------------------------------------------------------------

    def chain(self, calls: int, interval_ms: float = 0.0) -> dict[str, Any]:
        """x <- x + 1 through alternating tensors: dispatch and read, each result read.

        Args:
            interval_ms: pause before each call.
        """
        graph, tensors = self._chain_tensors()
        bindings = [({"x": tensors[i]}, {"y": tensors[1 - i]}) for i in range(2)]
        dispatch, read, out = self._context.dispatch, self._context.read_tensor, np.empty((2, 2), np.float32)
        us = np.empty(calls)
        for i in range(calls):
            if interval_ms:
                time.sleep(interval_ms / 1e3)
            start = time.perf_counter_ns()
            dispatch(graph, *bindings[i % 2])
            read(tensors[1 - i % 2], out=out)
            us[i] = time.perf_counter_ns() - start
        return {"us": (us / 1e3).tolist(), "value": float(out[0, 0])}

    def burst(self, dispatches: int, calls: int) -> dict[str, Any]:
        """Chained dispatches and one read of the last result; state goes on from burst to burst."""
        graph, tensors = self._chain_tensors()
        bindings = [({"x": tensors[i]}, {"y": tensors[1 - i]}) for i in range(2)]
        dispatch, out = self._context.dispatch, np.empty((2, 2), np.float32)
        us = np.empty(calls)
        for call in range(calls):
            first = call * dispatches
            start = time.perf_counter_ns()
            for i in range(first, first + dispatches):
                dispatch(graph, *bindings[i % 2])
            self._context.read_tensor(tensors[(first + dispatches) % 2], out=out)
            us[call] = time.perf_counter_ns() - start
        return {"us": (us / 1e3).tolist(), "value": float(out[0, 0])}

    def _chain_tensors(self) -> tuple[MLGraph, tuple[MLTensor, MLTensor]]:
        """The graph x + 1 and its two tensors, which are zero again."""
        context = self._context
        if self._chained is None:
            builder = MLGraphBuilder(context)
            y = builder.add(builder.input("x", "float32", (2, 2)), builder.constant("float32", 1))
            graph = builder.build({"y": y})
            first, second = (context.create_tensor("float32", (2, 2), readable=True, writable=True) for _ in range(2))
            self._chained = graph, (first, second)
        for tensor in self._chained[1]:
            context.write_tensor(tensor, np.zeros((2, 2), np.float32))
        return self._chained

    def payload(self, size: int, calls: int) -> dict[str, Any]:
        """Write, relu, read, of `size` bytes of float32."""
        builder = MLGraphBuilder(self._context)
        graph = builder.build({"y": builder.relu(builder.input("x", "float32", (size // 4,)))})
        x = self._context.create_tensor("float32", (size // 4,), writable=True)
        y = self._context.create_tensor("float32", (size // 4,), readable=True)
        data, result = np.full(size // 4, 0.5, np.float32), np.empty(size // 4, np.float32)
        inputs, outputs = {"x": x}, {"y": y}
        us = np.empty(calls)
        checksum = 0.0
        for i in range(calls):
            data[i % data.size] = i
            start = time.perf_counter_ns()
            self._context.write_tensor(x, data)
            self._context.dispatch(graph, inputs, outputs)
            self._context.read_tensor(y, out=result)
            us[i] = time.perf_counter_ns() - start
            checksum += float(result[i % result.size])
        for item in (graph, x, y):
            item.destroy()
        return {"us": (us / 1e3).tolist(), "checksum": checksum}

    def transport(self, size: int, calls: int) -> dict[str, Any]:
        """Write and read `size` bytes; nothing is computed."""
        tensor = self._context.create_tensor("uint8", (size,), readable=True, writable=True)
        data, result = np.zeros(size, np.uint8), np.empty(size, np.uint8)
        us = np.empty(calls)
        for i in range(calls):
            data[i % size] = i % 251
            start = time.perf_counter_ns()
            self._context.write_tensor(tensor, data)
            self._context.read_tensor(tensor, out=result)
            us[i] = time.perf_counter_ns() - start
            if result[i % size] != i % 251:
                raise AssertionError(f"round trip {i} of {size} bytes came back wrong")
        tensor.destroy()
        return {"us": (us / 1e3).tolist()}

    def echo(self, calls: int) -> dict[str, Any]:
        """Read a tensor of 64 bytes that was written once: one validated command, and its completion."""
        tensor = self._context.create_tensor("uint8", (64,), readable=True, writable=True)
        self._context.write_tensor(tensor, np.arange(64, dtype=np.uint8))
        result = np.empty(64, np.uint8)
        us = np.empty(calls)
        for i in range(calls):
            start = time.perf_counter_ns()
            self._context.read_tensor(tensor, out=result)
            us[i] = time.perf_counter_ns() - start
        tensor.destroy()
        return {"us": (us / 1e3).tolist(), "value": int(result.sum())}

    # --- Models -------------------------------------------------------------------------------------------------------

    def build(self, model: str, seed: int) -> dict[str, Any]:
        """Build and compute the first result; the weights are there before the clock starts."""
        weights = MODELS[model].weights(seed)
        start = time.perf_counter_ns()
        built = _Built(self._context, MODELS[model], weights)
        built.run()
        ms = (time.perf_counter_ns() - start) / 1e6
        if model in self._models:
            self._models[model].destroy()
        self._models[model] = built
        return {"ms": ms, "checksum": float(built.result.sum(dtype=np.float64))}

    def run(self, model: str, calls: int) -> dict[str, Any]:
        """Write, dispatch and read with an input that is new each time."""
        built = self._models[model]
        us = np.empty(calls)
        checksum = 0.0
        for i in range(calls):
            built.fresh.renew()
            start = time.perf_counter_ns()
            built.run()
            us[i] = time.perf_counter_ns() - start
            checksum += float(built.result.sum(dtype=np.float64))
        return {"us": (us / 1e3).tolist(), "checksum": checksum}

    # --- Lifecycle ----------------------------------------------------------------------------------------------------

    def create_tensors(self, sizes: Sequence[int]) -> dict[str, Any]:
        """Create a tensor of each size, in bytes, while all before still exist."""
        us, tensors = [], []
        for size in sizes:
            start = time.perf_counter_ns()
            tensors.append(self._context.create_tensor("uint8", (size,), readable=True, writable=True))
            us.append((time.perf_counter_ns() - start) / 1e3)
        for tensor in tensors:
            tensor.destroy()
        return {"us": us}

    def create_contexts(self, calls: int) -> dict[str, Any]:
        """More contexts in the same GPU process, one after the other."""
        assert self._ml is not None
        made, ended = [], []
        for _ in range(calls):
            start = time.perf_counter_ns()
            context = self._ml.create_context(carrier=self._context.carrier)
            made.append((time.perf_counter_ns() - start) / 1e3)
            start = time.perf_counter_ns()
            context.destroy()
            ended.append((time.perf_counter_ns() - start) / 1e3)
        return {"us": made, "destroy_us": ended}

    def build_chain(self, operators: int) -> dict[str, Any]:
        """Build a graph of so many additions, one after the other, and destroy it; how long either took."""
        builder = MLGraphBuilder(self._context)
        one = builder.constant("float32", 1)
        y: MLOperand = builder.input("x", "float32", (2, 2))
        record = time.perf_counter_ns()
        for _ in range(operators):
            y = builder.add(y, one)
        start = time.perf_counter_ns()
        graph = builder.build({"y": y})
        built = time.perf_counter_ns()
        graph.destroy()
        return {"ms": (built - start) / 1e6, "record_ms": (start - record) / 1e6}

    def build_large_graphs(self, operators: int, seconds: float) -> dict[str, Any]:
        """Build the same large graph again and again for a while."""
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            self.build_chain(operators)
            count += 1
        return {"graphs": count}

    def crash(self) -> dict[str, Any]:
        """Kill the GPU process; how long until a context in a new one has computed the right result."""
        assert self._ml is not None
        carrier, pid = self._context.carrier, self._context.gpu_process_pid
        self._chained = None
        self._models.clear()
        start = time.perf_counter_ns()
        os.kill(pid, signal.SIGKILL)
        while True:
            try:
                self._context = self._ml.create_context(carrier=carrier)
                value = self.chain(3)["value"]
                break
            except InvalidStateError:  # the death is not known everywhere yet
                self._chained = None
        ms = (time.perf_counter_ns() - start) / 1e6
        return {"ms": ms, "value": value, "is_new": self._context.gpu_process_pid != pid}


def main() -> None:
    ours = _Ours()
    calls = {name: getattr(ours, name) for name in dir(ours) if not name.startswith("_")}
    try:
        serve(calls)
    finally:
        ours.close()


if __name__ == "__main__":
    main()
