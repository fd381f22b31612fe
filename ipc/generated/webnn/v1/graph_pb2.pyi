from ipc.generated.webnn.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperandKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERAND_KIND_UNSPECIFIED: _ClassVar[OperandKind]
    OPERAND_KIND_INPUT: _ClassVar[OperandKind]
    OPERAND_KIND_CONSTANT: _ClassVar[OperandKind]
    OPERAND_KIND_INTERMEDIATE: _ClassVar[OperandKind]
OPERAND_KIND_UNSPECIFIED: OperandKind
OPERAND_KIND_INPUT: OperandKind
OPERAND_KIND_CONSTANT: OperandKind
OPERAND_KIND_INTERMEDIATE: OperandKind

class Operand(_message.Message):
    __slots__ = ("kind", "descriptor")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    kind: OperandKind
    descriptor: _common_pb2.Descriptor
    def __init__(self, kind: _Optional[_Union[OperandKind, str]] = ..., descriptor: _Optional[_Union[_common_pb2.Descriptor, _Mapping]] = ...) -> None: ...

class NamedOperand(_message.Message):
    __slots__ = ("name", "operand")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPERAND_FIELD_NUMBER: _ClassVar[int]
    name: str
    operand: int
    def __init__(self, name: _Optional[str] = ..., operand: _Optional[int] = ...) -> None: ...

class ConstantSource(_message.Message):
    __slots__ = ("operand", "region", "tensor")
    OPERAND_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    operand: int
    region: RegionPart
    tensor: bytes
    def __init__(self, operand: _Optional[int] = ..., region: _Optional[_Union[RegionPart, _Mapping]] = ..., tensor: _Optional[bytes] = ...) -> None: ...

class RegionPart(_message.Message):
    __slots__ = ("region", "offset")
    REGION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    region: bytes
    offset: int
    def __init__(self, region: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class OperandList(_message.Message):
    __slots__ = ("operands",)
    OPERANDS_FIELD_NUMBER: _ClassVar[int]
    operands: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, operands: _Optional[_Iterable[int]] = ...) -> None: ...

class Slot(_message.Message):
    __slots__ = ("name", "one", "several")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ONE_FIELD_NUMBER: _ClassVar[int]
    SEVERAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    one: int
    several: OperandList
    def __init__(self, name: _Optional[str] = ..., one: _Optional[int] = ..., several: _Optional[_Union[OperandList, _Mapping]] = ...) -> None: ...

class Uints(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...

class Doubles(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Strings(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "absent", "uint", "int", "real", "boolean", "text", "signed_number", "unsigned_number", "uints", "reals", "texts", "data_type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    UINT_FIELD_NUMBER: _ClassVar[int]
    INT_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SIGNED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    UNSIGNED_NUMBER_FIELD_NUMBER: _ClassVar[int]
    UINTS_FIELD_NUMBER: _ClassVar[int]
    REALS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    absent: _common_pb2.Empty
    uint: int
    int: int
    real: float
    boolean: bool
    text: str
    signed_number: int
    unsigned_number: int
    uints: Uints
    reals: Doubles
    texts: Strings
    data_type: _common_pb2.DataType
    def __init__(self, name: _Optional[str] = ..., absent: _Optional[_Union[_common_pb2.Empty, _Mapping]] = ..., uint: _Optional[int] = ..., int: _Optional[int] = ..., real: _Optional[float] = ..., boolean: _Optional[bool] = ..., text: _Optional[str] = ..., signed_number: _Optional[int] = ..., unsigned_number: _Optional[int] = ..., uints: _Optional[_Union[Uints, _Mapping]] = ..., reals: _Optional[_Union[Doubles, _Mapping]] = ..., texts: _Optional[_Union[Strings, _Mapping]] = ..., data_type: _Optional[_Union[_common_pb2.DataType, str]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("name", "slots", "attributes", "outputs", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    slots: _containers.RepeatedCompositeFieldContainer[Slot]
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    outputs: _containers.RepeatedScalarFieldContainer[int]
    label: str
    def __init__(self, name: _Optional[str] = ..., slots: _Optional[_Iterable[_Union[Slot, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., outputs: _Optional[_Iterable[int]] = ..., label: _Optional[str] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("operands", "inputs", "outputs", "constants", "operations")
    OPERANDS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    CONSTANTS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    operands: _containers.RepeatedCompositeFieldContainer[Operand]
    inputs: _containers.RepeatedCompositeFieldContainer[NamedOperand]
    outputs: _containers.RepeatedCompositeFieldContainer[NamedOperand]
    constants: _containers.RepeatedCompositeFieldContainer[ConstantSource]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, operands: _Optional[_Iterable[_Union[Operand, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[NamedOperand, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[NamedOperand, _Mapping]]] = ..., constants: _Optional[_Iterable[_Union[ConstantSource, _Mapping]]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...
