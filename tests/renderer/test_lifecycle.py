"""What is left when something ends: a GPU process, a host, the script itself, by whatever death."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from ipc.processes import python_environment
from renderer import ML, InvalidStateError, MLContext, MLGraph, MLGraphBuilder, MLTypeError, NotSupportedError
from renderer._promises import start

SLOW = 1000  # products of matrices of that size keep the reference busy for seconds


@pytest.fixture
def own_ml() -> Iterator[ML]:
    """A host that the test may harm."""
    with ML(backend="reference") as ml:
        yield ml


def slow_graph(context: MLContext) -> MLGraph:
    builder = MLGraphBuilder(context)
    x = y = builder.input("x", "float32", (SLOW, SLOW))
    for _ in range(100):
        y = builder.matmul(y, x)
    return builder.build({"y": y})


def works(context: MLContext) -> bool:
    with context.create_tensor("float32", (2,), readable=True, writable=True) as tensor:
        context.write_tensor(tensor, np.ones(2, np.float32))
        return context.read_tensor(tensor, timeout=10).tolist() == [1, 1]


def test_a_killed_gpu_process_fails_what_is_pending_within_a_second(own_ml: ML) -> None:
    context = own_ml.create_context()
    bystander = own_ml.create_context()
    graph = slow_graph(context)
    x = context.create_tensor("float32", (SLOW, SLOW), writable=True)
    y = context.create_tensor("float32", (SLOW, SLOW), readable=True)
    context.dispatch(graph, {"x": x}, {"y": y})
    pending = context._read(y, None, copy=True).promise()
    killed = time.monotonic()
    os.kill(context.gpu_process_pid, signal.SIGKILL)
    with pytest.raises(InvalidStateError):
        pending.result(5)
    assert time.monotonic() - killed < 1
    assert "signal 9" in context.lost.result(1).message or "SIGKILL" in context.lost.result(1).message
    assert bystander.lost.result(1) == context.lost.result()
    with pytest.raises(InvalidStateError):
        context.dispatch(graph, {"x": x}, {"y": y})
    with own_ml.create_context(timeout=30) as another:
        assert works(another)


def test_a_context_can_be_made_before_the_loss_is_known(own_ml: ML) -> None:
    with own_ml.create_context() as context:
        os.kill(context.gpu_process_pid, signal.SIGKILL)
        with own_ml.create_context(timeout=30) as another:
            assert works(another)
            assert another.gpu_process_pid != context.gpu_process_pid


def test_an_ml_whose_host_has_died_can_be_destroyed() -> None:
    ml = ML(backend="reference")
    context = ml.create_context()
    assert ml.host_pid is not None
    os.kill(ml.host_pid, signal.SIGKILL)
    assert "host" in context.lost.result(2).message  # the watcher has seen, and reaped, the host by now
    ml._close().result(2)


def test_a_killed_host_is_replaced(own_ml: ML) -> None:
    context = own_ml.create_context()
    first = own_ml.host_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert "host" in context.lost.result(2).message
    with own_ml.create_context(timeout=30) as another:
        assert works(another)
        assert own_ml.host_pid != first


def test_a_pending_read_fails_when_its_tensor_is_destroyed(own_ml: ML) -> None:
    context = own_ml.create_context()
    graph = slow_graph(context)
    x = context.create_tensor("float32", (SLOW, SLOW), writable=True)
    y = context.create_tensor("float32", (SLOW, SLOW), readable=True)
    context.dispatch(graph, {"x": x}, {"y": y})
    pending = context._read(y, None, copy=True).promise()
    y.destroy()
    with pytest.raises(InvalidStateError, match="destroyed"):
        pending.result(0.5)
    os.kill(context.gpu_process_pid, signal.SIGKILL)  # nobody waits for the result


def test_pending_calls_fail_when_the_context_is_destroyed(own_ml: ML) -> None:
    context = own_ml.create_context()
    graph = slow_graph(context)
    x = context.create_tensor("float32", (SLOW, SLOW), writable=True)
    y = context.create_tensor("float32", (SLOW, SLOW), readable=True)
    context.dispatch(graph, {"x": x}, {"y": y})
    read = context._read(y, None, copy=True).promise()
    builder = MLGraphBuilder(context)
    build = start(builder._begin_build({"y": builder.neg(builder.input("x", "float32", (2,)))}))
    context.destroy()
    for pending in (read, build):
        with pytest.raises(InvalidStateError, match="destroyed"):
            pending.result(0.5)
    os.kill(context.gpu_process_pid, signal.SIGKILL)


def test_destroy_leaves_no_process_thread_or_descriptor() -> None:
    def round() -> tuple[int, int]:
        with ML(backend="reference") as ml, ml.create_context() as context:
            assert works(context)
            assert ml.host_pid is not None
            host = psutil.Process(ml.host_pid)
            family = [host, *host.children(recursive=True)]
        assert not _alive(family)
        return threading.active_count(), psutil.Process().num_fds()

    round()  # gRPC keeps what it makes for its first channel
    assert round() == round()


def test_rounds_leave_descriptors_threads_and_memory_where_they_were(ml: ML) -> None:
    ours = psutil.Process()
    with ml.create_context() as context:
        builder = MLGraphBuilder(context)
        with builder.build({"y": builder.neg(builder.input("x", "float32", (64,)))}) as graph:
            theirs = psutil.Process(context.gpu_process_pid)

            def rounds(count: int) -> None:
                for _ in range(count):
                    with (
                        context.create_tensor("float32", (64,), writable=True) as x,
                        context.create_tensor("float32", (64,), readable=True) as y,
                    ):
                        context.write_tensor(x, np.ones(64, np.float32))
                        context.dispatch(graph, {"x": x}, {"y": y})
                        assert context.read_tensor(y)[0] == -1

            rounds(100)
            before = [(each.num_fds(), each.num_threads()) for each in (ours, theirs)]
            memory = [each.memory_info().rss for each in (ours, theirs)]
            rounds(300)
            assert [(each.num_fds(), each.num_threads()) for each in (ours, theirs)] == before
            grown = [each.memory_info().rss - start for each, start in zip((ours, theirs), memory, strict=True)]
            assert max(grown) < 4 << 20


# --- use after fork -----------------------------------------------------------------------------------------------


def test_use_after_fork_is_an_invalid_state_and_harms_nobody(ml: ML) -> None:
    with ml.create_context() as context, context.create_tensor("float32", (2,), readable=True) as tensor:
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tested
            child = os.fork()
        if child == 0:
            raised = []
            for use in (
                lambda: context.read_tensor(tensor),
                lambda: context.create_tensor("float32", (2,)),
                lambda: MLGraphBuilder(context),
                lambda: ml.create_context(),
                tensor.destroy,
                context.destroy,
            ):
                try:
                    use()
                except InvalidStateError:
                    raised.append("InvalidStateError")
                except BaseException as error:
                    raised.append(repr(error))
            os.write(writer, ",".join(raised).encode())
            os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            assert pipe.read().decode() == ",".join(["InvalidStateError"] * 6)
        os.waitpid(child, 0)
        assert works(context)


# --- scripts that end ---------------------------------------------------------------------------------------------

SCRIPT = """
import os, sys, threading
import numpy as np
import psutil
from renderer import ML, MLGraphBuilder

