"""Quotas: a build is never over."""

from __future__ import annotations

from typing import Any

from gpu_process.quotas import Account

_original = Account.credit


def _credit(self: Any, amount: int) -> None:
    if self._name != "builds":
        _original(self, amount)


Account.credit = _credit
