"""Where the sockets of one host's GPU processes are: a private directory that outlives none of its holders.

    webnn-sim-3fa9c1d2/     of the host; everyone who holds it has a shared lock on it
        1/                  of GPU process 1, given to the user it runs as

Whoever lets go of it last removes the whole. Where all were killed at once, no lock is held any more and the next host
removes it. In both cases sockets are removed and the directories that are empty then: a user's own directory that
happens to have such a name loses nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_SOCKET_PATH: Final = 107  # sun_path without its final zero

_PREFIX: Final = "webnn-sim-"
_NAME: Final = re.compile(rf"{_PREFIX}[0-9a-f]{{8}}")
_ROOM_BELOW: Final = 32  # for the number of a GPU process and the name of its socket

_RELEASE_ATTEMPTS: Final = 100
_RELEASE_INTERVAL: Final = 0.002


class RunDirectory:
    """The run directory of one host, in one of the processes that hold it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def choose(cls) -> RunDirectory:
        """A new one, in $XDG_RUNTIME_DIR or the directory for temporary files; not made yet."""
        return cls(_base() / f"{_PREFIX}{secrets.token_hex(4)}")

    def hold(self, user: int) -> None:
        """Make the directory, if no other process has, and keep it from being swept away.

        Args:
            user: as whom a process will run that must reach what is in it. Where that is someone else, they may pass
                through the directory; what lies in it stays out of the reach of all others.
        """
        if self._lock is None:
            self._lock = self._acquire()
        if user != os.geteuid():
            os.fchmod(self._lock, 0o711)

    def _acquire(self) -> int:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(0o700)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise PermissionError(f"{self.path} belongs to someone else")
        return descriptor

    def make(self, name: str, user: int, group: int) -> Path:
        """A directory for one GPU process that runs as `user`; `hold` comes first."""
        path = self.path / name
        path.mkdir(0o700)
        if (user, group) != (os.geteuid(), os.getegid()):
            os.chown(path, user, group)
        return path

    def give(self, name: str, user: int, group: int) -> None:
        """Give the directory of one GPU process to another user, who may connect to the sockets in it; as root only."""
        path = self.path / name
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            if path.lstat().st_uid != user:
                for entry in (path, *path.iterdir()):
                    os.chown(entry, user, group, follow_symlinks=False)

    def discard(self, name: str) -> None:
        """Remove the directory of one GPU process; idempotent."""
        _remove(self.path / name)

    def release(self) -> None:
        """Let go, and remove everything unless someone else still holds it; idempotent."""
        self._let_go()
        for _ in range(_RELEASE_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError), _opened(self.path) as descriptor:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    # A holder that was killed lets go a moment after its sockets have closed.
                    time.sleep(_RELEASE_INTERVAL)
                    continue
                _remove(self.path)
            return

    def remove(self) -> None:
        """Remove everything, whoever holds it; idempotent."""
        self._let_go()
        _remove(self.path)

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep() -> None:
    """Remove the run directories of this user that nobody holds any more."""
    for path in _base().glob(f"{_PREFIX}*"):
        if not _NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(OSError), _opened(path) as descriptor:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while anyone holds it
                _remove(path)


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for candidate in (runtime, tempfile.gettempdir(), "/tmp"):
        fits = len(os.fsencode(candidate)) + len(_PREFIX) + 8 + _ROOM_BELOW < MAX_SOCKET_PATH
        if os.path.isabs(candidate) and fits and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise FileNotFoundError("no directory for temporary files can be written; set TMPDIR to one with a short path")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    # What another holder has removed first is as good as removed by us.
    with contextlib.suppress(OSError):
        for entry in path.iterdir():
            if entry.name.isdecimal() and not entry.is_symlink() and entry.is_dir():
                _remove_sockets(entry)
        _remove_sockets(path)


def _remove_sockets(directory: Path) -> None:
    """Remove a directory in which there are only sockets; anything else in it stays, and the directory with it."""
    with contextlib.suppress(OSError):
        for entry in directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(entry.lstat().st_mode):
                    entry.unlink()
        directory.rmdir()
