"""Policies as programs of the kernel's packet-filter machine: a small assembler.

The machine has one accumulator, loads words of the call's description, jumps forward only, and returns an action.

Source: the kernel's ``Documentation/networking/filter.rst`` and ``Documentation/userspace-api/seccomp_filter.rst``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from gpu_process.sandbox.policy import DANGEROUS, UNKNOWN, ArgumentTest, Policy, Rule, Verdict

AUDIT_ARCH_X86_64: Final = 0xC000003E
X32_CALL_BIT: Final = 0x40000000

# Operation codes: load a word of the call, mask it, jump if equal / at least / always, return.
LOAD, MASK, JUMP_EQUAL, JUMP_AT_LEAST, JUMP, RETURN = 0x20, 0x54, 0x15, 0x35, 0x05, 0x06

# Offsets in the kernel's struct seccomp_data.
OFFSET_NUMBER, OFFSET_ARCHITECTURE, OFFSET_ARGUMENTS = 0, 4, 16

INSTRUCTION: Final = struct.Struct("HBBI")

# Calls compared one by one at the end of the binary search.
_LEAF: Final = 4
_MASK_32: Final = 0xFFFFFFFF


def assemble(policy: Policy, action: Callable[[Verdict], int]) -> bytes:
    """The filter program of `policy`, where `action` gives the kernel's code for each verdict.

    A call through the 32-bit or x32 entry has other numbers, and is dangerous whatever it is.
    """
    program = _Program()
    program.load(OFFSET_ARCHITECTURE)
    program.unless_equal(AUDIT_ARCH_X86_64, DANGEROUS)
    program.load(OFFSET_NUMBER)
    program.if_at_least(X32_CALL_BIT, DANGEROUS)
    _search(program, sorted(policy.rules.items()))
    for rule in dict.fromkeys(policy.rules.values()):
        if rule.tests:
            _test(program, rule)
    for verdict in program.wanted_verdicts():
        program.label(verdict)
        program.emit(RETURN, action(verdict))
    return program.link()


def _search(program: _Program, rules: Sequence[tuple[int, Rule]]) -> None:
    """Finds the rule of the number in the accumulator."""
    if len(rules) <= _LEAF:
        for number, rule in rules:
            program.if_equal(number, rule if rule.tests else rule.verdict)
        program.jump(UNKNOWN)
        return
    middle = len(rules) // 2
    right = object()
    program.if_at_least(rules[middle][0], right)
    _search(program, rules[:middle])
    program.label(right)
    _search(program, rules[middle:])


def _test(program: _Program, rule: Rule) -> None:
    program.label(rule)
    for test in rule.tests:
        _argument(program, test, rule.otherwise)
    program.jump(rule.verdict)


def _argument(program: _Program, test: ArgumentTest, otherwise: Verdict) -> None:
    """Goes on behind itself if `test` holds; the machine has 32-bit words, so that an argument is two."""
    holds = object()
    low = OFFSET_ARGUMENTS + 8 * test.index
    for value in test.values:
        next_value = object()
        for offset, shift in ((low, 0), (low + 4, 32)):
            mask = test.mask >> shift & _MASK_32
            if mask:
                program.load(offset)
                if mask != _MASK_32:
                    program.emit(MASK, mask)
                program.unless_equal(value >> shift & _MASK_32, next_value)
        program.jump(holds)
        program.label(next_value)
    program.jump(otherwise)
    program.label(holds)


class _Program:
    """Instructions with named targets. A target is any hashable object; a verdict is its own."""

    def __init__(self) -> None:
        self._instructions: list[tuple[int, int, int, int]] = []
        self._jumps: dict[int, object] = {}
        self._labels: dict[object, int] = {}

    def emit(self, code: int, operand: int, if_true: int = 0, if_false: int = 0) -> None:
        self._instructions.append((code, if_true, if_false, operand))

    def load(self, offset: int) -> None:
        self.emit(LOAD, offset)

    def label(self, target: object) -> None:
        self._labels[target] = len(self._instructions)

    def jump(self, target: object) -> None:
        self._jumps[len(self._instructions)] = target
        self.emit(JUMP, 0)

    # Conditional jumps reach 255 instructions only: they step over, or into, an unconditional one that reaches any.

    def if_equal(self, operand: int, target: object) -> None:
        self.emit(JUMP_EQUAL, operand, 0, 1)
        self.jump(target)

    def unless_equal(self, operand: int, target: object) -> None:
        self.emit(JUMP_EQUAL, operand, 1, 0)
        self.jump(target)

    def if_at_least(self, operand: int, target: object) -> None:
        self.emit(JUMP_AT_LEAST, operand, 0, 1)
        self.jump(target)

    def wanted_verdicts(self) -> list[Verdict]:
        return [target for target in dict.fromkeys(self._jumps.values()) if isinstance(target, Verdict)]

    def link(self) -> bytes:
        for position, target in self._jumps.items():
            distance = self._labels[target] - position - 1
            assert distance >= 0, "the machine jumps forward only"
            self._instructions[position] = (JUMP, 0, 0, distance)
        return b"".join(INSTRUCTION.pack(*instruction) for instruction in self._instructions)
