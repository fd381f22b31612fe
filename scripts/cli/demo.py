"""`webnn-sim demo`: real handwritten digits, classified in a GPU process of their own."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import numpy as np
import typer

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from renderer.demo import DEFAULT_SAMPLES, show
from renderer.digits import load_digits_model
from scripts.cli._options import Backend, Carrier, Sandbox, Trace, host_arguments
from scripts.cli._output import JsonFlag, console, fail, print_json, progress
from scripts.digits_forward import forward
from scripts.simulator import SimulatorError, simulator
from scripts.trace import tracing


def demo(
    backend: Backend = DEFAULT_BACKEND,
    carrier: Carrier = None,
    sandbox: Sandbox = Level.STRICT,
    samples: Annotated[int, typer.Option(min=1, help="Round trips to time.")] = DEFAULT_SAMPLES,
    trace: Trace = None,
    json: JsonFlag = False,
) -> None:
    """Classify real handwritten digits: host, GPU process and renderer, each a process of its own.

    The renderer builds a convolutional network with the WebNN API and classifies the held-out images one by one; the
    logits are compared with an independent float64 computation. `sandbox` is read back from the kernel.
    """
    try:
        with (
            tracing(trace) as descriptor,
            simulator(host_arguments(backend=backend, sandbox=sandbox), trace=descriptor) as running,
        ):
            arguments = ["demo", "--json", "--samples", str(samples), "--backend", backend]
            if carrier is not None:
                arguments += ["--carrier", carrier]
            with progress.status("classifying …"):
                seen = json_module.loads(running.run_renderer(arguments, capture=True))
            status = running.status()
    except (SimulatorError, OSError) as error:
        fail(str(error))
    report = _report(seen, status)
    if json:
        print_json(report)
    else:
        _show(report, np.asarray(seen["logits"], np.float32))


def _report(seen: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    model = load_digits_model()
    logits = np.asarray(seen["logits"], np.float64)
    gpu_process = next(process for process in status["gpu_processes"] if seen["backend"] in process["backends"])
    latency = np.asarray(seen["latency_us"])
    return {
        "accuracy": float((logits.argmax(1) == model.labels).mean()),
        "images": len(model.labels),
        "host": {"pid": status["host"]["pid"]},
        "renderer": {"pid": seen["renderer_pid"]},
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
        "sandbox": {layer: facts["held"] for layer, facts in gpu_process["sandbox"]["layers"].items()},
    }


def _show(report: dict[str, Any], logits: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    model = load_digits_model()
    wrong = np.flatnonzero(logits.argmax(1) != model.labels)[:1]
    chosen = [*range(3), *wrong]
    console.print(show(model.images[chosen], model.labels[chosen], logits[chosen]), markup=False, soft_wrap=True)
    held = [layer for layer, holds in report["sandbox"].items() if holds]
    missing = [layer for layer, holds in report["sandbox"].items() if not holds]
    latency = report["latency_us"]
    console.print(
        f"\n{report['images']} held-out images, accuracy [bold]{report['accuracy']:.4f}[/bold]; logits within "
        f"{report['max_abs_error']:.1e} of an independent float64 computation\n"
        f"host {report['host']['pid']}, renderer {report['renderer']['pid']}, GPU process "
        f"{report['gpu_process']['pid']}: {report['backend']} on {', '.join(report['devices'])}\n"
        f"write + dispatch + read over {report['carrier']}: p50 {latency['p50']:.0f} µs, p99 {latency['p99']:.0f} µs "
        f"({latency['samples']} samples)\n"
        f"sandbox, as the kernel tells: {', '.join(held) or 'nothing'}"
        + (f"; not held: {', '.join(missing)}" if missing else ""),
        soft_wrap=True,
    )
