"""Messages to objects and back. Decoding is strict: whatever a correct peer could not have sent is refused."""

from ipc.codec._common import decode_descriptor, decode_error, decode_token, encode_descriptor, encode_error
from ipc.codec._graph import decode_graph, encode_graph
from ipc.codec._limits import decode_limits, encode_limits
from ipc.codec._strict import CodecError, parse

__all__ = [
    "CodecError",
    "decode_descriptor",
    "decode_error",
    "decode_graph",
    "decode_limits",
    "decode_token",
    "encode_descriptor",
    "encode_error",
    "encode_graph",
    "encode_limits",
    "parse",
]
