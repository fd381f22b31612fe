"""A case as people read it: as text, as a Python script that runs, and as a page for a browser with WebNN."""

from __future__ import annotations

import base64
import json
import keyword
from collections.abc import Mapping
from typing import Any

from ipc.descriptors import DataType
from ipc.graph import Graph, OperandId, Operation
from ipc.operators import Attribute, Slot
from scripts.fuzz.api import arguments
from scripts.fuzz.case import GraphCase
from scripts.fuzz.mode import Problem

_SHOWN_BYTES = 64


def files(case: GraphCase, backend: str, problem: Problem | None) -> Mapping[str, str]:
    """What belongs into a report."""
    return {
        "graph.txt": as_text(case),
        "graph.py": as_python(case, backend, problem),
        "graph.html": as_page(case),
    }


def as_text(case: GraphCase) -> str:
    """One line per operand that is given, per operation, and per output."""
    graph = case.graph
    lines = [f"%{operand} = input {name!r} {graph.operands[operand]}" for name, operand in graph.inputs]
    for operand in graph.constants:
        data = case.constants.get(operand, b"")
        shown = data[:_SHOWN_BYTES].hex() + ("..." if len(data) > _SHOWN_BYTES else "")
        lines.append(f"%{operand} = constant {graph.operands[operand]} {shown}")
    for operation in graph.operations:
        made = ", ".join(f"%{operand}" for operand in operation.outputs)
        types = ", ".join(str(graph.operands[operand]) for operand in operation.outputs)
        lines.append(f"{made} = {operation.operator.name}({_call(operation)}) -> {types}")
    lines += [f"output {name!r} = %{operand}" for name, operand in graph.outputs]
    if case.rule:
        lines.append(f"breaks {case.rule}")
    return "\n".join(lines) + "\n"


class _Name:
    """An operand in a call that is shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _call(operation: Operation) -> str:
    names = {operand: _Name(f"%{operand}") for operand in operation.operand_ids()}
    return ", ".join(f"{name}={_shown(value)}" for name, value in arguments(operation, names).items())


def _shown(value: Any) -> str:
    return repr(value.value) if isinstance(value, DataType) else repr(value)


# --- Python -----------------------------------------------------------------------------------------------------------


def as_python(case: GraphCase, backend: str, problem: Problem | None = None) -> str:
    """A script that builds the graph by the API, runs it and prints its outputs."""
    graph = case.graph
    int4 = any(descriptor.data_type.is_packed for descriptor in graph.operands)
    lines = [
        *(f"# {line}" for line in ([] if problem is None else problem.signature.splitlines())),
        "import base64",
        "",
        "from renderer import ML, DataType, Descriptor, MLGraphBuilder",
        "",
        f"with ML() as ml, ml.create_context(backend={backend!r}, experimental_int4={int4}) as context:",
        "    b = MLGraphBuilder(context)",
    ]
    names = {operand: _Name(f"v{operand}") for operand in range(len(graph.operands))}
    for name, operand in graph.inputs:
        lines.append(f"    v{operand} = b.input({name!r}, {_descriptor(graph, operand)})")
    for operand in graph.constants:
        data = _base64(case.constants.get(operand, b""))
        lines.append(f"    v{operand} = b.constant({_descriptor(graph, operand)}, base64.b64decode({data!r}))")
    for operation in graph.operations:
        made = ", ".join(f"v{operand}" for operand in operation.outputs)
        comma = "," if operation.operator.returns_list and len(operation.outputs) == 1 else ""
        given = ", ".join(f"{_keyword(name)}={_python(value)}" for name, value in arguments(operation, names).items())
        lines.append(f"    {made}{comma} = b.{operation.operator.name}({given})")
    outputs = ", ".join(f"{name!r}: v{operand}" for name, operand in graph.outputs)
    lines.append(f"    graph = b.build({{{outputs}}})")
    lines.append("    inputs = {")
    for name, _ in graph.inputs:
        lines.append(f"        {name!r}: base64.b64decode({_base64(case.inputs.get(name, b''))!r}),")
    lines += [
        "    }",
        "    for name, value in context.compute(graph, inputs).items():",
        "        print(repr(name), value, sep='\\n')",
        "",
    ]
    return "\n".join(lines)


def _descriptor(graph: Graph, operand: OperandId) -> str:
    descriptor = graph.operands[operand]
    return f"Descriptor(DataType.{descriptor.data_type.name}, {descriptor.shape!r})"


def _python(value: Any) -> str:
    text = _shown(value)
    return f"float({text!r})" if text in ("inf", "-inf", "nan") else text


def _keyword(name: str) -> str:
    assert not keyword.iskeyword(name), name
    return name


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- a page -----------------------------------------------------------------------------------------------------------


def as_page(case: GraphCase) -> str:
    """A page that builds the graph by a browser's WebNN, runs it, and shows what came of it.

    It needs nothing from any other place. Its outcome is `computed`, with the outputs' bytes; `refused`, with the
    browser's exception; or `no WebNN`.
    """
    return _PAGE.replace("@PROGRAM@", _program(case)).replace("@RUN@", _RUN)


def as_job(case: GraphCase) -> str:
    """The same as the body of an asynchronous function that returns the outcome, for `scripts.bench.chromium`."""
    return f"{_RUN}\nreturn await run({_program(case)});"


def _program(case: GraphCase) -> str:
    graph = case.graph
    program = {
        "inputs": [
            {"name": name, "id": operand, **_mldescriptor(graph, operand), "data": _base64(case.inputs.get(name, b""))}
            for name, operand in graph.inputs
        ],
        "constants": [
            {"id": operand, **_mldescriptor(graph, operand), "data": _base64(case.constants.get(operand, b""))}
            for operand in graph.constants
        ],
        "operations": [_mloperation(operation) for operation in graph.operations],
        "outputs": [{"name": name, "id": operand, **_mldescriptor(graph, operand)} for name, operand in graph.outputs],
    }
    return json.dumps(program, indent=1).replace("<", "\\u003c")


def _mldescriptor(graph: Graph, operand: OperandId) -> dict[str, Any]:
    descriptor = graph.operands[operand]
    return {"dataType": descriptor.data_type.value, "shape": list(descriptor.shape)}


def _mloperation(operation: Operation) -> dict[str, Any]:
    """Method, arguments and options; an operand is `{"operand": id}`, a special number `{"number": text}`."""
    operator = operation.operator
    names = {operand: {"operand": operand} for operand in operation.operand_ids()}
    given = arguments(operation, names)
    members: dict[str, Slot | Attribute] = {**operator.slots, **operator.attributes}

    def entry(name: str) -> Any:
        member = members[name]
        value = given.get(name)
        return value if isinstance(member, Slot) else _json_value(value)

    return {
        "method": operator.spec_name,
        "arguments": [entry(name) for name in operator.positional],
        "options": {
            (members[name].spec_name if name != "label" else name): _json_value(value)
            if name == "label"
            else entry(name)
            for name, value in given.items()
            if name not in operator.positional
        },
        "outputs": list(operation.outputs),
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, DataType):
        return value.value
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"number": {"inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), "NaN")}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return {"bigint": str(value)}
    return value


_RUN = """
function bytes(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0)).buffer;
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), byte => byte.toString(16).padStart(2, "0")).join("");
}

