"""Walks through a recording: what the renderer sent is sent again, what it heard is waited for and compared.

Nothing is sent before all that was heard before it has been heard again, so that the GPU process sees the same history,
and the bytes that a command found in shared memory are put there before it can look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ipc.channel import ChannelClosed, ChannelError
from ipc.generated.webnn.v1 import recording_pb2
from scripts.replay._history import ReplayError, SeenKey, backends, in_order_of_sending
from scripts.replay._live import HostLink, LiveSession
from scripts.replay._outcome import Outcome
from scripts.replay._session import PlayedSession


def replay(events: Sequence[recording_pb2.Recorded], socket: Path, backend: str = "") -> Outcome:
    """Play a recording against the host whose broker listens at `socket`.

    Args:
        backend: instead of the recorded one; results are then compared within a tolerance, of replies only what kind
            they are.
    """
    player = _Player(events, socket, backend)
    try:
        player.play()
    finally:
        player.close()
    return player.outcome


class _Player:
    def __init__(self, events: Sequence[recording_pb2.Recorded], socket: Path, backend: str) -> None:
        self.outcome = Outcome(backend=backend or backends(events)[0])
        self._events = events = in_order_of_sending(events)
        self._exact = self.outcome.exact = not backend or backend == backends(events)[0]
        self._backend = "" if self._exact else backend
        self._host = HostLink(socket)
        self._sessions: dict[tuple[int, int], PlayedSession] = {}
        self._inputs: dict[SeenKey, list[recording_pb2.Seen]] = defaultdict(list)
        self._results: dict[SeenKey, recording_pb2.Seen] = {}
        for event in events:
            if event.HasField("seen"):
                key = (event.process, event.seen.context, event.seen.sequence)
                if event.seen.is_result:
                    self._results[key] = event.seen
                else:
                    self._inputs[key].append(event.seen)

    def play(self) -> None:
        for number, event in enumerate(self._events, 1):
            self.outcome.events = number
            if event.WhichOneof("event") in ("process_started", "seen", None):
                continue
            try:
                self._step(number, event)
            except (ReplayError, ChannelClosed, ChannelError, OSError, TimeoutError) as error:
                self.outcome.death = self._host.why_ended()
                self.outcome.differs(number, "the replay ends here", "it went on", self.outcome.death or str(error))
                return

    def close(self) -> None:
        for session in self._sessions.values():
            session.live.close()
        self._host.close()

    def _step(self, number: int, event: recording_pb2.Recorded) -> None:
        key = (event.process, event.session)
        session = self._sessions.get(key)
        if event.HasField("command_seen"):
            self._owner(event).play_command(number, event.command_seen)
            return
        if session is None:
            backend = self._backend or backends(self._events, event.process)[0]
            live = LiveSession(self._host.open_session(backend))
            session = self._sessions[key] = PlayedSession(
                live, self.outcome, self._backend, exact=self._exact, process=event.process
            )
            session.inputs, session.results = self._inputs, self._results
            self.outcome.sessions += 1
        session.step(number, event)

    def _owner(self, event: recording_pb2.Recorded) -> PlayedSession:
        """The session whose context a command is of."""
        for (process, _), session in self._sessions.items():
            if process == event.process and session.owns(event.command_seen.context):
                return session
        raise ReplayError("a command of a context that was not created")
