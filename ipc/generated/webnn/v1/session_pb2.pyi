from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hello(_message.Message):
    __slots__ = ("protocol_version", "role")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    role: str
    def __init__(self, protocol_version: _Optional[int] = ..., role: _Optional[str] = ...) -> None: ...

class OpenSession(_message.Message):
    __slots__ = ("backend",)
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    backend: str
    def __init__(self, backend: _Optional[str] = ...) -> None: ...

class SessionOpened(_message.Message):
    __slots__ = ("session", "backend", "gpu_process_pid")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    GPU_PROCESS_PID_FIELD_NUMBER: _ClassVar[int]
    session: int
    backend: str
    gpu_process_pid: int
    def __init__(self, session: _Optional[int] = ..., backend: _Optional[str] = ..., gpu_process_pid: _Optional[int] = ...) -> None: ...

class SessionRefused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class SessionEnded(_message.Message):
    __slots__ = ("session", "reason")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    session: int
    reason: str
    def __init__(self, session: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class LaunchRenderer(_message.Message):
    __slots__ = ("sandbox", "arguments", "read_paths", "directory", "attempts")
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    READ_PATHS_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    arguments: _containers.RepeatedScalarFieldContainer[str]
    read_paths: _containers.RepeatedScalarFieldContainer[str]
    directory: str
    attempts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sandbox: _Optional[str] = ..., arguments: _Optional[_Iterable[str]] = ..., read_paths: _Optional[_Iterable[str]] = ..., directory: _Optional[str] = ..., attempts: _Optional[_Iterable[str]] = ...) -> None: ...

class SignalRenderer(_message.Message):
    __slots__ = ("renderer", "signal")
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    renderer: int
    signal: int
    def __init__(self, renderer: _Optional[int] = ..., signal: _Optional[int] = ...) -> None: ...

class AttackSandbox(_message.Message):
    __slots__ = ("backend", "attempts")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    backend: str
    attempts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, backend: _Optional[str] = ..., attempts: _Optional[_Iterable[str]] = ...) -> None: ...

