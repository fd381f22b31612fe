from ipc.generated.webnn.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TensorBinding(_message.Message):
    __slots__ = ("name", "tensor")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    tensor: bytes
    def __init__(self, name: _Optional[str] = ..., tensor: _Optional[bytes] = ...) -> None: ...

class WriteTensor(_message.Message):
    __slots__ = ("tensor", "data", "offset")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    tensor: bytes
    data: bytes
    offset: int
    def __init__(self, tensor: _Optional[bytes] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class Dispatch(_message.Message):
    __slots__ = ("binding", "define", "graph", "inputs", "outputs")
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DEFINE_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    binding: int
    define: int
    graph: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[TensorBinding]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorBinding]
    def __init__(self, binding: _Optional[int] = ..., define: _Optional[int] = ..., graph: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[TensorBinding, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorBinding, _Mapping]]] = ...) -> None: ...

class ReadTensor(_message.Message):
    __slots__ = ("tensor",)
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    tensor: bytes
    def __init__(self, tensor: _Optional[bytes] = ...) -> None: ...

class DestroyObject(_message.Message):
    __slots__ = ("tensor", "graph")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    tensor: bytes
    graph: bytes
    def __init__(self, tensor: _Optional[bytes] = ..., graph: _Optional[bytes] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("sequence", "write", "dispatch", "read", "destroy")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    DISPATCH_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    DESTROY_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    write: WriteTensor
    dispatch: Dispatch
    read: ReadTensor
    destroy: DestroyObject
    def __init__(self, sequence: _Optional[int] = ..., write: _Optional[_Union[WriteTensor, _Mapping]] = ..., dispatch: _Optional[_Union[Dispatch, _Mapping]] = ..., read: _Optional[_Union[ReadTensor, _Mapping]] = ..., destroy: _Optional[_Union[DestroyObject, _Mapping]] = ...) -> None: ...

class CommandBatch(_message.Message):
    __slots__ = ("commands",)
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class ReadResult(_message.Message):
    __slots__ = ("data", "in_slot", "error")
    DATA_FIELD_NUMBER: _ClassVar[int]
    IN_SLOT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    in_slot: _common_pb2.Empty
    error: _common_pb2.Error
    def __init__(self, data: _Optional[bytes] = ..., in_slot: _Optional[_Union[_common_pb2.Empty, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("sequence", "read")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    read: ReadResult
    def __init__(self, sequence: _Optional[int] = ..., read: _Optional[_Union[ReadResult, _Mapping]] = ...) -> None: ...

class CompletionBatch(_message.Message):
    __slots__ = ("completions",)
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    completions: _containers.RepeatedCompositeFieldContainer[Completion]
    def __init__(self, completions: _Optional[_Iterable[_Union[Completion, _Mapping]]] = ...) -> None: ...
