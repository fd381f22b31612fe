"""A case as a script runs and computes what the case computes; as a page it says the same graph."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random

from ipc.operators import REGISTRY
from scripts.fuzz.draw import Profile
from scripts.fuzz.evaluation import computed
from scripts.fuzz.export import as_job, as_page, as_python, as_text
from scripts.fuzz.graphs import legal_graph
from scripts.fuzz.limits import limits_of

LIMITS = limits_of("reference")


def test_every_case_is_a_script_that_compiles_and_a_page_that_can_be_read() -> None:
    methods = {operator.spec_name for operator in REGISTRY.values()}
    for seed in range(150):
        case = legal_graph(Random(seed), LIMITS)
        compile(as_python(case, "reference"), "graph.py", "exec")
        assert as_text(case).count("\n") >= len(case.graph.operations)
        program = re.search(r'id="program">\n(.*?)\n</script>', as_page(case), re.DOTALL)
        assert program is not None
        read = json.loads(program[1])
        assert [operation["method"] in methods for operation in read["operations"]] == [True] * len(
            case.graph.operations
        )
        assert program[1] in as_job(case)


def test_the_script_builds_and_computes_the_graph(tmp_path: Path) -> None:
    profile = Profile(operators=("add", "lstm_cell", "split"), operations=(3, 3), hostile=0.0, max_elements=16)
    case = legal_graph(Random(4), LIMITS, profile)
    script = tmp_path / "graph.py"
    script.write_text(as_python(case, "reference"), encoding="utf-8")
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    printed = [line for line in result.stdout.splitlines() if line.startswith("'")]
    assert printed == [repr(name) for name in computed(case)]