function revived(value, operands) {
  if (Array.isArray(value)) return value.map(each => revived(each, operands));
  if (value === null || typeof value !== "object") return value;
  if ("operand" in value) return operands.get(value.operand);
  if ("number" in value) return Number(value.number);
  if ("bigint" in value) return BigInt(value.bigint);
  return value;
}

async function run(program) {
  if (!("ml" in navigator)) return {outcome: "no WebNN"};
  let stage = "createContext";
  try {
    const context = await navigator.ml.createContext();
    const builder = new MLGraphBuilder(context);
    const operands = new Map();
    stage = "record";
    for (const {name, id, dataType, shape} of program.inputs)
      operands.set(id, builder.input(name, {dataType, shape}));
    for (const {id, dataType, shape, data} of program.constants)
      operands.set(id, builder.constant({dataType, shape}, bytes(data)));
    for (const {method, arguments: given, options, outputs} of program.operations) {
      stage = method;
      const values = Object.fromEntries(
        Object.entries(options).map(([name, value]) => [name, revived(value, operands)]));
      const made = builder[method](...given.map(value => revived(value, operands)), values);
      (Array.isArray(made) ? made : [made]).forEach((operand, at) => operands.set(outputs[at], operand));
    }
    stage = "build";
    const graph = await builder.build(
      Object.fromEntries(program.outputs.map(({name, id}) => [name, operands.get(id)])));
    stage = "dispatch";
    const inputs = {}, outputs = {};
    for (const {name, dataType, shape, data} of program.inputs) {
      inputs[name] = await context.createTensor({dataType, shape, writable: true});
      context.writeTensor(inputs[name], bytes(data));
    }
    for (const {name, dataType, shape} of program.outputs)
      outputs[name] = await context.createTensor({dataType, shape, readable: true});
    context.dispatch(graph, inputs, outputs);
    const results = {};
    for (const name in outputs) results[name] = hex(await context.readTensor(outputs[name]));
    return {outcome: "computed", results};
  } catch (error) {
    return {outcome: "refused", stage, error: String(error)};
  }
}
"""

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>WebNN case</title>
<pre id="shown">running</pre>
<script type="application/json" id="program">
@PROGRAM@
</script>
<script>
"use strict";
@RUN@

run(JSON.parse(document.getElementById("program").textContent)).then(result => {
  document.getElementById("shown").textContent = JSON.stringify(result, null, 1);
});
</script>
"""
