from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ForkGpuProcess(_message.Message):
    __slots__ = ("process",)
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    process: int
    def __init__(self, process: _Optional[int] = ...) -> None: ...

class KillGpuProcess(_message.Message):
    __slots__ = ("process",)
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    process: int
    def __init__(self, process: _Optional[int] = ...) -> None: ...

class LauncherRequest(_message.Message):
    __slots__ = ("fork_gpu_process", "kill_gpu_process")
    FORK_GPU_PROCESS_FIELD_NUMBER: _ClassVar[int]
    KILL_GPU_PROCESS_FIELD_NUMBER: _ClassVar[int]
    fork_gpu_process: ForkGpuProcess
    kill_gpu_process: KillGpuProcess
    def __init__(self, fork_gpu_process: _Optional[_Union[ForkGpuProcess, _Mapping]] = ..., kill_gpu_process: _Optional[_Union[KillGpuProcess, _Mapping]] = ...) -> None: ...

class ImportFailed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Forked(_message.Message):
    __slots__ = ("process", "memory_group")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_GROUP_FIELD_NUMBER: _ClassVar[int]
    process: int
    memory_group: str
    def __init__(self, process: _Optional[int] = ..., memory_group: _Optional[str] = ...) -> None: ...

class ForkFailed(_message.Message):
    __slots__ = ("process", "reason")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    process: int
    reason: str
    def __init__(self, process: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Exited(_message.Message):
    __slots__ = ("process", "wait_status", "memory_kills")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    WAIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_KILLS_FIELD_NUMBER: _ClassVar[int]
    process: int
    wait_status: int
    memory_kills: int
    def __init__(self, process: _Optional[int] = ..., wait_status: _Optional[int] = ..., memory_kills: _Optional[int] = ...) -> None: ...

class LauncherReply(_message.Message):
    __slots__ = ("import_failed", "forked", "fork_failed", "exited")
    IMPORT_FAILED_FIELD_NUMBER: _ClassVar[int]
    FORKED_FIELD_NUMBER: _ClassVar[int]
    FORK_FAILED_FIELD_NUMBER: _ClassVar[int]
    EXITED_FIELD_NUMBER: _ClassVar[int]
    import_failed: ImportFailed
    forked: Forked
    fork_failed: ForkFailed
    exited: Exited
    def __init__(self, import_failed: _Optional[_Union[ImportFailed, _Mapping]] = ..., forked: _Optional[_Union[Forked, _Mapping]] = ..., fork_failed: _Optional[_Union[ForkFailed, _Mapping]] = ..., exited: _Optional[_Union[Exited, _Mapping]] = ...) -> None: ...
