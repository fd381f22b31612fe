"""Limits and accounts."""

from __future__ import annotations

import threading
from dataclasses import fields

import pytest

from gpu_process.quotas import Account, Quotas, check
from ipc.errors import QuotaExceededError


def test_every_quota_is_an_option() -> None:
    for entry in fields(Quotas):
        assert getattr(Quotas.of({entry.name: 3}), entry.name) == 3
        assert getattr(Quotas.of({entry.name: 0}), entry.name) == 0


def test_calls_at_once_are_those_of_all_sessions_and_never_more_than_their_stacks_allow() -> None:
    few = Quotas(sessions=2, contexts=3, calls=4, builds=5, ends=6)
    assert few.calls_at_once == 36
    assert Quotas(sessions=1 << 20).calls_at_once == 768


@pytest.mark.parametrize(
    ("limits", "message"), [({"tensor": 1}, "no such quota: tensor"), ({"tensors": -1}, "negative")]
)
def test_a_wrong_quota_is_named(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Quotas.of(limits)


def test_a_limit_can_be_reached_and_not_exceeded() -> None:
    check("operations", 5, 5)
    with pytest.raises(QuotaExceededError, match="quota operations: 6 exceed the limit of 5") as raised:
        check("operations", 6, 5)
    assert raised.value.rule == "quota.operations"


def test_what_does_not_fit_is_not_charged() -> None:
    account = Account("tensor_bytes", 10)
    account.charge(7)
    with pytest.raises(QuotaExceededError, match="quota tensor_bytes"):
        account.charge(4)
    account.charge(3)
    account.credit(10)
    assert account.used == 0


def test_an_account_is_right_under_threads() -> None:
    account = Account("calls", 10**9)

    def work() -> None:
        for _ in range(2000):
            account.charge(2)
            account.credit(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert account.used == 8000
