"""Both ends of a ring in one thread, over memory that is anybody's."""

from __future__ import annotations

import random

import pytest

from ipc.timeline.ring import GpuEnd, RendererEnd
from ipc.timeline.ring.commands import DISPATCH, NO_TOKEN, READ
from ipc.timeline.ring.ends import RingError
from ipc.timeline.ring.layout import ASLEEP, CAPACITY, COMPLETED, ERROR_BYTES, PUBLISHED, RESULTS, RING_BYTES, WAKE_AT
from ipc.verdicts import BadMessage, BadMessageReason

TOKEN = bytes(range(16))


class Ring:
    """A ring and its bells, as counters; `before_fence` is done when one of the ends asks for a fence."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(RING_BYTES))
        self.words = self.memory.cast("Q")
        self.gpu_rung = self.renderer_rung = 0
        self.fences: list[str] = []
        self.renderer = RendererEnd(self.memory, self._ring_gpu, lambda: self.fences.append("renderer"))
        self.gpu = GpuEnd(self.memory, self._ring_renderer, lambda: self.fences.append("gpu"))

    def _ring_gpu(self) -> None:
        self.gpu_rung += 1

    def _ring_renderer(self) -> None:
        self.renderer_rung += 1

    def publish(self) -> int:
        return self.renderer.publish(DISPATCH, 1, NO_TOKEN)

    def execute(self) -> None:
        assert self.gpu.available()
        self.gpu.take()
        self.gpu.complete()


@pytest.fixture
def ring() -> Ring:
    return Ring()


def test_commands_arrive_in_order_whatever_the_interleaving_and_however_often_it_wraps(ring: Ring) -> None:
    dice = random.Random(1)
    sent, seen = 0, 0
    while seen < 5 * CAPACITY:
        if dice.random() < 0.5 and ring.renderer.room:
            sent += 1
            assert ring.renderer.publish(READ, 0, sent.to_bytes(16, "little")) == sent
        elif ring.gpu.available():
            seen += 1
            assert ring.gpu.take() == (READ, 0, seen.to_bytes(16, "little"))
            ring.gpu.complete()
        if dice.random() < 0.3:
            ring.renderer.take_note(ring.renderer.look())
            assert ring.renderer.completed == seen


def test_a_full_ring_has_no_room_until_completions_are_taken_note_of(ring: Ring) -> None:
    for _ in range(CAPACITY):
        assert ring.renderer.room
        ring.publish()
    assert ring.renderer.room == 0
    ring.execute()
    assert ring.renderer.room == 0  # the result of the first is still to be taken
    ring.renderer.take_note(ring.renderer.look())
    assert ring.renderer.room == 1


def test_an_error_comes_with_its_command_and_with_no_other(ring: Ring) -> None:
    for number in range(1, 3 * CAPACITY):
        ring.publish()
        ring.gpu.take()
        failed = number % 5 == 0
        ring.gpu.complete(b"!" * (1 + number % ERROR_BYTES) if failed else b"")
        done = ring.renderer.look()
        error = ring.renderer.error_of(done)
        assert error == (b"!" * (1 + number % ERROR_BYTES) if failed else None)
        ring.renderer.take_note(done)


def test_who_is_awake_is_not_rung(ring: Ring) -> None:
    for _ in range(10):
        ring.publish()
        ring.execute()
    assert (ring.gpu_rung, ring.renderer_rung) == (0, 0)


def test_a_sleeping_gpu_process_is_rung_once_per_sleep(ring: Ring) -> None:
    for sleep in range(1, 4):
        ring.gpu.fall_asleep()
        ring.publish()
        ring.publish()
        assert ring.gpu_rung == sleep
        ring.gpu.wake_up()
        ring.execute()
        ring.execute()
        ring.publish()
        ring.execute()
        assert ring.gpu_rung == sleep


def test_a_renderer_is_rung_once_when_what_it_waits_for_is_done(ring: Ring) -> None:
    for _ in range(5):
        ring.publish()
    assert ring.renderer.wake_at(3)
    for number in range(1, 6):
        ring.execute()
        assert ring.renderer_rung == (number >= 3)


def test_what_is_done_already_rings_nobody_and_is_told(ring: Ring) -> None:
    ring.publish()
    ring.execute()
    assert not ring.renderer.wake_at(1)
    assert ring.renderer.wake_at(0)  # nothing is waited for


def test_the_flag_of_the_other_side_is_read_after_a_fence(ring: Ring) -> None:
    """A store and a later load are what x86-64 may exchange: a side that goes to sleep in between must be seen."""

    def gpu_sleeps() -> None:
        ring.gpu.fall_asleep()
        assert ring.gpu.pending()  # the command is visible before the fence

    def renderer_sleeps() -> None:
        assert ring.renderer.peek() == 1
        ring.words[WAKE_AT] = 1

    renderer = RendererEnd(ring.memory, ring._ring_gpu, gpu_sleeps)
    renderer.publish(DISPATCH, 1, NO_TOKEN)
    assert ring.gpu_rung == 1
    gpu = GpuEnd(ring.memory, ring._ring_renderer, renderer_sleeps)
    gpu.take()
    gpu.complete()
    assert ring.renderer_rung == 1


@pytest.mark.parametrize("published", [CAPACITY + 1, 2**63, 2**64 - 1])
def test_a_cursor_that_jumps_ahead_is_refused(ring: Ring, published: int) -> None:
    ring.words[PUBLISHED] = published
    assert ring.gpu.pending()
    with pytest.raises(BadMessage) as raised:
        ring.gpu.available()
    assert raised.value.reason is BadMessageReason.RING_CURSOR


def test_a_cursor_that_goes_back_is_refused(ring: Ring) -> None:
    ring.publish()
    ring.execute()
    ring.words[PUBLISHED] = 0
    with pytest.raises(BadMessage) as raised:
        ring.gpu.available()
    assert raised.value.reason is BadMessageReason.RING_CURSOR


def test_the_gpu_process_reads_nothing_back_that_it_has_written(ring: Ring) -> None:
    for _ in range(3):
        ring.publish()
    ring.execute()
    ring.words[COMPLETED] = 2**64 - 1
    ring.words[ASLEEP] = 77
    ring.memory[RESULTS : RESULTS + 64] = b"\xff" * 64
    ring.execute()
    ring.execute()
    assert ring.words[COMPLETED] == 3
    assert ring.gpu.available() == 0


def test_garbage_for_a_wake_up_rings_at_most_once_per_command(ring: Ring) -> None:
    dice = random.Random(2)
    for _ in range(100):
        ring.publish()
        ring.words[WAKE_AT] = dice.randrange(2**64)
        ring.execute()
        ring.renderer.take_note(ring.renderer.look())
    assert ring.renderer_rung <= 100


@pytest.mark.parametrize("completed", [2, 2**64 - 1])
def test_a_renderer_believes_no_completion_of_what_it_has_not_published(ring: Ring, completed: int) -> None:
    ring.publish()
    ring.words[COMPLETED] = completed
    with pytest.raises(RingError):
        ring.renderer.look()


def test_a_renderer_believes_no_error_that_does_not_fit(ring: Ring) -> None:
    ring.publish()
    ring.execute()
    ring.words[RESULTS // 8] = ERROR_BYTES + 1
    with pytest.raises(RingError):
        ring.renderer.error_of(1)
