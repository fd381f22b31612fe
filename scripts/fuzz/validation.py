"""Mode `validate`: the renderer's and the GPU process's validators, in this process, must say the same."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

from gpu_process.backends import BackendError
from gpu_process.quotas import Quotas
from gpu_process.validation import check_cost, check_graph_quotas, validate_graph
from ipc.codec import decode_graph, encode_graph, parse
from ipc.descriptors import DataType, Descriptor
from ipc.errors import MLError, MLTypeError
from ipc.generated.webnn.v1 import graph_pb2
from ipc.graph import Graph, Operation, SlotOperands
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, RuleError, bind, cast_attributes, declared_limits, infer_outputs, with_int4
from ipc.verdicts import BadMessage, BadMessageReason
from scripts.fuzz import coverage
from scripts.fuzz.almost import Cut, almost_legal_graph, cut_for
from scripts.fuzz.case import GraphCase, argument, call_of
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import computed
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.reduction import smaller_graphs

_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True)
class Misuse:
    """Arguments that no conversion takes: nonsense for one of them, or a wrong number."""

    operator: str
    member: str


_MISUSES = tuple(
    Misuse(name, member)
    for name, operator in REGISTRY.items()
    for member in ("", "label", *operator.slots, *operator.attributes)
)


@dataclass(frozen=True, slots=True)
class ValidationCase:
    """A graph to validate, within limits that may be cut, or a misused method."""

    graph: GraphCase
    cut: Cut | None = None
    misuse: Misuse | None = None

    @property
    def size(self) -> tuple[int, ...]:
        return self.graph.size

    def to_json(self) -> dict[str, Any]:
        cut, misuse = self.cut, self.misuse
        return {
            **self.graph.to_json(),
            "cut": None if cut is None else [cut.operator, cut.name, cut.what, cut.value],
            "misuse": None if misuse is None else [misuse.operator, misuse.member],
        }


class ValidateMode(Mode[ValidationCase]):
    """One graph, both validators; no process is started."""

    name: ClassVar[str] = "validate"

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        self._profile = Profile(**{"operations": (1, 2), "content": False, **options.profile})
        self._limits = with_int4(declared_limits())

    def generate(self, random: Random) -> ValidationCase:
        kind = random.random()
        if kind < 0.08:
            return ValidationCase(GraphCase(Graph()), misuse=random.choice(_MISUSES))
        if kind < 0.45:
            case = almost_legal_graph(random, self._limits, self._profile, sendable=random.random() < 0.7)
            if case is not None:
                return ValidationCase(case)
        case = legal_graph(random, self._limits, self._profile)
        cut = None
        if kind < 0.75:
            operation = random.choice(case.graph.operations)
            made = tuple(case.graph.operands[operand] for operand in operation.outputs)
            cut = cut_for(call_of(case.graph, operation), made, random)
        return ValidationCase(case, cut)

    def run(self, case: ValidationCase) -> Verdict:
        try:
            if case.misuse is not None:
                return _misused(case.misuse)
            limits = self._limits if case.cut is None else case.cut.apply(self._limits)
            verdict = _judged(case.graph, limits, exact=case.cut is None)
            if verdict.outcome == "accepted" and verdict.problem is None:
                _compute(case.graph.graph)
            return verdict
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {frame.filename.rpartition('/')[2]}:{frame.name}"
            return Verdict("none", "", Problem("exception", where, "".join(traceback.format_exception(error))))

    def coverage(self, case: ValidationCase, verdict: Verdict) -> Iterable[CoverageKey]:
        return coverage.reached(case.graph.graph, verdict.outcome == "accepted", verdict.detail)

    def universe(self) -> Iterable[CoverageKey]:
        return coverage.universe(self._limits, misuse=True)

    def from_json(self, value: Mapping[str, Any]) -> ValidationCase:
        cut, misuse = value["cut"], value["misuse"]
        if cut is not None and cut[2] == "data_type":
            cut = [*cut[:3], DataType(cut[3])]
        return ValidationCase(
            GraphCase.from_json(value),
            None if cut is None else Cut(*cut),
            None if misuse is None else Misuse(*misuse),
        )

    def smaller(self, case: ValidationCase) -> Iterator[ValidationCase]:
        yield from (replace(case, graph=graph) for graph in smaller_graphs(case.graph))


def _compute(graph: Graph) -> None:
    """Compute a graph on zeros: kernels are written without the declarations, and fail where a rule let too much in."""
    constants = {operand: bytes(graph.operands[operand].byte_length) for operand in graph.constants}
    inputs = {name: bytes(descriptor.byte_length) for name, descriptor in graph.input_descriptors().items()}
    with contextlib.suppress(BackendError):
        computed(GraphCase(graph, constants, inputs))


# --- verdicts ---------------------------------------------------------------------------------------------------------


class _Nonsense:
    """Converts to nothing."""

    def __bool__(self) -> bool:
        raise TypeError("neither true nor false")


@dataclass(frozen=True, slots=True)
class _Operand:
    id: int


def _is_operand(value: object) -> bool:
    return isinstance(value, _Operand)


def _misused(misuse: Misuse) -> Verdict:
    operator = REGISTRY[misuse.operator]
    given: dict[str, object] = {name: _Operand(0) for name in operator.slots if name in operator.positional}
    given |= {name: 1 for name in operator.attributes if name in operator.positional}
    given |= {name: [value] for name, value in given.items() if name in operator.slots and _is_list(operator, name)}
    wanted = f"{operator}.arguments"
    if misuse.member:
        given = {misuse.member: _Nonsense()} | {name: value for name, value in given.items() if name != misuse.member}
        given = {**given, misuse.member: _Nonsense()}
        wanted = f"{operator}.{misuse.member}.conversion"
        given |= {
            name: []
            for name, attribute in operator.attributes.items()
            if name in operator.positional and name != misuse.member and attribute.kind.element is not None
        } | {
            name: "float32"
            for name, attribute in operator.attributes.items()
            if name in operator.positional and name != misuse.member and attribute.kind.name == "data_type"
        }
    else:
        given = {}
    try:
        bind(operator, (), given, _is_operand)
    except MLTypeError as error:
        if error.rule == wanted:
            return Verdict("refused", wanted)
        return Verdict("refused", error.rule or "", _unexpected(str(operator), wanted, error.rule or "", str(error)))
    return Verdict("accepted", "", _unexpected(str(operator), wanted, "accepted", "the arguments were taken"))


def _is_list(operator: Any, name: str) -> bool:
    return bool(operator.slots[name].presence == "variadic")


def _judged(case: GraphCase, limits: SupportLimits, *, exact: bool) -> Verdict:
    """Both verdicts on a graph, compared.

    Args:
        exact: whether the rule that the case says is the one that must be named.
    """
    graph = case.graph
    ours = renderer_verdict(graph, limits)
    decoded, reason, field = service_verdict(encode_graph(graph).SerializeToString(), limits)
    place = _place(graph, ours)
    if exact and ours != case.rule:
        story = f"the renderer should say {case.rule or 'nothing'}, and says {ours or 'nothing'}"
        return Verdict("refused" if ours else "accepted", ours, _unexpected(place, case.rule, ours, story))
    if not _agree(graph, limits, ours, reason, field):
        story = f"the renderer says {ours or 'nothing'}, the GPU process {reason} {field}"
        problem = Problem("validators disagree", f"{place}: {ours or 'accepted'} / {reason or 'accepted'}", story)
        return Verdict("bad_message" if reason else "accepted", ours, problem)
    if decoded is not None and repr(decoded) != repr(graph):
        problem = Problem("decoded graph differs", place, f"sent {graph!r}\ntaken {decoded!r}")
        return Verdict("accepted", "", problem)
    return Verdict("bad_message" if reason else "accepted", ours)


def _unexpected(where: str, wanted: str, given: str, story: str) -> Problem:
    return Problem("verdict", f"{where}: {wanted or 'accepted'} wanted, {given or 'accepted'} given", story)


def _place(graph: Graph, rule: str) -> str:
    return rule.partition(".")[0] or graph.operations[-1].operator.name


def _agree(graph: Graph, limits: SupportLimits, ours: str, reason: str, field: str) -> bool:
    if any(descriptor.problem(limits.max_tensor_byte_length) for descriptor in graph.operands):
        # Looked at while decoding, before any rule; a renderer makes no such operand.
        return reason == BadMessageReason.INVALID_DESCRIPTOR
    if reason == BadMessageReason.ATTRIBUTE_NOT_CAST:
        # Asked before the rules: a fraction that was cast to an integer type travels as a float.
        return ours.endswith(".data_type")
    if reason == BadMessageReason.OPERATOR_RULE:
        return bool(ours) and field.endswith(f": {ours}")
    return not ours and not reason


def renderer_verdict(graph: Graph, limits: SupportLimits) -> str:
    """The rule that a builder's methods name, called one after the other; empty if none."""
    for operation in graph.operations:
        try:
            outputs = _as_builder(graph, operation, limits)
        except RuleError as error:
            return error.rule
        declared = tuple(graph.operands[operand] for operand in operation.outputs)
        if outputs != declared:
            raise AssertionError(f"{operation.operator}: the generator says {declared}, the renderer {outputs}")
    return ""


