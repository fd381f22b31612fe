"""Promises: settled once, run in order, waited for from any thread."""

from __future__ import annotations

import threading

import pytest

from renderer._promises import Promise, start, wait


def test_a_coroutine_runs_at_once_up_to_its_first_unsettled_promise() -> None:
    done: list[str] = []
    gate: Promise[int] = Promise()

    async def work() -> int:
        done.append("before")
        value = await gate
        done.append("after")
        return value + 1

    outcome = start(work())
    assert done == ["before"]
    assert not outcome.done()
    gate.resolve(1)
    assert done == ["before", "after"]
    assert outcome.result() == 2


def test_a_coroutine_goes_on_in_the_thread_that_settles_its_promise() -> None:
    gate: Promise[None] = Promise()

    async def work() -> int:
        await gate
        return threading.get_ident()

    outcome = start(work())
    thread = threading.Thread(target=gate.resolve, args=(None,))
    thread.start()
    thread.join()
    assert outcome.result(0) == thread.ident


def test_only_the_first_settles() -> None:
    promise: Promise[int] = Promise()
    assert promise.resolve(1)
    assert not promise.resolve(2)
    assert not promise.reject(ValueError())
    assert promise.result() == 1


def test_a_promise_can_not_be_cancelled() -> None:
    promise: Promise[int] = Promise()
    assert not promise.cancel()
    assert promise.resolve(1)


def test_an_exception_reaches_whoever_waits() -> None:
    gate: Promise[int] = Promise()

    async def work() -> int:
        return await gate

    outcome = start(work())
    gate.reject(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        wait(outcome, None)


def test_what_comes_after_giving_up_is_discarded() -> None:
    promise: Promise[str] = Promise()
    discarded: list[str] = []
    with pytest.raises(TimeoutError):
        wait(promise, 0, discarded.append)
    promise.resolve("late")
    assert discarded == ["late"]


def test_what_comes_in_time_is_not_discarded() -> None:
    promise: Promise[str] = Promise()
    promise.resolve("here")
    discarded: list[str] = []
    assert wait(promise, 0, discarded.append) == "here"
    assert not discarded
