"""Write `docs/operators`: a page per operator, and the table operators × backends × data types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_process.backends import BACKEND_NAMES, BackendOptions, load_backend
from ipc.descriptors import in_order
from ipc.limits import SupportLimits
from ipc.operators import REGISTRY, Operator
from ipc.operators._docs import operator_page

ROOT = Path(__file__).resolve().parent.parent

_INTRODUCTION = """\
# Operators

Made by `python -m scripts.generate_operator_docs` from the declarations in `ipc/operators` and the support limits of
the backends. The types are those of an operator's first operand; its page has every operand and output. A backend lists
only what it computes exactly ([numerics](../numerics.md)); ranks go up to 8 where the operator doesn't fix them.
"""


def generate(target: Path) -> None:
    """Write all pages below `target`/docs/operators; pages of operators that are gone are removed."""
    limits = {name: load_backend(name, BackendOptions()).support_limits() for name in BACKEND_NAMES}
    folder = target / "docs/operators"
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{operator.name}.md": operator_page(operator, limits) + "\n" for operator in REGISTRY.values()}
    pages["README.md"] = _INTRODUCTION + "\n" + "\n".join(_table(limits)) + "\n"
    for stale in {path.name for path in folder.glob("*.md")} - set(pages):
        (folder / stale).unlink()
    for name, page in pages.items():
        (folder / name).write_text(page)


def _table(limits: Mapping[str, SupportLimits]) -> Iterator[str]:
    yield f"| operator | family | {' | '.join(limits)} |"
    yield "|---" * (2 + len(limits)) + "|"
    for operator in sorted(REGISTRY.values(), key=lambda operator: operator.family):
        supported = " | ".join(_types(operator, entry) for entry in limits.values())
        yield f"| [{operator.name}]({operator.name}.md) | {operator.family} | {supported} |"


def _types(operator: Operator, limits: SupportLimits) -> str:
    members = limits.operators.get(operator.name)
    if members is None:
        return "-"
    listed = members[next(iter(operator.slots))].data_types
    return "all" if listed == operator.slots[next(iter(operator.slots))].data_types else " ".join(in_order(listed))


if __name__ == "__main__":
    generate(ROOT)