class HostRequest(_message.Message):
    __slots__ = ("hello", "open_session", "status", "launch_renderer", "signal_renderer", "attack_sandbox")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    OPEN_SESSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_RENDERER_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_RENDERER_FIELD_NUMBER: _ClassVar[int]
    ATTACK_SANDBOX_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    open_session: OpenSession
    status: StatusRequest
    launch_renderer: LaunchRenderer
    signal_renderer: SignalRenderer
    attack_sandbox: AttackSandbox
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., open_session: _Optional[_Union[OpenSession, _Mapping]] = ..., status: _Optional[_Union[StatusRequest, _Mapping]] = ..., launch_renderer: _Optional[_Union[LaunchRenderer, _Mapping]] = ..., signal_renderer: _Optional[_Union[SignalRenderer, _Mapping]] = ..., attack_sandbox: _Optional[_Union[AttackSandbox, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class RendererLaunched(_message.Message):
    __slots__ = ("renderer", "pid", "status_json")
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATUS_JSON_FIELD_NUMBER: _ClassVar[int]
    renderer: int
    pid: int
    status_json: str
    def __init__(self, renderer: _Optional[int] = ..., pid: _Optional[int] = ..., status_json: _Optional[str] = ...) -> None: ...

class LaunchRefused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RendererEnded(_message.Message):
    __slots__ = ("renderer", "wait_status", "reason")
    RENDERER_FIELD_NUMBER: _ClassVar[int]
    WAIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    renderer: int
    wait_status: int
    reason: str
    def __init__(self, renderer: _Optional[int] = ..., wait_status: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Attacked(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class HostReply(_message.Message):
    __slots__ = ("hello", "session_opened", "session_refused", "session_ended", "status", "renderer_launched", "launch_refused", "renderer_ended", "attacked")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    SESSION_OPENED_FIELD_NUMBER: _ClassVar[int]
    SESSION_REFUSED_FIELD_NUMBER: _ClassVar[int]
    SESSION_ENDED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RENDERER_LAUNCHED_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_REFUSED_FIELD_NUMBER: _ClassVar[int]
    RENDERER_ENDED_FIELD_NUMBER: _ClassVar[int]
    ATTACKED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    session_opened: SessionOpened
    session_refused: SessionRefused
    session_ended: SessionEnded
    status: StatusReply
    renderer_launched: RendererLaunched
    launch_refused: LaunchRefused
    renderer_ended: RendererEnded
    attacked: Attacked
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., session_opened: _Optional[_Union[SessionOpened, _Mapping]] = ..., session_refused: _Optional[_Union[SessionRefused, _Mapping]] = ..., session_ended: _Optional[_Union[SessionEnded, _Mapping]] = ..., status: _Optional[_Union[StatusReply, _Mapping]] = ..., renderer_launched: _Optional[_Union[RendererLaunched, _Mapping]] = ..., launch_refused: _Optional[_Union[LaunchRefused, _Mapping]] = ..., renderer_ended: _Optional[_Union[RendererEnded, _Mapping]] = ..., attacked: _Optional[_Union[Attacked, _Mapping]] = ...) -> None: ...

class SessionGranted(_message.Message):
    __slots__ = ("protocol_version", "secret", "address")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    secret: bytes
    address: str
    def __init__(self, protocol_version: _Optional[int] = ..., secret: _Optional[bytes] = ..., address: _Optional[str] = ...) -> None: ...

class RegionOffered(_message.Message):
    __slots__ = ("token", "size")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    size: int
    def __init__(self, token: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class RingOffered(_message.Message):
    __slots__ = ("context", "size")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    size: int
    def __init__(self, context: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class RegionWithdrawn(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    def __init__(self, token: _Optional[bytes] = ...) -> None: ...

class SessionClosed(_message.Message):
    __slots__ = ("reason", "field")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    reason: str
    field: str
    def __init__(self, reason: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class SessionMessage(_message.Message):
    __slots__ = ("hello", "granted", "region_offered", "region_withdrawn", "closed", "ring_offered")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    REGION_OFFERED_FIELD_NUMBER: _ClassVar[int]
    REGION_WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    RING_OFFERED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    granted: SessionGranted
    region_offered: RegionOffered
    region_withdrawn: RegionWithdrawn
    closed: SessionClosed
    ring_offered: RingOffered
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., granted: _Optional[_Union[SessionGranted, _Mapping]] = ..., region_offered: _Optional[_Union[RegionOffered, _Mapping]] = ..., region_withdrawn: _Optional[_Union[RegionWithdrawn, _Mapping]] = ..., closed: _Optional[_Union[SessionClosed, _Mapping]] = ..., ring_offered: _Optional[_Union[RingOffered, _Mapping]] = ...) -> None: ...

class AdoptSession(_message.Message):
    __slots__ = ("session", "renderer_pid")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RENDERER_PID_FIELD_NUMBER: _ClassVar[int]
    session: int
    renderer_pid: int
    def __init__(self, session: _Optional[int] = ..., renderer_pid: _Optional[int] = ...) -> None: ...

class EndSession(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: int
    def __init__(self, session: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GpuRequest(_message.Message):
    __slots__ = ("adopt_session", "end_session", "status", "attempt")
    ADOPT_SESSION_FIELD_NUMBER: _ClassVar[int]
    END_SESSION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    adopt_session: AdoptSession
    end_session: EndSession
    status: StatusRequest
    attempt: Attempt
    def __init__(self, adopt_session: _Optional[_Union[AdoptSession, _Mapping]] = ..., end_session: _Optional[_Union[EndSession, _Mapping]] = ..., status: _Optional[_Union[StatusRequest, _Mapping]] = ..., attempt: _Optional[_Union[Attempt, _Mapping]] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("backends", "status_json")
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    STATUS_JSON_FIELD_NUMBER: _ClassVar[int]
    backends: _containers.RepeatedScalarFieldContainer[str]
    status_json: str
    def __init__(self, backends: _Optional[_Iterable[str]] = ..., status_json: _Optional[str] = ...) -> None: ...

class StartFailed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class SessionReport(_message.Message):
    __slots__ = ("session", "bad_message", "field")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    BAD_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    session: int
    bad_message: str
    field: str
    def __init__(self, session: _Optional[int] = ..., bad_message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class Attempted(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class GpuReply(_message.Message):
    __slots__ = ("ready", "start_failed", "session_report", "status", "attempted")
    READY_FIELD_NUMBER: _ClassVar[int]
    START_FAILED_FIELD_NUMBER: _ClassVar[int]
    SESSION_REPORT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTED_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    start_failed: StartFailed
    session_report: SessionReport
    status: StatusReply
    attempted: Attempted
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., start_failed: _Optional[_Union[StartFailed, _Mapping]] = ..., session_report: _Optional[_Union[SessionReport, _Mapping]] = ..., status: _Optional[_Union[StatusReply, _Mapping]] = ..., attempted: _Optional[_Union[Attempted, _Mapping]] = ...) -> None: ...

class RendererStart(_message.Message):
    __slots__ = ("ready", "start_failed")
    READY_FIELD_NUMBER: _ClassVar[int]
    START_FAILED_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    start_failed: StartFailed
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., start_failed: _Optional[_Union[StartFailed, _Mapping]] = ...) -> None: ...
