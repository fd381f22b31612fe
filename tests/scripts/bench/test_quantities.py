"""Numbers in reports: three digits that count, and the unit that fits."""

from __future__ import annotations

import pytest

from scripts.bench.quantities import number, parameters, quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (25880.0, "µs", "25.9 ms"),
        (999.94, "µs", "1.00 ms"),
        (0.5, "µs", "0.500 µs"),
        (3.012, "µs", "3.01 µs"),
        (835.6, "ms", "836 ms"),
        (0.0927, "s", "92.7 ms"),
        (1536.0, "MiB", "1.50 GiB"),
        (65536, "bytes", "64 KiB"),
        (1234567.0, "calls/s", "1234567 calls/s"),
        (0.0, "µs", "0 µs"),
    ],
)
def test_a_quantity_has_the_unit_that_fits(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.24160, "0.242"), (3.0, "3"), (0.00716, "0.00716"), (-2.5, "-2.50"), (43210.0, "43210")],
)
def test_a_number_has_three_digits_and_no_exponent(value: float | None, text: str) -> None:
    assert number(value) == text


def test_parameters_are_said_in_a_persons_words() -> None:
    given = {"model": "encoder", "backend": "openvino", "threads": 1, "bytes": 1 << 20, "tensor_memory": "auto"}
    assert parameters(given) == "encoder, openvino, 1 thread, 1 MiB, tensor memory auto"
    assert parameters({"operators": 10_000}) == "operators 10 000"
