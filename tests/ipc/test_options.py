"""Options survive the way through a command line, and none is misunderstood."""

from __future__ import annotations

import pytest

from gpu_process.sandbox import Level, Mode
from ipc.options import BACKEND_NAMES, CHOICES, HostOptions, OptionsError


def test_options_survive_the_command_line() -> None:
    options = HostOptions(backend="openvino", isolate=True, quotas={"graphs": 3}, preload=("a", "b"), start_timeout=1.5)
    assert HostOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"sandbocks": "off"}', "unknown: sandbocks"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"threads": true}', "threads: True is not of type int"),
        ('{"threads": -1}', "threads: -1 is negative"),
        ('{"sandbox": "none"}', "sandbox: 'none' is none of strict, compat, off"),
        ('{"backend": null}', "backend: None is not of type str"),
        ('{"start_timeout": 1e999}', "start_timeout: inf is negative or not finite"),
        ('{"quotas": {"graphs": "many"}}', "quotas"),
        ('{"preload": [1]}', "preload"),
    ],
)
def test_a_wrong_option_is_named(text: str, complaint: str) -> None:
    with pytest.raises(OptionsError, match=complaint):
        HostOptions.from_json(text)


def test_the_choices_are_those_of_the_sandbox() -> None:
    assert CHOICES["sandbox"] == tuple(Level)
    assert CHOICES["sandbox_mode"] == tuple(Mode)


def test_every_backend_is_in_exactly_one_process() -> None:
    for options in (HostOptions(), HostOptions(one_process=True)):
        assert sorted(name for group in options.process_groups for name in group) == sorted(BACKEND_NAMES)
    assert len(HostOptions(one_process=True).process_groups) == 1
