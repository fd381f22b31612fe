"""Walks through a recording: what the renderer sent is sent again, what it heard is waited for and compared.

Nothing is sent before all that was heard before it has been heard again, so that the GPU process sees the same history,
and the bytes that a command found in shared memory are put there before it can look.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from ipc.channel import TOKEN_BYTES, ChannelClosed, ChannelError
from ipc.codec import CodecError, decode_descriptor
from ipc.descriptors import MAX_TENSOR_BYTES, Descriptor
from ipc.generated.webnn.v1 import context_pb2, recording_pb2, session_pb2, timeline_pb2
from ipc.recording import Renaming, minted
from ipc.timeline.ring.commands import Kind
from scripts.replay._live import HostLink, LiveCall, LiveSession
from scripts.replay._outcome import Outcome, same_bytes

_PSEUDONYM: Final = re.compile(rb"token#\d{10}|secret#\d{25}")

_REPLIES: Final[Mapping[str, type[Message]]] = {
    "CreateContext": context_pb2.CreateContextReply,
    "CreateTensor": context_pb2.CreateTensorReply,
    "CreateConstantTensor": context_pb2.CreateTensorReply,
    "CreateGraph": context_pb2.CreateGraphReply,
    "DefineBindings": context_pb2.DefineBindingsReply,
}

_SeenKey = tuple[int, bytes, int]  # process, context, sequence


class ReplayError(Exception):
    """The replay can't go on; the message says at which event."""


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
        self.outcome = Outcome(backend=backend or _backends(events)[0])
        self._events = events = _in_order_of_sending(events)
        self._exact = self.outcome.exact = not backend or backend == _backends(events)[0]
        self._backend = "" if self._exact else backend
        self._host = HostLink(socket)
        self._sessions: dict[tuple[int, int], _PlayedSession] = {}
        self._inputs: dict[_SeenKey, list[recording_pb2.Seen]] = defaultdict(list)
        self._results: dict[_SeenKey, recording_pb2.Seen] = {}
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
            backend = self._backend or _backends(self._events, event.process)[0]
            live = LiveSession(self._host.open_session(backend))
            session = self._sessions[key] = _PlayedSession(
                live, self.outcome, self._backend, exact=self._exact, process=event.process
            )
            session.inputs, session.results = self._inputs, self._results
            self.outcome.sessions += 1
        session.step(number, event)

    def _owner(self, event: recording_pb2.Recorded) -> _PlayedSession:
        """The session whose context a command is of."""
        for (process, _), session in self._sessions.items():
            if process == event.process and session.owns(event.command_seen.context):
                return session
        raise ReplayError("a command of a context that was not created")


def _in_order_of_sending(events: Sequence[recording_pb2.Recorded]) -> Sequence[recording_pb2.Recorded]:
    """With every packet before the call that names its region.

    A packet is recorded when it is taken from the socket, and that is often because a call has named what it brings.
    """
    first_use: dict[tuple[int, int, bytes], int] = {}
    for at, event in enumerate(events):
        for token in _PSEUDONYM.findall(event.call_received.data):
            first_use.setdefault((event.process, event.session, token), at)
    places: dict[int, int] = {}
    limits: dict[tuple[int, int], int] = {}
    for at in range(len(events) - 1, -1, -1):  # backwards: what was sent before a packet that moves moves too
        event = events[at]
        if event.HasField("packet_received"):
            session = (event.process, event.session)
            used = first_use.get((*session, _offered(event.packet_received.data)), at)
            places[at] = limits[session] = min(at, used, limits.get(session, at))
    order = sorted(range(len(events)), key=lambda at: (places.get(at, at), at not in places, at))
    return [events[at] for at in order]


def _offered(packet: bytes) -> bytes:
    """The token of the region that a packet hands over; empty if it does something else."""
    try:
        return session_pb2.SessionMessage.FromString(packet).region_offered.token
    except DecodeError:
        return b""


def _backends(events: Sequence[recording_pb2.Recorded], process: int = 0) -> Sequence[str]:
    """Of a GPU process of the recording, or of the first one."""
    for event in events:
        if event.HasField("process_started") and process in (0, event.process):
            return event.process_started.backends
    raise ReplayError("the recording has no GPU process")


