from ipc.generated.webnn.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TensorLimits(_message.Message):
    __slots__ = ("data_types", "min_rank", "max_rank")
    DATA_TYPES_FIELD_NUMBER: _ClassVar[int]
    MIN_RANK_FIELD_NUMBER: _ClassVar[int]
    MAX_RANK_FIELD_NUMBER: _ClassVar[int]
    data_types: _containers.RepeatedScalarFieldContainer[_common_pb2.DataType]
    min_rank: int
    max_rank: int
    def __init__(self, data_types: _Optional[_Iterable[_Union[_common_pb2.DataType, str]]] = ..., min_rank: _Optional[int] = ..., max_rank: _Optional[int] = ...) -> None: ...

class NamedTensorLimits(_message.Message):
    __slots__ = ("name", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    limits: TensorLimits
    def __init__(self, name: _Optional[str] = ..., limits: _Optional[_Union[TensorLimits, _Mapping]] = ...) -> None: ...

class OperatorLimits(_message.Message):
    __slots__ = ("operator", "members")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    operator: str
    members: _containers.RepeatedCompositeFieldContainer[NamedTensorLimits]
    def __init__(self, operator: _Optional[str] = ..., members: _Optional[_Iterable[_Union[NamedTensorLimits, _Mapping]]] = ...) -> None: ...

class SupportLimits(_message.Message):
    __slots__ = ("preferred_input_layout", "max_tensor_byte_length", "input", "constant", "output", "operators")
    PREFERRED_INPUT_LAYOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_TENSOR_BYTE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    preferred_input_layout: str
    max_tensor_byte_length: int
    input: TensorLimits
    constant: TensorLimits
    output: TensorLimits
    operators: _containers.RepeatedCompositeFieldContainer[OperatorLimits]
    def __init__(self, preferred_input_layout: _Optional[str] = ..., max_tensor_byte_length: _Optional[int] = ..., input: _Optional[_Union[TensorLimits, _Mapping]] = ..., constant: _Optional[_Union[TensorLimits, _Mapping]] = ..., output: _Optional[_Union[TensorLimits, _Mapping]] = ..., operators: _Optional[_Iterable[_Union[OperatorLimits, _Mapping]]] = ...) -> None: ...
