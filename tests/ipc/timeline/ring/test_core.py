"""What a renderer publishes now and what later, with the GPU process played by the test: no threads, no clock."""

from __future__ import annotations

from ipc.errors import InvalidStateError, OperationError
from ipc.timeline import ClientTensor
from ipc.timeline.ring import GpuEnd, RendererEnd
from ipc.timeline.ring.commands import DESTROY_TENSOR, DISPATCH, MOVE, READ, WRITE, Command
from ipc.timeline.ring.core import PendingRead, RingCore
from ipc.timeline.ring.layout import CAPACITY, RING_BYTES

GRAPH = bytes(15) + b"g"


class Play:
    """A core and the other end of its ring."""

    def __init__(self) -> None:
        memory = memoryview(bytearray(RING_BYTES))
        self.gpu = GpuEnd(memory, lambda: None, lambda: None)
        self.core = RingCore(
            RendererEnd(memory, lambda: None, lambda: None), lambda data: OperationError(data.decode())
        )
        self._tensors = 0

    def tensor(self, *, spare: bool = False) -> ClientTensor:
        self._tensors += 1
        slots = [memoryview(bytearray(4)) for _ in range(2 if spare else 1)]
        return ClientTensor(self._tensors.to_bytes(16, "little"), 4, *slots)

    def taken(self) -> list[Command]:
        """The commands that are published now; they are not done."""
        return [self.gpu.take() for _ in range(self.gpu.available())]

    def execute(self, error: bytes = b"") -> Command:
        assert self.gpu.available(), "nothing is published"
        command = self.gpu.take()
        self.gpu.complete(error)
        return command

    def dispatch(self, inputs: ClientTensor, outputs: ClientTensor, *, known: bool = True) -> None:
        binding = self.core.bind(GRAPH, {"x": inputs}, {"y": outputs})
        self.core.dispatch(binding)
        if known:
            self.core.known(self.core.unknown(10))

    def read(self, tensor: ClientTensor, *, view: bool = False) -> PendingRead:
        read = PendingRead(tensor, None, view)
        self.core.read(tensor, read)
        return read


def kinds(commands: list[Command]) -> list[int]:
    return [kind for kind, _, _ in commands]


def test_a_write_goes_straight_in_where_nothing_is_in_flight() -> None:
    play = Play()
    tensor = play.tensor()
    for content in (b"aaaa", b"bbbb"):
        play.core.write(tensor, memoryview(content))
        assert tensor.place.memory == content
        assert play.execute() == (WRITE, 0, tensor.token)


def test_a_write_that_meets_work_in_flight_moves_into_the_spare_slot() -> None:
    play = Play()
    source, target = play.tensor(spare=True), play.tensor()
    first = source.place
    play.core.write(source, memoryview(b"aaaa"))
    play.dispatch(source, target)
    play.core.write(source, memoryview(b"bbbb"))
    assert first.memory == b"aaaa"
    assert source.place.memory == b"bbbb"
    assert [play.execute() for _ in range(3)] == [
        (WRITE, 0, source.token),
        (DISPATCH, 1, bytes(16)),
        (WRITE, 1, source.token),
    ]


def test_a_write_without_a_free_slot_is_staged_until_there_is_one() -> None:
    play = Play()
    source, target = play.tensor(spare=True), play.tensor()
    play.dispatch(source, target)
    for content in (b"bbbb", b"cccc"):
        play.core.write(source, memoryview(content))
        play.dispatch(source, target)
    assert source.place.memory == b"bbbb"  # what the second dispatch will see
    assert len(play.core.waiting) == 2
    for _ in range(3):
        play.execute()
    play.core.advance()
    assert source.place.memory == b"cccc"
    assert kinds(play.taken()) == [WRITE, DISPATCH]


def test_what_a_read_has_not_fetched_is_not_overwritten() -> None:
    play = Play()
    source, target = play.tensor(), play.tensor()
    play.dispatch(source, target)
    read = play.read(target)
    play.dispatch(source, target)
    target.place.memory[:] = b"1111"  # the first dispatch
    assert play.execute()[0] == DISPATCH
    assert play.execute()[0] == READ
    assert not play.gpu.available()  # the second one waits until the bytes are fetched
    play.core.advance()
    assert read.settled
    assert read.data == b"1111"
    assert play.execute()[0] == DISPATCH


