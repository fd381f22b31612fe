"""What may work on a renderer's memory is what the probe's tables bear out, for the versions that were probed."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from gpu_process.backends import BackendOptions, load_backend, prepare_import
from gpu_process.backends._probed import in_place_note, probed_versions
from ipc.operators import REGISTRY
from scripts.cli import doctor
from scripts.probe import findings
from scripts.probe.table import Table, path

prepare_import()

BACKENDS = ("onnxruntime", "openvino")
_TABLES = [
    Table.loads(path(backend, version).read_text())
    for backend in BACKENDS
    for version in sorted(probed_versions(backend))
]


def _of(backend: str) -> list[Table]:
    return [table for table in _TABLES if table.backend == backend]


@pytest.mark.parametrize("table", _TABLES, ids=lambda table: f"{table.backend} {table.version}")
def test_a_table_has_every_operand_type_of_every_operator_of_its_backend(table: Table) -> None:
    limits = load_backend(table.backend, BackendOptions()).support_limits().operators
    probed = {(row.operator, row.slot, kind) for row in table.rows for kind in row.types}
    assert {operator for operator, _, _ in probed} == set(REGISTRY) & limits.keys()
    required = {
        (name, slot.name, kind.value)
        for name in limits
        for slot in REGISTRY[name].slots.values()
        if slot.presence != "optional"
        for kind in limits[name][slot.name].data_types
    }
    assert required - probed == set()
    assert Table.loads(table.dumps()) == table


@pytest.mark.parametrize("table", _TABLES, ids=lambda table: f"{table.backend} {table.version}")
def test_no_guarded_operand_ended_a_process_or_showed_foreign_memory(table: Table) -> None:
    harmful = [
        (row.operator, row.slot, position, verdict)
        for row in table.rows
        for position, verdict in row.guarded.items()
        if verdict not in ("right", "wrong")
    ]
    assert harmful == []


@pytest.mark.parametrize("table", _of("onnxruntime"), ids=lambda table: table.version)
def test_kernels_of_onnxruntime_that_may_share_memory_were_found_plain(table: Table) -> None:
    from gpu_process.backends.onnxruntime._plain_kernels import PLAIN_FOR_FLOATS, PLAIN_KERNELS

    plain = findings.plain_kernels(table)
    seen = {kernel for row in table.rows for kernel in row.kernels}
    for kernel in sorted(PLAIN_KERNELS):
        found = {each for each in seen if each.partition(":")[0] == kernel}
        if kernel in PLAIN_FOR_FLOATS:
            found = {each for each in found if each.partition(":")[2] in ("float", "float16", "double")}
        assert found - plain == set(), f"{kernel} is listed, and the table has something against it"


@pytest.mark.parametrize("table", _of("openvino"), ids=lambda table: table.version)
def test_operators_of_openvino_that_may_share_memory_were_found_plain(table: Table) -> None:
    from gpu_process.backends.openvino._sharing import PLAIN_VALUES

    assert {operator.name for operator in PLAIN_VALUES} - findings.plain_operators(table) == set()


@pytest.mark.parametrize("table", _TABLES, ids=lambda table: f"{table.backend} {table.version}")
def test_a_table_knows_what_must_not_share_memory(table: Table) -> None:
    """Were the probe blind, everything would be plain."""
    assert "gather_nd" not in findings.plain_operators(table)
    if table.backend == "onnxruntime":
        plain = findings.plain_kernels(table)
        assert {"Gather:float", "GatherND:float", "ScatterElements:float", "Div:int32", "Div:int64"} & plain == set()


def test_the_installed_versions_were_probed() -> None:
    for backend in BACKENDS:
        version = load_backend(backend, BackendOptions()).version
        assert version in probed_versions(backend)
        assert version == importlib.metadata.version(backend), "what `webnn-sim doctor` looks at"


def test_another_version_shares_nothing_and_says_so() -> None:
    assert "was not probed" in in_place_note("onnxruntime", "1.99.0")
    assert "private" in in_place_note("openvino", "1999.1.0")
    assert "stay in shared memory" in in_place_note("onnxruntime", "1.32.0")
    assert in_place_note("reference", "1.0") == ""


def test_doctor_passes_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_versions", lambda: {"onnxruntime": "1.99.0"})
    assert [finding.detail for finding in doctor._notes("onnxruntime", "")] == [in_place_note("onnxruntime", "1.99.0")]


def test_tables_are_where_the_package_takes_them_along() -> None:
    root = Path(__file__).resolve().parents[3]
    assert '"backends/*/probed/*.json"' in (root / "pyproject.toml").read_text()
