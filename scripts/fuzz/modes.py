"""The modes by name. Another one is a line here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from scripts.fuzz.mode import Mode, ModeOptions

_MODES: Mapping[str, str] = {
    "validate": "scripts.fuzz.validation:ValidateMode",
    "graph": "scripts.fuzz.graph_mode:GraphMode",
    "wire": "scripts.fuzz.wire.mode:WireMode",
    "differential": "scripts.fuzz.differential.mode:DifferentialMode",
    "api": "scripts.fuzz.sequences.mode:ApiMode",
    "ring": "scripts.fuzz.ring_mode:RingMode",
    "simulate": "scripts.fuzz.simulation.mode:SimulateMode",
}

MODE_NAMES = tuple(_MODES)


def open_mode(name: str, options: ModeOptions) -> Mode[Any]:
    """The mode of that name, with all that it needs started; whoever opens it closes it.

    Raises:
        KeyError: there is none.
    """
    module, _, member = _MODES[name].partition(":")
    mode: Mode[Any] = getattr(importlib.import_module(module), member)(options)
    return mode
