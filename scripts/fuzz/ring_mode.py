"""Mode `ring`: a renderer that works, and meanwhile writes what it likes into its ring, its slots and its bells.

Whatever it does, the GPU process lives, the renderer is closed for a bad message or goes on, and a bystander in another
session gets its results, in time.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar, Final

import numpy as np

from ipc.errors import MLError
from ipc.timeline.ring import commands, layout
from ipc.timeline.ring.client import RingTimeline
from ipc.timeline.ring.commands import Kind
from ipc.verdicts import BadMessageReason
from renderer import ML, MLContext, MLGraph, MLGraphBuilder, MLTensor
from scripts.fuzz.mode import CoverageKey, Mode, ModeOptions, Problem, Verdict
from scripts.fuzz.target import Target

Step = tuple[Any, ...]

_SECONDS = 10.0
_SHAPE = (4,)
_WORDS: Final = {
    "published": layout.PUBLISHED,
    "wake_at": layout.WAKE_AT,
    "completed": layout.COMPLETED,
    "asleep": layout.ASLEEP,
}
_BELLS: Final = ("fill", "drain", "ring", "blocking", "shut", "flood")
_VALUES: Final = (0, 1, 2, 511, 512, 513, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_RELATIVE: Final = (-2, -1, 1, 2, 3, 100, layout.CAPACITY, layout.CAPACITY + 1)


@dataclass(frozen=True, slots=True)
class RingCase:
    """What the renderer does, step by step.

    Steps: `write v`, `dispatch`, `read`: as it should be; `word name value`, `step name by`: a cursor; `field n offset
    value`: in the nth command before the last; `command kind number token`: one that is published behind the product's
    back; `bell what`.

    Attributes:
        scribbler: seed of a thread that writes at random into ring and slots meanwhile; 0 for none.
    """

    steps: tuple[Step, ...]
    scribbler: int = 0

    @property
    def size(self) -> tuple[int, ...]:
        return (int(self.scribbler > 0), len(self.steps))

    def to_json(self) -> dict[str, Any]:
        return {"steps": self.steps, "scribbler": self.scribbler}


class RingMode(Mode[RingCase]):
    """Each case in a session of its own; the bystander has one for all."""

    name: ClassVar[str] = "ring"
    seconds: ClassVar[float] = 30.0

    def __init__(self, options: ModeOptions) -> None:
        super().__init__(options)
        self._target = Target(options, [options.backend])
        try:
            self._open()
        except BaseException:
            self._target.close()
            raise

    def _open(self) -> None:
        self._ml = ML(socket=self._target.socket)
        self._bystander = _Renderer(self._ml, self.options.backend)
        self._turns = 0

    def _restart(self) -> None:
        self._ml.destroy()
        self._target.restart()
        self._open()

    def close(self) -> None:
        self._ml.destroy()
        self._target.close()

    def generate(self, random: Random) -> RingCase:
        steps = tuple(_step(random) for _ in range(random.randint(2, 16)))
        return RingCase(steps, random.getrandbits(32) if random.random() < 0.4 else 0)

    def run(self, case: RingCase) -> Verdict:
        try:
            verdict = self._attack(case)
        except (MLError, TimeoutError) as error:  # not even a session
            where, said = self._target.death("no session")
            verdict = Verdict("none", "", Problem("crash", where, f"{type(error).__name__}: {error}\n{said}"))
        if verdict.problem is None:
            problem = self._disturbed()
            verdict = verdict if problem is None else Verdict("none", verdict.detail, problem)
        if verdict.outcome == "none":
            self._restart()
        return verdict

    def _attack(self, case: RingCase) -> Verdict:
        with ML(socket=self._target.socket) as ml:
            renderer = _Renderer(ml, self.options.backend)
            attack = _Attack(renderer)
            try:
                attack.run(case)
                return Verdict("accepted")
            except MLError as error:
                reason = _reason_of(renderer.context)
                if reason:
                    return Verdict("bad_message", reason)
                return Verdict("refused", type(error).__name__)
            except Exception as error:
                # It has changed its own state behind its back, or told the GPU process that there is nothing to do.
                return Verdict("refused", f"its own fault: {type(error).__name__}")

    def _disturbed(self) -> Problem | None:
        """Whether the bystander noticed anything."""
        self._turns += 1
        try:
            got = self._bystander.round_trip(self._turns)
        except (MLError, TimeoutError) as error:
            where, said = self._target.death("bystander")
            return Problem("bystander", where, f"{type(error).__name__}: {error}\n{said}")
        if got != self._turns + 1:
            return Problem("bystander", "value", f"{got} was read, {self._turns + 1} was expected")
        return None

    def coverage(self, case: RingCase, verdict: Verdict) -> Iterable[CoverageKey]:
        for step in case.steps:
            yield ("step", str(step[0]), str(step[1]) if step[0] in ("word", "step", "command", "bell") else "")
        if verdict.outcome == "bad_message":
            yield ("reason", verdict.detail)

    def universe(self) -> Iterable[CoverageKey]:
        yield from (("step", word, name) for word in ("word", "step") for name in _WORDS)
        yield from (("step", "bell", name) for name in _BELLS)
        yield from (("reason", reason.value) for reason in BadMessageReason if reason.value.startswith("ring_"))
        yield "reason", BadMessageReason.SLOT_NUMBER.value

    def from_json(self, value: Mapping[str, Any]) -> RingCase:
        return RingCase(tuple(tuple(step) for step in value["steps"]), value["scribbler"])

    def smaller(self, case: RingCase) -> Iterator[RingCase]:
        if case.scribbler:
            yield replace(case, scribbler=0)
        for at in range(len(case.steps)):
            yield replace(case, steps=case.steps[:at] + case.steps[at + 1 :])

    def rest(self) -> Problem | None:
        with contextlib.suppress(MLError):
            self._bystander.close()
        problem = self._target.unrest()
        self._bystander = _Renderer(self._ml, self.options.backend)
        return problem


def _step(random: Random) -> Step:
    match random.randrange(12):
        case 0 | 1:
            return ("write", random.randint(-9, 9))
        case 2 | 3:
            return ("dispatch",)
        case 4 | 5:
            return ("read",)
        case 6:
            return ("word", random.choice(list(_WORDS)), random.choice(_VALUES))
        case 7:
            return ("step", random.choice(list(_WORDS)), random.choice(_RELATIVE))
        case 8:
            return ("field", random.randrange(4), random.randrange(layout.COMMAND_BYTES), random.randrange(256))
        case 9 | 10:
            kind = random.choice([*(int(kind) for kind in Kind), 0, 7, 1 << 31])
            number = random.choice((0, 1, 2, 3, 1024, 1025, (1 << 32) - 1))
            return ("command", kind, number, random.choice(("x", "y", "graph", "none", "unknown")))
        case _:
            return ("bell", random.choice(_BELLS))


# --- a renderer that works --------------------------------------------------------------------------------------------


class _Renderer:
    """y = x + 1, over a ring."""

    def __init__(self, ml: ML, backend: str) -> None:
        self.context: MLContext = ml.create_context(backend=backend, carrier="ring")
        b = MLGraphBuilder(self.context)
        x = b.input("x", "int32", _SHAPE)
        self.graph: MLGraph = b.build({"y": b.add(x, b.constant(np.ones(_SHAPE, np.int32)))}, timeout=_SECONDS)
        self.x = self.context.create_tensor("int32", _SHAPE, readable=True, writable=True, timeout=_SECONDS)
        self.y = self.context.create_tensor("int32", _SHAPE, readable=True, writable=True, timeout=_SECONDS)

    def round_trip(self, value: int) -> int:
        self.write(value)
        self.dispatch()
        return self.read(self.y)

    def write(self, value: int) -> None:
        self.context.write_tensor(self.x, np.full(_SHAPE, value, np.int32))

    def dispatch(self) -> None:
        self.context.dispatch(self.graph, {"x": self.x}, {"y": self.y})

    def read(self, tensor: MLTensor) -> int:
        return int(self.context.read_tensor(tensor, timeout=_SECONDS)[0])

    def close(self) -> None:
        self.context.destroy()


def _reason_of(context: MLContext) -> str:
    """The bad message for which a context was lost; empty if that was not why."""
    if not context.lost.done():
        return ""
    match = re.search(r"refused a message: (\w+)", context.lost.result(0).message)
    return match[1] if match else ""


# --- and what it does beside ------------------------------------------------------------------------------------------


class _Attack:
    """Writes where a renderer's own code never would."""

    def __init__(self, renderer: _Renderer) -> None:
        self._renderer = renderer
        timeline = renderer.context._timeline  # noqa: SLF001 - it is its own enemy
        assert isinstance(timeline, RingTimeline)
        self._bells = timeline._bells  # noqa: SLF001
        self._end = timeline._end  # noqa: SLF001
        self._memory: memoryview = self._end._memory  # noqa: SLF001
        self._words = self._memory[: layout.ERRORS].cast("Q")

    def run(self, case: RingCase) -> None:
        """All steps, and a scribbler beside them.

        Raises:
            MLError: the session has ended.
            TimeoutError: the GPU process was told that there is nothing for it to do.
        """
        done = threading.Event()
        scribbler = threading.Thread(target=self._scribble, args=(Random(case.scribbler), done), daemon=True)
        if case.scribbler:
            scribbler.start()
        try:
            for step in case.steps:
                self._do(step)
            self._settle()
        finally:
            done.set()
            if case.scribbler:
                scribbler.join()

    def _settle(self) -> None:
        """Wait for a moment for what the GPU process makes of it."""
        lost = self._renderer.context.lost
        with contextlib.suppress(TimeoutError):
            lost.result(0.005)
        if lost.done():
            self._renderer.read(self._renderer.x)  # raises what the context was lost for

    def _do(self, step: Step) -> None:
        renderer, words = self._renderer, self._words
        match step:
            case ("write", value):
                renderer.write(value)
            case ("dispatch",):
                renderer.dispatch()
            case ("read",):
                with contextlib.suppress(TimeoutError):
                    renderer.context.read_tensor(renderer.y, timeout=0.05)
            case ("word", name, value):
                words[_WORDS[name]] = value
                self._ring()
            case ("step", name, by):
                words[_WORDS[name]] = (words[_WORDS[name]] + by) % 2**64
                self._ring()
            case ("field", before, offset, value):
                place = (self._end.published - 1 - before) % layout.CAPACITY
                self._memory[layout.COMMANDS + place * layout.COMMAND_BYTES + offset] = value
            case ("command", kind, number, token):
                self._publish(kind, number, self._token(token))
            case ("bell", what):
                self._bell(what)
            case _:
                raise AssertionError(step)

    def _publish(self, kind: int, number: int, token: bytes) -> None:
        """A command that the renderer's own code does not know of, and will publish another one over."""
        sequence = (self._words[layout.PUBLISHED] + 1) % 2**64
        place = (sequence - 1) % layout.CAPACITY
        commands.write(self._memory, layout.COMMANDS + place * layout.COMMAND_BYTES, sequence, kind, number, token)
        self._words[layout.PUBLISHED] = sequence
        self._ring()

    def _token(self, name: str) -> bytes:
        tensors = {"x": self._renderer.x, "y": self._renderer.y}
        if name in tensors:
            return bytes(tensors[name]._handle.token)  # noqa: SLF001
        if name == "graph":
            return bytes(self._renderer.graph._token)  # noqa: SLF001
        return bytes(16) if name == "none" else b"unknown token..."

    def _bell(self, what: str) -> None:
        doorbell, sock = self._bells.doorbell, self._bells.socket
        with contextlib.suppress(BlockingIOError, OSError):
            match what:
                case "fill" if not os.get_blocking(doorbell):  # or the next ring would wait, and that is ours
                    os.eventfd_write(doorbell, 2**64 - 2)
                case "drain" if not os.get_blocking(doorbell):
                    os.eventfd_read(doorbell)
                case "ring":
                    os.eventfd_write(doorbell, 1)
                case "blocking" if not os.get_blocking(doorbell):
                    with contextlib.suppress(BlockingIOError):
                        os.eventfd_read(doorbell)
                    os.set_blocking(doorbell, True)
                    os.set_blocking(sock.fileno(), True)
                case "shut":
                    sock.shutdown(socket.SHUT_RDWR)
                case "flood":
                    for _ in range(10_000):
                        if not select.select([], [sock], [], 0)[1]:
                            break
                        sock.send(b"x" * 1024, socket.MSG_DONTWAIT)

    def _ring(self) -> None:
        """The GPU process should look."""
        with contextlib.suppress(OSError):
            if not select.select([], [self._bells.doorbell], [], 0)[1]:
                return
            os.eventfd_write(self._bells.doorbell, 1)

    def _scribble(self, random: Random, done: threading.Event) -> None:
        slots = [
            place.shared
            for tensor in (self._renderer.x, self._renderer.y)
            for place in (tensor._handle.place, tensor._handle.spare)  # noqa: SLF001
            if place is not None and place.shared is not None
        ]
        while not done.wait(0.0002):
            for _ in range(20):
                match random.randrange(8):
                    case 0:
                        self._words[random.choice(list(_WORDS.values()))] = random.choice(_VALUES)
                    case 1 | 2:
                        place = random.randrange(min(layout.CAPACITY, 32)) * layout.COMMAND_BYTES
                        self._memory[layout.COMMANDS + place + random.randrange(layout.COMMAND_BYTES)] = (
                            random.randrange(256)
                        )
                    case _ if slots:
                        slot = random.choice(slots)
                        slot[random.randrange(slot.nbytes)] = random.randrange(256)
