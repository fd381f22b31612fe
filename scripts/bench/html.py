"""A report as one HTML file that needs nothing else: tables, and plots as inline SVG. All text is escaped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4b5563")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1f2937 }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .15rem .7rem; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums } tr:nth-child(even) { background: #f3f4f6 }
th { border-bottom: 1px solid #9ca3af; font-weight: 600 } h2 { margin-top: 2.5rem } svg { max-width: 100% }
.aim { color: #047857 } .gate { color: #1d4ed8 } .missed { color: #b91c1c; font-weight: 600 } .run { color: #6b7280 }
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 300, 70, 40


def page(report: Mapping[str, Any]) -> str:
    """The whole document."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for item in report["measurements"]:
        groups.setdefault(str(item["group"]), []).append(item)
    sections = [
        f"<h2>{escape(name)}</h2>{_plot(items)}{_measurements(items)}" for name, items in groups.items()
    ]  # fmt: skip
    targets = f"<h2>Targets</h2>{_targets(report['targets'])}" if report.get("targets") else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>webnn-sim bench</title>'
        f"<style>{_STYLE}</style><h1>webnn-sim bench</h1>{_facts(report)}{targets}{''.join(sections)}</html>\n"
    )


def _facts(report: Mapping[str, Any]) -> str:
    rows = [(name, _text(value)) for part in ("environment", "options") for name, value in report[part].items()]
    return _table((), rows)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(
        f"<th>{title}" for title in ("", "what", "", "value", "95 % interval", "gate", "aim", "verdict", "")
    )  # fmt: skip
    rows = []
    for target in targets:
        interval = "" if target["interval"] is None else " to ".join(_number(end) for end in target["interval"])
        verdict = str(target["verdict"]).rpartition(" ")[2]
        cells = [
            _cell(target["name"]),
            _cell(target["what"]),
            _cell(_text(target["parameters"])),
            _cell(_number(target["value"]), "n"),
            _cell(interval, "n"),
            _cell(_number(target["gate"]), "n"),
            _cell(_number(target["aim"]), "n"),
            _cell(target["verdict"], verdict),
            _cell(target["why"] or target["figures"]),
        ]
        rows.append(f"<tr>{''.join(cells)}")
    return f"<table><tr>{head}{''.join(rows)}</table>"


