"""The asyncio twin: the same objects and rules, with promises that can be awaited, and let go of."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

import renderer
from renderer import InvalidStateError, MLTypeError, aio

ONES = np.ones((2, 2), np.float32)


@asynccontextmanager
async def new_context() -> AsyncIterator[aio.MLContext]:
    async with aio.ML(backend="reference") as ml:
        with await ml.create_context() as context:
            yield context


async def negation(context: aio.MLContext) -> aio.MLGraph:
    builder = aio.MLGraphBuilder(context)
    return await builder.build({"y": builder.neg(builder.input("x", "float32", (2, 2)))})


def run(work: Callable[[aio.MLContext], Awaitable[None]]) -> None:
    async def main() -> None:
        async with new_context() as context:
            await work(context)

    asyncio.run(main())


def test_the_whole_path() -> None:
    async def work(context: aio.MLContext) -> None:
        with (
            await negation(context) as graph,
            await context.create_tensor("float32", (2, 2), writable=True) as x,
            await context.create_tensor("float32", (2, 2), readable=True) as y,
            await context.create_constant_tensor("float32", (2, 2), ONES) as constant,
        ):
            assert constant.constant
            context.write_tensor(x, ONES)
            context.dispatch(graph, {"x": x}, {"y": y})
            assert (await context.read_tensor(y)).tolist() == (-ONES).tolist()
            out = np.empty((2, 2), np.float32)
            assert await context.read_tensor(y, out=out) is None
            assert out.tolist() == (-ONES).tolist()
            assert (await context.compute(graph, {"x": ONES * 2}))["y"].tolist() == (ONES * -2).tolist()

    run(work)


def test_many_reads_are_under_way_at_once() -> None:
    async def work(context: aio.MLContext) -> None:
        with await context.create_tensor("float32", (2, 2), readable=True, writable=True) as tensor:
            reads = []
            for value in range(20):
                context.write_tensor(tensor, ONES * np.float32(value))
                reads.append(asyncio.create_task(context.read_tensor(tensor)))
                await asyncio.sleep(0)  # the task begins: its read is issued before the next write
            results = await asyncio.gather(*reads)
            assert [result[0, 0] for result in results] == list(range(20))

    run(work)


def test_cancelling_a_read_leaves_the_tensor_usable() -> None:
    async def work(context: aio.MLContext) -> None:
        with await context.create_tensor("float32", (2, 2), readable=True, writable=True) as tensor:
            context.write_tensor(tensor, ONES)
            task = asyncio.create_task(context.read_tensor(tensor))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await context.read_tensor(tensor)).tolist() == ONES.tolist()

    run(work)


def test_a_tensor_that_nobody_awaits_any_more_is_destroyed() -> None:
    async def work(context: aio.MLContext) -> None:
        task = asyncio.create_task(context.create_tensor("float32", (2, 2)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with await context.create_tensor("float32", (2, 2), readable=True) as later:
            await context.read_tensor(later)
        gc.collect()  # a ResourceWarning would be an error here
        assert not list(context._tensors)

    run(work)


def test_errors_are_those_of_the_blocking_api() -> None:
    async def work(context: aio.MLContext) -> None:
        builder = aio.MLGraphBuilder(context)
        x = builder.input("x", "float32", (2, 2))
        with pytest.raises(MLTypeError, match="no outputs"):
            await builder.build({})
        with pytest.raises(MLTypeError, match="dimension 0"):
            await context.create_tensor("float32", (0,))
        with await builder.build({"y": builder.neg(x)}), pytest.raises(InvalidStateError, match="already"):
            await builder.build({"y": x})

    run(work)


def test_lost_can_be_awaited_by_many_and_cancelled_by_one() -> None:
    async def work(context: aio.MLContext) -> None:
        async def until_lost() -> renderer.LostInfo:
            return await context.lost

        first, second = asyncio.create_task(until_lost()), asyncio.create_task(until_lost())
        await asyncio.sleep(0)
        first.cancel()
        assert not context.lost.done()
        context.destroy()
        assert "destroyed" in (await second).message
        assert "destroyed" in (await asyncio.wait_for(context.lost, 5)).message
        with pytest.raises(InvalidStateError):
            await context.create_tensor("float32", (2,))

    run(work)


def test_an_event_loop_that_ends_early_does_not_disturb() -> None:
    async def main() -> tuple[aio.ML, aio.MLContext]:
        ml = aio.ML(backend="reference")
        context = await ml.create_context()
        task = asyncio.create_task(asyncio.wait_for(context.lost, 60))
        await asyncio.sleep(0)
        assert not task.done()
        return ml, context

    ml, context = asyncio.run(main())
    ml.destroy()
    asyncio.run(ml.wait_destroyed())
    assert context.lost.done()


def test_no_threads_but_those_of_the_core() -> None:
    names: set[str] = set()

    async def work(context: aio.MLContext) -> None:
        with await context.create_tensor("float32", (2,), readable=True) as tensor:
            await context.read_tensor(tensor)
            names.update(thread.name for thread in threading.enumerate())

    run(work)
    assert not [name for name in names if name.startswith(("asyncio", "ThreadPool"))]


def _public(face: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(face) if not name.startswith("_")}


@pytest.mark.parametrize("name", ["ML", "MLContext", "MLGraphBuilder"])
def test_the_twins_have_the_same_members(name: str) -> None:
    blocking, asynchronous = _public(getattr(renderer, name)), _public(getattr(aio, name))
    assert asynchronous.keys() - blocking.keys() <= {"wait_destroyed"}
    assert not blocking.keys() - asynchronous.keys()
    for method, member in blocking.items():
        if not inspect.isfunction(member):
            continue
        ours = inspect.signature(member).parameters
        theirs = inspect.signature(asynchronous[method]).parameters
        assert [key for key in ours if key != "timeout"] == list(theirs), method
        assert ("timeout" in ours) == inspect.iscoroutinefunction(asynchronous[method]), method


def test_more_tasks_than_the_gpu_process_takes_at_once_wait_for_their_turn() -> None:
    async def work(context: aio.MLContext) -> None:
        tensors = await asyncio.gather(*(context.create_tensor("float32", (4,)) for _ in range(100)))
        graphs = await asyncio.gather(*(negation(context) for _ in range(20)))
        for made in (*tensors, *graphs):
            made.destroy()

    run(work)
