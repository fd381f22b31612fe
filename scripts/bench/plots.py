"""Plots as SVG that is part of a page: its style sheet gives them their colours, by day and by night."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from scripts.bench.quantities import number, parameters, quantity

Item = Mapping[str, Any]
"""A measurement, as reports hold it."""

COLOURS: Final = 8
"""The style sheet has this many, `c0` to `c7`."""

# The same everywhere on a page, and with them everybody else in the order of appearance.
_COLOUR_OF: Final = {"ours": 0, "Chromium": 1, "in process": 2, "copies": 7}

_WIDTH, _HEIGHT = 960, 340
_LEFT, _TOP, _BOTTOM, _LEGEND = 76, 14, 46, 220
_ROW, _NAMES, _VALUES = 24, 230, 100
_CHARACTER = 6.7  # pixels that one takes at most, at this size of type
_MOST_OF_A_LINEAR_AXIS = 25.0  # times the smallest; beyond that, small bars can't be told from none


def plot(items: Sequence[Item]) -> str:
    """Lines where something numeric varies, bars where it doesn't."""
    varying = _varying(items)
    return _bars(items) if varying is None else _lines(items, varying)


def legend(items: Sequence[Item]) -> str:
    """What the plot of these shows, in a sentence."""
    if _varying(items) is not None:
        return "Medians with their 95 % intervals; both axes are logarithmic."
    return "Medians with their 95 % intervals; dashed whiskers end at p99. Dots are on a logarithmic axis."


def verdict_mark(target: Mapping[str, Any]) -> str:
    """A value and its interval on a logarithmic scale on which gate and aim have the same place in every row."""
    gate, aim = target["gate"] or target["aim"], target["aim"]
    if target["interval"] is None or not gate or min(target["value"], *target["interval"]) <= 0:
        return ""
    width, height = 130, 18
    turned = -1 if target.get("better") == "larger" else 1

    def at(value: float) -> float:
        decades = turned * math.log10(value / gate)
        return width * (0.6 + 0.4 * max(-1.5, min(1.0, decades / 1.0)))

    low, high = sorted(at(end) for end in target["interval"])
    zones = [("z-aim", 0.0, at(aim) if aim else 0.0), ("z-gate", at(aim) if aim else 0.0, at(gate))]
    zones.append(("z-missed", at(gate), float(width)))
    parts = [
        f'<rect class="{kind}" x="{start:.1f}" y="4" width="{max(0.0, end - start):.1f}" height="10"/>'
        for kind, start, end in zones
    ]
    parts.append(f'<path class="ink" d="M{low:.1f} 9H{max(high, low + 1):.1f}" stroke-width="2"/>')
    parts.append(f'<circle class="dot" cx="{at(target["value"]):.1f}" cy="9" r="4"/>')
    return _svg(width, height, parts)


def _varying(items: Sequence[Item]) -> str | None:
    for name in items[0]["parameters"]:
        values = {item["parameters"].get(name) for item in items}
        if len(values) > 1 and all(isinstance(value, int | float) and value > 0 for value in values):
            return str(name)
    return None


def _lines(items: Sequence[Item], parameter: str) -> str:
    """p50 with its interval over a parameter, both logarithmic; a line per name."""
    unit = str(items[0]["unit"])
    xs = sorted({float(item["parameters"][parameter]) for item in items})
    ys = [end for item in items for end in (item["p50"], *item["p50_interval"]) if end > 0]
    if not ys:
        return ""
    right, bottom = _WIDTH - _LEGEND, _HEIGHT - _BOTTOM
    x_axis, y_axis = _LogAxis(xs, _LEFT + 24, right - 24), _LogAxis(ys, bottom, _TOP)
    parts = []
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 8, y + 4, quantity(tick, unit), "soft", "end"))
    for tick in _spaced(xs, x_axis):
        x = x_axis.at(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        label = quantity(tick, "bytes") if parameter == "bytes" else number(tick)
        parts.append(_text(x, bottom + 18, label, "soft", "middle"))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 6, parameter.replace("_", " "), "", "middle"))
    series: dict[str, list[Item]] = {}
    for item in items:
        others = {name: value for name, value in item["parameters"].items() if name != parameter}
        series.setdefault(", ".join(filter(None, (str(item["name"]), parameters(others)))), []).append(item)
    colours = _colours(series)
    for row, (name, line) in enumerate(series.items()):
        parts += _line(line, parameter, x_axis, y_axis, colours[name])
        parts.append(f'<rect class="{colours[name]}" x="{right + 14}" y="{_TOP + 20 * row}" width="12" height="12"/>')
        parts.append(_text(right + 32, _TOP + 20 * row + 10, _cut(name, _LEGEND - 34), ""))
    height = max(_HEIGHT, _TOP + 20 * len(series) + 10)
    return _svg(_WIDTH, height, parts)


def _line(items: Sequence[Item], parameter: str, x_axis: _LogAxis, y_axis: _LogAxis, colour: str) -> Iterable[str]:
    items = sorted(items, key=lambda item: float(item["parameters"][parameter]))
    points = [(x_axis.at(item["parameters"][parameter]), y_axis.at(item["p50"])) for item in items]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline class="{colour} line" points="{path}"/>'
    for (x, y), item in zip(points, items, strict=True):
        low, high = (y_axis.at(end) for end in item["p50_interval"])
        yield f'<path class="{colour} line" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
        yield f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4">{_tip(item)}</circle>'


