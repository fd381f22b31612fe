"""`webnn-sim demo`: real handwritten digits, classified in a GPU process of their own."""

from __future__ import annotations

import json as json_module
import signal
import sys
from typing import Annotated, Any

import numpy as np
import typer

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from ipc.options import HostOptions
from renderer.demo import DEFAULT_SAMPLES, show
from renderer.digits import load_digits_model
from scripts.cli._options import Backend, Carrier, Record, RendererSandbox, Sandbox, Trace
from scripts.cli._output import INTERRUPTED, JsonFlag, console, fail, print_json, progress
from scripts.digits_forward import forward
from scripts.owned_host import Finished, owned_host
from scripts.recording import recording
from scripts.simulator import SimulatorError
from scripts.trace import tracing


def demo(
    backend: Backend = DEFAULT_BACKEND,
    carrier: Carrier = None,
    sandbox: Sandbox = Level.STRICT,
    renderer_sandbox: RendererSandbox = Level.STRICT,
    samples: Annotated[int, typer.Option(min=1, help="Round trips to time.")] = DEFAULT_SAMPLES,
    trace: Trace = None,
    record: Record = None,
    json: JsonFlag = False,
) -> None:
    """Classify real handwritten digits: host, GPU process and renderer, each a process of its own.

    The renderer builds a convolutional network with the WebNN API and classifies the held-out images one by one; the
    logits are compared with an independent float64 computation. The layers of both sandboxes are read back from the
    kernel.
    """
    arguments = ["demo", "--json", "--samples", str(samples), "--backend", backend]
    if carrier is not None:
        arguments += ["--carrier", carrier]
    try:
        with tracing(trace) as traced, recording(record) as recorded:
            options = HostOptions(backend=backend, sandbox=sandbox.value, trace=traced, recording=recorded)
            with owned_host(options) as host, progress.status("classifying …"):
                finished = host.run_renderer(arguments, level=renderer_sandbox, capture=True)
                status = host.status()
    except (SimulatorError, OSError) as error:
        fail(str(error))
    if finished.exit_code in (INTERRUPTED, -signal.SIGINT):
        sys.exit(INTERRUPTED)
    if finished.exit_code != 0:
        fail(
            f"the renderer ended with status {finished.exit_code}" + (f": {finished.reason}" if finished.reason else "")
        )
    seen = json_module.loads(finished.output)
    report = _report(seen, finished, status)
    if json:
        print_json(report)
    else:
        _show(report, np.asarray(seen["logits"], np.float32))


def _report(seen: dict[str, Any], finished: Finished, status: dict[str, Any]) -> dict[str, Any]:
    model = load_digits_model()
    logits = np.asarray(seen["logits"], np.float64)
    gpu_process = next(process for process in status["gpu_processes"] if seen["backend"] in process["backends"])
    latency = np.asarray(seen["latency_us"])
    return {
        "accuracy": float((logits.argmax(1) == model.labels).mean()),
        "images": len(model.labels),
        "host": {"pid": status["host"]["pid"]},
        "renderer": {"pid": finished.pid, "sandbox": _held(finished.sandbox)},
        "gpu_process": {"pid": gpu_process["pid"]},
        "backend": seen["backend"],
        "devices": seen["devices"],
        "carrier": seen["carrier"],
        "max_abs_error": float(np.abs(logits - forward(model, model.images)).max()),
        "build_ms": seen["build_ms"],
        "latency_us": {
            "samples": len(latency),
            **{f"p{q:g}": float(np.percentile(latency, q)) for q in (50, 90, 99, 99.9)},
        },
        "sandbox": _held(gpu_process["sandbox"]),
    }


def _held(sandbox: dict[str, Any]) -> dict[str, bool | None]:
    """Whether each layer holds; None where nobody could tell."""
    return {layer: facts["held"] for layer, facts in sandbox["layers"].items()}


def _show(report: dict[str, Any], logits: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    model = load_digits_model()
    wrong = np.flatnonzero(logits.argmax(1) != model.labels)[:1]
    chosen = [*range(3), *wrong]
    console.print(show(model.images[chosen], model.labels[chosen], logits[chosen]), markup=False, soft_wrap=True)
    latency = report["latency_us"]
    console.print(
        f"\n{report['images']} held-out images, accuracy [bold]{report['accuracy']:.4f}[/bold]; logits within "
        f"{report['max_abs_error']:.1e} of an independent float64 computation\n"
        f"host {report['host']['pid']}, renderer {report['renderer']['pid']}, GPU process "
        f"{report['gpu_process']['pid']}: {report['backend']} on {', '.join(report['devices'])}\n"
        f"write + dispatch + read over {report['carrier']}: p50 {latency['p50']:.0f} µs, p99 {latency['p99']:.0f} µs "
        f"({latency['samples']} samples)\n"
        f"sandbox of the GPU process, as the kernel tells: {_in_words(report['sandbox'])}\n"
        f"sandbox of the renderer: {_in_words(report['renderer']['sandbox'])}",
        soft_wrap=True,
    )


def _in_words(layers: dict[str, bool | None]) -> str:
    held = ", ".join(layer for layer, holds in layers.items() if holds)
    missing = ", ".join(layer for layer, holds in layers.items() if not holds)
    return (held or "nothing") + (f"; not held: {missing}" if missing else "")
