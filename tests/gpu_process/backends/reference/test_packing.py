"""Four-bit elements: every value and every tail."""

from __future__ import annotations

import numpy as np
import pytest

from gpu_process.backends.reference._packing import pack, unpack
from ipc.descriptors import DataType, Descriptor


@pytest.mark.parametrize("data_type", [DataType.INT4, DataType.UINT4])
@pytest.mark.parametrize("shape", [(), (1,), (16,), (3, 5), (2, 1, 3)])
def test_packing_and_unpacking_are_inverse(data_type: DataType, shape: tuple[int, ...]) -> None:
    descriptor = Descriptor(data_type, shape)
    low, high = data_type.range
    values = (np.arange(descriptor.element_count) % (high - low + 1) + low).astype(np.int8).reshape(shape)
    stored = pack(values, descriptor)
    assert stored.shape == descriptor.storage_shape
    assert unpack(stored, descriptor).tolist() == values.tolist()


def test_the_first_element_is_the_low_nibble_and_an_odd_tail_is_zero() -> None:
    descriptor = Descriptor(DataType.INT4, (3,))
    assert pack(np.array([1, -1, -8], np.int8), descriptor).tolist() == [0xF1, 0x08]


def test_other_types_pass_through() -> None:
    values = np.arange(3, dtype=np.int32)
    descriptor = Descriptor(DataType.INT32, (3,))
    assert pack(values, descriptor) is values
    assert unpack(values, descriptor) is values
