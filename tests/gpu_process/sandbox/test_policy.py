"""The table and the program that the kernel runs say the same."""

from __future__ import annotations

import itertools
import mmap
import random
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpu_process.sandbox import Mode, Role, SandboxSpec, _filter, seccomp
from gpu_process.sandbox.policy import Decision, Policy, policy_for
from gpu_process.sandbox.system_calls import NAMES, NUMBERS

PID = 2


def _spec(role: Role = Role.GPU_PROCESS, *backends: str, deny: tuple[str, ...] = ()) -> SandboxSpec:
    return SandboxSpec(run_directory=Path("/run"), role=role, backends=backends, deny=deny)


SPECS = (_spec(), _spec(Role.GPU_PROCESS, "openvino"), _spec(Role.RENDERER), _spec(deny=("mmap", "read")))


def _run(program: bytes, number: int, arguments: Sequence[int], architecture: int = _filter.AUDIT_ARCH_X86_64) -> int:
    """What the kernel's machine returns."""
    call = struct.pack("IIQ6Q", number, architecture, 0, *arguments)
    instructions = list(_filter.INSTRUCTION.iter_unpack(program))
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, operand = instructions[position]
        position += 1
        match code:
            case _filter.LOAD:
                accumulator = int.from_bytes(call[operand : operand + 4], "little")
            case _filter.MASK:
                accumulator &= operand
            case _filter.JUMP:
                position += operand
            case _filter.JUMP_EQUAL:
                position += if_true if accumulator == operand else if_false
            case _filter.JUMP_AT_LEAST:
                position += if_true if accumulator >= operand else if_false
            case _filter.RETURN:
                return int(operand)
            case _:
                raise AssertionError(f"instruction {code:#x}")


def _interesting_values(policy: Policy, number: int, index: int) -> set[int]:
    values = {0, 1, (1 << 64) - 1, 1 << 32}
    for test in policy.rules[number].tests if number in policy.rules else ():
        if test.index == index:
            for value in test.values:
                values |= {value, value + 1, value ^ 1 << 32, value ^ 1 << 63, value | ~test.mask & (1 << 64) - 1}
            values |= {1 << bit for bit in range(64) if test.mask >> bit & 1}
    return values


@pytest.mark.parametrize("spec", SPECS, ids=["plain", "openvino", "renderer", "deny"])
@pytest.mark.parametrize("supervised", [True, False])
@pytest.mark.parametrize("mode", list(Mode))
def test_the_program_returns_what_the_table_says_for_every_call(
    spec: SandboxSpec, mode: Mode, supervised: bool
) -> None:
    policy = policy_for(spec, PID)
    program = seccomp.filter_program(policy, mode, supervised=supervised)
    chance = random.Random(4)
    for number in [*NAMES, 335, 334 + 50, 470, 1 << 29]:
        values = [sorted(_interesting_values(policy, number, index)) for index in range(6)]
        tested = [index for index in range(6) if len(values[index]) > 4]
        for combination in itertools.islice(itertools.product(*(values[index] for index in tested)), 400):
            arguments = [chance.choice(values[index]) for index in range(6)]
            for index, value in zip(tested, combination, strict=True):
                arguments[index] = value
            verdict = policy.judge(number, arguments)
            action = _run(program, number, arguments)
            assert (action == seccomp.RET_ALLOW) == (verdict.decision is Decision.ALLOW), (NAMES.get(number), arguments)
            if supervised and verdict.decision in (Decision.DANGEROUS, Decision.UNKNOWN):
                assert action == seccomp.RET_USER_NOTIF
            if verdict.decision is Decision.REFUSE and mode is not Mode.AUDIT:
                assert action == seccomp.RET_ERRNO | verdict.errno
            if not supervised and verdict.decision is Decision.DANGEROUS:
                assert action == seccomp.RET_KILL_PROCESS


