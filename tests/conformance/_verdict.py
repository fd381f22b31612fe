"""One vector on one backend, judged against what is expected of the two."""

from __future__ import annotations

from ipc.operators import REGISTRY
from tests.conformance._expectations import Expectations
from tests.conformance._runner import Context, NotListedError, run
from tests.conformance._vectors import Tolerance, Vector


def judge(context: Context, vector: Vector, expected: Expectations, tolerance: Tolerance | None = None) -> str:
    """What became of the vector: "passed", "not listed" or "failed as expected".

    Raises:
        AssertionError: it failed, it was refused without leave, or it passes although its failure is expected.
    """
    reason = expected.failures.get(vector.id)
    try:
        problems = run(context, vector, tolerance)
    except NotListedError as refusal:
        _check_refusal(refusal, expected)
        return "not listed"
    if reason is None:
        assert not problems, "\n".join(problems)
        return "passed"
    assert problems, f"passes, although expected_failures.toml says: {reason}"
    return "failed as expected"


def _check_refusal(refusal: NotListedError, expected: Expectations) -> None:
    operator = REGISTRY[refusal.operator]
    slot = {**operator.slots, **operator.outputs}.get(refusal.slot)
    assert slot is not None, f"not a refusal of a data type: {refusal}"
    assert refusal.data_type is not None, f"not a refusal of a data type: {refusal}"
    assert refusal.data_type not in slot.required, f"the specification requires it: {refusal}"
    unlisted = expected.unlisted.get((refusal.operator, refusal.slot), frozenset())
    assert refusal.data_type in unlisted, f"not in expected_failures.toml: {refusal}"
