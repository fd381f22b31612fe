"""A process with a real runtime goes through every step, and afterwards still does its work, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import socket
from collections.abc import Callable

import grpc
import pytest

from gpu_process.sandbox import Layer, Level, SandboxSpec, attack, confined_pid, held_layers
from tests.gpu_process.sandbox.conftest import Confined, Launcher
from tests.gpu_process.sandbox.zygote import PACKET, call_compute

Launchers = Callable[[str, str], Launcher]


@pytest.fixture(params=["self", "nobody"])
def user(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["onnxruntime", "openvino"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def _start(launchers: Launchers, spec: SandboxSpec, backend: str, user: str) -> Confined:
    process = launchers(backend, user).fork(dataclasses.replace(spec, backends=(backend,)), serve=True)
    assert process.start["ready"], process.start
    return process


def _end(process: Confined) -> None:
    assert process.status() == 0


def test_fresh_models_compile_and_run_inside_and_are_served_outside(
    launchers: Launchers, spec: SandboxSpec, backend: str, user: str
) -> None:
    process = _start(launchers, spec, backend, user)
    with grpc.insecure_channel(f"unix:{spec.run_directory}/service.sock") as channel:
        for size in (3, 17, 64):
            assert json.loads(call_compute(channel, str(size).encode())) == [size + 1.0] * size
    assert process.violations == []
    _end(process)


def test_a_region_made_inside_is_shared_with_the_outside(
    launchers: Launchers, spec: SandboxSpec, backend: str, user: str
) -> None:
    process = _start(launchers, spec, backend, user)
    size = 1 << 20
    process.control.send(json.dumps({"do": "region", "size": size}).encode())
    _, descriptors, _, _ = socket.recv_fds(process.control, PACKET, 1)
    with mmap.mmap(descriptors[0], size) as region:
        assert region[:4] == b"data"
    os.close(descriptors[0])
    assert process.violations == []
    _end(process)


def test_every_layer_of_strict_is_held_as_the_kernel_tells_inside_and_outside(
    launchers: Launchers, spec: SandboxSpec, backend: str, user: str
) -> None:
    process = _start(launchers, spec, backend, user)
    inside = process.start["report"]["layers"]
    assert [name for name in Level.STRICT.required if not inside[name]["held"]] == []
    assert inside[Layer.WRITE_XOR_EXECUTE]["held"] is (backend != "openvino")
    outside = held_layers(confined_pid(process.gate))
    assert [layer for layer in Level.STRICT.required if outside[layer].held is False] == []
    assert outside[Layer.SECCOMP].held
    assert outside[Layer.PID_NAMESPACE].held
    _end(process)


def test_every_attempt_fails_in_a_process_with_threads_and_a_server(
    launchers: Launchers, spec: SandboxSpec, backend: str
) -> None:
    spec = dataclasses.replace(spec, backends=(backend,))
    process = _start(launchers, spec, backend, "self")
    for attempt in attack.attempts_for(spec):
        if not attempt.deadly:
            outcome = process.attempt(attempt.name)
            assert attempt.judge(outcome), (attempt.expected, outcome)
    outcome = process.attempt("exec", in_earlier_thread=True)
    assert outcome.fate is attack.Fate.KILLED
    assert os.WTERMSIG(process.status()) == 9
    assert process.violations[-1].call == "execve"