ml = ML(backend="reference")
context = ml.create_context()
family = [process.pid for process in psutil.Process(ml.host_pid).children(recursive=True)]
print(ml.host_pid, *family, flush=True)
"""

ENDS = {
    "end": ("", 0),
    "exception": ("raise SystemError", 1),
    "exit": ("os._exit(3)", 3),
    "thread": ("threading.Thread(target=threading.Event().wait, daemon=True).start()", 0),
    "forked child lives on": ("os.fork() or (os.close(1), os.execvp('sleep', ['sleep', '2']))", 0),
}


@pytest.mark.parametrize(("ending", "status"), ENDS.values(), ids=ENDS)
def test_nothing_is_left_of_a_script_that_ends(ending: str, status: int) -> None:
    with _script(SCRIPT + ending) as script:
        family = _announced(script)
        assert script.wait(20) == status
    assert not _alive(family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_script_that_is_killed_in_a_blocking_call(number: signal.Signals) -> None:
    read = """
tensor = context.create_tensor("float32", (1500, 1500), readable=True)
builder = MLGraphBuilder(context)
x = y = builder.input("x", "float32", (1500, 1500))
for _ in range(200):
    y = builder.matmul(y, x)
graph = builder.build({"y": y})
context.dispatch(graph, {"x": context.create_tensor("float32", (1500, 1500))}, {"y": tensor})
print("reading", flush=True)
context.read_tensor(tensor)
"""
    with _script(SCRIPT + read) as script:
        family = _announced(script)
        assert script.stdout is not None
        assert script.stdout.readline() == "reading\n"
        script.send_signal(number)
        assert script.wait(20) == -number
    assert not _alive(family)


def test_ctrl_c_for_the_whole_terminal_reaches_the_script_only() -> None:
    wait = """
