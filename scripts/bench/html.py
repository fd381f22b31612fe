"""A report as one HTML file that needs nothing else: what was met, tables, and plots. All text is escaped."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from scripts.bench.plots import COLOURS, legend, plot, verdict_mark
from scripts.bench.quantities import number, parameters, quantity

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #6b7280; --page: #ffffff; --stripe: #f3f4f6; --grid: #e5e7eb;
  --aim: #047857; --gate: #1d4ed8; --missed: #b91c1c; --aim-zone: #a7f3d0; --gate-zone: #bfdbfe; --missed-zone: #fecaca;
  --c0: #2563eb; --c1: #d97706; --c2: #059669; --c3: #7c3aed; --c4: #dc2626; --c5: #0891b2; --c6: #be185d;
  --c7: #6b7280 }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --soft: #9ca3af; --page: #111827; --stripe: #1f2937;
  --grid: #374151; --aim: #34d399; --gate: #93c5fd; --missed: #fca5a5; --aim-zone: #065f46; --gate-zone: #1e40af;
  --missed-zone: #7f1d1d; --c0: #60a5fa; --c1: #fbbf24; --c2: #34d399; --c3: #a78bfa; --c4: #f87171; --c5: #22d3ee;
  --c6: #f472b6; --c7: #9ca3af } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1.5rem; color: var(--ink);
  background: var(--page) }
h2 { margin: 3rem 0 .5rem } p.note { color: var(--soft); margin: .2rem 0 .8rem } .wide { overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th, td { padding: .2rem .5rem; text-align: left }
th { border-bottom: 1px solid var(--soft); font-weight: 600; white-space: nowrap } tbody tr:nth-child(even) {
  background: var(--stripe) } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
dl { display: grid; grid-template-columns: max-content 1fr max-content 1fr; gap: .15rem 1.2rem }
dt, .soft { color: var(--soft) } dd { margin: 0 } svg { max-width: 100%; height: auto; overflow: visible }
td svg { vertical-align: middle; max-width: none } td.what { min-width: 14rem }
td.made { font-size: 13px; line-height: 1.3; white-space: nowrap }
details { margin: .3rem 0 1rem } summary { cursor: pointer; color: var(--soft) }
.verdict { font-weight: 600; white-space: nowrap } .aim { color: var(--aim) } .gate { color: var(--gate) }
.missed { color: var(--missed) } .run, .reported { color: var(--soft) }
svg text { font-size: 12px; fill: var(--ink) } svg .soft { fill: var(--soft) } svg .strong { font-weight: 600 }
svg .grid { stroke: var(--grid) } svg .ink { stroke: var(--ink); fill: none } svg .dot { fill: var(--ink) }
.z-aim { fill: var(--aim-zone) } .z-gate { fill: var(--gate-zone) } .z-missed { fill: var(--missed-zone) }
svg .value { paint-order: stroke; stroke: var(--page); stroke-width: 3px }
"""
_PAINT: Final = "".join(f"svg .c{i} {{ fill: var(--c{i}); stroke: var(--c{i}) }}\n" for i in range(COLOURS)) + (
    "svg .line { fill: none; stroke-width: 2 } svg .whisker { fill: none; stroke-dasharray: 3 2 }\n"
)

_VERDICTS: Final = ("aim", "gate", "missed", "not run", "reported")


