from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProcessStarted(_message.Message):
    __slots__ = ("backends", "versions", "options_json")
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    backends: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedScalarFieldContainer[str]
    options_json: str
    def __init__(self, backends: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[str]] = ..., options_json: _Optional[str] = ...) -> None: ...

class SharedFile(_message.Message):
    __slots__ = ("kind", "seals", "size", "sparse", "content")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEALS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SPARSE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    seals: int
    size: int
    sparse: bool
    content: bytes
    def __init__(self, kind: _Optional[str] = ..., seals: _Optional[int] = ..., size: _Optional[int] = ..., sparse: _Optional[bool] = ..., content: _Optional[bytes] = ...) -> None: ...

class Packet(_message.Message):
    __slots__ = ("data", "files", "cut")
    DATA_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    files: _containers.RepeatedCompositeFieldContainer[SharedFile]
    cut: bool
    def __init__(self, data: _Optional[bytes] = ..., files: _Optional[_Iterable[_Union[SharedFile, _Mapping]]] = ..., cut: _Optional[bool] = ...) -> None: ...

class CallBegan(_message.Message):
    __slots__ = ("call", "method", "context")
    CALL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    call: int
    method: str
    context: bytes
    def __init__(self, call: _Optional[int] = ..., method: _Optional[str] = ..., context: _Optional[bytes] = ...) -> None: ...

class CallMessage(_message.Message):
    __slots__ = ("call", "data")
    CALL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    call: int
    data: bytes
    def __init__(self, call: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class CallEnded(_message.Message):
    __slots__ = ("call", "status", "details")
    CALL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    call: int
    status: str
    details: str
    def __init__(self, call: _Optional[int] = ..., status: _Optional[str] = ..., details: _Optional[str] = ...) -> None: ...

class Seen(_message.Message):
    __slots__ = ("context", "sequence", "tensor", "is_result", "data", "failure")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    IS_RESULT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    sequence: int
    tensor: bytes
    is_result: bool
    data: bytes
    failure: str
    def __init__(self, context: _Optional[bytes] = ..., sequence: _Optional[int] = ..., tensor: _Optional[bytes] = ..., is_result: _Optional[bool] = ..., data: _Optional[bytes] = ..., failure: _Optional[str] = ...) -> None: ...

class CommandSeen(_message.Message):
    __slots__ = ("context", "sequence", "kind", "number", "token")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    sequence: int
    kind: int
    number: int
    token: bytes
    def __init__(self, context: _Optional[bytes] = ..., sequence: _Optional[int] = ..., kind: _Optional[int] = ..., number: _Optional[int] = ..., token: _Optional[bytes] = ...) -> None: ...

class SessionOver(_message.Message):
    __slots__ = ("reason", "field")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    reason: str
    field: str
    def __init__(self, reason: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class Recorded(_message.Message):
    __slots__ = ("process", "session", "process_started", "packet_received", "packet_sent", "call_began", "call_received", "call_half_closed", "call_cancelled", "call_sent", "call_ended", "seen", "command_seen", "session_over")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PROCESS_STARTED_FIELD_NUMBER: _ClassVar[int]
    PACKET_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    PACKET_SENT_FIELD_NUMBER: _ClassVar[int]
    CALL_BEGAN_FIELD_NUMBER: _ClassVar[int]
    CALL_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CALL_HALF_CLOSED_FIELD_NUMBER: _ClassVar[int]
    CALL_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    CALL_SENT_FIELD_NUMBER: _ClassVar[int]
    CALL_ENDED_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    COMMAND_SEEN_FIELD_NUMBER: _ClassVar[int]
    SESSION_OVER_FIELD_NUMBER: _ClassVar[int]
    process: int
    session: int
    process_started: ProcessStarted
    packet_received: Packet
    packet_sent: Packet
    call_began: CallBegan
    call_received: CallMessage
    call_half_closed: int
    call_cancelled: int
    call_sent: CallMessage
    call_ended: CallEnded
    seen: Seen
    command_seen: CommandSeen
    session_over: SessionOver
    def __init__(self, process: _Optional[int] = ..., session: _Optional[int] = ..., process_started: _Optional[_Union[ProcessStarted, _Mapping]] = ..., packet_received: _Optional[_Union[Packet, _Mapping]] = ..., packet_sent: _Optional[_Union[Packet, _Mapping]] = ..., call_began: _Optional[_Union[CallBegan, _Mapping]] = ..., call_received: _Optional[_Union[CallMessage, _Mapping]] = ..., call_half_closed: _Optional[int] = ..., call_cancelled: _Optional[int] = ..., call_sent: _Optional[_Union[CallMessage, _Mapping]] = ..., call_ended: _Optional[_Union[CallEnded, _Mapping]] = ..., seen: _Optional[_Union[Seen, _Mapping]] = ..., command_seen: _Optional[_Union[CommandSeen, _Mapping]] = ..., session_over: _Optional[_Union[SessionOver, _Mapping]] = ...) -> None: ...
