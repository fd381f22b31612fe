"""Numbers as people read them: three digits, and the unit that fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

_SCALES: Final[Mapping[str, tuple[tuple[float, str], ...]]] = {
    "µs": ((1, "µs"), (1e3, "ms"), (1e6, "s")),
    "ms": ((1e-3, "µs"), (1, "ms"), (1e3, "s")),
    "s": ((1e-6, "µs"), (1e-3, "ms"), (1, "s")),
    "MiB": ((2**-10, "KiB"), (1, "MiB"), (2**10, "GiB")),
    "bytes": ((1, "bytes"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB")),
}


def quantity(value: float, unit: str) -> str:
    """A value of a measurement: 25880 µs is 25.9 ms."""
    factor, name = 1.0, unit
    for scale, larger in _SCALES.get(unit, ()):
        if abs(value) >= scale * 0.9995 or factor > scale:
            factor, name = scale, larger
    return f"{number(value / factor)} {name}"


def number(value: float | None) -> str:
    """Three digits that count, and no exponent; empty where there is no value."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.3g}")))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if float(value).is_integer() and digits else text


def parameters(given: Mapping[str, Any]) -> str:
    """What tells one measurement from others of its name."""
    return ", ".join(_parameter(name, value) for name, value in given.items())


def _parameter(name: str, value: Any) -> str:
    match name:
        case "model" | "backend":  # nobody takes one for anything else
            return str(value)
        case "bytes":
            return quantity(value, "bytes")
        case "threads":
            return "1 thread" if value == 1 else f"{value} threads"
    text = f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value}"
    return f"{name.replace('_', ' ')} {text}"
