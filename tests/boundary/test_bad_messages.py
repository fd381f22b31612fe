"""Every check of the boundary, by exactly the message that breaks it, from a stranger over the real wire.

The verdict is the same three times: the session's socket names reason and field, the call ends as a failed precondition
that names the reason, and the host is told. After it the secret is worth nothing, and everybody else goes on.
"""

from __future__ import annotations

import grpc
import pytest

from ipc.generated.webnn.v1 import timeline_pb2
from ipc.verdicts import BadMessageReason
from tests.boundary import cases_calls, cases_commands, cases_graphs, cases_packets, cases_ring
from tests.boundary.hostile_client import (
    Failure,
    HostileRenderer,
    Session,
    context_request,
    descriptor,
    dispatch,
    write,
)
from tests.boundary.stage import Case, Stage
from tests.boundary.target import Target

CASES = [*cases_packets.CASES, *cases_calls.CASES, *cases_graphs.CASES, *cases_commands.CASES, *cases_ring.CASES]

# The reason that has a test of its own, since it comes before there is a session.
OWN_TESTS = {BadMessageReason.PROTOCOL_VERSION}


def assert_closed(renderer: HostileRenderer, session: Session, reason: BadMessageReason, field: str) -> None:
    """That everyone who must know knows, and that nothing of the session is left."""
    assert session.closed() == (reason.value, field)
    assert renderer.told(session.number) == f"bad message: {reason.value} at {field}"
    refused = session.call("CreateContext", context_request())
    assert isinstance(refused, Failure)
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED


def test_every_reason_has_a_message() -> None:
    assert set(BadMessageReason) - {case.reason for case in CASES} == OWN_TESTS


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_what_the_cases_break_is_accepted_when_whole(renderer: HostileRenderer) -> None:
    stage = Stage(renderer.open())
    assert stage.session.graph(stage.context, stage.right_graph())
    stage.runs()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_message_that_cannot_be_ends_its_session_alone(target: Target, renderer: HostileRenderer, case: Case) -> None:
    bystander = Stage(renderer.open())
    bystander.relu  # noqa: B018 - made before the attack
    session = renderer.open()
    answer = case.send(Stage(session))
    if answer is not None:
        assert answer == Failure(grpc.StatusCode.FAILED_PRECONDITION, case.reason.value)
    assert_closed(renderer, session, case.reason, case.field)
    bystander.runs()


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_another_protocol_version_is_refused(renderer: HostileRenderer, version: int) -> None:
    session = renderer.open(greets=False)
    session.say(hello={"protocol_version": version})
    assert_closed(renderer, session, BadMessageReason.PROTOCOL_VERSION, "hello.protocol_version")


@pytest.mark.parametrize("message", ["region_offered", "region_withdrawn"])
def test_nothing_is_taken_before_the_greeting(renderer: HostileRenderer, message: str) -> None:
    session = renderer.open(greets=False)
    if message == "region_offered":
        session.region(bytes(64))
    else:
        session.say(region_withdrawn={"token": bytes(16)})
    assert_closed(renderer, session, BadMessageReason.UNEXPECTED_MESSAGE, message)


def test_sessions_that_end_badly_leave_nothing_behind(target: Target) -> None:
    """Two hundred of them, each with objects of every kind."""

    def attack(sessions: int) -> None:
        renderer = target.renderer()
        for number in range(sessions):
            stage = Stage(renderer.open())
            stage.timeline.results(stage.timeline.commands(*_uses_everything(stage)))
            case = CASES[number * 7 % len(CASES)]
            case.send(Stage(stage.session))
            assert stage.session.closed() == (case.reason.value, case.field), case
            stage.session.close()
        renderer.close()
        target.assert_footprint(lambda _: not target.sessions(), "sessions are left")

    attack(20)  # what is made on first use stays
    before = target.footprint()
    attack(200)
    target.assert_footprint(
        lambda now: (
            now.descriptors <= before.descriptors
            # One of the last may be garbage that Python has not looked for yet.
            and now.shared_mappings <= before.shared_mappings + 1
            and now.threads <= before.threads + 4
        ),
        f"before {before}",
    )
    # Two hundred times a megabyte of tensors and a region of four would be a gigabyte; small objects wait for Python.
    assert target.footprint().resident < before.resident + (64 << 20)


def _uses_everything(stage: Stage) -> list[timeline_pb2.Command]:
    stage.session.graph(stage.context, stage.right_graph())
    stage.session.tensor(stage.context, descriptor=descriptor(1 << 18))
    return [write(stage.tensor), dispatch(stage.relu, [("x", stage.tensor)], [("y", stage.other_tensor)])]
