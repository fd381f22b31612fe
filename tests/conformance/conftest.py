"""The contexts that vectors run in, and a table of the results by backend and operator at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from gpu_process.backends import BackendOptions, load_backend
from tests.conformance._in_process import BackendContext

OUTCOME = "conformance"
"""The property under which a test records (backend, operators, what became of it)."""

_contexts: dict[str, BackendContext] = {}


@pytest.fixture
def context(backend: str) -> BackendContext:
    """The backend that the test is parametrized with, loaded once for all tests."""
    if backend not in _contexts:
        _contexts[backend] = BackendContext(load_backend(backend, BackendOptions()))
    return _contexts[backend]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tables: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for backend, operators, outcome in _outcomes(terminalreporter):
        for operator in operators:
            tables[backend][operator][outcome] += 1
    for backend, table in tables.items():
        total = sum(table.values(), Counter[str]())
        terminalreporter.section(f"conformance of {backend}: {_counted(total)} (by operator and vector)")
        whole = [operator for operator, counts in table.items() if set(counts) == {"passed"}]
        terminalreporter.write_line(f"{len(whole)} operators pass all their vectors")
        for operator, counts in sorted(table.items()):
            if operator not in whole:
                terminalreporter.write_line(f"  {operator:<24} {_counted(counts)}")


def _outcomes(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, list[str], str]]:
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, ()):
            recorded = dict(report.user_properties).get(OUTCOME)
            if recorded is not None:
                backend, operators, what = recorded
                yield backend, operators, outcome if outcome == "failed" else what


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
