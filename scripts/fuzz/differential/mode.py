"""Mode `differential`: graphs on a native backend, in its GPU process, against the reference's results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

from gpu_process.backends import BackendError
from ipc.errors import InvalidStateError, MLError, QuotaExceededError
from renderer import ML
from scripts.fuzz import coverage, export
from scripts.fuzz.api import Runner
from scripts.fuzz.case import GraphCase
from scripts.fuzz.differential.agreement import disagreement
from scripts.fuzz.draw import Profile
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.reduction import smaller_graphs
from scripts.fuzz.target import Target

BACKENDS = ("onnxruntime", "openvino")
_EVERYTHING_SHOWN = 0.6  # of the graphs: each operation is judged alone; in the others, a backend may fuse them


@dataclass(frozen=True, slots=True)
class DifferentialCase:
    """A legal graph for a backend."""

    graph: GraphCase
    backend: str

    @property
    def size(self) -> tuple[int, ...]:
        return self.graph.size

    def to_json(self) -> dict[str, Any]:
        return {**self.graph.to_json(), "backend": self.backend}


class DifferentialMode(Mode[DifferentialCase]):
    """Each native backend in a GPU process of its own; the reference here."""

    name: ClassVar[str] = "differential"
    seconds: ClassVar[float] = 30.0  # OpenVINO compiles

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        self._profile = Profile(
            **{"operations": (1, 3), "max_elements": 128, "depth": 0.8, "hostile": 0.1, **options.profile}
        )
        self._target = Target(options, BACKENDS)
        self._runners: dict[str, Runner] = {}
        self._ml = ML(socket=self._target.socket)

    def close(self) -> None:
        self._ml.destroy()
        self._target.close()

    def generate(self, random: Random) -> DifferentialCase:
        backend = random.choice(BACKENDS)
        limits = limits_of(backend)
        case = legal_graph(random, limits, self._profile)
        if random.random() < _EVERYTHING_SHOWN:
            case = replace(case, graph=_everything_shown(case))
        return DifferentialCase(case, backend)

    def run(self, case: DifferentialCase) -> Verdict:
        try:
            return self._compared(case)
        except (InvalidStateError, TimeoutError) as error:
            where, said = self._target.death(_operators(case))
            kind = "hang" if isinstance(error, TimeoutError) else "crash"
            self._restart()
            return Verdict("none", "", Problem(kind, f"{case.backend}: {where}", f"{error}\n{said}"))

    def _restart(self) -> None:
        self._ml.destroy()
        self._target.restart()
        self._ml = ML(socket=self._target.socket)
        self._runners.clear()

    def _compared(self, case: DifferentialCase) -> Verdict:
        try:
            results = self._runner(case.backend).run(case.graph)
        except QuotaExceededError as error:
            return Verdict("refused", error.rule or error.name)
        except InvalidStateError:
            raise
        except MLError as error:
            where = f"{case.backend}: {error.rule or error.name}, {_operators(case)}"
            return Verdict("refused", where, Problem("legal graph refused", where, f"{error.name}: {error}"))
        try:
            found = disagreement(case.graph, results)
        except BackendError as error:
            where = f"{case.backend}: {_operators(case)}"
            return Verdict("accepted", "", Problem("results", where, f"only the reference refuses: {error}"))
        if found is None:
            return Verdict("accepted")
        type_name = case.graph.graph.operands[found.operation.outputs[0]].data_type.value
        operators = found.operation.operator.name
        if found.special:  # NaN passes through many operators before it is seen to be missing
            operators = " of ".join((operators, *found.behind))
        where = f"{case.backend}: {operators} to {type_name}"
        kind = "results of special values" if found.special else "results"
        return Verdict("accepted", "", Problem(kind, where, f"output {found.name!r}: {found.what}"))

    def _runner(self, backend: str) -> Runner:
        if backend not in self._runners:
            self._runners[backend] = Runner(self._ml.create_context(backend=backend, experimental_int4=True))
        return self._runners[backend]

    def coverage(self, case: DifferentialCase, verdict: Verdict) -> Iterable[CoverageKey]:
        for kind, *names in coverage.reached(case.graph.graph, verdict.outcome == "accepted", ""):
            if kind in ("operator", "type"):
                yield kind, case.backend, *names

    def universe(self) -> Iterable[CoverageKey]:
        for backend in BACKENDS:
            for kind, *names in coverage.universe(limits_of(backend), misuse=False):
                if kind in ("operator", "type"):
                    yield kind, backend, *names

    def from_json(self, value: Mapping[str, Any]) -> DifferentialCase:
        return DifferentialCase(GraphCase.from_json(value), value["backend"])

    def smaller(self, case: DifferentialCase) -> Iterator[DifferentialCase]:
        yield from (replace(case, graph=graph) for graph in smaller_graphs(case.graph))

    def files(self, case: DifferentialCase, problem: Problem | None) -> Mapping[str, str]:
        return export.files(case.graph, case.backend, problem)

    def versions(self) -> Mapping[str, str]:
        processes = self._target.status()["gpu_processes"]
        return {name: version for each in processes for name, version in each["service"]["backends"].items()}

    def rest(self) -> Problem | None:
        for runner in self._runners.values():
            runner.settle()
        return self._target.unrest()


def _everything_shown(case: GraphCase) -> Any:
    graph = case.graph
    outputs = [(f"y{operand}", operand) for operation in graph.operations for operand in operation.outputs]
    return replace(graph, outputs=outputs)


def _operators(case: DifferentialCase) -> str:
    return "+".join(sorted({operation.operator.name for operation in case.graph.graph.operations}))
