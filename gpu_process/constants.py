"""Regions of constants that a session has handed over: checked, charged, mapped, kept as long as a graph needs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from gpu_process.quotas import Account
from gpu_process.tensors import Array, ConstantTensor
from ipc.descriptors import Descriptor
from ipc.errors import QuotaExceededError
from ipc.graph import ConstantSource, Graph, OperandId
from ipc.shared_memory import Region, check_constants, map_constants
from ipc.verdicts import BadMessage
from ipc.verdicts import BadMessageReason as Reason

_REMEMBERED_REFUSALS = 1024


class ConstantRegions:
    """The regions of one session by token.

    A region that exceeds a quota is remembered as refused: there is nobody to reply to when it comes, so whoever names
    it later gets the error.
    """

    def __init__(self, memory: Account, count: Account) -> None:
        self._memory = memory
        self._count = count
        self._regions: dict[bytes, Region] = {}
        self._refused: dict[bytes, QuotaExceededError] = {}

    def offered(self, token: bytes, fd: int, size: int) -> None:
        """Take a region; closes the descriptor.

        Raises:
            BadMessage: it is not sealed as it must be, has another size or holes, or its token is in use.
        """
        try:
            if token in self._regions or token in self._refused:
                raise BadMessage(Reason.DUPLICATE_REGION, "region_offered.token")
            held = check_constants(fd, size)
            try:
                self._regions[token] = self._map(fd, size, held)
            except QuotaExceededError as error:
                if len(self._refused) >= _REMEMBERED_REFUSALS:
                    raise BadMessage(Reason.REGION_FLOOD, "region_offered") from error
                self._refused[token] = error
        finally:
            os.close(fd)

    def _map(self, fd: int, size: int, held: int) -> Region:
        self._count.charge(1)
        try:
            self._memory.charge(held)
            try:
                region = map_constants(fd, size)
            except MemoryError as error:
                self._memory.credit(held)
                raise QuotaExceededError(f"a region of {size} bytes can't be mapped") from error
            except BaseException:
                self._memory.credit(held)
                raise
        except BaseException:
            self._count.credit(1)
            raise
        region.when_unmapped(partial(self._memory.credit, held))
        region.when_unmapped(partial(self._count.credit, 1))
        return region

    def withdrawn(self, token: bytes) -> None:
        """The renderer names it no more; graphs that use it keep it alive.

        Raises:
            BadMessage: there is no such region.
        """
        if self._regions.pop(token, None) is None and self._refused.pop(token, None) is None:
            raise BadMessage(Reason.UNKNOWN_REGION, "region_withdrawn.token")

    def get(self, token: bytes) -> Region | None:
        """The region of that name, or None.

        Raises:
            QuotaExceededError: it was refused.
        """
        if token in self._refused:
            raise self._refused[token]
        return self._regions.get(token)

    def clear(self) -> None:
        """Forget all; memory goes with its last graph."""
        self._regions.clear()
        self._refused.clear()

    def __contains__(self, token: bytes) -> bool:
        return token in self._regions or token in self._refused


def constant_arrays(
    graph: Graph, regions: Mapping[bytes, Region], tensors: Mapping[bytes, ConstantTensor]
) -> dict[OperandId, Array]:
    """Read-only arrays of a validated graph's constants, in place where they are."""
    return {
        operand: _constant_array(graph.operands[operand], source, regions, tensors)
        for operand, source in graph.constants.items()
    }


def _constant_array(
    descriptor: Descriptor,
    source: ConstantSource,
    regions: Mapping[bytes, Region],
    tensors: Mapping[bytes, ConstantTensor],
) -> Array:
    if source.is_tensor:
        return tensors[source.token].array
    region = regions[source.token]
    return region.array(source.offset, descriptor.data_type.storage, descriptor.storage_shape)
