"""The loop is fair, keeps time, and takes signals like everything else."""

from __future__ import annotations

import os
import signal
from functools import partial

from gpu_process.event_loop import EventLoop


def test_timers_come_in_their_order_unless_cancelled() -> None:
    loop, came = EventLoop(), list[str]()
    loop.call_later(0.02, lambda: came.append("later"))
    loop.call_later(0.02, loop.stop)
    loop.call_later(0.01, lambda: came.append("sooner"))
    loop.call_later(0.0, lambda: came.append("never")).cancel()
    loop.run()
    assert came == ["sooner", "later"]
    loop.close()


def test_a_source_that_is_always_readable_does_not_keep_the_others_waiting() -> None:
    loop, came = EventLoop(), list[bytes]()
    noisy, quiet = os.pipe(), os.pipe()
    os.write(noisy[1], b"x" * 1000)
    loop.watch(noisy[0], lambda: came.append(os.read(noisy[0], 1)))
    loop.watch(quiet[0], lambda: came.append(os.read(quiet[0], 1)))
    os.write(quiet[1], b"!")
    loop.run_once()
    assert sorted(came) == [b"!", b"x"]
    loop.close()
    for descriptor in (*noisy, *quiet):
        os.close(descriptor)


def test_what_a_callback_forgets_is_not_called_in_the_same_turn() -> None:
    loop, came = EventLoop(), list[int]()
    pipes = [os.pipe(), os.pipe()]

    def forget_both(name: int) -> None:
        came.append(name)
        for reader, _ in pipes:
            loop.forget(reader)

    for name, (reader, writer) in enumerate(pipes):
        os.write(writer, b"!")
        loop.watch(reader, partial(forget_both, name))
    loop.run_once(0)
    assert len(came) == 1
    loop.close()
    for pipe in pipes:
        for descriptor in pipe:
            os.close(descriptor)


def test_a_signal_waits_for_its_turn() -> None:
    loop, came = EventLoop(), list[str]()
    before = signal.getsignal(signal.SIGUSR1)
    loop.watch_signals({signal.SIGUSR1: lambda: came.append("signal")})
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not came
        loop.run_once()
        assert came == ["signal"]
    finally:
        loop.close()
        signal.signal(signal.SIGUSR1, before)
