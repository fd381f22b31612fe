"""What stands below the options in each command's `--help`: lines to copy."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_LINES: Final = {
    "webnn-sim": (
        "webnn-sim demo                          see it work",
        "webnn-sim doctor                        what this machine can do, and what to do about a no",
        "webnn-sim run script.py                 your own script, confined",
    ),
    "demo": (
        "webnn-sim demo --backend openvino",
        "webnn-sim demo --carrier stream --trace demo.json    open it at ui.perfetto.dev",
    ),
    "run": (
        "webnn-sim run --read model.onnx script.py model.onnx",
        "webnn-sim run --inject 'gpu.run:crash-before@10' script.py",
        "webnn-sim run --record session.webnn script.py && webnn-sim replay session.webnn",
    ),
    "serve": (
        "webnn-sim serve --socket /tmp/webnn.sock",
        "python -m renderer --socket /tmp/webnn.sock run script.py    in another terminal",
    ),
    "doctor": (
        "webnn-sim doctor --json",
        "webnn-sim doctor --attack --backend openvino",
    ),
    "ops": (
        "webnn-sim ops conv2d",
        "webnn-sim ops --json",
    ),
    "replay": (
        "webnn-sim replay session.webnn",
        "webnn-sim replay --backend reference session.webnn",
    ),
    "fuzz": (
        "webnn-sim fuzz graph --time 60",
        "webnn-sim fuzz differential --executions 1000 --seed 7",
        "webnn-sim fuzz repro fuzz-findings/NAME/case.json",
    ),
    "bench": (
        "webnn-sim bench ipc --quick",
        "webnn-sim bench peers --part latency --json now.json --html now.html",
        "webnn-sim bench compare before.json now.json",
    ),
}

EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {command: "\n".join(("```text", *lines, "```")) for command, lines in _LINES.items()}
)
"""By command, in Markdown."""
