"""`webnn-sim fuzz`: attack, compare, reduce, run again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, NoReturn

import typer
from rich.live import Live
from rich.markup import escape

from gpu_process.sandbox import Level
from scripts.bench.chromium import Chromium, ChromiumError, ScriptError
from scripts.cli._options import Backend, Sandbox, writable
from scripts.cli._output import JsonFlag, console, fail, print_json, progress, wrong_usage
from scripts.fuzz import engine, findings
from scripts.fuzz.case import GraphCase
from scripts.fuzz.corpus import Corpus
from scripts.fuzz.engine import Result, RunOptions
from scripts.fuzz.export import as_job
from scripts.fuzz.findings import FindingError, Stored
from scripts.fuzz.mode import CoverageKey, ModeOptions
from scripts.fuzz.modes import MODE_NAMES, open_mode
from scripts.fuzz.reduction import reduced
from scripts.fuzz.statistics import Statistics

app = typer.Typer(
    help="Find what is wrong on either side of the boundary and in the backends under it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_FINDINGS = Path("fuzz-findings")
_PROCESSORS = os.cpu_count() or 1

Seconds = Annotated[float, typer.Option("--time", min=0, help="Seconds to run; 0 runs until Ctrl-C.")]
Seed = Annotated[int, typer.Option(min=0, help="All cases follow from it.")]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that run cases.", show_default="one per processor")]
Executions = Annotated[int, typer.Option(min=0, help="Cases to run; 0 leaves it to the time.")]
CorpusFolder = Annotated[Path | None, typer.Option("--corpus", help="Cases to run first, and where new ones are kept.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", callback=writable, help="Write counts, coverage and findings to a file."),
]
FindingsFolder = Annotated[Path, typer.Option("--findings", help="Where findings are written.")]
Reduce = Annotated[bool, typer.Option(help="Make findings as small as they get.")]
Preload = Annotated[
    list[str] | None, typer.Option(metavar="MODULE", help="Import MODULE in the processes under attack first.")
]
CaseFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A case: of a finding or of a corpus.")
]


def _define(name: str, help_text: str) -> None:
    def command(
        time: Seconds = 60.0,
        seed: Seed = 1,
        jobs: Jobs = _PROCESSORS,
        executions: Executions = 0,
        corpus: CorpusFolder = None,
        json: JsonFile = None,
        findings: FindingsFolder = _FINDINGS,
        reduce: Reduce = True,
        backend: Backend = "reference",
        sandbox: Sandbox = Level.STRICT,
        preload: Preload = None,
    ) -> None:
        options = ModeOptions(backend=backend, sandbox=sandbox.value, preload=tuple(preload or ()))
        run_options = RunOptions(
            mode=name,
            seconds=time,
            seed=seed,
            jobs=jobs,
            executions=executions,
            corpus=corpus,
            findings=findings,
            reduce=reduce,
            options=options,
        )
        _finish(run_options, _run(run_options), json)

    command.__doc__ = help_text
    app.command(name)(command)


_HELP = {
    "validate": "Renderer's and GPU process's validators on the same graphs, in this process.",
    "graph": "Legal and almost legal graphs through both processes.",
    "wire": "Messages, bytes and descriptors that no correct renderer sends.",
    "differential": "The same graphs on all backends, whose results must agree.",
    "api": "Any order of API calls, right and wrong, from several renderers, against a model.",
    "ring": "A renderer that writes what it likes into its ring, slots and bells while commands run.",
    "simulate": "The boundary in this process, under seeded schedules: every interleaving can be run again.",
}
for _name in MODE_NAMES:
    _define(_name, _HELP[_name])


def _run(options: RunOptions) -> Result:
    title = f"fuzz {options.mode}, seed {options.seed}"
    with Live(console=progress, refresh_per_second=2) as live:
        return engine.run(options, lambda statistics: live.update(statistics.table(title, ())))


def _finish(options: RunOptions, result: Result, json: Path | None) -> None:
    """Show what came of a run; exits with 1 where something was found."""
    console.print(result.statistics.table(f"fuzz {options.mode}, seed {options.seed}", result.universe))
    summary = {"mode": options.mode, "seed": options.seed, **result.statistics.to_json(result.universe)}
    if json is not None:
        findings.write_json(json, summary)
    for stored, path in result.findings:
        assert stored.problem is not None
        console.print(f"[red]{escape(stored.problem.signature)}[/red]" + (f" -> {path}" if path else ""))
        if path is None:
            console.print(escape(stored.problem.what))
    if result.findings:
        sys.exit(1)


@app.command()
def repro(
    file: CaseFile,
    chromium: Annotated[
        Path | None, typer.Option(metavar="PATH", exists=True, help="Run its page in this browser, headless, instead.")
    ] = None,
    preload: Preload = None,
    json: JsonFlag = False,
) -> None:
    """Run a case again; exits with 1 if it is still wrong, or if the browser refuses it or can't say it."""
    stored = _load(file, preload)
    if chromium is not None:
        _repro_in(chromium, stored)
    with closing(open_mode(stored.mode, stored.options)) as mode:
        verdict = mode.run(mode.from_json(stored.case))
    problem = verdict.problem
    if json:
        print_json(
            {
                "outcome": verdict.outcome,
                "detail": verdict.detail,
                "problem": None if problem is None else {"signature": problem.signature, "what": problem.what},
            }
        )
    elif problem is None:
        console.print(f"{verdict.outcome} {escape(verdict.detail)}: as it should be")
    else:
        console.print(f"[red]{escape(problem.signature)}[/red]\n{escape(problem.what)}")
    sys.exit(0 if problem is None else 1)


