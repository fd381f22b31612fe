"""Descriptors, tokens and errors."""

from __future__ import annotations

from ipc.channel import TOKEN_BYTES
from ipc.codec._strict import CodecError
from ipc.descriptors import MAX_RANK, MAX_TENSOR_BYTES, DataType, Descriptor
from ipc.errors import InvalidStateError, MLError, NotSupportedError, OperationError, QuotaExceededError, UnknownError
from ipc.generated.webnn.v1 import common_pb2
from ipc.verdicts import BadMessageReason

_TYPE_NUMBERS: dict[DataType, common_pb2.DataType] = {
    data_type: getattr(common_pb2, f"DATA_TYPE_{data_type.value.upper()}") for data_type in DataType
}
_TYPES: dict[int, DataType] = {number: data_type for data_type, number in _TYPE_NUMBERS.items()}

_ERROR_CODES: dict[type[MLError], common_pb2.ErrorCode] = {
    UnknownError: common_pb2.ERROR_CODE_UNKNOWN,
    NotSupportedError: common_pb2.ERROR_CODE_NOT_SUPPORTED,
    OperationError: common_pb2.ERROR_CODE_OPERATION,
    QuotaExceededError: common_pb2.ERROR_CODE_QUOTA_EXCEEDED,
    InvalidStateError: common_pb2.ERROR_CODE_INVALID_STATE,
}
_ERROR_TYPES = {code: error_type for error_type, code in _ERROR_CODES.items()}


def encode_data_type(data_type: DataType) -> common_pb2.DataType:
    return _TYPE_NUMBERS[data_type]


def decode_data_type(number: int, field: str) -> DataType:
    try:
        return _TYPES[number]
    except KeyError as error:
        raise CodecError(BadMessageReason.UNKNOWN_ENUM_VALUE, f"{field}.data_type") from error


def encode_descriptor(descriptor: Descriptor) -> common_pb2.Descriptor:
    message = common_pb2.Descriptor()
    fill_descriptor(message, descriptor)
    return message


def fill_descriptor(message: common_pb2.Descriptor, descriptor: Descriptor) -> None:
    """Write a descriptor into an empty message, as a part of a larger one."""
    message.data_type = encode_data_type(descriptor.data_type)
    message.shape.extend(descriptor.shape)


def decode_descriptor(
    message: common_pb2.Descriptor, field: str, max_byte_length: int = MAX_TENSOR_BYTES
) -> Descriptor:
    """A descriptor of valid dimensions and size.

    Args:
        field: where it is in the message, for the error.

    Raises:
        CodecError: its type is unknown, or "check dimensions" finds a problem.
    """
    if len(message.shape) > MAX_RANK:  # before there is a Python object for each of a million
        raise CodecError(BadMessageReason.INVALID_DESCRIPTOR, f"{field}.shape")
    descriptor = Descriptor(decode_data_type(message.data_type, field), tuple(message.shape))
    if descriptor.problem(max_byte_length) is not None:
        raise CodecError(BadMessageReason.INVALID_DESCRIPTOR, f"{field}.shape")
    return descriptor


def decode_token(token: bytes, field: str) -> bytes:
    """`token` itself, if it has a token's length."""
    if len(token) != TOKEN_BYTES:
        raise CodecError(BadMessageReason.INVALID_TOKEN, field)
    return token


def encode_error(error: MLError) -> common_pb2.Error:
    """What a correct renderer can meet. A type without a code of its own travels as the nearest that has one."""
    code = next(_ERROR_CODES[base] for base in (*type(error).__mro__, UnknownError) if base in _ERROR_CODES)
    return common_pb2.Error(code=code, message=str(error), rule=error.rule)


def decode_error(message: common_pb2.Error) -> MLError:
    """The exception to raise in the renderer.

    Raises:
        CodecError: unknown code.
    """
    try:
        error_type = _ERROR_TYPES[message.code]
    except KeyError as error:
        raise CodecError(BadMessageReason.UNKNOWN_ENUM_VALUE, "error.code") from error
    return error_type(message.message, rule=message.rule or None)
