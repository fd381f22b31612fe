"""The broker's socket: where renderers that were started by hand ask the host for a session."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import socket
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpu_process.run_directory import MAX_SOCKET_PATH

_BACKLOG = 16
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

_logger = logging.getLogger(__name__)


class BrokerError(Exception):
    """The socket cannot be made at its path.

    Attributes:
        in_use: whether that is because another host listens there.
    """

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that has connected, as the kernel knows it."""

    sock: socket.socket
    pid: int


class Broker:
    """A listening socket that appears at its path only when it is told to, all at once."""

    def __init__(self, path: Path) -> None:
        """Listens beside `path`, under a name of no interest.

        Raises:
            BrokerError: no socket can be at `path`, or something else is already.
        """
        self.path = path.absolute()
        # Short and hidden; in the same directory, for only within one can a file be renamed at once.
        self.hidden_path = self.path.parent / f".{secrets.token_hex(4)}"
        if max(len(os.fsencode(self.path)), len(os.fsencode(self.hidden_path))) > MAX_SOCKET_PATH:
            raise BrokerError(f"{self.path} is longer than the {MAX_SOCKET_PATH} bytes of a socket's address")
        _check_free(self.path)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            # Connecting takes the right to write; the mode is set before there is anything to connect to.
            previous_mask = os.umask(0o177)
            try:
                self._sock.bind(os.fspath(self.hidden_path))
            finally:
                os.umask(previous_mask)
            self._sock.listen(_BACKLOG)
        except OSError as error:
            self.close()
            raise BrokerError(f"no socket can be made in {self.path.parent}: {error}") from error

    def fileno(self) -> int:
        """For selectors: readable when someone connects."""
        return self._sock.fileno()

    def publish(self) -> None:
        """Let the socket appear at its path, in place of a dead one.

        Raises:
            BrokerError: another host has taken the path meanwhile.
        """
        with _locked(self.path.parent):
            _check_free(self.path)
            self.hidden_path.rename(self.path)

    def accept(self) -> Peer | None:
        """The next process that has connected; None if there is none, or it belongs to another user."""
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return None
        pid, uid = credentials(sock)
        if uid != os.geteuid():
            _logger.warning("refused a connection of process %d, which belongs to user %d", pid, uid)
            sock.close()
            return None
        return Peer(sock, pid)

    def close(self) -> None:
        """Stop listening and remove the file, wherever it is; idempotent."""
        self._sock.close()
        for path in (self.hidden_path, self.path):
            remove_if_dead(path)


def credentials(sock: socket.socket) -> tuple[int, int]:
    """Process id and user id of who has connected, as the kernel knows them."""
    pid, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid


def remove_if_dead(path: Path) -> None:
    """Remove the socket at `path` unless somebody listens there; what is no socket is left alone."""
    with contextlib.suppress(FileNotFoundError), _locked(path.parent):
        if _is_socket(path) and not _is_alive(path):
            path.unlink(missing_ok=True)


def _check_free(path: Path) -> None:
    if not path.parent.is_dir():
        raise BrokerError(f"there is no directory {path.parent}")
    if not os.path.lexists(path):
        return
    if not _is_socket(path):
        raise BrokerError(f"{path} exists and is no socket")
    if _is_alive(path):
        raise BrokerError(f"another host listens on {path}", in_use=True)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _is_alive(path: Path) -> bool:
    """Whether anyone listens: a full backlog and a refused permission are signs of life as well."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Alone among hosts in `directory`, so that two that start at once don't each replace the other's socket.

    Anyone who can read the directory can keep it locked: after a second it goes on without.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(100):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            else:
                break
        yield
    finally:
        os.close(descriptor)
