"""The timeline from one end to the other, by every carrier: a real service, a real socket, the renderers' client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from ipc.descriptors import DataType, Descriptor
from ipc.errors import InvalidStateError, OperationError
from ipc.timeline import ClientTensor, TimelineClient
from ipc.timeline.limits import CHUNK_BYTES, MAX_BINDINGS
from tests.gpu_process.backends_for_tests import FailingBackend, GatedBackend
from tests.service_rig import FLOAT, SECONDS, RawContext, Rig, as_floats, increment, running, unary


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(tmp_path_factory.mktemp("gpu")) as rig:
        yield rig


@pytest.fixture(params=["inline", "stream", "ring"])
def context(rig: Rig, request: pytest.FixtureRequest) -> Iterator[RawContext]:
    renderer = rig.renderer()
    yield renderer.context(request.param)
    renderer.close()


@pytest.fixture
def timeline(context: RawContext) -> Iterator[TimelineClient]:
    client = context.connect()
    yield client
    client.fail(InvalidStateError("the test is over"))


def _floats(*values: float) -> memoryview:
    return memoryview(np.resize(np.array(values, np.float32), FLOAT.shape).copy()).cast("B")


def _read(timeline: TimelineClient, tensor: ClientTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return as_floats(timeline.read(tensor).result(SECONDS))


def _ones(context: RawContext) -> bytes:
    return context.renderer.offer(np.ones(FLOAT.shape, np.float32).tobytes())


def test_what_is_written_is_read(context: RawContext, timeline: TimelineClient) -> None:
    tensor = context.tensor()
    timeline.write(tensor, _floats(1, 2, 3))
    assert _read(timeline, tensor).tolist() == [[1, 2, 3], [1, 2, 3]]


def test_a_new_tensor_is_zero_also_where_another_one_was(context: RawContext, timeline: TimelineClient) -> None:
    for _ in range(3):
        tensor = context.tensor()
        assert not _read(timeline, tensor).any()
        timeline.write(tensor, _floats(7))
        assert _read(timeline, tensor).all()
        timeline.destroy_tensor(tensor)


def test_what_was_read_stays_when_its_tensor_is_destroyed_and_another_takes_the_place(
    context: RawContext, timeline: TimelineClient
) -> None:
    for turn in range(1, 6):
        tensor = context.tensor()
        timeline.write(tensor, _floats(turn))
        read = timeline.read(tensor)
        timeline.destroy_tensor(tensor)
        others = [context.tensor() for _ in range(3)]
        assert as_floats(read.result(SECONDS)).tolist() == [[turn] * 3] * 2
        for other in others:
            timeline.destroy_tensor(other)


def test_dispatches_and_reads_happen_in_the_order_of_the_calls(context: RawContext, timeline: TimelineClient) -> None:
    graph = context.build(increment(_ones(context)))
    ping, pong = context.tensor(), context.tensor()
    reads = []
    for turn in range(200):
        source, target = (ping, pong) if turn % 2 == 0 else (pong, ping)
        timeline.dispatch(graph, {"x": source}, {"y": target})
        reads.append(timeline.read(target))
    assert [float(as_floats(read.result(SECONDS))[0, 0]) for read in reads] == list(range(1, 201))


def test_a_write_is_not_seen_by_a_dispatch_issued_before_it(context: RawContext, timeline: TimelineClient) -> None:
    graph = context.build(unary("identity"))
    source, target = context.tensor(), context.tensor()
    reads = []
    for value in range(100):
        timeline.write(source, _floats(value))
        timeline.dispatch(graph, {"x": source}, {"y": target})
        reads.append(timeline.read(target))
    assert [float(as_floats(read.result(SECONDS))[1, 2]) for read in reads] == list(range(100))


def test_write_copies_at_the_call(context: RawContext, timeline: TimelineClient) -> None:
    tensor = context.tensor()
    data = np.ones(FLOAT.shape, np.float32)
    for _ in range(2):  # straight in, and behind a command in flight
        timeline.write(tensor, memoryview(data).cast("B"))
        read = timeline.read(tensor)
        data += 1
        assert as_floats(read.result(SECONDS))[0, 0] == data[0, 0] - 1


def test_a_read_fills_the_given_buffer(context: RawContext, timeline: TimelineClient) -> None:
    tensor = context.tensor()
    timeline.write(tensor, _floats(5))
    target = bytearray(FLOAT.byte_length)
    timeline.read(tensor, memoryview(target)).result(SECONDS)
    assert as_floats(target).tolist() == [[5] * 3] * 2


def test_a_tensor_larger_than_a_message_travels(context: RawContext, timeline: TimelineClient) -> None:
    descriptor = Descriptor(DataType.UINT8, (4 * CHUNK_BYTES + 5,))
    tensor = context.tensor(descriptor)
    data = np.random.default_rng(1).integers(0, 256, descriptor.byte_length, np.uint8)
    timeline.write(tensor, memoryview(data))
    np.testing.assert_array_equal(np.frombuffer(timeline.read(tensor).result(SECONDS), np.uint8), data)


@pytest.mark.parametrize("size", [6, 20_000, 600_000, CHUNK_BYTES + 1])
def test_a_read_has_nothing_of_what_was_written_after_it(
    context: RawContext, timeline: TimelineClient, size: int
) -> None:
    tensor = context.tensor(Descriptor(DataType.UINT8, (size,)))
    reads = []
    for value in range(1, 6):  # faster than they are executed: several in a batch
        timeline.write(tensor, memoryview(np.full(size, value, np.uint8)))
        reads.append(timeline.read(tensor))
    found = [np.unique(np.frombuffer(read.result(SECONDS), np.uint8)).tolist() for read in reads]
    assert found == [[value] for value in range(1, 6)]


def test_a_read_can_be_cancelled_and_the_tensor_stays_usable(context: RawContext, timeline: TimelineClient) -> None:
    tensor = context.tensor()
    timeline.write(tensor, _floats(3))
    cancelled = timeline.read(tensor)
    if cancelled.cancel():
        with pytest.raises(CancelledError):
            cancelled.result(SECONDS)
    assert _read(timeline, tensor)[0, 0] == 3


def test_reads_call_back(context: RawContext, timeline: TimelineClient) -> None:
    called = threading.Event()
    timeline.read(context.tensor()).add_done_callback(lambda _: called.set())
    assert called.wait(SECONDS)


def test_a_destroyed_object_ends_its_bindings_only(context: RawContext, timeline: TimelineClient) -> None:
    graph = context.build(increment(_ones(context)))
    source, kept, destroyed = context.tensor(), context.tensor(), context.tensor()
    timeline.dispatch(graph, {"x": source}, {"y": destroyed})
    timeline.dispatch(graph, {"x": source}, {"y": kept})
    timeline.destroy_tensor(destroyed)
    timeline.dispatch(graph, {"x": source}, {"y": kept})
    timeline.destroy_graph(graph)
    assert _read(timeline, kept).all()


def test_more_bindings_than_there_are_numbers_work(context: RawContext, timeline: TimelineClient) -> None:
    graph = context.build(increment(_ones(context)))
    ones = [context.tensor() for _ in range(33)]
    assert len(ones) * (len(ones) - 1) > MAX_BINDINGS
    for source in ones:
        for target in ones:
            if source is not target:
                timeline.dispatch(graph, {"x": source}, {"y": target})
    final = context.tensor()
    timeline.dispatch(graph, {"x": ones[0]}, {"y": final})
    assert _read(timeline, final)[0, 0] == _read(timeline, ones[0])[0, 0] + 1


def test_several_threads_may_issue(context: RawContext, timeline: TimelineClient) -> None:
    tensors = [context.tensor() for _ in range(4)]
    wrong: list[int] = []

    def work(index: int) -> None:
        for turn in range(50):
            timeline.write(tensors[index], _floats(index + turn * 10))
            if _read(timeline, tensors[index])[0, 0] != index + turn * 10:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


def test_a_graph_is_built_after_the_commands_that_were_issued_before(
    context: RawContext, timeline: TimelineClient
) -> None:
    tensor = context.tensor()
    for _ in range(10):
        timeline.write(tensor, _floats(1))
    assert context.build(unary("relu"), after=timeline.sequence)


@pytest.mark.parametrize("carrier", ["inline", "stream", "ring"])
def test_a_failed_dispatch_poisons_its_outputs_until_they_are_written(tmp_path: Path, carrier: str) -> None:
    with running(tmp_path, FailingBackend()) as rig:
        context = rig.renderer().context(carrier)
        timeline = context.connect()
        graph = context.build(unary("relu", label="broken"))
        source, target, last = context.tensor(), context.tensor(), context.tensor()
        timeline.dispatch(graph, {"x": source}, {"y": target})
        timeline.dispatch(graph, {"x": target}, {"y": last})  # what depends on it fails with it
        for tensor in (target, last):
            with pytest.raises(OperationError, match=r"relu \[broken\]"):
                timeline.read(tensor).result(SECONDS)
        timeline.write(target, _floats(4))
        assert _read(timeline, target)[0, 0] == 4
        timeline.fail(InvalidStateError("the test is over"))


@pytest.mark.parametrize("carrier", ["inline", "stream", "ring"])
def test_fail_fails_what_is_pending_and_what_comes(tmp_path: Path, carrier: str) -> None:
    backend = GatedBackend()
    with running(tmp_path, backend) as rig:
        context = rig.renderer().context(carrier)
        timeline = context.connect()
        graph = context.build(unary("relu"))
        source, target = context.tensor(), context.tensor()
        timeline.dispatch(graph, {"x": source}, {"y": target})
        assert backend.entered.wait(SECONDS)
        pending = timeline.read(target)
        timeline.fail(InvalidStateError("lost: a reason"))
        with pytest.raises(InvalidStateError, match="lost: a reason"):
            pending.result(SECONDS)
        with pytest.raises(InvalidStateError, match="lost: a reason"):
            timeline.write(source, _floats(1))
        backend.open.set()


def test_the_end_of_the_service_is_told_once_and_nothing_blocks(tmp_path: Path) -> None:
    backend = GatedBackend()
    told = threading.Event()
    with running(tmp_path, backend) as rig:
        context = rig.renderer().context()
        timeline = context.connect()
        graph = context.build(unary("relu"))
        target = context.tensor()
        timeline.dispatch(graph, {"x": context.tensor()}, {"y": target})
        assert backend.entered.wait(SECONDS)
        pending = timeline.read(target)
        pending.add_done_callback(lambda _: told.set())
        rig.service.end_session(context.renderer.number)
        backend.open.set()
        assert rig.reports.of(context.renderer.number) == ("", "")
        reason = context.broken.get(timeout=SECONDS)
        assert not pending.done()
        timeline.fail(InvalidStateError(reason))
        assert told.wait(SECONDS)
        with pytest.raises(InvalidStateError):
            pending.result(SECONDS)
        assert context.broken.empty()
