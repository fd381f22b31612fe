"""The broker's socket appears when told to, replaces only the dead, and serves only its own user."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from gpu_process.broker import Broker, BrokerError, remove_if_dead


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(str(path))
    return sock


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(path))


def test_the_socket_appears_when_published_and_goes_with_the_broker(tmp_path: Path) -> None:
    path = tmp_path / "s"
    broker = Broker(path)
    assert not path.exists()
    broker.publish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with connect(path):
        peer = broker.accept()
        assert peer is not None
        assert peer.pid == os.getpid()
        peer.sock.close()
    assert broker.accept() is None
    broker.close()
    assert not list(tmp_path.iterdir())


def test_a_live_socket_is_refused_before_and_at_publication(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first, second = Broker(path), Broker(path)
    first.publish()
    with pytest.raises(BrokerError, match="another host listens") as caught:
        second.publish()
    assert caught.value.in_use
    with pytest.raises(BrokerError, match="another host listens"):
        Broker(path)
    second.close()
    connect(path).close()
    first.close()
    assert not list(tmp_path.iterdir())


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    dead_socket(path)
    broker = Broker(path)
    broker.publish()
    connect(path).close()
    broker.close()
    assert not path.exists()


def test_of_hosts_that_start_at_once_exactly_one_gets_the_path(tmp_path: Path) -> None:
    path = tmp_path / "s"
    dead_socket(path)
    brokers = [Broker(path) for _ in range(8)]
    refused: list[Broker] = []

    def publish(broker: Broker) -> None:
        try:
            broker.publish()
        except BrokerError:
            refused.append(broker)

    threads = [threading.Thread(target=publish, args=(broker,)) for broker in brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    for broker in refused:
        broker.close()
    connect(path).close()
    next(broker for broker in brokers if broker not in refused).close()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_a_socket_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(BrokerError, match="is no socket"):
        Broker(tmp_path / "file")
    with pytest.raises(BrokerError, match="no directory"):
        Broker(tmp_path / "missing" / "s")
    with pytest.raises(BrokerError, match="longer than"):
        Broker(tmp_path / ("x" * 100))
    remove_if_dead(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can connect as somebody else")
def test_another_users_process_is_turned_away_even_if_it_gets_to_the_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(tmp_path / "s")
    broker.publish()
    directory = os.open(tmp_path, os.O_PATH)
    os.chmod(tmp_path / "s", 0o666)
    child = os.fork()
    if child == 0:
        os.chmod(tmp_path, 0o711)
        os.fchdir(directory)
        os.setresuid(65534, 65534, 65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect("s")
            os._exit(0 if sock.recv(1) == b"" else 1)
    while broker.accept() is None and not caplog.records:
        pass
    assert "belongs to user 65534" in caplog.text
    assert os.waitpid(child, 0)[1] == 0
    os.close(directory)
    broker.close()
