"""A session of a recording, played again: its packets, its calls, and the commands of its rings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from ipc.channel import TOKEN_BYTES, ChannelClosed
from ipc.codec import CodecError, decode_descriptor
from ipc.descriptors import MAX_TENSOR_BYTES, Descriptor
from ipc.generated.webnn.v1 import context_pb2, recording_pb2, session_pb2
from ipc.recording import Renaming, minted
from ipc.timeline.ring.commands import Kind
from scripts.replay._history import PSEUDONYM, ReplayError, SeenKey
from scripts.replay._live import LiveCall, LiveSession
from scripts.replay._outcome import Outcome, same_bytes
from scripts.replay._timeline import PlayedTimeline

_REPLIES: Final[Mapping[str, type[Message]]] = {
    "CreateContext": context_pb2.CreateContextReply,
    "CreateTensor": context_pb2.CreateTensorReply,
    "CreateConstantTensor": context_pb2.CreateTensorReply,
    "CreateGraph": context_pb2.CreateGraphReply,
    "DefineBindings": context_pb2.DefineBindingsReply,
}


class PlayedSession:
    """One session of the recording, played again."""

    def __init__(self, live: LiveSession, outcome: Outcome, backend: str, *, exact: bool, process: int) -> None:
        self.live = live
        self.inputs: Mapping[SeenKey, list[recording_pb2.Seen]] = {}
        self.results: Mapping[SeenKey, recording_pb2.Seen] = {}
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
        self._timelines: dict[int, PlayedTimeline] = {}

    def step(self, number: int, event: recording_pb2.Recorded) -> None:
        self._number = number
        if self._is_over:
            return  # what was still under way
        match event.WhichOneof("event"):
            case "packet_received":
                self.live.send_packet(self.alive(event.packet_received.data), event.packet_received)
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
        self.live.begin(began.call, began.method, self.alive(began.context))
        if began.method == "Timeline":
            self._timelines[began.call] = PlayedTimeline(self, self._call(began.call), began.context)

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
        call.send(self.alive(data))

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
        context = self.alive(seen.context)
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
            error = ring.execute(seen.kind, seen.number, self.alive(seen.token) or bytes(TOKEN_BYTES))
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

    def put(self, key: SeenKey) -> None:
        """Into the slots, what a command found there."""
        for seen in self.inputs.get(key, ()):
            slot = self.slot(seen.tensor)
            if slot is not None and not slot.readonly and slot.nbytes == len(seen.data):
                slot[:] = seen.data

    # --- names --------------------------------------------------------------------------------------------------------

    def alive(self, data: bytes) -> bytes:
        """Recorded bytes with today's tokens."""
        return PSEUDONYM.sub(lambda match: self._tokens.get(match[0], match[0]), data)

    def renamed(self, data: bytes) -> bytes:
        """Today's bytes with the names of the recording."""
        return self._names.applied(data)

    def _learn(self, recorded: Message, replayed: Message) -> None:
        for name, token in zip(minted(recorded), minted(replayed), strict=False):
            if name not in self._tokens and PSEUDONYM.fullmatch(name):
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
