"""`webnn-sim replay`: a recording against any build, without the renderer that made it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpu_process.sandbox import Level
from ipc.generated.webnn.v1 import recording_pb2
from ipc.options import HostOptions, OptionsError
from ipc.recording import Reader, RecordingError
from scripts.cli._options import BackendOfReplay, Preload, Record, Sandbox, Trace
from scripts.cli._output import JsonFlag, console, fail, print_json, wrong_usage
from scripts.recording import recording
from scripts.replay import Outcome
from scripts.replay import replay as play
from scripts.simulator import SimulatorError, simulator
from scripts.trace import tracing


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A recording: `--record FILE` makes one.")],
    backend: BackendOfReplay = None,
    sandbox: Sandbox = Level.STRICT,
    preload: Preload = None,
    trace: Trace = None,
    record: Record = None,
    json: JsonFlag = False,
) -> None:
    """Play a recording again, without its renderer, and compare all replies and results, bit for bit.

    With another backend, results may differ by rounding. Exits with 1 if anything is not as recorded.
    """
    reader = Reader(file)
    try:
        events = list(reader)
        arguments = _arguments(events, backend, sandbox, preload or [])
        with (
            tracing(trace) as traced,
            recording(record) as recorder,
            simulator(arguments, trace=traced, record=recorder) as running,
        ):
            outcome = play(events, running.socket, backend or "")
    except RecordingError as error:
        wrong_usage(str(error))
    except (OptionsError, SimulatorError, OSError) as error:
        fail(str(error))
    outcome.truncated = reader.truncated
    if not outcome.sessions:
        fail(f"{file} has no session: there is nothing to replay")
    if json:
        print_json({"file": str(file), **outcome.to_json()})
    else:
        _show(outcome)
    sys.exit(0 if outcome.identical else 1)


def _arguments(
    events: list[recording_pb2.Recorded], backend: str | None, sandbox: Level, preload: list[str]
) -> list[str]:
    """Of a host like the recorded one. What it preloads is said by whoever replays, not by the file."""
    started = next((event.process_started for event in events if event.HasField("process_started")), None)
    if started is None:
        raise RecordingError("no GPU process was recorded: nothing to replay")
    options = HostOptions.from_json(started.options_json)
    chosen = backend or started.backends[0]
    arguments = ["--backend", chosen, "--sandbox", sandbox.value, "--threads", str(options.threads)]
    arguments += ["--tensor-memory", options.tensor_memory]
    if options.one_process:
        arguments += ["--backends", "all"]
    arguments += [argument for name, limit in options.quotas.items() for argument in ("--quota", f"{name}={limit}")]
    return arguments + [argument for module in preload for argument in ("--preload", module)]


def _show(outcome: Outcome) -> None:
    console.print(
        f"{outcome.events} events of {outcome.sessions} sessions: {outcome.calls} calls, {outcome.commands} commands, "
        f"{outcome.results} results ({outcome.result_bytes} bytes) on {outcome.backend}"
        + (", and an unfinished event" if outcome.truncated else "")
    )
    for difference in outcome.differences:
        console.print(f"[red]event {difference.event}: {escape(difference.what)}[/red]")
        console.print(f"  recorded: {escape(difference.recorded)}\n  replayed: {escape(difference.replayed)}")
    if outcome.more_differences:
        console.print(f"… and {outcome.more_differences} more differences")
    if outcome.death:
        console.print(f"the GPU process: {escape(outcome.death)}")
    if outcome.identical:
        console.print(f"all as recorded, {'bit for bit' if outcome.exact else 'but for rounding'}")
