"""Targets of coverage-guided engines take any bytes; the messages that they begin with are taken."""

from __future__ import annotations

from random import Random

import pytest

from ipc.verdicts import BadMessage, BadMessageReason
from scripts.fuzz import targets
from scripts.fuzz.targets import TARGETS, FoundError, seeds


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_any_bytes(name: str) -> None:
    random = Random(name)
    count = 30 if name == "validators" else 400
    for _ in range(count):
        TARGETS[name](random.randbytes(random.randrange(80)))
    for data in seeds(name, 40):
        TARGETS[name](data)


def test_a_seed_of_a_graph_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BadMessage(BadMessageReason.MALFORMED, "reached")

    reached = []
    monkeypatch.setattr(targets, "validate_graph", lambda *_: reached.append(True))
    for data in seeds("graph", 20):
        targets.graph(data)
    assert len(reached) == 20


def test_a_codec_that_changes_a_graph_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = targets.encode_graph

    def wrong(graph: object) -> object:
        message = right(graph)  # type: ignore[arg-type]
        message.operations[0].label = "changed"
        return message

    (data,) = seeds("graph", 1)
    monkeypatch.setattr(targets, "encode_graph", wrong)
    with pytest.raises(FoundError):
        targets.graph(data)
