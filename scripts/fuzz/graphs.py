"""Legal graphs of any size: calls that hold, wired to each other where their operands allow it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ipc.descriptors import Descriptor
from ipc.graph import Graph, OperandId, Operation, SlotOperands
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator, SlotValue
from scripts.fuzz import data
from scripts.fuzz.calls import Call
from scripts.fuzz.case import GraphCase, constant_source
from scripts.fuzz.draw import DEFAULT_PROFILE, Profile
from scripts.fuzz.search import legal_call

_HOSTILE_NAMES = (
    *("input", "output", "0", "x/y", "../x", "Constant_1", "onnx::Add", "%s%n", "a b"),
    *("\u202ex", "\U0001f600", "\xe9", "n" * 255, "\x00", "'\"\\", "{x}"),
)
_NAMED_HOSTILE = 0.05


def legal_graph(random: Random, limits: SupportLimits, profile: Profile = DEFAULT_PROFILE) -> GraphCase:
    """A graph that breaks no rule within `limits`, with data for its inputs and constants."""
    writer = GraphWriter(random, limits, profile)
    for _ in range(random.randint(*profile.operations)):
        writer.add_any()
    return writer.finished()


class GraphWriter:
    """Writes a graph, operation after operation."""

    def __init__(self, random: Random, limits: SupportLimits, profile: Profile) -> None:
        self.graph = Graph()
        self._random = random
        self._limits = limits
        self._profile = profile
        self._made: list[OperandId] = []
        self._read: set[OperandId] = set()
        self._constants: dict[OperandId, bytes] = {}
        self._inputs: dict[str, bytes] = {}
        self._operators = [
            REGISTRY[name] for name in (profile.operators or limits.operators) if name in limits.operators
        ]

    def add_any(self) -> None:
        """One more legal operation."""
        while True:
            operator = self._random.choice(self._operators)
            pinned = self._pinned(operator)
            call = legal_call(
                operator,
                self._random,
                self._limits,
                self._profile,
                {name: self.graph.operands[operand] for name, operand in pinned.items()},
            )
            if call is None:
                pinned = {}
                call = legal_call(operator, self._random, self._limits, self._profile)
            if call is not None and self._can_be_fed(call, pinned):
                self.add(call, call.infer(self._limits), pinned)
                return

    def add(self, call: Call, outputs: tuple[Descriptor, ...], pinned: dict[str, OperandId] | None = None) -> None:
        """An operation with these outputs, whatever its rules say; slots that are not pinned are fed by any operand."""
        pinned = pinned or {}
        operands = {name: self._feed(value, pinned.get(name)) for name, value in call.operands.items()}
        made = tuple(self._operand(output) for output in outputs)
        label = self._random.choice(_HOSTILE_NAMES) if self._random.random() < _NAMED_HOSTILE else ""
        operation = Operation(call.operator, operands, call.attributes, made, label)
        self._read.update(operation.operand_ids())
        self._made += made
        self.graph.operations.append(operation)

    def finished(self, rule: str = "") -> GraphCase:
        """The case: what nobody has read are outputs, and now and then something else too."""
        outputs = [operand for operand in self._made if operand not in self._read or self._random.random() < 0.15]
        allowed = [operand for operand in outputs if self._limits.output.allows(self.graph.operands[operand])]
        self.graph.outputs.extend(zip(self._names("y", len(allowed)), allowed, strict=True))
        return GraphCase(self.graph, self._constants, self._inputs, rule)

    def _pinned(self, operator: Operator) -> dict[str, OperandId]:
        """An operand that another operation made, for a slot that can take it."""
        if not self._made or self._random.random() > self._profile.depth:
            return {}
        slots = [slot for slot in operator.slots.values() if slot.presence == "required" and not slot.same_type_as]
        if not slots:
            return {}
        slot = self._random.choice(slots)
        entry = self._limits.operators[operator.name][slot.name]
        fitting = [operand for operand in self._made if entry.allows(self.graph.operands[operand])]
        return {slot.name: self._random.choice(fitting)} if fitting else {}

    def _can_be_fed(self, call: Call, pinned: dict[str, OperandId]) -> bool:
        leaf_limits = (self._limits.input, self._limits.constant)
        return all(
            name in pinned or any(limits.allows(descriptor) for limits in leaf_limits)
            for name, descriptor in call.descriptors()
        )

    def _feed(self, value: SlotValue, pinned: OperandId | None) -> SlotOperands:
        if isinstance(value, tuple):
            return tuple(self._operand_like(each) for each in value)
        if value is None or pinned is not None:
            return pinned
        return self._operand_like(value)

    def _operand_like(self, descriptor: Descriptor) -> OperandId:
        random = self._random
        if random.random() < self._profile.depth:
            same = [operand for operand, other in enumerate(self.graph.operands) if other == descriptor]
            if same:
                return random.choice(same)
        operand = self._operand(descriptor)
        as_input, as_constant = self._limits.input.allows(descriptor), self._limits.constant.allows(descriptor)
        if descriptor.byte_length > _MAX_CONTENT:
            as_constant = False
        if as_constant and (random.random() < self._profile.constants or not as_input):
            self.graph.constants[operand] = constant_source()
            self._constants[operand] = self._content(descriptor)
        else:
            (name,) = self._names("x", 1)
            self.graph.inputs.append((name, operand))
            self._inputs[name] = self._content(descriptor)
        return operand

    def _content(self, descriptor: Descriptor) -> bytes:
        if not self._profile.content or descriptor.byte_length > _MAX_CONTENT:  # the latter will be refused
            return b""
        return data.content(self._random, descriptor, self._profile.hostile)

    def _operand(self, descriptor: Descriptor) -> OperandId:
        self.graph.operands.append(descriptor)
        return len(self.graph.operands) - 1

    def _names(self, stem: str, count: int) -> Iterator[str]:
        """Names that are free; inputs and outputs are named apart, so a name may be both."""
        taken = {name for name, _ in (self.graph.inputs if stem == "x" else self.graph.outputs)}
        for _ in range(count):
            name = self._random.choice(_HOSTILE_NAMES) if self._random.random() < _NAMED_HOSTILE else ""
            if not name or name in taken:
                name = next(f"{stem}{number}" for number in range(len(taken) + 1) if f"{stem}{number}" not in taken)
            taken.add(name)
            yield name


_MAX_CONTENT = 1 << 20
