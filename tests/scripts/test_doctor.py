"""`webnn-sim doctor`: what it says is what the kernel says."""

from __future__ import annotations

import json

import pytest

from gpu_process.sandbox import Layer, Level, kernel_features
from gpu_process.sandbox.attack import Fate, Outcome, attempts_for
from ipc.options import BACKEND_NAMES
from scripts import sandbox_attack
from tests.scripts.commands import json_of, webnn_sim

MISSING = {it.name: it.detail for it in kernel_features() if not it.available}

needs_strict = pytest.mark.skipif(
    not MISSING.keys().isdisjoint({"namespaces", "landlock", "seccomp-filter", "seccomp-notification"}),
    reason=f"this kernel or user cannot have the strict sandbox: {MISSING}",
)


@needs_strict
def test_every_layer_of_strict_holds_for_every_backend_read_back_from_the_kernel() -> None:
    report = json_of("doctor", "--json")
    assert report["level"] == "strict"
    for backend in BACKEND_NAMES:
        layers = report["layers"][backend]
        assert [layer for layer in Level.STRICT.required if not layers[layer]["good"]] == []
        assert layers.keys() == set(Layer)


@needs_strict
@pytest.mark.timeout(120)
def test_every_attempt_from_inside_both_processes_is_denied() -> None:
    result = webnn_sim("doctor", "--attack", "--json", "--backend", "reference")
    report = json.loads(result.stdout)
    wrong = [it for it in report["attempts"] if not it["denied"]]
    assert wrong == []
    assert report["good"] is True
    assert result.returncode == 0
    made = {process: {it["attempt"] for it in report["attempts"] if it["process"] == process} for process in PROCESSES}
    assert all(
        {"read-file", "fork", "exec", "ptrace", "map-writable-executable", "x32-entry"} <= it for it in made.values()
    )
    exec_ = next(it for it in report["attempts"] if it["attempt"] == "exec")
    assert (exec_["expected"], exec_["observed"]) == ("killed", "killed")
    assert "dangerous execve(" in exec_["detail"]


PROCESSES = ("gpu-process", "renderer")


def test_an_attempt_that_gets_through_is_not_denied() -> None:
    """Otherwise the examination would prove nothing."""
    from gpu_process.sandbox import Mode, Role, SandboxSpec

    spec = SandboxSpec(run_directory=sandbox_attack.Path("/"))
    attempts = attempts_for(spec)

    def everything_goes(names: object) -> list[Outcome]:
        return [Outcome(attempt.name, Fate.SUCCEEDED, None, "") for attempt in attempts if attempt.name in names]  # type: ignore[operator]

    verdicts = list(
        sandbox_attack.verdicts(Role.GPU_PROCESS, Mode.ENFORCE, attempts, everything_goes, lambda doing: None)
    )
    assert len(verdicts) == len(attempts)
    assert not any(verdict.denied for verdict in verdicts)


def test_there_is_nothing_to_attack_without_a_sandbox() -> None:
    result = webnn_sim("doctor", "--attack", "--sandbox", "off")
    assert result.returncode == 2
    assert "--sandbox=off has none" in " ".join(result.stderr.replace("│", " ").split())
