"""Tensors with two places, of which the newer one counts."""

from __future__ import annotations

import gc
import os

import numpy as np

from gpu_process.pools import SlotPool
from gpu_process.tensors import ConstantTensor, Tensor
from ipc.channel import new_token
from ipc.descriptors import DataType, Descriptor
from ipc.errors import OperationError

VECTOR = Descriptor(DataType.FLOAT32, (4,))


def _shared() -> Tensor:
    pool = SlotPool(lambda token, fd, size: None)
    slot = pool.allocate(VECTOR.byte_length, renderer_may_write=True)
    return Tensor(new_token(), VECTOR, readable=True, writable=True, slots=[slot])


def _slot_of(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return tensor.slots[0].memory.view(np.float32)


def test_without_sharing_there_is_one_place() -> None:
    tensor = Tensor(new_token(), VECTOR, readable=True, writable=True)
    assert tensor.array(in_place=True) is tensor.array(in_place=False)
    assert not tensor.content().any()


def test_where_nothing_is_shared_a_graph_reads_what_was_written_wherever_it_may_run() -> None:
    tensor = Tensor(new_token(), VECTOR, readable=True, writable=True)
    tensor.write(memoryview(np.full(4, 7, np.float32)).cast("B"), 0)
    for in_place in (True, False):
        tensor.make_current(in_place)
        assert tensor.array(in_place).tolist() == [7] * 4
        assert not tensor.reads_slot(in_place)


def test_a_slot_is_read_where_it_is_newer_or_used_itself() -> None:
    tensor = _shared()
    assert tensor.reads_slot(in_place=True)
    assert tensor.reads_slot(in_place=False)
    tensor.make_current(in_place=False)  # both are current
    assert tensor.reads_slot(in_place=True)
    assert not tensor.reads_slot(in_place=False)
    tensor.made_by_graph(in_place=False)
    assert not tensor.reads_slot(in_place=True)
    assert not tensor.reads_slot(in_place=False)


def test_a_private_array_is_aligned() -> None:
    for _ in range(20):
        assert _shared().array(in_place=False).ctypes.data % 64 == 0


def test_a_graph_on_private_memory_sees_what_was_written() -> None:
    tensor = _shared()
    _slot_of(tensor)[:] = 5
    tensor.written_in_slot(0)
    tensor.make_current(in_place=False)
    assert tensor.array(in_place=False).tolist() == [5] * 4


def test_the_content_is_what_was_written_last_wherever_that_was() -> None:
    tensor = _shared()
    tensor.write(memoryview(np.full(4, 7, np.float32)).cast("B"), 0)
    assert tensor.content().view(np.float32).tolist() == [7] * 4
    _slot_of(tensor)[:] = 5
    tensor.written_in_slot(0)
    assert tensor.content().view(np.float32).tolist() == [5] * 4


def test_a_graph_on_private_memory_does_not_see_the_slot_change_later() -> None:
    tensor = _shared()
    tensor.written_in_slot(0)
    tensor.make_current(in_place=False)
    _slot_of(tensor)[:] = 9
    tensor.make_current(in_place=False)
    assert not tensor.array(in_place=False).any()


def test_what_a_graph_made_privately_reaches_the_slot_when_it_is_read_only() -> None:
    tensor = _shared()
    tensor.array(in_place=False)[:] = 3
    tensor.made_by_graph(in_place=False)
    assert not _slot_of(tensor).any()
    tensor.make_current(in_place=True)
    assert _slot_of(tensor).tolist() == [3] * 4


def test_what_a_graph_made_in_place_is_read_by_one_that_must_not() -> None:
    tensor = _shared()
    tensor.array(in_place=True)[:] = 8
    tensor.made_by_graph(in_place=True)
    tensor.make_current(in_place=False)
    assert tensor.array(in_place=False).tolist() == [8] * 4


def test_arrays_stay_the_same_for_good() -> None:
    tensor = _shared()
    shared, private = tensor.array(in_place=True), tensor.array(in_place=False)
    tensor.written_in_slot(0)
    tensor.make_current(in_place=False)
    tensor.made_by_graph(in_place=True)
    assert tensor.array(in_place=True) is shared
    assert tensor.array(in_place=False) is private


def test_writing_ends_a_failure() -> None:
    tensor = _shared()
    tensor.failure = OperationError("it failed")
    tensor.written_in_slot(0)
    assert tensor.failure is None


def test_packed_tensors_are_bytes() -> None:
    packed = Descriptor(DataType.INT4, (3,))
    tensor = Tensor(new_token(), packed, readable=True, writable=True)
    tensor.write(memoryview(b"\x21\x03"), 0)
    assert tensor.content().tobytes() == b"\x21\x03"


def test_a_constant_is_a_copy_that_nobody_can_write_and_is_credited_when_its_last_user_goes() -> None:
    freed: list[bool] = []
    source = np.frombuffer(np.ones(4, np.float32).tobytes(), np.uint8).copy()
    constant = ConstantTensor(new_token(), VECTOR, source, lambda: freed.append(True))
    source[:] = 0
    used_by_a_graph = constant.array
    assert used_by_a_graph.tolist() == [1] * 4
    assert not used_by_a_graph.flags.writeable
    del constant
    gc.collect()
    assert not freed
    del used_by_a_graph
    gc.collect()
    assert freed


def test_new_shared_tensors_keep_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    tensors = [_shared() for _ in range(10)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(tensors) == 10