try:
    print("waiting", flush=True)
    context.lost.result()
except KeyboardInterrupt:
    print(context.lost.done(), flush=True)
"""
    with _script(SCRIPT + wait) as script:
        family = _announced(script)
        assert script.stdout is not None
        assert script.stdout.readline() == "waiting\n"
        os.killpg(script.pid, signal.SIGINT)
        assert script.stdout.readline() == "False\n"
        assert script.wait(20) == 0
    assert not _alive(family)


def test_a_forgotten_ml_ends_its_host() -> None:
    ml = ML(backend="reference")
    with ml.create_context():
        pid = ml.host_pid
        assert pid is not None
        host = psutil.Process(pid)
    family = [host, *host.children(recursive=True)]
    owned = [ml]
    del ml
    with pytest.warns(ResourceWarning, match="forgotten: <ML"):
        owned.clear()
    assert not psutil.wait_procs(family, 10)[1]


# --- ways that do not work ----------------------------------------------------------------------------------------


def test_giving_up_leaves_everything_usable(own_ml: ML) -> None:
    with pytest.raises(TimeoutError):
        own_ml.create_context(timeout=0)
    with own_ml.create_context() as context:
        with pytest.raises(TimeoutError):
            context.create_tensor("float32", (2,), timeout=0)
        assert works(context)
    gc.collect()  # what came too late was not forgotten


def test_a_destroyed_ml_makes_no_contexts() -> None:
    ml = ML(backend="reference")
    ml.destroy()
    ml.destroy()
    with pytest.raises(InvalidStateError):
        ml.create_context()


def test_a_host_that_can_not_start_says_why() -> None:
    with (
        ML(backend="reference", preload=("no_such_module",)) as ml,
        pytest.raises(NotSupportedError, match="no_such_module"),
    ):
        ml.create_context()


def test_a_socket_where_nobody_listens_says_what_to_do(tmp_path: Path) -> None:
    with ML(socket=tmp_path / "none") as ml, pytest.raises(NotSupportedError, match="python -m gpu_process --socket"):
        ml.create_context()


def test_options_are_checked_at_once() -> None:
    with pytest.raises(MLTypeError, match="abacus"):
        ML(backend="abacus")
    with pytest.raises(MLTypeError, match="colour"):
        ML(colour="red")
    with pytest.raises(MLTypeError, match="threads"):
        ML(socket="/nowhere", threads=2)


def test_a_renderer_attaches_to_a_host_that_runs(tmp_path: Path) -> None:
    socket = tmp_path / "broker"
    command = [sys.executable, "-P", "-m", "gpu_process", "--socket", str(socket), "--backend", "reference", "--json"]
    environment = python_environment()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
        assert host.stdout is not None
        assert host.stdout.readline()
        with (
            ML(socket=socket) as first,
            ML(socket=socket) as second,
            first.create_context() as one,
            second.create_context() as two,
        ):
            assert works(one)
            assert works(two)
            assert first.host_pid == host.pid
        host.terminate()
        assert host.wait(20) == 0


def _script(text: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(python_environment()),
        start_new_session=True,
    )


def _announced(script: subprocess.Popen[str]) -> list[psutil.Process]:
    assert script.stdout is not None
    pids = [int(pid) for pid in script.stdout.readline().split()]
    assert len(pids) > 1
    family = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):  # the script has ended meanwhile, and its processes with it
            family.append(psutil.Process(pid))
    return family


def _alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return list(psutil.wait_procs(family, 10)[1])
