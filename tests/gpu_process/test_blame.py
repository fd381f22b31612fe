"""Who crashes a GPU process is charged, and nobody is on suspicion."""

from __future__ import annotations

from gpu_process.blame import Charge, Clues, Identity, charge
from gpu_process.running_note import Note, Work

ATTACKER, BYSTANDER = Identity(100, 1), Identity(200, 2)
RENDERERS = {1: ATTACKER, 2: ATTACKER, 3: BYSTANDER}


def at_work(*sessions: int) -> list[Note]:
    """Notes of threads 10 + session, which Python names 1000 + session."""
    return [Note(session, Work.COMMANDS, 1.0, 10 + session, 1000 + session) for session in sessions]


def test_a_thread_that_crashed_tells_for_whom() -> None:
    found = charge(at_work(1, 3), RENDERERS, Clues(crashed=1001))
    assert found == Charge(ATTACKER, frozenset({1}))


def test_a_thread_that_works_for_nobody_is_charged_to_nobody() -> None:
    assert charge(at_work(1), RENDERERS, Clues(crashed=1099)) is None


def test_a_thread_that_made_a_forbidden_call_tells_for_whom() -> None:
    assert charge(at_work(1, 3), RENDERERS, Clues(violator=13)) == Charge(BYSTANDER, frozenset({3}))


def test_what_took_too_long_tells_for_whom() -> None:
    (note,) = at_work(3)
    assert charge(at_work(1, 3), RENDERERS, Clues(overdue=note)) == Charge(BYSTANDER, frozenset({3}))


def test_a_thread_of_a_librarys_works_for_the_only_one_at_work() -> None:
    for clues in (Clues(), Clues(violator=99)):
        assert charge(at_work(3), RENDERERS, clues) == Charge(BYSTANDER, frozenset({3}))
        assert charge(at_work(1, 2), RENDERERS, clues) == Charge(ATTACKER, frozenset({1, 2}))


def test_where_several_renderers_are_at_work_none_of_them_is_charged() -> None:
    for clues in (Clues(), Clues(violator=99)):
        assert charge(at_work(1, 3), RENDERERS, clues) is None


def test_where_nobody_is_at_work_nobody_is_charged() -> None:
    assert charge([], RENDERERS, Clues()) is None


def test_sessions_that_the_process_never_had_are_not_charged_and_clear_nobody() -> None:
    """It may have been taken over, and notes what it likes: the worst of it is that nobody is charged."""
    (forged,) = at_work(9)
    assert charge(at_work(9), RENDERERS, Clues()) is None
    assert charge(at_work(1, 9), RENDERERS, Clues()) is None
    assert charge(at_work(1), RENDERERS, Clues(overdue=forged)) is None
