"""Regions of constants are charged while anybody can see them, and not a byte or a moment longer."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from gpu_process.constants import ConstantRegions
from gpu_process.quotas import Account
from ipc.errors import QuotaExceededError
from ipc.shared_memory import PAGE, seal_constants
from ipc.verdicts import BadMessage

ONE, TWO, THREE = b"1" * 16, b"2" * 16, b"3" * 16


class Session:
    def __init__(self, memory: int = 1 << 20, count: int = 10) -> None:
        self.memory = Account("constant_bytes", memory)
        self.count = Account("regions", count)
        self.regions = ConstantRegions(self.memory, self.count)

    def offer(self, token: bytes, pages: int = 1) -> None:
        self.regions.offered(token, seal_constants([bytes(pages * PAGE)], "test"), pages * PAGE)

    @property
    def charged(self) -> tuple[int, int]:
        gc.collect()
        return self.memory.used // PAGE, self.count.used


def test_a_region_is_charged_until_it_is_withdrawn_and_nobody_shows_it() -> None:
    session = Session()
    session.offer(ONE, 2)
    session.offer(TWO)
    assert session.charged == (3, 2)
    region = session.regions.get(ONE)
    session.regions.withdrawn(ONE)
    assert session.regions.get(ONE) is None
    assert session.charged == (3, 2), "a graph may use it"
    del region
    assert session.charged == (1, 1)


def test_all_are_forgotten_at_the_end() -> None:
    session = Session(count=1)
    session.offer(ONE)
    session.offer(TWO)
    assert ONE in session.regions
    assert TWO in session.regions
    session.regions.clear()
    assert ONE not in session.regions
    assert TWO not in session.regions
    assert session.charged == (0, 0)
    assert session.regions.get(TWO) is None


@pytest.mark.parametrize("limits", [{"memory": PAGE}, {"count": 1}])
def test_one_too_many_is_refused_and_charged_to_nobody(limits: dict[str, int]) -> None:
    session = Session(**limits)
    session.offer(ONE)
    session.offer(TWO)
    assert session.charged == (1, 1)
    assert TWO in session.regions, "it is known, as one that was refused"
    for _ in range(2):
        with pytest.raises(QuotaExceededError):
            session.regions.get(TWO)
    session.regions.withdrawn(TWO)
    assert session.regions.get(TWO) is None
    session.regions.withdrawn(ONE)
    session.offer(THREE)
    assert session.regions.get(THREE) is not None


def test_a_refused_token_is_taken() -> None:
    session = Session(count=0)
    session.offer(ONE)
    with pytest.raises(BadMessage, match="duplicate_region"):
        session.offer(ONE)


def test_what_was_never_offered_cannot_be_withdrawn() -> None:
    with pytest.raises(BadMessage, match="unknown_region"):
        Session().regions.withdrawn(ONE)


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError(1, "no")])
def test_what_cannot_be_mapped_is_charged_to_nobody(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> Any:
        raise error

    session = Session()
    monkeypatch.setattr("gpu_process.constants.map_constants", fail)
    if isinstance(error, MemoryError):
        session.offer(ONE)
        with pytest.raises(QuotaExceededError, match="can't be mapped"):
            session.regions.get(ONE)
    else:
        with pytest.raises(OSError, match="no"):
            session.offer(ONE)
    assert session.charged == (0, 0)


def test_refusals_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_process.constants._REMEMBERED_REFUSALS", 2)
    session = Session(count=0)
    session.offer(ONE)
    session.offer(TWO)
    with pytest.raises(BadMessage, match="region_flood"):
        session.offer(THREE)


def test_the_descriptor_is_closed_in_any_case() -> None:
    session = Session(count=1)
    before = len(os.listdir("/proc/self/fd"))
    session.offer(ONE)
    session.offer(TWO)
    with pytest.raises(BadMessage):
        session.offer(ONE)
    assert len(os.listdir("/proc/self/fd")) == before