def test_a_tensor_is_not_destroyed_before_its_reads_are_fetched() -> None:
    play = Play()
    tensor = play.tensor(spare=True)
    play.core.write(tensor, memoryview(b"1111"))
    read = play.read(tensor)
    play.core.destroy_tensor(tensor)
    assert [play.execute()[0] for _ in range(2)] == [WRITE, READ]
    assert not play.gpu.available()
    play.core.advance()
    assert read.data == b"1111"
    assert play.execute() == (DESTROY_TENSOR, 0, tensor.token)


def test_outputs_move_away_from_what_a_read_has_not_fetched() -> None:
    play = Play()
    source, target = play.tensor(), play.tensor(spare=True)
    play.dispatch(source, target)
    first = target.place
    read = play.read(target)
    play.dispatch(source, target)
    assert target.place is not first
    commands = [play.execute() for _ in range(4)]
    assert kinds(commands) == [DISPATCH, READ, MOVE, DISPATCH]
    assert commands[2] == (MOVE, 1, target.token)
    first.memory[:] = b"1111"
    target.place.memory[:] = b"2222"
    play.core.advance()
    assert read.data == b"1111"


def test_a_view_shows_the_slot_itself() -> None:
    play = Play()
    tensor = play.tensor()
    read = play.read(tensor, view=True)
    play.execute()
    play.core.advance()
    tensor.place.memory[:] = b"1234"
    assert read.data == b"1234"
    assert read.data is not None
    assert read.data.readonly


def test_all_that_follows_an_unknown_binding_waits_behind_it() -> None:
    play = Play()
    source, target = play.tensor(), play.tensor()
    play.dispatch(source, target, known=False)
    play.core.destroy_tensor(source)
    read = play.read(target)
    assert play.gpu.available() == 0
    bindings = play.core.unknown(10)
    assert [binding.graph for binding in bindings] == [GRAPH]
    play.core.known(bindings)
    assert kinds(play.taken()) == [DISPATCH, DESTROY_TENSOR, READ]
    assert read.sequence == play.core.sequence == 3


def test_a_number_is_given_to_another_binding_only_when_no_command_uses_it() -> None:
    play = Play()
    source, target, other = play.tensor(), play.tensor(), play.tensor()
    play.dispatch(source, target)
    play.core.destroy_tensor(target)
    play.dispatch(source, other, known=False)
    assert play.core.unknown(10) == []
    assert play.core.interest() == 1
    play.execute()
    play.core.advance()
    (binding,) = play.core.unknown(10)
    assert binding.number == 1


def test_a_full_ring_makes_commands_wait_and_none_is_lost() -> None:
    play = Play()
    tensor = play.tensor()
    reads = [play.read(tensor) for _ in range(3 * CAPACITY)]
    assert play.gpu.available() == CAPACITY
    assert play.core.interest() == 1
    while not all(read.settled for read in reads):
        play.execute()
        play.core.advance()
    assert not play.core.waiting
    assert [read.sequence for read in reads] == list(range(1, 3 * CAPACITY + 1))


def test_a_failed_read_has_its_error_and_the_next_one_has_none() -> None:
    play = Play()
    tensor = play.tensor()
    failed, fine = play.read(tensor), play.read(tensor)
    play.execute(b"relu [broken]")
    play.execute()
    play.core.advance()
    assert isinstance(failed.error, OperationError)
    assert str(failed.error) == "relu [broken]"
    assert fine.error is None


def test_the_end_fails_every_read_and_forgets_what_waits() -> None:
    play = Play()
    tensor = play.tensor()
    reads = [play.read(tensor) for _ in range(CAPACITY + 5)]
    play.core.fail(InvalidStateError("over"))
    assert all(read.settled and isinstance(read.error, InvalidStateError) for read in reads)
    assert not play.core.waiting
    assert play.core.interest() == 0
