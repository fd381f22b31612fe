"""Mode `graph`: legal and almost legal graphs through both processes.

A legal graph must be built, and computed exactly as the reference backend computes it here: what is between must not
change a bit. An almost legal one must be refused by the builder under the rule that it breaks, and, sent by a renderer
without a builder, be a bad message that names the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, ClassVar

import grpc
import numpy as np

from gpu_process.backends import BackendError
from ipc.codec import encode_graph
from ipc.errors import InvalidStateError, MLError, MLTypeError, QuotaExceededError
from ipc.generated.webnn.v1 import context_pb2
from ipc.graph import ConstantSource, Graph
from ipc.verdicts import BadMessageReason
from renderer import ML
from scripts.fuzz import coverage, export
from scripts.fuzz.almost import almost_legal_graph
from scripts.fuzz.api import Runner, record
from scripts.fuzz.case import GraphCase
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import Array, computed
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.peer import PeerError, PeerHost
from scripts.fuzz.reduction import smaller_graphs
from scripts.fuzz.target import Target

_ALMOST = 0.06  # of the cases: each costs a session, and mode `validate` makes thousands in a second


class GraphMode(Mode[GraphCase]):
    """Small graphs in one context of a backend, and broken ones each in a session of its own."""

    name: ClassVar[str] = "graph"

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        # Few sizes: a descriptor that was seen before has a tensor already, and creating one costs as much as a graph.
        profile = {"operations": (1, 3), "max_elements": 64, "sizes": (1, 2, 2, 3), "constants": 0.25}
        self._profile = Profile(**{**profile, **options.profile})
        self._limits = limits_of(options.backend)
        self._target = Target(options, [options.backend])
        try:
            self._open()
        except BaseException:
            self._target.close()
            raise

    def _open(self) -> None:
        self._ml = ML(socket=self._target.socket)
        self._runner = Runner(self._ml.create_context(backend=self.options.backend, experimental_int4=True))
        self._peer = PeerHost(self._target.socket)

    def _close(self) -> None:
        self._peer.close()
        self._ml.destroy()

    def close(self) -> None:
        self._close()
        self._target.close()

    def generate(self, random: Random) -> GraphCase:
        if random.random() < _ALMOST:
            case = almost_legal_graph(random, self._limits, self._profile)
            if case is not None:
                return case
        return legal_graph(random, self._limits, self._profile)

    def run(self, case: GraphCase) -> Verdict:
        try:
            verdict = self._broken(case) if case.rule else self._legal(case)
        except (InvalidStateError, PeerError) as error:
            where, said = self._target.death(_operators(case.graph))
            verdict = Verdict("none", "", Problem("crash", where, f"{error}\n{said}"))
        except TimeoutError as error:
            verdict = Verdict("none", "", Problem("hang", _operators(case.graph), f"{error!r}"))
        if verdict.outcome == "none":
            self._close()
            self._target.restart()
            self._open()
        return verdict

    def _legal(self, case: GraphCase) -> Verdict:
        try:
            results = self._runner.run(case)
        except QuotaExceededError as error:
            return Verdict("refused", error.rule or error.name)
        except InvalidStateError:
            raise
        except MLError as error:
            where = error.rule or f"{error.name}, {_operators(case.graph)}"
            return Verdict("refused", where, Problem("legal graph refused", where, f"{error.name}: {error}"))
        if self.options.backend != "reference":
            return Verdict("accepted")
        try:
            wanted = computed(case)
        except BackendError as error:
            return Verdict("accepted", "", Problem("results", _operators(case.graph), f"only here refused: {error}"))
        return Verdict("accepted", "", _difference(case.graph, results, wanted))

    def _broken(self, case: GraphCase) -> Verdict:
        try:
            record(self._runner.context, case)
        except MLTypeError as error:
            if error.rule != case.rule:
                what = f"the builder should name {case.rule}: {error}"
                return Verdict("refused", error.rule or "", Problem("verdict", f"{case.rule} / {error.rule}", what))
        else:
            what = "the builder takes what breaks the rule"
            return Verdict("accepted", "", Problem("verdict", f"{case.rule} / accepted", what))
        return self._sent(case)

    def _sent(self, case: GraphCase) -> Verdict:
        """The broken graph from a renderer without a builder."""
        with self._peer.open_session(self.options.backend) as session:
            context = session.create_context(self.options.backend)
            data = encode_graph(_placed(case, session.offer(*_region(case)))).SerializeToString()
            chunk = context_pb2.CreateGraphChunk(context=context, total_bytes=len(data), data=data)
            answer = session.call("CreateGraph", [chunk.SerializeToString()])
            if answer.code is grpc.StatusCode.UNAVAILABLE:
                raise PeerError(f"the GPU process ended: {answer.details}")
            if answer.code is grpc.StatusCode.OK:
                reply = context_pb2.CreateGraphReply.FromString(answer.replies[0])
                outcome = "refused" if reply.HasField("error") else "accepted"
                what = f"the GPU process takes what breaks the rule: {reply}"
                return Verdict(outcome, "", Problem("verdict", f"{case.rule} / {outcome}", what))  # type: ignore[arg-type]
            reason, field = session.closed()
        expected = answer.details == reason == BadMessageReason.OPERATOR_RULE and field.endswith(f": {case.rule}")
        not_cast = reason == BadMessageReason.ATTRIBUTE_NOT_CAST and case.rule.endswith(".data_type")
        if expected or not_cast:
            return Verdict("bad_message", case.rule)
        what = f"gRPC says {answer.code.name} {answer.details}, the socket {reason}: {field}"
        return Verdict("bad_message", reason, Problem("verdict", f"{case.rule} / {reason}", what))

    def coverage(self, case: GraphCase, verdict: Verdict) -> Iterable[CoverageKey]:
        refused = case.rule if verdict.outcome in ("refused", "bad_message") else ""
        return coverage.reached(case.graph, verdict.outcome == "accepted", refused)

    def universe(self) -> Iterable[CoverageKey]:
        return (key for key in coverage.universe(self._limits, misuse=False) if key[0] != "held")

    def from_json(self, value: Mapping[str, Any]) -> GraphCase:
        return GraphCase.from_json(value)

    def smaller(self, case: GraphCase) -> Iterator[GraphCase]:
        return smaller_graphs(case)

    def files(self, case: GraphCase, problem: Problem | None) -> Mapping[str, str]:
        return export.files(case, self.options.backend, problem)

    def versions(self) -> Mapping[str, str]:
        processes = self._target.status()["gpu_processes"]
        return {name: version for each in processes for name, version in each["service"]["backends"].items()}

    def rest(self) -> Problem | None:
        self._runner.settle()
        return self._target.unrest()


def _operators(graph: Graph) -> str:
    return "+".join(sorted({operation.operator.name for operation in graph.operations}))


def _difference(graph: Graph, given: Mapping[str, Array], wanted: Mapping[str, Array]) -> Problem | None:
    for name, operand in graph.outputs:
        if given[name].tobytes() != wanted[name].tobytes():
            maker = next(operation for operation in graph.operations if operand in operation.outputs)
            bits = np.count_nonzero(given[name].view(np.uint8).ravel() != wanted[name].view(np.uint8).ravel())
            what = f"output {name}: {bits} bytes differ from those computed here\n{given[name]}\n{wanted[name]}"
            return Problem("results", maker.operator.name, what)
    return None


_ALIGNMENT = 64


def _region(case: GraphCase) -> list[bytes]:
    """All constants one after the other, aligned; never empty."""
    pieces: list[bytes] = []
    for data in case.constants.values():
        pieces += [data, bytes(-len(data) % _ALIGNMENT)]
    return [*pieces, bytes(_ALIGNMENT)]


def _placed(case: GraphCase, region: bytes) -> Graph:
    """The graph with its constants where `_region` has laid them."""
    graph, offset = case.graph, 0
    constants = {}
    for operand, data in case.constants.items():
        constants[operand] = ConstantSource(region, offset)
        offset += len(data) + -len(data) % _ALIGNMENT
    return Graph(graph.operands, graph.inputs, constants, graph.operations, graph.outputs)
