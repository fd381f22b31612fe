"""Tensors: what they hold, where it is, and which of two places is up to date.

A tensor that the renderer reads or writes through shared memory has a slot there. Whatever a graph must not see
changing under it is in a private array; the two are brought in line when one is used while the other is newer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_process.pools import Slot
from ipc.descriptors import Descriptor
from ipc.errors import OperationError
from ipc.shared_memory import ALIGNMENT, Bytes

Array = npt.NDArray[Any]


def private_zeros(descriptor: Descriptor) -> Array:
    """A zeroed array in memory of this process alone, aligned as backends want it.

    Raises:
        MemoryError: there is no room for it.
    """
    raw = np.zeros(descriptor.byte_length + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return _as_array(raw[start : start + descriptor.byte_length], descriptor)


def _as_array(memory: Bytes, descriptor: Descriptor) -> Array:
    return memory.view(descriptor.data_type.storage).reshape(descriptor.storage_shape)


def as_bytes(array: Array) -> Bytes:
    """The bytes of a dense array, without a copy."""
    return array.reshape(-1).view(np.uint8)


class Tensor:
    """Memory that graphs read and write.

    Attributes:
        token: its name in the session.
        slots: shared memory, the places that it can be in; none where it is private.
        place: index of the slot that it is in.
        failure: why its content is not there: the dispatch that should have made it failed.
        bindings: ids of the bindings that it is part of.
    """

    __slots__ = (
        "_private",
        "_private_is_current",
        "_shared",
        "_shared_is_current",
        "_views",
        "bindings",
        "descriptor",
        "failure",
        "place",
        "readable",
        "slots",
        "token",
        "writable",
    )

    def __init__(
        self, token: bytes, descriptor: Descriptor, *, readable: bool, writable: bool, slots: Sequence[Slot] = ()
    ) -> None:
        """Without slots, the private memory is taken at once.

        Raises:
            MemoryError: there is no room for it.
        """
        self.token = token
        self.descriptor = descriptor
        self.readable = readable
        self.writable = writable
        self.slots = tuple(slots)
        self.place = 0
        self.failure: OperationError | None = None
        self.bindings: set[int] = set()
        self._views = [_as_array(slot.memory, descriptor) for slot in slots]
        self._shared = self._views[0] if slots else None
        self._private = None if slots else private_zeros(descriptor)
        self._shared_is_current = self._shared is not None
        self._private_is_current = self._private is not None

    def array(self, in_place: bool) -> Array:
        """The array to bind: the shared one if that is allowed and there is one. It stays the same in each place."""
        if in_place and self._shared is not None:
            return self._shared
        if self._private is None:
            self._private = private_zeros(self.descriptor)
        return self._private

    def reads_slot(self, in_place: bool) -> bool:
        """Whether a command that uses `array(in_place)` sees what the renderer has left in the slot."""
        return self._shared_is_current and (in_place or not self._private_is_current)

    def make_current(self, in_place: bool) -> None:
        """Bring the array that `array(in_place)` returns up to date, before it is read."""
        if in_place and self._shared is not None:
            if not self._shared_is_current:
                self._shared[...] = self._private
                self._shared_is_current = True
        elif not self._private_is_current:
            self.array(in_place=False)[...] = self._shared
            self._private_is_current = True

    def made_by_graph(self, in_place: bool) -> None:
        """A graph has written what `array(in_place)` returns; the other array is out of date."""
        self.failure = None
        shared = in_place and self._shared is not None
        self._shared_is_current = shared
        self._private_is_current = not shared

    @property
    def is_current_in_slot(self) -> bool:
        """Whether reading its slot needs no copy before."""
        return self._shared_is_current

    @property
    def is_shared(self) -> bool:
        """Whether it has slots."""
        return self._shared is not None

    def written_in_slot(self, place: int) -> None:
        """The renderer has written a slot, which is where the tensor is from here on."""
        self.failure = None
        self.move(place)

    def move(self, place: int) -> None:
        """What the slot `place` holds is its content from here on."""
        self.place = place
        self._shared = self._views[place]
        self._shared_is_current = True
        self._private_is_current = False

    def write(self, data: memoryview, offset: int) -> None:
        """Copy bytes that came in a message to `offset`; the caller has checked that they fit."""
        self.failure = None
        as_bytes(self.array(in_place=False))[offset : offset + data.nbytes] = np.frombuffer(data, np.uint8)
        self._private_is_current = True
        self._shared_is_current = False

    def content(self) -> Bytes:
        """The private bytes, up to date."""
        self.make_current(in_place=False)
        return as_bytes(self.array(in_place=False))


class ConstantTensor:
    """Data that never change, private to this process; graphs share them.

    Attributes:
        array: read-only.
    """

    __slots__ = ("array", "descriptor", "token")

    def __init__(self, token: bytes, descriptor: Descriptor, data: Bytes, when_freed: Callable[[], object]) -> None:
        """Copies `data`.

        Args:
            when_freed: called once nobody uses the memory any more, which may be long after the tensor is destroyed.

        Raises:
            MemoryError: there is no room for it.
        """
        self.token = token
        self.descriptor = descriptor
        raw = np.empty(descriptor.byte_length + ALIGNMENT, np.uint8)
        weakref.finalize(raw, when_freed).atexit = False
        start = -raw.ctypes.data % ALIGNMENT
        raw[start : start + descriptor.byte_length] = data
        self.array = _as_array(raw[start : start + descriptor.byte_length], descriptor)
        self.array.flags.writeable = False
