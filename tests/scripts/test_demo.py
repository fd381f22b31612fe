"""The main job, as a user runs it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scripts.commands import json_of, webnn_sim


def demo(*arguments: str) -> dict[str, Any]:
    return json_of("demo", "--json", *arguments)


@pytest.mark.parametrize("carrier", ["inline", "stream", "ring"])
@pytest.mark.parametrize("backend", ["reference", "onnxruntime", "openvino"])
def test_the_demo_recognises_real_digits_in_three_processes(backend: str, carrier: str) -> None:
    report = demo("--backend", backend, "--carrier", carrier)
    assert report["accuracy"] >= 0.97
    assert report["images"] >= 300
    assert report["max_abs_error"] <= 1e-4
    assert len({report[role]["pid"] for role in ("host", "renderer", "gpu_process")}) == 3
    assert (report["backend"], report["carrier"]) == (backend, carrier)
    assert report["latency_us"]["samples"] >= 1000
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["p99"]


def test_the_demo_tells_the_layers_that_the_kernel_confirms() -> None:
    report = demo("--samples", "1")
    optional = {"memory-group"}  # only where this user may make control groups
    for layers in (report["sandbox"], report["renderer"]["sandbox"]):
        assert {layer for layer, held in layers.items() if not held} <= optional
        assert {"seccomp", "landlock", "no-new-privileges", "undumpable", "network-namespace"} <= set(layers)


def test_a_demo_without_sandbox_says_so() -> None:
    report = demo("--samples", "1", "--sandbox", "off", "--renderer-sandbox", "off")
    for layers in (report["sandbox"], report["renderer"]["sandbox"]):
        assert not any(layers[layer] for layer in ("seccomp", "landlock", "network-namespace", "private-root"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--backend", "cuda"], "'cuda' is none of reference, onnxruntime, openvino"),
        (["demo", "--samples", "0"], "--samples"),
        (["ops", "convolve"], "no operator is called 'convolve'"),
        (["run", "missing.py"], "missing.py"),
        (["bogus"], "bogus"),
    ],
)
def test_a_users_mistake_is_explained_with_status_2_and_no_traceback(arguments: list[str], complaint: str) -> None:
    result = webnn_sim(*arguments)
    assert result.returncode == 2
    assert complaint in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