class _PlayedSession:
    """One session of the recording, played again."""

    def __init__(self, live: LiveSession, outcome: Outcome, backend: str, *, exact: bool, process: int) -> None:
        self.live = live
        self.inputs: Mapping[_SeenKey, list[recording_pb2.Seen]] = {}
        self.results: Mapping[_SeenKey, recording_pb2.Seen] = {}
        self._outcome = outcome
        self._backend = backend
        self._exact = exact
        self._process = process
        self._number = 0
        self._is_over = False
        self._names = Renaming()
        self._tokens: dict[bytes, bytes] = {}  # by their name in the recording
        self._descriptors: dict[bytes, Descriptor] = {}  # of tensors, by name
        self._slots: dict[bytes, list[context_pb2.SlotInfo]] = {}
        self._places: dict[bytes, int] = {}  # the slot that a tensor is in
        self._contexts: set[bytes] = set()
        self._ending: set[bytes] = set()  # contexts whose end was asked for: what is under way may be done or not
        self._asked: dict[int, bytes] = {}  # the first message of each call
        self._timelines: dict[int, _PlayedTimeline] = {}

    def step(self, number: int, event: recording_pb2.Recorded) -> None:
        self._number = number
        if self._is_over:
            return  # what was still under way
        match event.WhichOneof("event"):
            case "packet_received":
                self.live.send_packet(self._alive(event.packet_received.data), event.packet_received)
            case "packet_sent":
                self._hear_packet(session_pb2.SessionMessage.FromString(event.packet_sent.data))
            case "call_began":
                self._begin(event.call_began)
            case "call_received":
                self._send(event.call_received.call, event.call_received.data)
            case "call_half_closed":
                self._call(event.call_half_closed).half_close()
            case "call_cancelled":
                self._call(event.call_cancelled).cancel()
            case "call_sent":
                self._hear_reply(event.call_sent.call, event.call_sent.data)
            case "call_ended":
                self._hear_end(event.call_ended)
            case "session_over":
                self._ending.update(self._contexts)
                self._is_over = True
                self.live.close()

    # --- packets ------------------------------------------------------------------------------------------------------

    def _hear_packet(self, recorded: session_pb2.SessionMessage) -> None:
        replayed = self.live.next_packet()
        if replayed is None:
            raise ReplayError("the session has ended")
        self._learn(recorded, replayed)
        if replayed.HasField("granted"):
            replayed.granted.address = ""  # nor is it recorded
        self._compare("packet", recorded, replayed)

    # --- calls --------------------------------------------------------------------------------------------------------

    def _call(self, number: int) -> LiveCall:
        if number not in self.live.calls:
            raise ReplayError(f"call {number} was not begun")
        return self.live.calls[number]

    def _begin(self, began: recording_pb2.CallBegan) -> None:
        self._outcome.calls += 1
        self.live.begin(began.call, began.method, self._alive(began.context))
        if began.method == "Timeline":
            self._timelines[began.call] = _PlayedTimeline(self, self._call(began.call), began.context)

    def _send(self, number: int, data: bytes) -> None:
        call = self._call(number)
        self._asked.setdefault(number, data)
        if call.method == "Timeline":
            self._timelines[number].send(data)
            return
        if call.method == "DestroyContext":
            self._ending.update(context for context in self._contexts if context in data)
        if call.method == "CreateContext" and self._backend:
            data = self._on_another_backend(data)
        call.send(self._alive(data))

    def _on_another_backend(self, data: bytes) -> bytes:
        try:
            request = context_pb2.CreateContextRequest.FromString(data)
        except DecodeError:
            return data
        request.backend = self._backend
        return request.SerializeToString()

    def _hear_reply(self, number: int, data: bytes) -> None:
        call = self._call(number)
        if call.method == "Timeline":
            self._timelines[number].hear(data)
            return
        replayed = call.next_reply()
        kind = _REPLIES.get(call.method)
        if isinstance(replayed, tuple):
            if replayed[0] in ("UNAVAILABLE", "NO_ANSWER"):
                raise ReplayError(f"{call.method}: {replayed[0]}: {replayed[1]}")
            self._outcome.differs(self._number, f"reply to {call.method}", "a reply", replayed)
        elif kind is not None:
            recorded, heard = kind.FromString(data), kind.FromString(replayed)
            self._learn(recorded, heard)
            if isinstance(recorded, context_pb2.CreateContextReply):
                self._contexts.add(recorded.context.token)
            self._note_tensor(number, recorded, heard)
            self._compare(f"reply to {call.method}", recorded, heard)

    def _note_tensor(self, number: int, recorded: Any, heard: Any) -> None:
        """Where a new tensor is now, and what."""
        if not isinstance(recorded, context_pb2.CreateTensorReply) or not recorded.HasField("tensor"):
            return
        name = recorded.tensor.token
        try:
            request = context_pb2.CreateTensorRequest.FromString(self._asked[number])
            self._descriptors[name] = decode_descriptor(request.descriptor, "descriptor", MAX_TENSOR_BYTES)
        except (DecodeError, CodecError, KeyError):
            return  # a request that was no such thing, and yet was answered: compared as bytes
        info = heard.tensor
        self._slots[name] = [
            slot for field, slot in (("slot", info.slot), ("spare", info.spare)) if info.HasField(field)
        ]

    def _hear_end(self, recorded: recording_pb2.CallEnded) -> None:
        call = self._call(recorded.call)
        if call.was_cancelled or recorded.status == "UNAVAILABLE":  # the session's end was faster, or was not
            return
        replayed = self._timelines[recorded.call].hear_end() if call.method == "Timeline" else call.next_reply()
        wanted = (recorded.status, recorded.details)
        if replayed != wanted:
            self._outcome.differs(self._number, f"end of {call.method}", wanted, replayed)

    # --- commands of a ring -------------------------------------------------------------------------------------------

    def owns(self, context: bytes) -> bool:
        return context in self._contexts

    def play_command(self, number: int, seen: recording_pb2.CommandSeen) -> None:
        """Have a command executed that finds what the recorded one found, and compare what it leaves."""
        self._number = number
        self.count_commands(1)
        context = self._alive(seen.context)
        ring = self.live.rings.get(context)
        while ring is None and self.live.next_packet() is not None:  # its offer is in the socket already
            ring = self.live.rings.get(context)
        if ring is None:
            if seen.context in self._ending:
                return
            raise ReplayError("a command for a ring that was not handed over")
        if seen.kind in (Kind.WRITE, Kind.MOVE):
            self._places[seen.token] = seen.number
        key = (self._process, seen.context, seen.sequence)
        self.put(key)
        try:
            error = ring.execute(seen.kind, seen.number, self._alive(seen.token) or bytes(TOKEN_BYTES))
        except ChannelClosed:
            if seen.context in self._ending:
                return
            raise
        result = self.results.get(key)
        if seen.kind == Kind.READ and result is not None:
            if bool(result.failure) != (error is not None):
                self.differs("answer to a read", result.failure or "bytes", "an error" if error else "bytes")
            elif not error:
                slot = self.slot(seen.token)
                self.compare_result(seen.token, result.data, b"" if slot is None else bytes(slot))

    def put(self, key: _SeenKey) -> None:
        """Into the slots, what a command found there."""
        for seen in self.inputs.get(key, ()):
            slot = self.slot(seen.tensor)
            if slot is not None and not slot.readonly and slot.nbytes == len(seen.data):
                slot[:] = seen.data

    # --- names --------------------------------------------------------------------------------------------------------

    def _alive(self, data: bytes) -> bytes:
        """Recorded bytes with today's tokens."""
        return _PSEUDONYM.sub(lambda match: self._tokens.get(match[0], match[0]), data)

    def renamed(self, data: bytes) -> bytes:
        """Today's bytes with the names of the recording."""
        return self._names.applied(data)

    def alive(self, data: bytes) -> bytes:
        return self._alive(data)

    def _learn(self, recorded: Message, replayed: Message) -> None:
        for name, token in zip(minted(recorded), minted(replayed), strict=False):
            if name not in self._tokens and _PSEUDONYM.fullmatch(name):
                self._tokens[name] = token
                self._names.learn(token, name)

    # --- comparing ----------------------------------------------------------------------------------------------------

    def _compare(self, what: str, recorded: Message, replayed: Message) -> None:
        if self._exact:
            same = self.renamed(replayed.SerializeToString()) == recorded.SerializeToString()
        else:
            same = [field.name for field, _ in recorded.ListFields()] == [
                field.name for field, _ in replayed.ListFields()
            ]
        if not same:
            self._outcome.differs(self._number, what, recorded, replayed)

    def slot(self, tensor: bytes) -> memoryview | None:
        """The bytes of a tensor in shared memory, by its recorded name."""
        slots, place = self._slots.get(tensor, []), self._places.get(tensor, 0)
        descriptor = self._descriptors.get(tensor)
        if place >= len(slots) or descriptor is None:
            return None
        slot = slots[place]
        region = self.live.regions.get(slot.region)
        while region is None and self.live.next_packet() is not None:  # its offer is in the socket already
            region = self.live.regions.get(slot.region)
        return None if region is None else region.view(slot.offset, descriptor.byte_length)

    def compare_result(self, tensor: bytes, recorded: bytes, replayed: bytes) -> None:
        self._outcome.results += 1
        self._outcome.result_bytes += len(recorded)
        if not same_bytes(recorded, replayed, self._descriptors.get(tensor), exact=self._exact):
            self._outcome.differs(self._number, "result of a read", recorded, replayed)

    def differs(self, what: str, recorded: object, replayed: object) -> None:
        self._outcome.differs(self._number, what, recorded, replayed)

    def count_commands(self, number: int) -> None:
        self._outcome.commands += number

    @property
    def process(self) -> int:
        return self._process


