"""A renderer by hand: `python -m renderer --socket PATH demo`, or a script of the user's."""

from __future__ import annotations

import argparse
import functools
import json
import runpy
import sys
import types
from pathlib import Path

from ipc import trace
from ipc.errors import MLError
from renderer import ML


def main() -> int:
    """Run one command; 0 success, 1 the work failed, 2 wrong usage."""
    options = _parser().parse_args()
    trace.start(options.trace_fd, trace.Role.RENDERER)
    if options.inject:
        from ipc import faults

        faults.install(faults.Plan.parse(options.inject), "renderer")
    try:
        return int(options.command(options))
    except MLError as error:
        print(f"error: {error.name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m renderer", description=__doc__)
    parser.add_argument("--socket", required=True, type=Path, metavar="PATH", help="that of `python -m gpu_process`")
    parser.add_argument("--trace-fd", type=int, default=0, metavar="FD", help="append-only, for this process's trace")
    parser.add_argument("--inject", default="", metavar="SPEC", help="what is to go wrong, see ipc.faults")
    commands = parser.add_subparsers(required=True, metavar="{demo,run}")

    demo = commands.add_parser("demo", help="classify handwritten digits")
    demo.add_argument("--backend", help="reference, onnxruntime or openvino (default: the host's)")
    demo.add_argument("--carrier", help="inline, stream or ring (default: the fastest)")
    demo.add_argument("--samples", type=int, default=1000, help="round trips to time (default: %(default)s)")
    demo.add_argument("--json", action="store_true", help="print the whole result as one JSON object")
    demo.set_defaults(command=_demo)

    script = commands.add_parser("run", help="run a Python script; its `ML()` attaches to the socket")
    script.add_argument("script", type=Path, metavar="SCRIPT", help="a Python script that uses `renderer`")
    script.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="its own")
    script.set_defaults(command=_run)
    return parser


def _demo(options: argparse.Namespace) -> int:
    import numpy as np

    from renderer import demo
    from renderer.digits import load_digits_model

    with ML(socket=options.socket) as ml:
        result = demo.run(ml, backend=options.backend, carrier=options.carrier, samples=options.samples)
    if options.json:
        json.dump(result.to_json(), sys.stdout)
        return 0
    model = load_digits_model()
    print(demo.show(model.images[:6], model.labels[:6], result.logits[:6]))
    accuracy = float((result.logits.argmax(1) == model.labels).mean())
    p50, p99 = np.percentile(result.latency_us, [50, 99])
    print(f"{len(model.labels)} images, accuracy {accuracy:.4f}, {result.backend} on {', '.join(result.devices)}")
    print(f"write + dispatch + read over {result.carrier}: p50 {p50:.0f} µs, p99 {p99:.0f} µs")
    return 0


def _run(options: argparse.Namespace) -> int:
    if not options.script.is_file():
        print(f"error: no script {options.script}", file=sys.stderr)
        return 2
    ML.attach_by_default(options.socket)
    sys.argv = [str(options.script), *options.arguments]
    sys.path.insert(0, str(options.script.resolve().parent))
    sys.excepthook = functools.partial(_tell_of_script, str(options.script))
    runpy.run_path(str(options.script), run_name="__main__")
    return 0


def _tell_of_script(
    script: str, kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    """What `python SCRIPT` would print: the frames between the interpreter and the script are ours."""
    while trace is not None and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


if __name__ == "__main__":
    sys.exit(main())
