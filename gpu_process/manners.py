"""What every process of this product does first: standard streams, signals, groups, dumps, logging."""

from __future__ import annotations

import itertools
import logging
import os
import select
import signal
from typing import Final

from gpu_process.sandbox import _kernel
from gpu_process.sandbox.privileges import make_undumpable
from ipc.processes import LOG_LEVEL_VARIABLE

_PR_SET_CHILD_SUBREAPER: Final = 36

_ROOMS: Final = ("gpu_process", "ipc")


def settle(*, own_session: bool) -> None:
    """Make this process a good citizen: undumpable, and out of the way of the user's terminal.

    Args:
        own_session: leave the terminal, so that its Ctrl-C ends whom it is meant for, and this process only as a
            consequence.
    """
    make_undumpable()
    if own_session and os.getpgrp() != os.getpid():  # a group's leader cannot, and has a group of its own
        os.setsid()
    if own_session:
        redirect_streams()


def redirect_streams(stderr: int | None = None) -> None:
    """Read nothing, and keep standard output, which is the user's, clean: what is printed goes to standard error.

    Args:
        stderr: what becomes of standard error; as it is where None.
    """
    if stderr is not None:
        os.dup2(stderr, 2)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)


def close_all_but(*descriptors: int) -> None:
    """Close every descriptor but the standard streams and `descriptors`."""
    edges = [2, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for below, above in itertools.pairwise(edges):
        os.closerange(below + 1, above)


def die_with_parent(parent: int, number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when `parent`'s forking thread ends, or now if it has."""
    _kernel.prctl(_kernel.PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    _kernel.prctl(_kernel.PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Become the parent of all processes below this one whose own parent ends, so that they can be ended and reaped."""
    _kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def log_to_stderr(level: str) -> None:
    """Write what the rooms log to standard error, as far as someone reads it; the root logger belongs to others.

    Args:
        level: `WEBNN_SIM_LOG` overrules it.
    """
    handler = _PatientHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    names = logging.getLevelNamesMapping()
    wanted = os.environ.get(LOG_LEVEL_VARIABLE, "").upper()
    for room in _ROOMS:
        logger = logging.getLogger(room)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(names.get(wanted, names[level.upper()]))


class _PatientHandler(logging.Handler):
    """Drops what nobody reads: a supervisor that waits for its log's reader supervises no more."""

    def emit(self, record: logging.LogRecord) -> None:
        data = (self.format(record) + "\n").encode(errors="replace")
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        for start in range(0, len(data), select.PIPE_BUF):
            # A pipe that is ready takes as many bytes without blocking. It stays as it is: others share its open file.
            if not any(events & select.POLLOUT for _, events in poll.poll(0)):
                return
            try:
                os.write(2, data[start : start + select.PIPE_BUF])
            except OSError:  # its reader has just gone
                return