def _as_builder(graph: Graph, operation: Operation, limits: SupportLimits) -> tuple[Descriptor, ...]:
    operator = operation.operator
    given: dict[str, object] = {name: _operands(value) for name, value in operation.operands.items()}
    given |= {name: argument(operator.attributes[name], value) for name, value in operation.attributes.items()}
    bound = bind(operator, (), {**given, "label": operation.label}, _is_operand)
    operands = {name: _descriptors(graph, value) for name, value in bound.operands.items()}
    return infer_outputs(operator, operands, cast_attributes(operator, operands, bound.attributes), limits)


def _operands(value: SlotOperands) -> object:
    if isinstance(value, tuple):
        return [_Operand(operand) for operand in value]
    return None if value is None else _Operand(value)


def _descriptors(graph: Graph, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(graph.operands[operand.id] for operand in value)
    return None if value is None else graph.operands[value.id]


class _AnyConstants:
    """Constants that are wherever a graph looks for them; their regions are the service's to check."""

    def region_size(self, token: bytes) -> int | None:
        del token
        return 2**40

    def tensor_descriptor(self, token: bytes) -> Descriptor | None:
        del token
        return None


def service_verdict(data: bytes, limits: SupportLimits) -> tuple[Graph | None, str, str]:
    """What the GPU process makes of a serialised graph: the graph, or the reason and field of its refusal."""
    try:
        message = parse(graph_pb2.Graph, data)
        check_graph_quotas(message, _QUOTAS)
        graph = decode_graph(message, limits.max_tensor_byte_length)
        validate_graph(graph, limits, _AnyConstants())
        check_cost(graph, _QUOTAS)
    except BadMessage as bad:
        return None, bad.reason.value, bad.field
    except MLError as error:
        return None, error.name, error.rule or ""
    return graph, "", ""
