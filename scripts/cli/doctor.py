"""`webnn-sim doctor`: what this machine has, what holds, and what to do about a "no"."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Annotated, Any, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from gpu_process.backends import BACKEND_NAMES, DEFAULT_BACKEND, in_place_note
from gpu_process.sandbox import Level, kernel_features
from ipc.errors import MLError
from renderer import ML
from scripts.cli._options import Backend, Sandbox
from scripts.cli._output import DISTRIBUTION, JsonFlag, console, fail, print_json, progress, wrong_usage
from scripts.sandbox_attack import Verdict, attack_sandboxes
from scripts.simulator import SimulatorError

_PACKAGES = (DISTRIBUTION, "grpcio", "protobuf", "numpy", "onnx", "onnxruntime", "openvino")


class Finding(NamedTuple):
    """One line of the report; `remedy` says what to do where `good` is False."""

    name: str
    good: bool
    detail: str
    remedy: str = ""


def doctor(
    sandbox: Sandbox = Level.STRICT,
    attack: Annotated[bool, typer.Option("--attack", help="Attack the sandboxes from inside instead.")] = False,
    backend: Backend = DEFAULT_BACKEND,
    json: JsonFlag = False,
) -> None:
    """Show versions, backends with their devices, kernel features, and the layers of confinement that hold.

    Each backend is started in a GPU process of its own; its layers are read back from the kernel. Exits with 1 if a
    backend does not start or a layer that the level requires does not hold.

    With `--attack` a GPU process (of `--backend`) and a renderer try, from inside their sandboxes, what an attacker
    would, each deadly attempt in a process of its own. Exits with 1 if any came out otherwise than it must.
    """
    if attack:
        _attack(backend, sandbox, json)
    backends: dict[str, list[Finding]] = {}
    layers: dict[str, list[Finding]] = {}
    for name in BACKEND_NAMES:
        backends[name], layers[name] = _try_backend(name, sandbox)
    features = [Finding(*feature) for feature in kernel_features()]
    good = all(finding.good for findings in backends.values() for finding in findings) and all(
        finding.good or not finding.remedy for findings in layers.values() for finding in findings
    )
    if json:
        print_json(
            {
                "good": good,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "versions": _versions(),
                "backends": {name: [finding._asdict() for finding in found] for name, found in backends.items()},
                "kernel": {feature.name: feature._asdict() for feature in features},
                "level": sandbox.value,
                "layers": {
                    name: {finding.name: finding._asdict() for finding in found} for name, found in layers.items()
                },
            }
        )
    else:
        versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
        console.print(f"Python {platform.python_version()} on {platform.platform()}\n{versions}\n", soft_wrap=True)
        for name in BACKEND_NAMES:
            console.print(_table(f"backend {name}", [*backends[name], *layers[name]]))
        console.print(_table("kernel", features))
    sys.exit(0 if good else 1)


def _attack(backend: str, level: Level, json: bool) -> None:
    if level is Level.OFF:
        wrong_usage("--attack needs a sandbox: --sandbox=off has none")
    verdicts: list[Verdict] = []
    try:
        with progress.status("attacking …") as status:
            for verdict in attack_sandboxes(backend, level, lambda doing: status.update(escape(doing))):
                verdicts.append(verdict)
    except SimulatorError as error:
        fail(str(error))
    good = all(verdict.denied for verdict in verdicts)
    if json:
        print_json(
            {
                "good": good,
                "level": level.value,
                "backend": backend,
                "attempts": [verdict.to_json() for verdict in verdicts],
            }
        )
    else:
        for process in dict.fromkeys(verdict.process for verdict in verdicts):
            table = Table(
                "attempt", "would gain", "expected", "observed", "verdict", title=process, title_justify="left"
            )
            for it in verdicts:
                if it.process == process:
                    told = "[green]denied[/green]" if it.denied else f"[red]NOT AS IT MUST[/red]: {escape(it.detail)}"
                    table.add_row(it.attempt, escape(it.goal), it.expected, it.observed, told)
            console.print(table)
        failed = sum(not verdict.denied for verdict in verdicts)
        console.print(f"{len(verdicts)} attempts, {failed or 'none'} came out otherwise than they must")
    sys.exit(0 if good else 1)


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _try_backend(name: str, sandbox: str) -> tuple[list[Finding], list[Finding]]:
    """Start the backend and compute something with it; what came of it, and the layers of its process."""
    try:
        with ML(backend=name, sandbox=sandbox) as ml, ml.create_context(backend=name) as context:
            started = Finding("starts", True, f"on {', '.join(context.devices)}")
            status = ml.status()
    except MLError as error:
        return [
            Finding("starts", False, str(error), "the message says which layer or package, and the option to use")
        ], []
    guards = Finding("guards", status["host"]["guards"] == "on", "values of tensors lead no kernel beyond its memory")
    return [started, guards, *_notes(name, context.device_note)], _layers(
        status["gpu_processes"][0]["sandbox"]["layers"]
    )


def _notes(name: str, device_note: str) -> list[Finding]:
    memory_note = in_place_note(name, _versions().get(name, ""))
    return [Finding(what, True, note) for what, note in (("device", device_note), ("memory", memory_note)) if note]


def _layers(facts: dict[str, Any]) -> list[Finding]:
    return [
        Finding(
            layer,
            bool(fact["held"]),
            str(fact["detail"]),
            "see the kernel's features below" if fact["required"] and not fact["held"] else "",
        )
        for layer, fact in facts.items()
    ]


def _table(title: str, findings: list[Finding]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    for finding in findings:
        verdict = "[green]yes[/green]" if finding.good else "[red]no[/red]" if finding.remedy else "no"
        advice = f"\n[yellow]{escape(finding.remedy)}[/yellow]" if finding.remedy and not finding.good else ""
        table.add_row(finding.name, verdict, escape(finding.detail) + advice)
    return table
