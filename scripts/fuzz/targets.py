"""What a coverage-guided engine calls with bytes: decoders, validators, codec. Each raises only for a bug.

`python -m scripts.fuzz.guided NAME` runs one under atheris; the targets of OSS-Fuzz in `oss_fuzz/`
are the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random

from google.protobuf.message import Message

from gpu_process.quotas import Quotas
from gpu_process.timeline import _decode as decode_batch
from gpu_process.validation import check_graph_quotas, validate_graph
from ipc import channel
from ipc.channel import ChannelError
from ipc.codec import CodecError, decode_graph, decode_limits, encode_graph, encode_limits, parse
from ipc.descriptors import Descriptor
from ipc.errors import MLError
from ipc.generated.webnn.v1 import context_pb2, graph_pb2, limits_pb2, session_pb2
from ipc.operators import declared_limits, with_int4
from ipc.options import BACKEND_NAMES
from ipc.verdicts import BadMessage
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.mode import ModeOptions
from scripts.fuzz.validation import ValidateMode
from scripts.fuzz.wire.attacks import attack_of

_LIMITS = with_int4(declared_limits())
_QUOTAS = Quotas()
_REQUESTS: tuple[type[Message], ...] = (
    context_pb2.CreateContextRequest,
    context_pb2.DestroyContextRequest,
    context_pb2.CreateTensorRequest,
    context_pb2.CreateConstantTensorRequest,
    context_pb2.CreateGraphChunk,
)
_PACKETS: tuple[type[Message], ...] = (
    session_pb2.SessionMessage,
    session_pb2.HostRequest,
    session_pb2.HostReply,
    session_pb2.GpuRequest,
    session_pb2.GpuReply,
)


class FoundError(AssertionError):
    """What a target found that raises nothing by itself."""


def graph(data: bytes) -> None:
    """A serialised graph is refused with a reason, or valid; a valid one survives being sent again."""
    try:
        message = parse(graph_pb2.Graph, data)
        check_graph_quotas(message, _QUOTAS)
        decoded = decode_graph(message)
        again = encode_graph(decoded)
        if repr(decode_graph(parse(graph_pb2.Graph, again.SerializeToString()))) != repr(decoded):
            raise FoundError("a decoded graph is another one when it is sent again")
        validate_graph(decoded, _LIMITS, _AnyConstants())
    except (BadMessage, MLError):
        return


class _AnyConstants:
    def region_size(self, token: bytes) -> int | None:
        return 2**20 if token else None

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        del token
        return None


def requests(data: bytes) -> None:
    """The first byte chooses a request of the service; what is taken is canonical."""
    if data:
        kind = _REQUESTS[data[0] % len(_REQUESTS)]
        try:
            message = parse(kind, data[1:])
        except CodecError:
            return
        if len(message.SerializeToString()) != len(data) - 1:
            raise FoundError(f"{kind.DESCRIPTOR.name}: a message was taken that no peer encodes so")


def commands(data: bytes) -> None:
    """A batch of a timeline."""
    try:
        list(decode_batch(data))
    except BadMessage:
        return


def packets(data: bytes) -> None:
    """The first byte chooses a message of the socket pairs."""
    if data:
        try:
            channel.parse(_PACKETS[data[0] % len(_PACKETS)], data[1:])
        except ChannelError:
            return


def limits(data: bytes) -> None:
    """Support limits, which a renderer decodes."""
    try:
        decode_limits(parse(limits_pb2.SupportLimits, data))
    except CodecError:
        return


def validators(data: bytes) -> None:
    """The bytes are a seed: both validators on one generated graph."""
    mode = _validate_mode()
    verdict = mode.run(mode.generate(Random(data)))
    if verdict.problem is not None:
        raise FoundError(verdict.problem.what)


_modes: list[ValidateMode] = []


def _validate_mode() -> ValidateMode:
    if not _modes:
        _modes.append(ValidateMode(ModeOptions()))
    return _modes[0]


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "graph": graph,
    "requests": requests,
    "commands": commands,
    "packets": packets,
    "limits": limits,
    "validators": validators,
}


def seeds(name: str, count: int = 200) -> Iterator[bytes]:
    """Inputs that a target takes, to begin with: right messages, which bytes alone would never become."""
    random = Random(name)
    for _ in range(count):
        if name == "graph":
            yield encode_graph(legal_graph(random, _LIMITS).graph).SerializeToString()
        elif name == "commands":
            yield attack_of("Timeline", random).messages[0]
        elif name == "requests":
            kind = random.choice(_REQUESTS[:-1])
            data = attack_of(kind.DESCRIPTOR.name.removesuffix("Request"), random).messages[0]
            yield bytes([_REQUESTS.index(kind)]) + data
        elif name == "packets":
            yield b"\x00" + attack_of("socket", random).messages[0]
        elif name == "limits":
            yield encode_limits(limits_of(random.choice(BACKEND_NAMES))).SerializeToString()
        else:
            yield random.randbytes(8)
