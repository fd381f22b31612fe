"""Checks of what is bound to a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ipc.descriptors import Descriptor
from ipc.errors import MLTypeError, escape_label
from renderer.tensor import MLTensor


def check_names(given: Iterable[str], wanted: Mapping[str, Descriptor], what: str) -> None:
    """That there are as many names as the graph has, and no others.

    Raises:
        MLTypeError: they differ.
    """
    names = list(given)
    if len(names) != len(wanted):
        raise MLTypeError(f"{what}: {len(names)} given, the graph has {len(wanted)}: {_shown(wanted)}")
    for name in names:
        check_name(name, wanted, what)


def check_name(name: str, wanted: Mapping[str, Descriptor], what: str) -> None:
    """That the graph has the name.

    Raises:
        MLTypeError: it doesn't.
    """
    if name not in wanted:
        raise MLTypeError(f"{what}: [{escape_label(name)}] is none of the graph's: {_shown(wanted)}")


def check_bindings(given: Mapping[str, MLTensor], wanted: Mapping[str, Descriptor], what: str) -> None:
    """That tensors fit the inputs, or the outputs, of a graph.

    Raises:
        MLTypeError: one doesn't. Source: WebNN, "validate tensors with descriptors".
    """
    if len(given) != len(wanted):
        raise MLTypeError(f"{what}: {len(given)} given, the graph has {len(wanted)}: {_shown(wanted)}")
    for name, tensor in given.items():
        if tensor.constant:
            raise MLTypeError(f"{what} [{escape_label(name)}]: {tensor!r} is constant")
        check_name(name, wanted, what)
        descriptor = wanted[name]
        if tensor.data_type is not descriptor.data_type or tensor.shape != descriptor.shape:
            raise MLTypeError(f"{what} [{escape_label(name)}]: {tensor!r} is not {descriptor}")


def _shown(names: Iterable[str]) -> str:
    return ", ".join(f"[{escape_label(name)}]" for name in names) or "none"
