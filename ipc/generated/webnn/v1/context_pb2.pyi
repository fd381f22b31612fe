from ipc.generated.webnn.v1 import common_pb2 as _common_pb2
from ipc.generated.webnn.v1 import limits_pb2 as _limits_pb2
from ipc.generated.webnn.v1 import timeline_pb2 as _timeline_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PowerPreference(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POWER_PREFERENCE_UNSPECIFIED: _ClassVar[PowerPreference]
    POWER_PREFERENCE_DEFAULT: _ClassVar[PowerPreference]
    POWER_PREFERENCE_HIGH_PERFORMANCE: _ClassVar[PowerPreference]
    POWER_PREFERENCE_LOW_POWER: _ClassVar[PowerPreference]

class Carrier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CARRIER_UNSPECIFIED: _ClassVar[Carrier]
    CARRIER_INLINE: _ClassVar[Carrier]
    CARRIER_STREAM: _ClassVar[Carrier]
    CARRIER_RING: _ClassVar[Carrier]
POWER_PREFERENCE_UNSPECIFIED: PowerPreference
POWER_PREFERENCE_DEFAULT: PowerPreference
POWER_PREFERENCE_HIGH_PERFORMANCE: PowerPreference
POWER_PREFERENCE_LOW_POWER: PowerPreference
CARRIER_UNSPECIFIED: Carrier
CARRIER_INLINE: Carrier
CARRIER_STREAM: Carrier
CARRIER_RING: Carrier

class CreateContextRequest(_message.Message):
    __slots__ = ("backend", "power_preference", "accelerated", "carrier", "experimental_int4")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    POWER_PREFERENCE_FIELD_NUMBER: _ClassVar[int]
    ACCELERATED_FIELD_NUMBER: _ClassVar[int]
    CARRIER_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENTAL_INT4_FIELD_NUMBER: _ClassVar[int]
    backend: str
    power_preference: PowerPreference
    accelerated: bool
    carrier: Carrier
    experimental_int4: bool
    def __init__(self, backend: _Optional[str] = ..., power_preference: _Optional[_Union[PowerPreference, str]] = ..., accelerated: _Optional[bool] = ..., carrier: _Optional[_Union[Carrier, str]] = ..., experimental_int4: _Optional[bool] = ...) -> None: ...

class CreateContextReply(_message.Message):
    __slots__ = ("context", "error")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    context: ContextInfo
    error: _common_pb2.Error
    def __init__(self, context: _Optional[_Union[ContextInfo, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ContextInfo(_message.Message):
    __slots__ = ("token", "backend", "limits", "devices", "device_note")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_NOTE_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    backend: str
    limits: _limits_pb2.SupportLimits
    devices: _containers.RepeatedScalarFieldContainer[str]
    device_note: str
    def __init__(self, token: _Optional[bytes] = ..., backend: _Optional[str] = ..., limits: _Optional[_Union[_limits_pb2.SupportLimits, _Mapping]] = ..., devices: _Optional[_Iterable[str]] = ..., device_note: _Optional[str] = ...) -> None: ...

class DestroyContextRequest(_message.Message):
    __slots__ = ("context",)
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    def __init__(self, context: _Optional[bytes] = ...) -> None: ...

class CreateTensorRequest(_message.Message):
    __slots__ = ("context", "descriptor", "readable", "writable", "after")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    READABLE_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    descriptor: _common_pb2.Descriptor
    readable: bool
    writable: bool
    after: int
    def __init__(self, context: _Optional[bytes] = ..., descriptor: _Optional[_Union[_common_pb2.Descriptor, _Mapping]] = ..., readable: _Optional[bool] = ..., writable: _Optional[bool] = ..., after: _Optional[int] = ...) -> None: ...

class SlotInfo(_message.Message):
    __slots__ = ("region", "offset")
    REGION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    region: bytes
    offset: int
    def __init__(self, region: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class TensorInfo(_message.Message):
    __slots__ = ("token", "slot", "spare")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    SPARE_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    slot: SlotInfo
    spare: SlotInfo
    def __init__(self, token: _Optional[bytes] = ..., slot: _Optional[_Union[SlotInfo, _Mapping]] = ..., spare: _Optional[_Union[SlotInfo, _Mapping]] = ...) -> None: ...

class CreateTensorReply(_message.Message):
    __slots__ = ("tensor", "error")
    TENSOR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    tensor: TensorInfo
    error: _common_pb2.Error
    def __init__(self, tensor: _Optional[_Union[TensorInfo, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class CreateConstantTensorRequest(_message.Message):
    __slots__ = ("context", "descriptor", "region", "offset", "after")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    descriptor: _common_pb2.Descriptor
    region: bytes
    offset: int
    after: int
    def __init__(self, context: _Optional[bytes] = ..., descriptor: _Optional[_Union[_common_pb2.Descriptor, _Mapping]] = ..., region: _Optional[bytes] = ..., offset: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class CreateGraphChunk(_message.Message):
    __slots__ = ("context", "total_bytes", "after", "data")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    total_bytes: int
    after: int
    data: bytes
    def __init__(self, context: _Optional[bytes] = ..., total_bytes: _Optional[int] = ..., after: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class GraphInfo(_message.Message):
    __slots__ = ("token", "devices")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    devices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, token: _Optional[bytes] = ..., devices: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateGraphReply(_message.Message):
    __slots__ = ("graph", "error")
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    graph: GraphInfo
    error: _common_pb2.Error
    def __init__(self, graph: _Optional[_Union[GraphInfo, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class BindingDefinition(_message.Message):
    __slots__ = ("number", "graph", "inputs", "outputs")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    graph: bytes
    inputs: _containers.RepeatedCompositeFieldContainer[_timeline_pb2.TensorBinding]
    outputs: _containers.RepeatedCompositeFieldContainer[_timeline_pb2.TensorBinding]
    def __init__(self, number: _Optional[int] = ..., graph: _Optional[bytes] = ..., inputs: _Optional[_Iterable[_Union[_timeline_pb2.TensorBinding, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[_timeline_pb2.TensorBinding, _Mapping]]] = ...) -> None: ...

class DefineBindingsRequest(_message.Message):
    __slots__ = ("context", "bindings")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    BINDINGS_FIELD_NUMBER: _ClassVar[int]
    context: bytes
    bindings: _containers.RepeatedCompositeFieldContainer[BindingDefinition]
    def __init__(self, context: _Optional[bytes] = ..., bindings: _Optional[_Iterable[_Union[BindingDefinition, _Mapping]]] = ...) -> None: ...

class DefineBindingsReply(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _common_pb2.Error
    def __init__(self, error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...
