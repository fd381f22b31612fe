"""Steps run in forked children, which they may crash; the next child goes on where one ended."""

from __future__ import annotations

import os
import pickle
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

TIMEOUT = "timeout"
_SECONDS = 60.0
_DONE = 0


def outcomes(steps: Sequence[Callable[[], Any]], clean: Callable[[Any], bool] = lambda _: True) -> Iterator[Any]:
    """What each step returns, in order; the name of the signal where it ended the process, or "timeout".

    Args:
        clean: by what a step returned, whether the next may run in its process: memory that it spoilt shows later.

    Raises:
        RuntimeError: a step raised an exception, which is an error of the probe's; the child has printed it.
    """
    position = 0
    while position < len(steps):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(steps[position:], clean, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as results:
            for outcome in _received(results):
                yield outcome
                position += 1
            ended = _why(child, results)
        if ended:
            yield ended
            position += 1


def _run(steps: Sequence[Callable[[], Any]], clean: Callable[[Any], bool], writer: int) -> None:
    """The child: never returns."""
    status = 1
    try:
        with os.fdopen(writer, "wb") as results:
            for step in steps:
                outcome = step()
                pickle.dump(outcome, results)
                results.flush()
                if not clean(outcome):
                    break
        status = _DONE
    except BaseException:  # the traceback is the message; nothing of the parent's must run here
        import traceback

        traceback.print_exc()
    os._exit(status)


def _received(results: Any) -> Iterator[Any]:
    while _is_readable(results, _SECONDS):
        try:
            yield pickle.load(results)
        except EOFError:
            return


def _is_readable(results: Any, seconds: float) -> bool:
    poll = select.poll()  # select(2) knows the first 1024 descriptors only
    poll.register(results, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _why(child: int, results: Any) -> str:
    """What ended a child; nothing if it had done what it was to do."""
    pid, status = os.waitpid(child, 0 if _is_readable(results, 0) else os.WNOHANG)
    if pid == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return TIMEOUT
    code = os.waitstatus_to_exitcode(status)
    if code == _DONE:
        return ""
    if code > 0:
        raise RuntimeError(f"a child of the probe ended with status {code}")
    return signal.Signals(-code).name
