"""A host by hand: `python -m gpu_process --socket PATH`, for renderers that are started elsewhere.

PATH appears once every GPU process asked for is ready. Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import sys
from pathlib import Path

from gpu_process import manners
from gpu_process.broker import Broker, BrokerError
from gpu_process.host import Host
from gpu_process.process_handle import ProcessHandle
from gpu_process.quotas import Quotas
from ipc import trace
from ipc.options import BACKEND_NAMES, CHOICES, HostOptions, OptionsError

_DEFAULTS = HostOptions()


def main() -> int:
    """Serve until stopped; 0 stopped, 1 it could not start, 2 wrong usage."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        options = _options(arguments)
        broker = Broker(arguments.socket)
    except ValueError as error:
        parser.error(str(error))
    except BrokerError as error:
        return _fail(arguments, str(error), status=1 if error.in_use else 2)
    manners.settle(own_session=False)
    manners.log_to_stderr(options.log_level)
    trace.start(options.trace, trace.Role.HOST)
    command = _Command(arguments, options, broker)
    with contextlib.suppress(KeyboardInterrupt):  # before the host itself takes care of it
        command.run()
    return command.status


class _Command:
    """One run: wait for the GPU processes, show the socket, serve."""

    def __init__(self, arguments: argparse.Namespace, options: HostOptions, broker: Broker) -> None:
        self.status = 0
        self._arguments = arguments
        self._broker = broker
        self._host = Host(options, broker=broker)
        self._awaited = set(BACKEND_NAMES if options.one_process else arguments.backend or [options.backend])

    def run(self) -> None:
        for backend in sorted(self._awaited):
            self._host.prepare(backend, functools.partial(self._settled, backend))
        self._host.run()

    def _settled(self, backend: str, process: ProcessHandle) -> None:
        if process.has_ended:
            self._stop(f"backend {backend}: {process.failure}")
            return
        self._awaited.discard(backend)
        if not self._awaited and not self.status:
            try:
                self._broker.publish()
            except BrokerError as error:
                self._stop(str(error))
            else:
                self._announce()

    def _announce(self) -> None:
        path = str(self._broker.path)
        status = self._host.describe()
        if self._arguments.json:
            line = json.dumps({"ready": True, "socket": path, **status})
        else:
            processes = ", ".join(f"{'+'.join(it['backends'])} in {it['pid']}" for it in status["gpu_processes"])
            line = f"READY {path} (host {status['host']['pid']}, GPU process {processes})"
        with contextlib.suppress(BrokenPipeError):  # whoever started it may not care
            print(line, flush=True)

    def _stop(self, reason: str) -> None:
        if not self.status:
            self.status = _fail(self._arguments, reason, status=1)
        self._host.stop()


def _fail(arguments: argparse.Namespace, reason: str, *, status: int) -> int:
    if arguments.json:
        print(json.dumps({"ready": False, "error": reason}), flush=True)
    print(f"error: {reason}", file=sys.stderr)
    return status


def _options(arguments: argparse.Namespace) -> HostOptions:
    chosen = {
        name: getattr(arguments, name)
        for name in (
            "sandbox",
            "sandbox_mode",
            "threads",
            "tensor_memory",
            "guards",
            "start_timeout",
            "log_level",
            "isolate",
            "trace",
            "recording",
        )
        if getattr(arguments, name) is not None
    }
    quotas = dict(_quota(text) for text in arguments.quota)
    Quotas.of(quotas)  # complain here, where it is the user's mistake
    backends = arguments.backend or [_DEFAULTS.backend]
    return HostOptions(
        backend=backends[0],
        one_process=arguments.backends == "all",
        quotas=quotas,
        preload=tuple(arguments.preload),
        **chosen,
    )


def _quota(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value)
    except ValueError:
        raise OptionsError(f"--quota {text}: not of the form NAME=NUMBER") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gpu_process", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, metavar="PATH", help="where renderers will find it")
    parser.add_argument(
        "--backend",
        action="append",
        choices=BACKEND_NAMES,
        help=f"start it ahead; may be given again, the first is the default of sessions ({_DEFAULTS.backend})",
    )
    parser.add_argument(
        "--backends",
        choices=("each", "all"),
        default="each",
        help="one GPU process for each backend, or one for all (%(default)s)",
    )
    parser.add_argument(
        "--isolate", action="store_true", default=None, help="a GPU process of its own for every renderer"
    )
    parser.add_argument(
        "--sandbox", choices=CHOICES["sandbox"], help=f"how confined GPU processes must be ({_DEFAULTS.sandbox})"
    )
    parser.add_argument(
        "--sandbox-mode",
        choices=CHOICES["sandbox_mode"],
        help=f"what becomes of system calls that the sandbox does not allow ({_DEFAULTS.sandbox_mode})",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="NUMBER",
        help=f"threads of a graph; 0 lets the backend choose ({_DEFAULTS.threads})",
    )
    parser.add_argument(
        "--tensor-memory",
        choices=CHOICES["tensor_memory"],
        help=f"auto: backends use shared memory where that is safe; private: never ({_DEFAULTS.tensor_memory})",
    )
    parser.add_argument(
        "--guards",
        choices=CHOICES["guards"],
        help=f"off: DANGEROUS, any renderer can crash the GPU process or worse; for measurements ({_DEFAULTS.guards})",
    )
    parser.add_argument(
        "--quota", action="append", default=[], metavar="NAME=NUMBER", help="a limit of each session: docs/boundary.md"
    )
    parser.add_argument(
        "--preload", action="append", default=[], metavar="MODULE", help="import it before the sandbox closes"
    )
    parser.add_argument(
        "--start-timeout",
        type=float,
        metavar="SECONDS",
        help=f"how long a GPU process may take to become ready ({_DEFAULTS.start_timeout:g})",
    )
    parser.add_argument("--log-level", choices=CHOICES["log_level"], help=f"on standard error ({_DEFAULTS.log_level})")
    parser.add_argument(
        "--trace-fd", type=int, dest="trace", metavar="FD", help="append-only file for the trace of all processes"
    )
    parser.add_argument(
        "--record-fd", type=int, dest="recording", metavar="FD", help="append-only file for a recording"
    )
    parser.add_argument("--json", action="store_true", help="print what becomes ready, or what went wrong, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
