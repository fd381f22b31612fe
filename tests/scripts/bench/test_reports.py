"""Reports are complete, one file each, and say what changed beyond noise; whatever text is in them."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.bench import html
from scripts.bench.compare import ReportError, compare, load
from scripts.bench.run import Measurement, Options, Run, interleaved

_HOSTILE = '<script>alert("x")</script>'


def _report(scale: float = 1.0, seed: int = 0) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    run = Run(Options(), lambda _: None)
    for size in (1024, 4096):
        rounds = [scale * size * generator.lognormal(0, 0.05, 50) for _ in range(10)]
        run.measurements.append(Measurement("payload", f"ours {_HOSTILE}", {"bytes": size}, "µs", rounds))
    steady = [generator.lognormal(0, 0.05, 50) for _ in range(10)]
    run.measurements.append(Measurement("round trip", "ours", {}, "µs", steady))
    run.measurements.append(Measurement("throughput", "ours", {}, "calls/s", [samples * scale for samples in steady]))
    run.measurements.append(Measurement("once", "ours", {}, "ms", [np.array([scale])]))
    target: dict[str, Any] = {
        "name": "P1",
        "what": _HOSTILE,
        "parameters": {},
        "value": None,
        "interval": None,
        "gate": 1,
        "aim": 0.5,
    }
    report: dict[str, Any] = run.report(
        targets=[{**target, "verdict": "missed" if scale > 1 else "gate", "why": "", "figures": ""}]
    )
    return report


def test_a_report_is_json_with_quantiles_intervals_and_the_environment() -> None:
    report = json.loads(json.dumps(_report(), allow_nan=False))
    item = report["measurements"][0]
    assert item["p50"] <= item["p90"] <= item["p99"] <= item["p99.9"]
    assert item["p50_interval"][0] <= item["p50"] <= item["p50_interval"][1]
    assert item["count"] == 500
    assert len(item["round_p50"]) == 10
    assert report["environment"]["cores"] >= 1
    assert "numpy" in report["environment"]["packages"]


def test_the_page_needs_nothing_else_and_escapes_every_text() -> None:
    page = html.page(_report())
    assert _HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    plots = [part.partition("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    assert len(plots) == 4
    for plot in plots:
        xml.etree.ElementTree.fromstring(f"<svg{plot}")


def test_a_change_beyond_noise_is_told_and_no_other() -> None:
    found = compare(_report(seed=1), _report(scale=1.3, seed=2))
    verdicts = {change.key: change.verdict for change in found.changes}
    assert verdicts[f"payload: ours {_HOSTILE} (bytes 1024)"] == "worse"
    assert verdicts["round trip: ours"] == "same"
    assert verdicts["throughput: ours"] == "better"  # of calls per second, more are better
    assert verdicts["once: ours"] == "unknown"
    assert found.targets == {"P1": ("gate", "missed")}


def test_a_report_is_not_changed_from_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(_report()))
    found = compare(load(path), load(path))
    assert {change.verdict for change in found.changes} == {"same", "unknown"}
    assert not found.targets
    assert not found.environment


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2, "measurements": []}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"a\.json"):
        load(path)


def test_rounds_are_interleaved_in_an_order_that_rotates() -> None:
    order: list[str] = []

    def source(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        order.append(name)
        return np.ones(1)

    found = interleaved({name: partial(source, name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"  # the first is thrown away
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 3, "b": 3, "c": 3}
