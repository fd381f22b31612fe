"""`webnn-sim bench`: the laboratory. What each part of a round trip costs, alone and beside peers in the same run."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from gpu_process.backends import DEFAULT_BACKEND
from gpu_process.sandbox import Level
from scripts.bench import compare as comparison
from scripts.bench import html, inference, ipc, lifecycle, targets
from scripts.bench.peer import PeerError
from scripts.bench.quantities import number, parameters, quantity
from scripts.bench.run import Options, Run
from scripts.cli._options import Backend, Carrier, Sandbox, Trace, writable
from scripts.cli._output import console, fail, progress, wrong_usage
from scripts.trace import tracing

app = typer.Typer(
    no_args_is_help=True, help="Measure round trips, whole networks, start-up, and peers in the same run."
)

Threads = Annotated[int, typer.Option(min=0, help="Threads of a graph; 0 lets the backend choose.")]
Spin = Annotated[int | None, typer.Option(min=0, help="How long waiting polls; 0 never.", show_default="the host's")]
Memory = Annotated[str, typer.Option(metavar="[auto|private]", help="Whether backends may use shared memory.")]
Rounds = Annotated[int | None, typer.Option(min=2, help="Interleaved rounds.", show_default="each benchmark's own")]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer rounds and calls; wider intervals.")]
Chromium = Annotated[
    Path | None,
    typer.Option(
        envvar="CHROMIUM", metavar="PATH", exists=True, dir_okay=False, help="An executable whose WebNN works."
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", callback=writable, help="Write the whole report as JSON.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", callback=writable, help="Write it as one page with plots.")
]


def _measuring(name: str, function: Callable[[Run], None], help: str) -> None:
    """One subcommand that measures ourselves alone."""

    @app.command(name, help=help)
    def command(
        carrier: Carrier = None,
        backend: Backend = DEFAULT_BACKEND,
        threads: Threads = 1,
        spin: Spin = None,
        sandbox: Sandbox = Level.STRICT,
        tensor_memory: Memory = "auto",
        rounds: Rounds = None,
        quick: Quick = False,
        trace: Trace = None,
        json: JsonFile = None,
        html: HtmlFile = None,
    ) -> None:
        with tracing(trace) as descriptor:
            options = Options(
                carrier=carrier,
                backend=backend,
                threads=threads,
                spin=spin,
                sandbox=sandbox.value,
                tensor_memory=_memory(tensor_memory),
                rounds=rounds,
                quick=quick,
                trace=descriptor,
            )
            _report(options, json, html, function)


_measuring(
    "ipc",
    ipc.measure,
    "Round trips by payload, calls in flight, idle time and number of renderers, and the stages of one.",
)
_measuring("models", inference.measure, "MobileNetV2, NSNet2, and an encoder with and without an embedding.")
_measuring("lifecycle", lifecycle.measure, "Start, contexts, tensors, builds by size, restart after a crash.")


@app.command()
def peers(
    carrier: Carrier = None,
    backend: Backend = DEFAULT_BACKEND,
    threads: Threads = 1,
    sandbox: Sandbox = Level.STRICT,
    rounds: Rounds = None,
    quick: Quick = False,
    chromium: Chromium = None,
    trace: Trace = None,
    part: Annotated[
        list[str] | None, typer.Option(metavar=f"[{'|'.join(targets.PARTS)}]", help="Only these; may be repeated.")
    ] = None,
    json: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """The targets P1 to P21, each against a peer in the same run: Chromium, the runtimes in process, gRPC, iceoryx2.

    What could not be run says so and why. Exits with 1 if a gate that binds is missed or was not run.
    """
    parts = tuple(part or targets.PARTS)
    if unknown := sorted(set(parts) - set(targets.PARTS)):
        wrong_usage(f"--part {', '.join(unknown)}: none of {', '.join(targets.PARTS)}")
    results: list[targets.Result] = []

    def measure(run: Run) -> dict[str, Any]:
        for result in targets.measure(run, parts):
            results.append(result)
            _show_result(result)
        return {"targets": [result.to_json() for result in results]}

    with tracing(trace) as descriptor:
        options = Options(
            carrier=carrier,
            backend=backend,
            threads=threads,
            sandbox=sandbox.value,
            rounds=rounds,
            quick=quick,
            chromium=chromium,
            trace=descriptor,
        )
        _report(options, json, html, measure)
    if not targets.all_met(results):
        raise typer.Exit(1)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", exists=True, dir_okay=False)],
    after: Annotated[Path, typer.Argument(metavar="B.json", exists=True, dir_okay=False)],
    json: JsonFile = None,
) -> None:
    """Say what changed from one report to another, beyond noise."""
    try:
        found = comparison.compare(comparison.load(before), comparison.load(after))
    except comparison.ReportError as error:
        wrong_usage(str(error))
    if json is not None:
        json.write_text(json_module.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    for name, (first, second) in found.environment.items():
        console.print(f"{name}: {escape(str(first))} → {escape(str(second))}", soft_wrap=True)
    for name, (was, now) in found.targets.items():
        console.print(f"{escape(name)}: {was} → {now}", soft_wrap=True)
    changed = [change for change in found.changes if change.verdict in ("better", "worse")]
    table = Table(title=f"{len(changed)} of {len(found.changes)} changed beyond noise", title_justify="left")
    for heading in ("", "before", "after", "after / before", "95 % interval", ""):
        table.add_column(heading, overflow="fold")
    for change in sorted(changed, key=lambda change: -abs(change.ratio.value - 1)):
        ratio = change.ratio
        colour = "green" if change.verdict == "better" else "red"
        table.add_row(
            escape(change.key),
            f"{change.before:.4g} {change.unit}",
            f"{change.after:.4g} {change.unit}",
            f"{ratio.value:.3f}",
            f"{ratio.low:.3f} to {ratio.high:.3f}",
            f"[{colour}]{change.verdict}[/{colour}]",
        )
    console.print(table)


def _memory(name: str) -> str:
    if name not in ("auto", "private"):
        wrong_usage(f"--tensor-memory {name!r} is none of auto, private")
    return name


def _report(
    options: Options, json: Path | None, html_file: Path | None, measure: Callable[[Run], Mapping[str, Any] | None]
) -> None:
    """Measure, show, and write what was asked for; what `measure` returns is part of the report."""
    try:
        with Run(options, lambda text: progress.print(f"[dim]{escape(text)}[/dim]", soft_wrap=True)) as run:
            more = measure(run)
            report = run.report(**(more or {}))
        if json is not None:
            json.write_text(json_module.dumps(report, indent=1) + "\n", encoding="utf-8")
        if html_file is not None:
            html_file.write_text(html.page(report), encoding="utf-8")
    except (PeerError, OSError) as error:
        fail(str(error))
    _show_measurements(report["measurements"])


def _show_measurements(measurements: list[dict[str, Any]]) -> None:
    """A table for each group, narrow enough for a narrow terminal."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in measurements:
        groups.setdefault(item["group"], []).append(item)
    for name, items in groups.items():
        console.print(_table(name, items))