def _repro_in(chromium: Path, stored: Stored) -> NoReturn:
    """Show what a browser makes of a case: its outputs beside those computed here, its refusal, or that it can't."""
    if "graph" not in stored.case:
        fail(f"a case of mode {stored.mode} can't be said in a page")
    try:
        with Chromium(chromium) as browser:
            result = browser.run(as_job(GraphCase.from_json(stored.case)))
    except (ChromiumError, ScriptError) as error:
        fail(str(error))
    print_json(result)
    sys.exit(0 if result["outcome"] == "computed" else 1)


@app.command()
def reduce(
    file: CaseFile,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the smaller finding.", show_default="beside FILE")
    ] = None,
    time: Annotated[float, typer.Option(min=0, help="Seconds to try.")] = 60.0,
    preload: Preload = None,
) -> None:
    """Make a finding smaller; exits with 1 if it does not show itself any more."""
    stored = _load(file, preload)
    with closing(open_mode(stored.mode, stored.options)) as mode:
        case = mode.from_json(stored.case)
        problem = mode.run(case).problem
        if problem is None:
            fail(f"{file}: nothing is wrong with it any more")
        smaller = reduced(case, engine.shows(mode, problem), mode.smaller, time)
        problem = mode.run(smaller).problem or problem
        result = Stored(stored.mode, smaller.to_json(), stored.options, stored.seed, stored.number, problem)
        path = findings.save(output or file.parent, result, mode, smaller)
    console.print(f"{case.size} -> {smaller.size}: {path}")


@app.command()
def coverage(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="A corpus.")],
    minimise: Annotated[bool, typer.Option(help="Remove what adds nothing.")] = False,
    merge: Annotated[list[Path] | None, typer.Option(help="Take over another corpus first.")] = None,
    json: JsonFlag = False,
) -> None:
    """What the cases of a corpus reach, by mode."""
    corpus = Corpus(folder)
    summary = {}
    for name in MODE_NAMES:
        for other in merge or []:
            corpus.merge(other, name)
        if any(True for _ in corpus.cases(name)):
            summary[name] = _reached(corpus, name, minimise=minimise, show=not json)
    if json:
        print_json(summary)


def _reached(corpus: Corpus, name: str, *, minimise: bool, show: bool) -> dict[str, Any]:
    statistics, began = Statistics(), monotonic()
    with closing(open_mode(name, ModeOptions())) as mode:

        def reach(value: Mapping[str, Any]) -> tuple[tuple[int, ...], set[CoverageKey]]:
            case = mode.from_json(value)
            verdict = mode.run(case)
            keys = set(mode.coverage(case, verdict))
            statistics.add(verdict, keys)
            return case.size, keys

        if minimise:
            before, after = corpus.minimise(name, reach)
            progress.print(f"{name}: {before} cases, {after} are enough")
        else:
            for _, stored in corpus.cases(name):
                reach(stored.case)
        universe = list(mode.universe())
    statistics.seconds = monotonic() - began
    if show:
        console.print(statistics.table(name, universe))
    return statistics.to_json(universe)


def _load(file: Path, preload: list[str] | None) -> Stored:
    try:
        stored = findings.load(file)
    except FindingError as error:
        wrong_usage(str(error))
    return replace(stored, options=replace(stored.options, preload=tuple(preload or ())))