def page(report: Mapping[str, Any]) -> str:
    """The whole document."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for item in report["measurements"]:
        groups.setdefault(str(item["group"]), []).append(item)
    sections = (f"<h2>{escape(name)}</h2>{_group(items)}" for name, items in groups.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>webnn-sim bench</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}{_PAINT}</style><h1>webnn-sim bench</h1>{_facts(report)}"
        f"{_targets(report.get('targets') or ())}{''.join(sections)}</html>\n"
    )


# --- The machine, and what was chosen ---------------------------------------------------------------------------------


def _facts(report: Mapping[str, Any]) -> str:
    facts = {**report["environment"], **report["options"]}
    return f"<dl>{''.join(f'<dt>{_title(name)}<dd>{escape(_fact(value))}' for name, value in facts.items())}</dl>"


def _title(name: str) -> str:
    return escape(name.replace("_", " "))


def _fact(value: Any) -> str:
    match value:
        case None:
            return "default"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return ", ".join(f"{key} {item}" for key, item in value.items())
        case list():
            return ", ".join(map(str, value))
    text = str(value)
    kilobytes = text.removesuffix(" kB")
    return quantity(int(kilobytes) * 1024, "bytes") if kilobytes != text and kilobytes.isdecimal() else text


# --- Targets ----------------------------------------------------------------------------------------------------------


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    if not targets:
        return ""
    counts = Counter(str(target["verdict"]) for target in targets)
    told = ", ".join(f'<span class="{_kind(it)} verdict">{counts[it]} {it}</span>' for it in _VERDICTS if counts[it])
    head = ("", "what", "of", "value", "95 % interval", "gate", "aim", "verdict", "", "made of")
    numeric = {"value", "95 % interval", "gate", "aim"}
    titles = "".join(f"<th{' class=n' if title in numeric else ''}>{title}" for title in head)
    ranked = sorted(targets, key=_rank)
    rows = "".join(
        f"<tr>{_target(target, is_first=_subject(target) != _subject(before))}"
        for before, target in itertools.pairwise([{}, *ranked])
    )
    return (
        f'<h2>Targets</h2><p class="note">{told}. The worse end of the interval decides. The mark is the value with '
        "its interval, on a logarithmic scale: green up to the aim, blue up to the gate, red beyond it. What is of "
        'another backend than the default, <span class="soft">in grey</span>, binds nobody.</p>'
        f'<div class="wide"><table><thead><tr>{titles}<tbody>{rows}</table></div>'
    )


def _subject(target: Mapping[str, Any]) -> tuple[Any, Any]:
    return target.get("name"), target.get("what")


def _rank(target: Mapping[str, Any]) -> tuple[int, str, bool]:
    """By number and subject; of those that have the same, the ones that bind first."""
    digits = str(target["name"])[1:]
    return int(digits) if digits.isdecimal() else 0, str(target["what"]), not target.get("binds", True)


def _target(target: Mapping[str, Any], *, is_first: bool) -> str:
    """The cells of one row; what the row above has said is not said again."""
    interval = "" if target["interval"] is None else " to ".join(number(end) for end in target["interval"])
    verdict = str(target["verdict"])
    figures = (number(target["value"]), interval, _bound(target["gate"]), _bound(target["aim"]))
    cells = [
        _cell(target["name"] if is_first else ""),
        _cell(target["what"] if is_first else "", "what"),
        _cell(parameters(target["parameters"]), "" if target.get("binds", True) else "soft"),
        *(_cell(text, "n") for text in figures),
        _cell(verdict, f"{_kind(verdict)} verdict"),
        f"<td>{verdict_mark(target)}",
        _cell(target["why"]) if target["why"] else _figures(target["figures"]),
    ]
    return "".join(cells)


def _figures(text: str) -> str:
    return f'<td class="made">{"<br>".join(map(escape, text.split(", ")))}'


def _kind(verdict: str) -> str:
    return verdict.rpartition(" ")[2]


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


# --- Measurements -----------------------------------------------------------------------------------------------------


def _group(items: Sequence[Mapping[str, Any]]) -> str:
    figures = f"<details><summary>all figures</summary>{_table(items)}</details>"
    return f'<p class="note">{legend(items)}</p>{plot(items)}{figures}'


def _table(items: Iterable[Mapping[str, Any]]) -> str:
    columns = ("p50", "p90", "p99", "p99.9")
    titles = "".join(
        f"<th{' class=n' if title else ''}>{title}" for title in ("", "", *columns, "95 % interval of p50", "samples")
    )
    rows = []
    for item in items:
        unit = str(item["unit"])
        figures = [quantity(item[column], unit) for column in columns]
        interval = " to ".join(quantity(end, unit) for end in item["p50_interval"])
        cells = [_cell(item["name"]), _cell(parameters(item["parameters"]))]
        cells += [_cell(text, "n") for text in (*figures, interval, item["count"])]
        rows.append(f"<tr>{''.join(cells)}")
    return f'<div class="wide"><table><thead><tr>{titles}<tbody>{"".join(rows)}</table></div>'


def _cell(text: Any, kind: str = "") -> str:
    return f'<td class="{escape(kind)}">{escape(str(text))}' if kind else f"<td>{escape(str(text))}"