def _table(title: str, items: list[dict[str, Any]]) -> Table:
    # Of what was measured once, there is one number.
    is_once = all(item["count"] == 1 for item in items)
    quantiles = ("p50",) if is_once else ("p50", "p90", "p99", "p99.9")
    table = Table(
        title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=not is_once
    )
    table.add_column("", overflow="fold")
    for heading in ("p50",) if is_once else ("p50", "±", *quantiles[1:]):
        table.add_column(heading, no_wrap=True, justify="right")
    for item in items:
        name = ", ".join(filter(None, (item["name"], parameters(item["parameters"]))))
        cells = [quantity(item[quantile], item["unit"]) for quantile in quantiles]
        if not is_once:
            wide = max(abs(end - item["p50"]) for end in item["p50_interval"]) / item["p50"] if item["p50"] else 0.0
            cells.insert(1, f"{wide:.0%}")
        table.add_row(escape(name), *cells)
    return table


_COLOURS = {"aim": "green", "gate": "blue", "missed": "red", "not run": "yellow", "reported": "dim"}


def _show_result(result: targets.Result) -> None:
    colour, estimate = _COLOURS[result.verdict], result.estimate
    given = parameters(result.parameters)
    of = f" [{given}]" if given else ""
    value = result.why
    if estimate is not None:
        value = f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"
    details = f"; {result.figures}" if result.figures else ""
    line = f"{result.target.name} {result.target.what}{of}: {value}{details}"
    console.print(f"[{colour}]{result.verdict:>8}[/{colour}]  {escape(line)}", soft_wrap=True)