def _measurements(items: Iterable[Mapping[str, Any]]) -> str:
    columns = ("p50", "p90", "p99", "p99.9")
    rows = [
        (
            str(item["name"]),
            _text(item["parameters"]),
            str(item["unit"]),
            *(_number(item[column]) for column in columns),
            " to ".join(_number(end) for end in item["p50_interval"]),
            str(item["count"]),
        )
        for item in items
    ]
    return _table(("", "", "unit", *columns, "95 % interval of p50", "samples"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = f"<tr>{''.join(f'<th>{escape(title)}' for title in head)}" if head else ""
    body = "".join(f"<tr>{''.join(_cell(text, 'n' if _is_number(text) else '') for text in row)}" for row in rows)
    return f"<table>{titles}{body}</table>"


def _cell(text: Any, kind: str = "") -> str:
    return f'<td class="{escape(kind)}">{escape(str(text))}' if kind else f"<td>{escape(str(text))}"


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace("e", "").replace("+", "").replace("-", "").isdigit()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


# --- Plots ------------------------------------------------------------------------------------------------------------


def _plot(items: Sequence[Mapping[str, Any]]) -> str:
    """Lines where something numeric varies, bars where it doesn't."""
    varying = _varying(items)
    return _bars(items) if varying is None else _lines(items, varying)


def _varying(items: Sequence[Mapping[str, Any]]) -> str | None:
    for name in items[0]["parameters"]:
        values = {item["parameters"].get(name) for item in items}
        if len(values) > 1 and all(isinstance(value, int | float) and value > 0 for value in values):
            return str(name)
    return None


def _lines(items: Sequence[Mapping[str, Any]], parameter: str) -> str:
    """p50 with its interval over a parameter, both logarithmic; a line per name."""
    xs = [item["parameters"][parameter] for item in items]
    ys = [end for item in items for end in item["p50_interval"] if end > 0]
    if not ys:
        return ""
    x_axis, y_axis = _Axis(xs, _LEFT, _WIDTH - 130), _Axis(ys, _HEIGHT - _BOTTOM, 10)
    parts = [_grid(x_axis, y_axis, parameter, str(items[0]["unit"]))]
    series: dict[str, list[Mapping[str, Any]]] = {}
    for item in items:
        others = {name: value for name, value in item["parameters"].items() if name != parameter}
        series.setdefault(f"{item['name']} {_text(others)}".strip(), []).append(item)
    for i, (name, line) in enumerate(series.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        line = sorted(line, key=lambda item: item["parameters"][parameter])
        points = [(x_axis.at(item["parameters"][parameter]), y_axis.at(item["p50"])) for item in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), item in zip(points, line, strict=True):
            low, high = (y_axis.at(end) for end in item["p50_interval"])
            parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>')
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{_tip(item)}</title></circle>'
            )
        parts.append(_label(_WIDTH - 122, 20 + 18 * i, name[:20], colour))
    return _svg(_HEIGHT, parts)


def _bars(items: Sequence[Mapping[str, Any]]) -> str:
    """p50 as a bar with its interval, and a mark at p99."""
    most = max(max(item["p99"], item["p50_interval"][1]) for item in items)
    if most <= 0:
        return ""
    scale = (_WIDTH - 330) / most
    parts = []
    for i, item in enumerate(items):
        y, colour = 8 + 26 * i, _COLOURS[i % len(_COLOURS)]
        low, high = (250 + end * scale for end in item["p50_interval"])
        width, p99 = item["p50"] * scale, 250 + item["p99"] * scale
        name = f"{item['name']} {_text(item['parameters'])}".strip()
        parts += [
            _label(0, y + 14, name[:38], "#1f2937"),
            f'<rect x="250" y="{y}" width="{width:.1f}" height="18" fill="{colour}"><title>{_tip(item)}</title></rect>',
            f'<path d="M{low:.1f} {y + 9}H{high:.1f}" stroke="#111827" stroke-width="2"/>',
            f'<path d="M{p99:.1f} {y}v18" stroke="{colour}" stroke-dasharray="2"/>',
            _label(max(p99, high) + 6, y + 14, f"{_number(item['p50'])} {item['unit']}", "#1f2937"),
        ]
    return _svg(16 + 26 * len(items), parts)


class _Axis:
    """A logarithmic axis, from values to places."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = 10 ** math.floor(math.log10(min(values)))
        self.high = 10 ** math.ceil(math.log10(max(values) * 1.0001))
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> list[float]:
        return list(itertools.takewhile(lambda tick: tick <= self.high * 1.01, (self.low * 10**i for i in range(12))))


def _grid(x_axis: _Axis, y_axis: _Axis, x_title: str, y_title: str) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - 130
    parts = []
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#e5e7eb"/>{_label(4, y + 4, f"{tick:g}", "#6b7280")}')
    for tick in x_axis.ticks():
        x = x_axis.at(tick)
        parts.append(f'<path d="M{x:.1f} 10V{bottom}" stroke="#e5e7eb"/>')
        parts.append(_label(x - 10, bottom + 16, f"{tick:g}", "#6b7280"))
    return "".join(parts) + _label(right - 80, _HEIGHT - 6, x_title, "#1f2937") + _label(4, 12, y_title, "#1f2937")


def _label(x: float, y: float, text: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="12">{escape(text)}</text>'


def _tip(item: Mapping[str, Any]) -> str:
    return escape(f"{item['key']}: p50 {_number(item['p50'])}, p99 {_number(item['p99'])} {item['unit']}")


def _svg(height: int, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{"".join(parts)}</svg>'