_Results = dict[int, tuple[str, bytes]]
"""By sequence number: how a read was answered (`data`, `in_slot`, `error`), and with which bytes."""


class _PlayedTimeline:
    """A timeline of the recording. How completions are batched depends on time; what they say does not."""

    def __init__(self, session: _PlayedSession, call: LiveCall, context: bytes) -> None:
        self._session = session
        self._call = call
        self._context = context
        self._recorded: _Results = {}
        self._replayed: _Results = {}
        self._reads: dict[int, bytes] = {}  # tensors by the sequence number of the read
        self._done = 0
        self._end: tuple[str, str] | None = None

    def send(self, data: bytes) -> None:
        """Send a recorded batch; in parts, where its commands would see what is meant for later ones."""
        try:
            batch = timeline_pb2.CommandBatch.FromString(data)
        except DecodeError:
            self._call.send(self._session.alive(data))
            return
        self._session.count_commands(len(batch.commands))
        for command in batch.commands:
            if command.HasField("read"):
                self._reads[command.sequence] = command.read.tensor
        parts = list(self._parts(batch))
        for at, part in enumerate(parts):
            for command in part.commands:
                self._session.put(self._key(command.sequence))
            self._call.send(self._session.alive(data if len(parts) == 1 else part.SerializeToString()))
            if at + 1 < len(parts):
                self._wait_for(part.commands[-1].sequence)

    def hear(self, data: bytes) -> None:
        """Wait until what a recorded batch says is done, and compare what was read when that is complete."""
        batch = timeline_pb2.CompletionBatch.FromString(data)
        _gather(batch, self._recorded)
        last = batch.completions[-1] if batch.completions else None
        if last is None or last.HasField("read"):
            return  # more of this batch will come
        self._wait_for(last.sequence)
        for sequence in sorted(self._recorded):
            self._compare(sequence)
        self._recorded.clear()
        self._replayed.clear()

    def hear_end(self) -> tuple[str, str]:
        while self._end is None:
            self._hear_one()
        return self._end

    def _parts(self, batch: timeline_pb2.CommandBatch) -> Iterator[timeline_pb2.CommandBatch]:
        part = timeline_pb2.CommandBatch()
        others = False  # commands before that may use memory
        for command in batch.commands:
            if others and self._inputs(command.sequence):
                yield part
                part, others = timeline_pb2.CommandBatch(), False
            part.commands.append(command)
            others = others or command.HasField("dispatch") or command.HasField("read")
        yield part

    def _inputs(self, sequence: int) -> Sequence[recording_pb2.Seen]:
        return self._session.inputs.get(self._key(sequence), ())

    def _key(self, sequence: int) -> _SeenKey:
        return (self._session.process, self._context, sequence)

    def _wait_for(self, sequence: int) -> None:
        while self._done < sequence:
            if self._end is not None:
                raise ReplayError(f"the timeline ended at command {self._done}: {self._end}")
            self._hear_one()

    def _hear_one(self) -> None:
        reply = self._call.next_reply()
        if isinstance(reply, tuple):
            self._end = reply
            return
        batch = timeline_pb2.CompletionBatch.FromString(reply)
        for completion in batch.completions:
            if completion.HasField("read") and completion.read.HasField("in_slot"):
                slot = self._session.slot(self._reads.get(completion.sequence, b""))
                self._replayed[completion.sequence] = ("in_slot", b"" if slot is None else bytes(slot))
            elif not completion.HasField("read"):
                self._done = completion.sequence
        _gather(batch, self._replayed)

    def _compare(self, sequence: int) -> None:
        kind, data = self._recorded[sequence]
        if kind == "in_slot":
            seen = self._session.results.get(self._key(sequence))
            data = b"" if seen is None else seen.data
        replayed_kind, replayed = self._replayed.get(sequence, ("nothing", b""))
        if kind != replayed_kind or (kind == "error" and data != replayed):
            self._session.differs(f"answer to read {sequence}", (kind, data), (replayed_kind, replayed))
        elif kind != "error":
            self._session.compare_result(self._reads.get(sequence, b""), data, replayed)


def _gather(batch: timeline_pb2.CompletionBatch, results: _Results) -> None:
    """Add the answers of a batch; pieces of one read are put together."""
    for completion in batch.completions:
        kind = completion.read.WhichOneof("result") if completion.HasField("read") else None
        if kind == "data":
            results[completion.sequence] = (
                "data",
                results.get(completion.sequence, ("", b""))[1] + completion.read.data,
            )
        elif kind == "error":
            results[completion.sequence] = ("error", completion.read.error.SerializeToString())
        elif kind == "in_slot":
            results.setdefault(completion.sequence, ("in_slot", b""))