def _bars(items: Sequence[Item]) -> str:
    """p50 as a bar, or as a dot on a logarithmic axis where bars would be too unequal; with its interval, and p99."""
    unit = str(items[0]["unit"])
    ends = [value for item in items for value in (item["p50"], item["p99"], *item["p50_interval"])]
    if max(ends) <= 0:
        return ""
    positive = [value for value in ends if value > 0]
    left, right = _NAMES, _WIDTH - _VALUES
    is_linear = max(positive) <= _MOST_OF_A_LINEAR_AXIS * min(positive) or min(ends) <= 0
    axis = _LinearAxis(max(ends), left, right) if is_linear else _LogAxis(positive, left, right)
    colours = _colours(dict.fromkeys(str(item["name"]) for item in items))
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(parameters(item["parameters"]), []).append(item)
    parts: list[str] = []
    y = 4.0
    for title, members in groups.items():
        if title:
            parts.append(_text(0, y + 15, title, "strong"))
            y += _ROW
        for item in members:
            parts += _bar(item, axis, y, colours[str(item["name"])], is_linear=is_linear)
            y += _ROW
        y += 6 if title else 0
    grid = []
    for tick in axis.ticks():
        x = axis.at(tick)
        grid.append(f'<path class="grid" d="M{x:.1f} 0V{y:.1f}"/>')
        grid.append(_text(x, y + 16, quantity(tick, unit) if tick else "0", "soft", "middle"))
    return _svg(_WIDTH, y + 24, [*grid, *parts])


def _bar(item: Item, axis: _LinearAxis | _LogAxis, y: float, colour: str, *, is_linear: bool) -> Iterable[str]:
    middle = y + _ROW / 2 - 2
    low, high = (axis.at(end) for end in item["p50_interval"])
    p50, p99 = axis.at(item["p50"]), axis.at(item["p99"])
    yield _text(_NAMES - 10, middle + 4, _cut(str(item["name"]), _NAMES - 20), "", "end")
    if is_linear:
        place = f'x="{_NAMES}" y="{middle - 8}" width="{p50 - _NAMES:.1f}" height="16"'
        yield f'<rect class="{colour}" {place}>{_tip(item)}</rect>'
    else:
        yield f'<circle class="{colour}" cx="{p50:.1f}" cy="{middle}" r="6">{_tip(item)}</circle>'
    yield f'<path class="{colour} whisker" d="M{p50:.1f} {middle}H{p99:.1f}M{p99:.1f} {middle - 6}v12"/>'
    yield f'<path class="ink" d="M{low:.1f} {middle}H{high:.1f}" stroke-width="2"/>'
    yield _text(max(p50 + 4, p99, high) + 8, middle + 4, quantity(item["p50"], str(item["unit"])), "value")


class _LinearAxis:
    """From values to places, from 0 on."""

    def __init__(self, most: float, start: float, end: float) -> None:
        self._most, self._start, self._end = most, start, end

    def at(self, value: float) -> float:
        return self._start + value / self._most * (self._end - self._start)

    def ticks(self) -> list[float]:
        power = 10.0 ** math.floor(math.log10(self._most))
        step = next(step for step in (power / 5, power / 2, power, 2 * power) if self._most / step < 7)
        return [step * i for i in range(int(self._most / step) + 1)]


class _LogAxis:
    """From values to places; it begins and ends at 1, 2 or 5 times a power of ten."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        steps = sorted(step * 10.0**power for power in range(-9, 13) for step in (1, 2, 5))
        self.low = max((step for step in steps if step <= min(values)), default=steps[0])
        self.high = min((step for step in steps if step >= max(values) and step > self.low), default=steps[-1])
        self._start, self._end = start, end
        self._steps = [step for step in steps if self.low <= step <= self.high]

    def at(self, value: float) -> float:
        part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> list[float]:
        if len(self._steps) <= 7:
            return self._steps
        return [step for step in self._steps if math.isclose(math.log10(step) % 1, 0, abs_tol=1e-9)]


def _spaced(values: Iterable[float], axis: _LogAxis) -> Iterable[float]:
    """Those that have room for a label."""
    last = -math.inf
    for value in values:
        if axis.at(value) - last >= 60:
            last = axis.at(value)
            yield value


def _colours(names: Iterable[str]) -> dict[str, str]:
    """A class for each: well-known ones have theirs, everybody else the next that nobody has."""
    known = {name: _COLOUR_OF[name] for name in names if name in _COLOUR_OF}
    free = [colour for colour in range(COLOURS) if colour not in known.values()] or list(range(COLOURS))
    others = [name for name in names if name not in known]
    return {name: f"c{colour}" for name, colour in known.items()} | {
        name: f"c{free[i % len(free)]}" for i, name in enumerate(others)
    }


def _cut(text: str, width: float) -> str:
    most = int(width / _CHARACTER)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _tip(item: Item) -> str:
    unit = str(item["unit"])
    text = f"{item['key']}: p50 {quantity(item['p50'], unit)}, p99 {quantity(item['p99'], unit)}"
    return f"<title>{escape(text)}</title>"


def _svg(width: float, height: float, parts: Iterable[str]) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{"".join(parts)}</svg>'
