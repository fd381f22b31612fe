"""The builder's operator methods are the declarations, and the checked-in stub shows them."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from ipc.operators import REGISTRY, signature
from renderer import MLGraphBuilder, aio
from scripts.generate_stubs import STUB, generate


def test_the_stub_is_current() -> None:
    assert STUB.read_text() == generate()


def test_every_operator_is_a_method_with_its_signature(builder: MLGraphBuilder) -> None:
    for operator in REGISTRY.values():
        method = getattr(builder, operator.name)
        assert inspect.signature(method) == signature(operator)
        assert method.__doc__.startswith(operator.formula)
        assert getattr(aio.MLGraphBuilder, operator.name) is getattr(MLGraphBuilder, operator.name)


def test_an_operator_that_is_registered_later_is_found(builder: MLGraphBuilder) -> None:
    late = replace(REGISTRY["relu"], name="late_relu")
    REGISTRY.add(late)
    try:
        assert "late_relu" in dir(builder)
        assert inspect.signature(builder.late_relu) == signature(late)
    finally:
        del REGISTRY["late_relu"]


def test_there_are_no_other_methods(builder: MLGraphBuilder) -> None:
    with pytest.raises(AttributeError, match="soft_max"):
        builder.soft_max  # noqa: B018