@pytest.mark.parametrize(("architecture", "number"), [(0x40000003, 20), (_filter.AUDIT_ARCH_X86_64, 0x40000000 | 39)])
def test_other_entries_to_the_kernel_are_dangerous(architecture: int, number: int) -> None:
    program = seccomp.filter_program(policy_for(_spec(), PID), Mode.ENFORCE, supervised=False)
    assert _run(program, number, [0] * 6, architecture) == seccomp.RET_KILL_PROCESS


def test_no_mode_and_no_verdict_but_allow_ever_lets_a_call_through() -> None:
    for spec, mode, supervised in itertools.product(SPECS, Mode, (True, False)):
        program = seccomp.filter_program(policy_for(spec, PID), mode, supervised=supervised)
        actions = {
            operand for code, _, _, operand in _filter.INSTRUCTION.iter_unpack(program) if code == _filter.RETURN
        }
        log, trap, trace = 0x7FFC0000, 0x00030000, 0x7FF00000
        assert not actions & {log, trap, trace}


def test_a_program_is_short_enough_for_the_kernel() -> None:
    for spec in SPECS:
        program = seccomp.filter_program(policy_for(spec, PID), Mode.ENFORCE, supervised=True)
        assert len(program) // _filter.INSTRUCTION.size <= 4096


@pytest.mark.parametrize(
    ("role", "backends", "call", "protection", "allowed"),
    [
        (Role.GPU_PROCESS, (), "mmap", mmap.PROT_READ | mmap.PROT_EXEC, False),
        (Role.GPU_PROCESS, (), "mprotect", mmap.PROT_READ | mmap.PROT_EXEC, False),
        (Role.GPU_PROCESS, ("openvino",), "mmap", mmap.PROT_READ | mmap.PROT_EXEC, False),
        (Role.GPU_PROCESS, ("openvino",), "mprotect", mmap.PROT_READ | mmap.PROT_EXEC, True),
        (Role.RENDERER, ("openvino",), "mprotect", mmap.PROT_READ | mmap.PROT_EXEC, False),
        (Role.RENDERER, (), "mmap", mmap.PROT_READ | mmap.PROT_EXEC, True),
        (Role.RENDERER, (), "mmap", mmap.PROT_WRITE | mmap.PROT_EXEC, False),
        (Role.GPU_PROCESS, (), "mmap", mmap.PROT_READ | mmap.PROT_WRITE, True),
    ],
)
def test_executable_memory_is_for_openvino_only(
    role: Role, backends: tuple[str, ...], call: str, protection: int, allowed: bool
) -> None:
    verdict = policy_for(_spec(role, *backends), PID).judge(NUMBERS[call], [0, 4096, protection, 0x22, 0, 0])
    assert (verdict.decision is Decision.ALLOW) is allowed


@pytest.mark.parametrize("call", ["fork", "vfork", "clone3"])
def test_no_call_starts_a_process(call: str) -> None:
    for spec in SPECS:
        assert policy_for(spec, PID).judge(NUMBERS[call], [0] * 6).decision is Decision.REFUSE


@pytest.mark.parametrize(
    "flags", [0x11, 0x3D0F00 & ~0x10000, 0x3D0F00 | 0x10000000, 0x3D0F00 | 0x20000, 0x3D0F00 | 0x4000]
)
def test_clone_makes_threads_only(flags: int) -> None:
    policy = policy_for(_spec(), PID)
    assert policy.judge(NUMBERS["clone"], [flags, 0, 0, 0, 0, 0]).decision is Decision.REFUSE
    assert policy.judge(NUMBERS["clone"], [0x3D0F00, 0, 0, 0, 0, 0]).decision is Decision.ALLOW


def test_every_rule_gives_a_reason() -> None:
    for spec in SPECS:
        assert all(rule.reason for rule in policy_for(spec, PID).rules.values())


def test_a_call_to_be_denied_must_exist() -> None:
    with pytest.raises(ValueError, match="reed"):
        policy_for(_spec(deny=("reed",)), PID)
